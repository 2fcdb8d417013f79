//! `lock`: takes the right to append to the branch. Upholds: one person at a time has it, and only
//! on a host that has applied everything.

use crate::cli::{Failure, Session};
use crate::lock::{BranchLock, Claim};
use crate::model::LockMessage;
use crate::ui::exit::ExitCode;

/// Locks the branch of this host.
pub fn lock(session: &mut Session, message: Option<LockMessage>) -> Result<ExitCode, Failure> {
    let member = session.on_branch()?;
    let branch = member.branch();
    let message = message.ok_or_else(|| Failure::need_message(branch))?;
    let (host, history) = session.open(member.clone(), "lock")?;
    let author = host.author.clone();
    let journal = host.journal()?;
    let held = member.branch_lock()?;
    if held.held.is_some() {
        // Whose lock it is matters more than whether this host is up to date.
        held.check(&author)
            .map_err(|e| Failure::of_lock(e, branch))?;
    }
    if history.position(journal.chain())? < journal.len() {
        let failure = Failure::out_of_date();
        return Err(match member.drafts(Some(&history))?.len() {
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
    BranchLock::take(&host.lock, &member.branch_lock_file(), claim)
        .map_err(|e| Failure::of_lock(e, branch))?;
    session.out.info(&format!("{branch} locked"));
    Ok(ExitCode::Ok)
}
