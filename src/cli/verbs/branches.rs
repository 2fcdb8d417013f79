//! `fork` and `migrate`: the branch that this host follows.

use super::serve::tell_daemon;
use crate::cli::{Failure, Session};
use crate::model::BranchName;
use crate::replay;
use crate::ui::exit::ExitCode;

/// Makes a branch of this one and moves this host there.
pub fn fork(session: &mut Session, branch: BranchName) -> Result<ExitCode, Failure> {
    let (host, history) = session.this_host("fork")?;
    replay::fork(&host, &history, &branch)?;
    session.out.info(&format!("branch {branch} created"));
    moved(session, &host, &branch)
}

/// Moves this host to a branch.
pub fn migrate(session: &mut Session, branch: BranchName) -> Result<ExitCode, Failure> {
    let (host, history) = session.this_host("migrate")?;
    replay::migrate(&host, &history, &branch)?;
    moved(session, &host, &branch)
}

fn moved(
    session: &mut Session,
    host: &replay::ThisHost,
    branch: &BranchName,
) -> Result<ExitCode, Failure> {
    let name = &host.settings.host.value;
    session.out.info(&format!("{name} migrated to {branch}"));
    tell_daemon(session, &host.home);
    Ok(ExitCode::Ok)
}
