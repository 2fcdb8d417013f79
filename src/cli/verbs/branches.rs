//! `fork` and `migrate`: the branch that this host follows.

use super::serve::tell_daemon;
use crate::cli::{Failure, Session};
use crate::lock::{Authority, Order};
use crate::model::BranchName;
use crate::replay;
use crate::ui::exit::ExitCode;

/// Makes a branch of this one and moves this host there.
pub fn fork(session: &mut Session, branch: BranchName) -> Result<ExitCode, Failure> {
    let (host, history) = session.this_host("fork")?;
    replay::may_fork(&host, &history, &branch)?;
    if let Some(locks) = session.domain_locks(&host.home, &host.domain, &host.branch)? {
        // Of two hosts that make a branch of the same name one does.
        let order = Order::Begin {
            branch: branch.clone(),
            head: host.journal()?.last(),
            host: host.key,
        };
        let verdict = locks.carry_out(order)?;
        verdict.map_err(|denial| Failure::of_denial(&denial, &branch))?;
    }
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
    session.note_card_of(host, branch.clone());
    tell_daemon(session, &host.home);
    Ok(ExitCode::Ok)
}
