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

fn not_connected(verb: &str) -> Done {
    let message = format!("{verb} is not connected yet");
    Err(Failure::new(ExitCode::Internal, message))
}

/// `snap`.
pub fn snap(_: &mut Session, _: Vec<PathBuf>, _: RunMode, _: Presentation) -> Done {
    not_connected("snap")
}

/// `exec`.
pub fn exec(_: &mut Session, _: ExecCommand) -> Done {
    not_connected("exec")
}

/// `reboot`.
pub fn reboot(_: &mut Session) -> Done {
    not_connected("reboot")
}

/// `ci`.
pub fn check_in(_: &mut Session) -> Done {
    not_connected("ci")
}

/// `up`.
pub fn up(_: &mut Session, _: RunMode, _: RebootPolicy, _: Presentation) -> Done {
    not_connected("up")
}

/// `fork`.
pub fn fork(_: &mut Session, _: BranchName) -> Done {
    not_connected("fork")
}

/// `migrate`.
pub fn migrate(_: &mut Session, _: BranchName) -> Done {
    not_connected("migrate")
}

/// `undo`.
pub fn undo(_: &mut Session, _: RunMode, _: Presentation) -> Done {
    not_connected("undo")
}

/// `unlock --discard`.
pub fn discard(_: &mut Session) -> Done {
    not_connected("unlock --discard")
}

/// `try`.
pub fn try_out(_: &mut Session, _: TryCommand) -> Done {
    not_connected("try")
}

/// `diff`.
pub fn diff(_: &mut Session, _: Vec<PathBuf>, _: (Times, Reading), _: Presentation) -> Done {
    not_connected("diff")
}

/// `probe`.
pub fn probe(_: &mut Session, _: Format) -> Done {
    not_connected("probe")
}
