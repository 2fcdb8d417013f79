//! Takes back what was committed here: the last entry, or all drafts of the wip. Not for deciding
//! whether the user may. Upholds: what is taken back is restored to the bit or not touched; the
//! history remembers both.

use isconf_sandbox::change::{Change, ChangeSet};
use isconf_sandbox::commit::{self, ConflictKind, ForgetError, UndoError, crash_point};
use isconf_sandbox::layout::TxId;

use super::payload::Payload;
use super::room::{NoRoom, keep_room};
use super::settle::{SettleError, forget_draft, settle};
use super::this_host::ThisHost;
use crate::check_in::DraftsError;
use crate::history::{Effective, History, HistoryError};
use crate::journal::{JournalError, WipFault};
use crate::model::report::{Conflict, Seen};
use crate::model::{ChangeDigests, Deed, DraftId, EntryId, EntryKind, EntryRef, ReceiptBody};
use crate::store::{MAX_LIST_BYTES, StoreError};

/// Why nothing was taken back.
#[derive(Debug, thiserror::Error)]
pub enum TakeBackError {
    /// There is nothing that could be.
    #[error("nothing was committed on this host that could be taken back")]
    Nothing,
    /// A reboot cannot be.
    #[error("the last entry is a reboot, which cannot be taken back")]
    Reboot,
    /// The drafts and the history do not agree on what was made last.
    #[error("the last draft in the wip is not the last change of this host")]
    NotLast,
    /// The drafts of this host cannot be told.
    #[error(transparent)]
    Drafts(#[from] DraftsError),
    /// The live paths are no longer as it left them.
    #[error("{} live paths are no longer what the entry left", .0.len())]
    Conflicts(Vec<Conflict>),
    /// Its undo copies are gone.
    #[error(
        "{what} cannot be taken back: its undo copies are no longer kept (IS_UNDO_KEEP is {entries} entries, IS_UNDO_BYTES is {} bytes)",
        .bytes
    )]
    NotKept {
        /// What was to be taken back.
        what: String,
        /// `IS_UNDO_KEEP`.
        entries: u32,
        /// `IS_UNDO_BYTES`.
        bytes: u64,
    },
    /// It cannot be taken back.
    #[error(transparent)]
    Undo(UndoError),
    /// Taking it back was begun, failed, and could not be dropped: recovery goes on with it.
    #[error("the undo was interrupted; the next start of isconf goes on with it")]
    Interrupted(#[source] UndoError),
    /// The journal or the wip cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The history cannot be used.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// What is recorded with it has no room.
    #[error(transparent)]
    Room(#[from] NoRoom),
    /// It was taken back and could not be recorded; the next start records it.
    #[error(transparent)]
    Settle(#[from] SettleError),
    /// It was taken back and recorded; what it left could not be removed, which the next start does.
    #[error("what the transaction left cannot be removed")]
    Forget(#[from] ForgetError),
    /// The change set is not at hand.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What can be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastChange {
    /// Its receipt's number.
    pub receipt: u64,
    /// The entry, where there is one.
    pub entry: Option<EntryRef>,
    /// What is recorded when it is taken back.
    deed: Deed,
    /// The transaction with the undo copies; none when it changed no file.
    tx: Option<TxId>,
    /// What it had changed.
    changes: Option<ChangeDigests>,
}

impl LastChange {
    /// The draft, when it is one of the wip.
    pub fn draft(&self) -> Option<DraftId> {
        match self.deed {
            Deed::Discarded { draft, .. } => Some(draft),
            _ => None,
        }
    }

    /// What it is, in words.
    pub fn name(&self) -> String {
        match (self.entry, self.draft()) {
            (Some(at), _) => format!("entry {}", at.seq),
            (None, Some(_)) => "the last change that is not checked in".to_owned(),
            (None, None) => "a change outside of the journal".to_owned(),
        }
    }
}

/// Finds the last change that is in effect on this host.
pub fn last_change(host: &ThisHost, history: &History) -> Result<LastChange, TakeBackError> {
    let effective = history
        .effective_backwards()
        .next()
        .ok_or(TakeBackError::Nothing)??;
    let receipt = effective.receipt.seq;
    let (deed, entry) = deed_of_undo(host, history, &effective)?;
    let body = effective.receipt.body;
    Ok(LastChange {
        receipt,
        entry,
        deed,
        tx: body.tx,
        changes: body.changes,
    })
}

/// What is recorded when this receipt is taken back, and which entry it is about.
fn deed_of_undo(
    host: &ThisHost,
    history: &History,
    effective: &Effective,
) -> Result<(Deed, Option<EntryRef>), TakeBackError> {
    let receipt = effective.receipt.seq;
    let at_entry = |seq: u64| -> Result<(Deed, Option<EntryRef>), TakeBackError> {
        let journal = host.journal()?;
        let now_at = journal.at(seq - 1).unwrap_or(EntryRef {
            seq: 0,
            id: EntryId(journal.chain().head().id),
        });
        Ok((
            Deed::Undone {
                receipt,
                now_at: Some(now_at),
            },
            journal.at(seq),
        ))
    };
    match (&effective.receipt.body.deed, effective.entry_seq) {
        (Deed::Rebooted(_), _) => Err(TakeBackError::Reboot),
        (Deed::Made(draft), Some(seq)) => {
            let entry = host.journal()?.entry(seq)?;
            if entry.draft.id != *draft {
                return Err(TakeBackError::NotLast);
            }
            match entry.draft.kind {
                EntryKind::Reboot => Err(TakeBackError::Reboot),
                EntryKind::Snap(_) | EntryKind::Exec(_) => at_entry(seq),
            }
        }
        (Deed::Applied(_), Some(seq)) if seq > 0 => at_entry(seq),
        (Deed::Made(draft), _) => {
            check_discard(host, history)?;
            Ok((
                Deed::Discarded {
                    draft: *draft,
                    receipt,
                },
                None,
            ))
        }
        (Deed::OutOfBand, _) => Ok((
            Deed::Undone {
                receipt,
                now_at: None,
            },
            None,
        )),
        (
            Deed::Applied(_) | Deed::CheckedIn(_) | Deed::Discarded { .. } | Deed::Undone { .. },
            _,
        ) => Err(TakeBackError::Nothing),
    }
}

/// Checks that the history knows all drafts of the wip: then its last one is the last change. What
/// the wip lost can be taken back all the same, since history and undo copies tell what it was.
fn check_discard(host: &ThisHost, history: &History) -> Result<(), DraftsError> {
    match host.drafts(history) {
        Ok(_) | Err(DraftsError::Fault(WipFault::Lost { .. })) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Fails as [`take_back`] would that is refused, and changes nothing.
pub fn check_take_back(host: &ThisHost, last: &LastChange) -> Result<(), TakeBackError> {
    match &last.tx {
        Some(tx) => commit::check_undo(host.home.as_path(), host.root(), tx)
            .map_err(|error| refused(host, last, error)),
        None => Ok(()),
    }
}

/// Why it is not taken back, with what is known of the change.
fn refused(host: &ThisHost, last: &LastChange, error: UndoError) -> TakeBackError {
    let policy = host.settings.undo_policy();
    match error {
        UndoError::NotDone(_) => TakeBackError::NotKept {
            what: last.name(),
            entries: policy.entries,
            bytes: policy.bytes,
        },
        UndoError::Conflicts(conflicts) => {
            // Without the change set less is said of each path; that there is a conflict matters more.
            let set = changes(host, last).unwrap_or_default();
            let list = conflicts.list.into_iter();
            TakeBackError::Conflicts(list.map(|one| conflict(&set, one)).collect())
        }
        UndoError::Transaction(ref transaction) if transaction.needs_recovery() => {
            TakeBackError::Interrupted(error)
        }
        other => TakeBackError::Undo(other),
    }
}

/// A live path that is no longer as the change of this set left it.
fn conflict(set: &ChangeSet, found: commit::Conflict) -> Conflict {
    let at = |change: &Change| change.path.cmp(&found.path);
    let index = set.changes().binary_search_by(at).ok();
    let left = index.and_then(|index| set.changes()[index].after.clone());
    let seen = match (found.kind, left) {
        (ConflictKind::Appeared, _) => Seen::Nothing,
        (_, Some(node)) => Seen::Left(Box::new(node)),
        (_, None) => Seen::AsLeft,
    };
    Conflict {
        path: found.path,
        seen,
        found: found.found,
    }
}

/// Takes it back and records that.
pub fn take_back(
    host: &ThisHost,
    history: &mut History,
    last: &LastChange,
) -> Result<(), TakeBackError> {
    let now = host.now();
    let receipt = ReceiptBody {
        deed: last.deed.clone(),
        branch: host.branch.clone(),
        changes: last.changes,
        tx: last.tx.clone(),
        started: now,
        finished: now,
        congruent: None,
    };
    match &last.tx {
        Some(tx) => {
            let payload = Payload {
                receipt,
                draft: None,
                pending: None,
            };
            let payload = payload.to_bytes();
            keep_room(host, payload.len())?;
            let landed = commit::undo(host.home.as_path(), host.root(), tx, &payload)
                .map_err(|error| refused(host, last, error))?;
            settle(host, history, landed)?;
            commit::forget(host.home.as_path(), tx)?;
        }
        None => without_change(host, history, &receipt)?,
    }
    Ok(())
}

/// Takes back what changed no file. The receipt comes first: after a crash behind it, recovery
/// takes the draft off the wip.
fn without_change(
    host: &ThisHost,
    history: &mut History,
    receipt: &ReceiptBody,
) -> Result<(), TakeBackError> {
    history.append_announced(&host.lock, &host.home, receipt)?;
    crash_point("undo.receipt.durable");
    if let Deed::Discarded { draft, .. } = receipt.deed {
        forget_draft(host, draft)?;
        crash_point("undo.draft.dropped");
    }
    Ok(())
}

/// Not all drafts were taken back.
#[derive(Debug, thiserror::Error)]
#[error("{taken_back} taken back, {left} left")]
pub struct DiscardError {
    /// How many were, the last one first.
    pub taken_back: u64,
    /// How many were not.
    pub left: u64,
    /// Why the next one was not.
    #[source]
    pub source: Box<TakeBackError>,
}

/// Takes back all drafts, the last one first, those that the wip lost too; gives how many.
pub fn discard(host: &ThisHost, history: &mut History) -> Result<u64, DiscardError> {
    let mut taken_back = 0;
    discard_all(host, history, &mut taken_back).map_err(|source| DiscardError {
        taken_back,
        // Where the history cannot be read, that is what the source tells.
        left: history.made_lately().map_or(0, |made| made.len() as u64),
        source: Box::new(source),
    })?;
    Ok(taken_back)
}

fn discard_all(
    host: &ThisHost,
    history: &mut History,
    taken_back: &mut u64,
) -> Result<(), TakeBackError> {
    check_discard(host, history)?;
    while !history.made_lately()?.is_empty() {
        let last = last_change(host, history)?;
        if last.draft().is_none() {
            return Err(TakeBackError::NotLast);
        }
        take_back(host, history, &last)?;
        *taken_back += 1;
    }
    if let Some(wip) = host.wip()? {
        wip.remove(&host.lock)?;
    }
    Ok(())
}

/// What taking it back would change, as a change set. `None` when it is not at hand.
pub fn inverse(host: &ThisHost, last: &LastChange) -> Result<ChangeSet, TakeBackError> {
    Ok(inverted(&changes(host, last)?))
}

/// What it had changed; nothing when the change set is not readable.
fn changes(host: &ThisHost, last: &LastChange) -> Result<ChangeSet, StoreError> {
    let Some(changes) = last.changes else {
        return Ok(ChangeSet::default());
    };
    let bytes = host.store.get(&changes.full, MAX_LIST_BYTES)?;
    Ok(ChangeSet::decode(&bytes).unwrap_or_default())
}

/// The change set read backwards.
fn inverted(set: &ChangeSet) -> ChangeSet {
    let moved_away: Vec<_> = set
        .changes()
        .iter()
        .filter_map(|change| change.moved_from.clone())
        .collect();
    let back = |change: &Change| {
        let was_moved = change.after.is_none() && moved_away.contains(&change.path);
        let origin = change.moved_from.clone();
        let moved = (change.before.is_some(), origin);
        match moved {
            _ if was_moved => None,
            (true, Some(old)) => Some(Change {
                path: old,
                before: change.after.clone(),
                after: change.before.clone(),
                moved_from: Some(change.path.clone()),
            }),
            (_, _) => Some(Change {
                path: change.path.clone(),
                before: change.after.clone(),
                after: change.before.clone(),
                moved_from: None,
            }),
        }
    };
    // A path that was both left by a move and taken by another would appear twice; the preview of
    // such an exchange shows the set as it was.
    let changes = set.changes().iter().filter_map(back).collect();
    ChangeSet::new(changes).unwrap_or_else(|_| set.clone())
}
