//! `ci`: the drafts become entries, all or none. Upholds: a journal never forks, and an interrupted
//! check-in is finished or never was.
//!
//! ```text
//! lock, base = journal's end? ─> entries appended, head replaced (the point of no return)
//!     ─> receipt "checked in" ─> wip removed ─> lock released
//! ```

use isconf_sandbox::commit::crash_point;

use super::settle::{SettleError, live_drafts};
use super::this_host::ThisHost;
use crate::history::{History, HistoryError};
use crate::identity::{HostKey, HostKeyError};
use crate::journal::{Journal, JournalError};
use crate::lock::{BranchLock, Held, LockError};
use crate::model::{Deed, Draft, ReceiptBody};

/// Why nothing was checked in.
#[derive(Debug, thiserror::Error)]
pub enum CheckInError {
    /// The lock is not the caller's.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Somebody else's entries came into the journal since the branch was locked.
    #[error("someone else checked in conflicting changes")]
    JournalMoved,
    /// The journal or the wip cannot be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The history cannot be read or written.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The wip cannot be compared with the history.
    #[error(transparent)]
    Settle(#[from] SettleError),
    /// The host's key cannot be had.
    #[error(transparent)]
    Key(#[from] HostKeyError),
}

/// Checks in all drafts and releases the lock; gives their number.
pub fn check_in(host: &ThisHost, history: &mut History) -> Result<u64, CheckInError> {
    let lock_path = host.branch_lock();
    let lock = BranchLock::load(&lock_path)?;
    let held = lock.check(&host.author)?;
    let drafts = live_drafts(host, history)?;
    if drafts.is_empty() {
        remove_wip(host)?;
        BranchLock::release(&host.lock, &lock_path, held.fence)?;
        return Ok(0);
    }
    let mut journal = host.journal()?;
    let base = host.wip()?.map(|wip| wip.base());
    if base != Some(journal.last()) {
        return Err(CheckInError::JournalMoved);
    }
    let key = HostKey::load_or_create(&host.home.host_key())?;
    let entries: Vec<Draft> = drafts.into_iter().map(|wip| under(held, wip.draft)).collect();
    crash_point("ci.begun");
    journal.append(&host.lock, &entries, &key)?;
    crash_point("ci.entries.durable");
    conclude(host, history, &journal)?;
    Ok(entries.len() as u64)
}

/// An entry carries the message of the lock under which it is checked in.
fn under(held: &Held, draft: Draft) -> Draft {
    Draft { message: held.message.to_string(), ..draft }
}

/// Finishes a check-in that had passed its point of no return: its drafts are the journal's last
/// entries. Says whether there was one.
pub fn finish_interrupted(host: &ThisHost, history: &mut History) -> Result<bool, CheckInError> {
    let Some(wip) = host.wip()? else {
        return Ok(false);
    };
    let drafts = wip.drafts()?;
    let journal = host.journal()?;
    if drafts.is_empty() || journal.is_empty() {
        return Ok(false);
    }
    let last = journal.entry(journal.len())?.draft.id;
    if !drafts.iter().any(|wip| wip.draft.id == last) {
        return Ok(false);
    }
    conclude(host, history, &journal)?;
    Ok(true)
}

/// Everything behind the point of no return; may be repeated.
fn conclude(
    host: &ThisHost,
    history: &mut History,
    journal: &Journal,
) -> Result<(), CheckInError> {
    let deed = Deed::CheckedIn(journal.last());
    let stands_there = history.standing()?.is_some_and(|(_, at)| at == journal.last());
    if !stands_there {
        history.append(&host.lock, &receipt(host, deed))?;
    }
    crash_point("ci.receipt.durable");
    remove_wip(host)?;
    crash_point("ci.wip.removed");
    let lock = BranchLock::load(&host.branch_lock())?;
    BranchLock::release(&host.lock, &host.branch_lock(), lock.fence)?;
    crash_point("ci.lock.released");
    Ok(())
}

fn remove_wip(host: &ThisHost) -> Result<(), JournalError> {
    match host.wip()? {
        Some(wip) => wip.remove(&host.lock),
        None => Ok(()),
    }
}

/// A receipt of something that changed no file.
pub fn receipt(host: &ThisHost, deed: Deed) -> ReceiptBody {
    let now = host.now();
    ReceiptBody {
        deed,
        branch: host.branch.clone(),
        changes: None,
        tx: None,
        started: now,
        finished: now,
        congruent: None,
    }
}
