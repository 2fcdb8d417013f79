//! `lock`: takes the right to append to the branch. Upholds: one person at a time has it, and only
//! on a host that has applied everything.

use crate::cli::{Failure, Session};
use crate::journal::Journal;
use crate::lock::{BranchLock, Claim};
use crate::model::LockMessage;
use crate::ui::exit::ExitCode;

/// Locks the branch of this host.
pub fn lock(session: &mut Session, message: Option<LockMessage>) -> Result<ExitCode, Failure> {
    let member = session.on_branch()?;
    let branch = member.branch();
    let message = message.ok_or_else(|| Failure::need_message(branch))?;
    let author = member.author()?;
    let host = session.host_lock(member.home(), "lock")?;
    let journal = Journal::open_or_create(&host, member.home(), &member.domain, branch)?;
    let held = member.branch_lock()?;
    if held.held.is_some() {
        // Whose lock it is matters more than whether this host is up to date.
        held.check(&author)
            .map_err(|e| Failure::of_lock(e, branch))?;
    }
    let history = member.history()?;
    let applied = history
        .as_ref()
        .map_or(Ok(0), |h| h.position(journal.chain()))?;
    if applied < journal.len() {
        let failure = Failure::out_of_date();
        return Err(match member.drafts(history.as_ref())?.len() {
            0 => failure,
            drafts => failure.hint(format!(
                "{drafts} local changes were made before the newer entries came: `isconf unlock --discard` takes them back."
            )),
        });
    }
    let claim = Claim {
        author,
        message,
        since: (session.clock)(),
        journal: journal.last(),
    };
    BranchLock::take(&host, &member.branch_lock_file(), claim)
        .map_err(|e| Failure::of_lock(e, branch))?;
    session.out.info(&format!("{branch} locked"));
    Ok(ExitCode::Ok)
}
