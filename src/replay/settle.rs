//! Writes down what has landed: the draft into the wip, the receipt into the history, and only then
//! lets the sandbox forget the intent. Used after a commit and after a crash alike. Upholds: after
//! a crash at any point the next start ends in the same records.

use std::path::PathBuf;

use isconf_sandbox::commit::{Finished, Landed, RecordError, crash_point};

use super::payload::{InvalidPayload, Payload};
use super::room::give_room;
use super::this_host::ThisHost;
use crate::durable::FileError;
use crate::history::{History, HistoryError};
use crate::journal::{JournalError, Wip, WipDraft};
use crate::model::{BranchName, Deed, DraftId, ReceiptBody};

/// Why what is live could not be written down. The next start of any verb tries again.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The intent's payload cannot be read.
    #[error(transparent)]
    Payload(#[from] InvalidPayload),
    /// The wip cannot be read or written.
    #[error(transparent)]
    Wip(#[from] JournalError),
    /// The history cannot be read or written.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// This host was put on another branch by hand since.
    #[error("an interrupted change was made on branch {made}, and this host is on {now} now: put {made} back into {} first", file.display())]
    OtherBranch {
        /// Where the change was made.
        made: BranchName,
        /// Where this host is.
        now: BranchName,
        /// The file with the branch's name.
        file: PathBuf,
    },
    /// The room that was kept for the records cannot be given to them.
    #[error(transparent)]
    Room(#[from] FileError),
    /// The intent cannot be finished.
    #[error("cannot finish the transaction's intent")]
    Finish(#[from] RecordError),
}

/// Records a landed transaction and finishes it. May be called again for the same transaction
/// after a crash: what is written already is not written twice.
pub fn settle(
    host: &ThisHost,
    history: &mut History,
    landed: Landed,
) -> Result<ReceiptBody, SettleError> {
    let payload = Payload::parse(landed.payload())?;
    write_down(host, history, &payload, Turn::Again)?;
    landed.finish()?;
    Ok(payload.receipt)
}

/// Does so right behind the commit, when nothing of it can have been written. The caller syncs the
/// end of it.
pub fn settle_first(
    host: &ThisHost,
    history: &mut History,
    payload: &Payload,
    landed: Landed,
) -> Result<Finished, SettleError> {
    write_down(host, history, payload, Turn::First)?;
    Ok(landed.finish_soon()?)
}

/// Whether some of it may have been written before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    First,
    Again,
}

fn write_down(
    host: &ThisHost,
    history: &mut History,
    payload: &Payload,
    turn: Turn,
) -> Result<(), SettleError> {
    if payload.receipt.branch != host.branch {
        // Its draft would become one of another branch.
        return Err(SettleError::OtherBranch {
            made: payload.receipt.branch.clone(),
            now: host.branch.clone(),
            file: host.home.branch_file(),
        });
    }
    crash_point("settle.begun");
    give_room(host)?;
    if let Some(draft) = &payload.draft {
        match turn {
            Turn::First => append_draft(host, draft)?,
            Turn::Again => record_draft(host, draft)?,
        }
        crash_point("settle.draft.durable");
    }
    if let Deed::Discarded { draft, .. } = payload.receipt.deed {
        forget_draft(host, draft)?;
        crash_point("settle.draft.forgotten");
    }
    let is_new = turn == Turn::First || !is_recorded(history, &payload.receipt)?;
    if let Some(pending) = payload.pending.as_ref().filter(|_| is_new) {
        // Before the receipt: what is recorded and has services that do not follow yet is known as that.
        pending.store(&host.home)?;
        crash_point("settle.pending.durable");
    }
    if is_new {
        history.append(&host.lock, &payload.receipt)?;
    }
    crash_point("settle.receipt.durable");
    Ok(())
}

/// Adds the draft to the wip unless it is there.
pub fn record_draft(host: &ThisHost, draft: &WipDraft) -> Result<(), JournalError> {
    let known = host.wip_drafts()?;
    if known.iter().any(|known| known.draft.id == draft.draft.id) {
        return Ok(());
    }
    append_draft(host, draft)
}

/// Adds a new draft to the wip.
fn append_draft(host: &ThisHost, draft: &WipDraft) -> Result<(), JournalError> {
    let base = host.journal()?.last();
    if let Some(wip) = host.wip()?
        && wip.is_empty()
        && wip.base() != base
    {
        // Everything in it was taken back, and the journal went on since.
        wip.remove(&host.lock)?;
    }
    let mut wip = Wip::open_or_create(&host.lock, &host.home, &host.domain, &host.branch, base)?;
    wip.append(&host.lock, draft)
}

/// Takes the draft off the wip if it is the last one; drafts are taken back from the last on.
pub fn forget_draft(host: &ThisHost, draft: DraftId) -> Result<(), JournalError> {
    let Some(mut wip) = host.wip()? else {
        return Ok(());
    };
    match wip.last()? {
        Some(last) if last.draft.id == draft => wip.drop_last(&host.lock),
        Some(_) | None => Ok(()),
    }
}

/// Whether the last receipt is this one. Only the last can be: the host lock admits one
/// transaction at a time, and it is settled before the next one begins.
fn is_recorded(history: &History, receipt: &ReceiptBody) -> Result<bool, HistoryError> {
    if history.is_empty() {
        return Ok(false);
    }
    Ok(history.receipt(history.len())?.body == *receipt)
}
