//! What every verb does first: finishes or drops what an interrupted isconf left behind. Upholds:
//! each entry is wholly live and recorded, or not at all, before anything new begins.

use isconf_sandbox::commit::{self, RecoverError};
use isconf_sandbox::layout::TxId;
use isconf_sandbox::session::{SweepError, sweep};

use super::actions::{ActionsError, Carried, EntryFate, resume};
use super::record::receipt_of;
use super::settle::{SettleError, forget_draft, settle};
use super::this_host::ThisHost;
use crate::check_in::{self, CheckInError};
use crate::history::{History, HistoryError};
use crate::model::progress::Silent;
use crate::model::{ActionFate, Deed, ReceiptBody, Times};
use crate::store::StoreError;

/// Something that was found and put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repaired {
    /// The scratch directories of a process that is gone were removed.
    Swept(TxId),
    /// Contents that were being stored were removed: so many bytes.
    HalfStored(u64),
    /// A commit or undo that had been decided was finished.
    Finished(ReceiptBody),
    /// An incomplete receipt was cut off; its transaction's intent has it, or it is that of a check-in.
    TornReceipt,
    /// A check-in that was interrupted behind its point of no return was finished.
    CheckedIn,
    /// A draft that was in the wip already was told to the history.
    Made,
    /// A commit that could not be completed was taken back.
    TakenBack(TxId),
    /// What a committed entry asks of service managers was seen to its end.
    Followed(Carried),
}

/// Why recovery could not be finished. Nothing else is done until it is.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// Leftovers could not be removed.
    #[error("cannot remove what an interrupted isconf left behind")]
    Sweep(#[from] SweepError),
    /// Half-stored contents could not be removed.
    #[error("cannot remove what an interrupted isconf was storing")]
    Store(#[from] StoreError),
    /// A commit could not be finished.
    #[error("an interrupted commit cannot be finished")]
    Commit(#[from] RecoverError),
    /// The records could not be written.
    #[error(transparent)]
    Settle(#[from] SettleError),
    /// The history cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// What an entry asks of service managers could not be seen to its end.
    #[error("what a committed entry asks of service managers cannot be seen to its end")]
    Actions(#[from] ActionsError),
    /// The check-in could not be finished.
    #[error("an interrupted check-in cannot be finished")]
    CheckIn(#[from] CheckInError),
}

/// Recovers this host; gives what was put right, and the history, which is whole then.
pub fn recover(host: &ThisHost) -> Result<(Vec<Repaired>, History), RecoveryError> {
    let swept = sweep(host.home.as_path())?;
    let mut repaired: Vec<_> = swept.into_iter().map(Repaired::Swept).collect();
    let half = host.store.remove_leftovers(&host.lock)?;
    if half.bytes > 0 {
        repaired.push(Repaired::HalfStored(half.bytes));
    }
    let pending = commit::recover(host.home.as_path(), host.root())?;
    // Only a transaction that was not finished explains an incomplete receipt, or a check-in that was not (below);
    // without either the history is damaged, and opening it says so.
    if !pending.is_empty() && History::cut_torn_tail(&host.lock, &host.home)? {
        repaired.push(Repaired::TornReceipt);
    }
    History::finish_announced(&host.lock, &host.home, &host.domain)?;
    let mut history = match host.history() {
        Err(error) if error.is_torn() && check_in::is_unfinished(host.site())? => {
            // Its receipt is written again below.
            History::cut_torn_tail(&host.lock, &host.home)?;
            repaired.push(Repaired::TornReceipt);
            host.history()?
        }
        history => history?,
    };
    for recovered in pending {
        match recovered.landed {
            // Of `try --commit` while this host had no domain, and so no history.
            Some(landed) if landed.payload().is_empty() => {
                landed.finish().map_err(SettleError::Finish)?;
            }
            Some(landed) => {
                let receipt = settle(host, &mut history, landed)?;
                repaired.push(Repaired::Finished(receipt));
            }
            None => repaired.push(Repaired::TakenBack(recovered.tx)),
        }
    }
    finish_discard(host, &history)?;
    if let Some(carried) = resume(host, &mut history, &mut Silent)? {
        repaired.push(Repaired::Followed(carried));
    }
    if check_in::recover(host.site(), host.now())?.is_some() {
        repaired.push(Repaired::CheckedIn);
        history = host.history()?;
    }
    if finish_made(host, &mut history)? {
        repaired.push(Repaired::Made);
    }
    Ok((repaired, history))
}

/// Tells the history of a draft that changed no file and is in the wip, which comes first; says
/// whether it had to. To be called when what was checked in is no longer in the wip.
fn finish_made(host: &ThisHost, history: &mut History) -> Result<bool, SettleError> {
    let wip = host.wip()?;
    let Some(last) = wip.map(|wip| wip.last()).transpose()?.flatten() else {
        return Ok(false);
    };
    // A commit's draft is told by its intent.
    if last.tx.is_some() || history.made_lately()?.contains(&last.draft.id) {
        return Ok(false);
    }
    let receipt = receipt_of(host, &last.draft);
    history.append_announced(&host.lock, &host.home, &receipt)?;
    Ok(true)
}

/// Takes a draft off the wip whose receipt says already that it was taken back.
fn finish_discard(host: &ThisHost, history: &History) -> Result<(), SettleError> {
    if history.is_empty() {
        return Ok(());
    }
    match history.receipt(history.len())?.body.deed {
        Deed::Discarded { draft, .. } => Ok(forget_draft(host, draft)?),
        _ => Ok(()),
    }
}

impl Repaired {
    /// What was done, as a sentence for people.
    pub fn sentence(&self) -> String {
        match self {
            Self::Swept(tx) => {
                format!("removed the scratchpad that an interrupted isconf left behind: {tx}")
            }
            Self::HalfStored(bytes) => {
                format!("removed {bytes} bytes that an interrupted isconf was storing.")
            }
            Self::TornReceipt => "cut off an incomplete receipt; it is written anew.".to_owned(),
            Self::Made => "finished recording an interrupted change.".to_owned(),
            Self::CheckedIn => "finished an interrupted check-in.".to_owned(),
            Self::Followed(carried) => followed(carried),
            Self::TakenBack(tx) => format!("took back a commit that could not be completed: {tx}"),
            Self::Finished(receipt) => match receipt.deed {
                Deed::Discarded { .. } | Deed::Undone { .. } => {
                    "finished an interrupted undo.".to_owned()
                }
                Deed::Applied(at) => {
                    format!("finished the interrupted commit of entry {}.", at.seq)
                }
                Deed::Made(_) | Deed::OutOfBand | Deed::CheckedIn(_) | Deed::Rebooted(_) => {
                    "finished an interrupted commit.".to_owned()
                }
            },
        }
    }
}

/// What became of a committed entry whose requests to service managers were interrupted.
fn followed(carried: &Carried) -> String {
    let words = |wanted: fn(&ActionFate) -> bool| {
        let actions = carried.actions.iter();
        let found = actions.filter(|action| wanted(&action.fate));
        let words: Vec<_> = found.map(|action| action.action.words()).collect();
        (!words.is_empty()).then(|| words.join(", "))
    };
    let note = |wanted, what: &str| words(wanted).map(|words| format!("`{words}` {what}"));
    let failed = |fate: &ActionFate| matches!(fate, ActionFate::Failed { .. });
    let notes: Vec<String> = [
        note(
            |fate| *fate == ActionFate::Done(Times::OnceOrTwice),
            "may have been done twice",
        ),
        note(
            |fate| *fate == ActionFate::NotKnown,
            "was interrupted twice and not tried again",
        ),
        match carried.entry {
            EntryFate::Stays => note(failed, "failed"),
            EntryFate::Gone | EntryFate::TakenBack | EntryFate::CannotBeTakenBack(_) => None,
        },
    ]
    .into_iter()
    .flatten()
    .collect();
    let notes = match notes.is_empty() {
        true => String::new(),
        false => format!(" ({})", notes.join("; ")),
    };
    let failed = words(failed).unwrap_or_default();
    match &carried.entry {
        EntryFate::Stays => {
            format!("did what an interrupted entry asks of service managers{notes}.")
        }
        EntryFate::Gone => format!(
            "dropped what an entry asked of service managers that is not this host's last one any more: `{}`.",
            words(|_| true).unwrap_or_default()
        ),
        EntryFate::TakenBack => {
            format!("took back an interrupted entry, as `{failed}` failed{notes}.")
        }
        EntryFate::CannotBeTakenBack(why) => format!(
            "`{failed}` of an interrupted entry failed, and the entry cannot be taken back: {why}{notes}."
        ),
    }
}
