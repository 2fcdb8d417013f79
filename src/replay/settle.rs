//! Writes down what has landed: the draft into the wip, the receipt into the history, and only then
//! lets the sandbox forget the intent. Used after a commit and after a crash alike. Upholds: after
//! a crash at any point the next start ends in the same records.

use isconf_sandbox::commit::{Landed, RecordError, crash_point};

use super::payload::{InvalidPayload, Payload};
use super::this_host::ThisHost;
use crate::history::{History, HistoryError};
use crate::journal::{JournalError, Wip, WipDraft};
use crate::model::{Deed, ReceiptBody};

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
    crash_point("settle.begun");
    if let Some(draft) = &payload.draft {
        record_draft(host, draft)?;
        crash_point("settle.draft.durable");
    }
    if !is_recorded(history, &payload.receipt)? {
        history.append(&host.lock, &payload.receipt)?;
    }
    crash_point("settle.receipt.durable");
    landed.finish()?;
    Ok(payload.receipt)
}

/// Adds the draft to the wip unless it is there.
pub fn record_draft(host: &ThisHost, draft: &WipDraft) -> Result<(), JournalError> {
    let base = host.journal()?.last();
    let mut wip =
        Wip::open_or_create(&host.lock, &host.home, &host.domain, &host.branch, base)?;
    if wip.drafts()?.iter().any(|known| known.draft.id == draft.draft.id) {
        return Ok(());
    }
    wip.append(&host.lock, draft)
}

/// Whether the last receipt is this one. Only the last can be: the host lock admits one
/// transaction at a time, and it is settled before the next one begins.
fn is_recorded(history: &History, receipt: &ReceiptBody) -> Result<bool, HistoryError> {
    if history.is_empty() {
        return Ok(false);
    }
    Ok(history.receipt(history.len())?.body == *receipt)
}

/// The drafts that count: those in the wip that no receipt has taken back.
pub fn live_drafts(host: &ThisHost, history: &History) -> Result<Vec<WipDraft>, SettleError> {
    let Some(wip) = host.wip()? else {
        return Ok(Vec::new());
    };
    let mut drafts = wip.drafts()?;
    if drafts.is_empty() {
        return Ok(drafts);
    }
    let discarded = discarded_lately(history)?;
    drafts.retain(|known| !discarded.contains(&known.draft.id));
    Ok(drafts)
}

/// The drafts that were taken back since the last entry was checked in or applied.
fn discarded_lately(history: &History) -> Result<Vec<crate::model::DraftId>, HistoryError> {
    let mut discarded = Vec::new();
    for seq in (1..=history.len()).rev() {
        match history.receipt(seq)?.body.deed {
            Deed::Discarded { draft, .. } => discarded.push(draft),
            Deed::Made(_) | Deed::OutOfBand => {}
            Deed::Undone { now_at: None, .. } => {}
            Deed::Applied(_)
            | Deed::Rebooted(_)
            | Deed::CheckedIn(_)
            | Deed::Undone { now_at: Some(_), .. } => break,
        }
    }
    Ok(discarded)
}
