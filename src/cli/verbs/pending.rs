//! Verbs that run entries, and are not connected with their conductors yet. Goes when the last one
//! is. Upholds: what cannot be done says so.

use std::path::PathBuf;

use crate::cli::Failure;
use crate::cli::Session;
use crate::cli::invocation::{
    ExecCommand, Format, Presentation, Reading, RebootPolicy, RunMode, Times, TryCommand,
};
use crate::model::BranchName;
use crate::ui::exit::ExitCode;

type Done = Result<ExitCode, Failure>;

fn not_connected(session: &mut Session, verb: &str) -> Done {
    if !matches!(verb, "try" | "probe") {
        session.on_branch()?;
    }
    let message = format!("{verb} is not connected yet");
    Err(Failure::new(ExitCode::Internal, message))
}

/// `snap`.
pub fn snap(session: &mut Session, _: Vec<PathBuf>, _: RunMode, _: Presentation) -> Done {
    not_connected(session, "snap")
}

/// `exec`.
pub fn exec(session: &mut Session, _: ExecCommand) -> Done {
    not_connected(session, "exec")
}

/// `reboot`.
pub fn reboot(session: &mut Session) -> Done {
    not_connected(session, "reboot")
}

/// `ci`.
pub fn check_in(session: &mut Session) -> Done {
    not_connected(session, "ci")
}

/// `up`.
pub fn up(session: &mut Session, _: RunMode, _: RebootPolicy, _: Presentation) -> Done {
    not_connected(session, "up")
}

/// `fork`.
pub fn fork(session: &mut Session, _: BranchName) -> Done {
    not_connected(session, "fork")
}

/// `migrate`.
pub fn migrate(session: &mut Session, _: BranchName) -> Done {
    not_connected(session, "migrate")
}

/// `undo`.
pub fn undo(session: &mut Session, _: RunMode, _: Presentation) -> Done {
    not_connected(session, "undo")
}

/// `unlock --discard`.
pub fn discard(session: &mut Session) -> Done {
    not_connected(session, "unlock --discard")
}

/// `try`.
pub fn try_out(session: &mut Session, _: TryCommand) -> Done {
    not_connected(session, "try")
}

/// `diff`.
pub fn diff(session: &mut Session, _: Vec<PathBuf>, _: (Times, Reading), _: Presentation) -> Done {
    not_connected(session, "diff")
}

/// `probe`.
pub fn probe(session: &mut Session, _: Format) -> Done {
    not_connected(session, "probe")
}
