//! `ci`: drafts become entries, the history learns their places, the lock is released, the wip goes;
//! all of it or none. A conductor: it knows journal, history and lock, which do not know each other.
//! Upholds: the journal's head file is the one moment at which it happens; whatever is missing
//! behind that is done at the next start.
//!
//! ```text
//! journal + head ─> receipt "checked-in", lock released ─> wip removed
//!              └── here it has happened; the wip is removed last because it tells recovery so
//! ```

use crate::durable::{self, FileError};
use crate::history::{History, HistoryError};
use crate::identity::HostKey;
use crate::journal::{
    Journal, JournalError, MAX_BATCH_BYTES, OthersDrafts, Wip, WipDraft, WipFault, check_drafts,
    check_holder,
};
use crate::lock::{AppendLock, Authority, BranchLock, Held, HostLock, Kept, LockError, NoVerdict};
use crate::model::report::Description;
use crate::model::{
    Author, BranchName, Deed, DomainName, Draft, DraftId, EntryRef, Hazard, Home, Moment,
    ReceiptBody,
};
use crate::needs::ReferenceError;
use crate::store::StoreError;
use isconf_sandbox::commit::crash_point;
use std::path::PathBuf;

/// The branch that is worked on, and the right to.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The right to change things on this host.
    pub host: &'a HostLock,
    /// Where things lie.
    pub home: &'a Home,
    /// This host's domain.
    pub domain: &'a DomainName,
    /// This host's branch.
    pub branch: &'a BranchName,
}

/// What a check-in did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedIn {
    /// How many entries were added; 0 when there were no drafts.
    pub entries: u64,
    /// The end of the journal.
    pub last: EntryRef,
    /// Who made them, in order.
    pub authors: Vec<EntriesBy>,
    /// What was found hazardous about them; empty when a crash was between.
    pub hazardous: Vec<Hazardous>,
    /// The lock that was released; none when a crash had released it already.
    pub released: Option<Held>,
    /// Where the contents are.
    pub kept: Kept,
}

/// What becomes of drafts about which something hazardous was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// They are checked in, and it is told.
    Tell,
    /// Nothing is checked in.
    Refuse,
}

/// A draft about which something hazardous was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hazardous {
    /// Its number among the drafts, from 1.
    pub number: u64,
    /// What it does.
    pub what: Description,
    /// What was found when it was made.
    pub hazards: Vec<Hazard>,
}

/// Entries that follow each other and have the same author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntriesBy {
    /// Who made them.
    pub author: Author,
    /// The first one's number.
    pub first: u64,
    /// The last one's.
    pub last: u64,
}

/// Why the drafts of this host cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum DraftsError {
    /// The wip cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The history cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The two tell of different drafts.
    #[error(transparent)]
    Fault(#[from] WipFault),
}

/// Why nothing was checked in.
#[derive(Debug, thiserror::Error)]
pub enum CheckInError {
    /// Those who keep the lock gave no verdict.
    #[error(transparent)]
    NoVerdict(#[from] NoVerdict),
    /// Something could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What an entry needs cannot be told.
    #[error(transparent)]
    Needs(#[from] ReferenceError),
    /// There is more than can be agreed on at once.
    #[error("the entries have {bytes} bytes together; {MAX_BATCH_BYTES} can be checked in at once")]
    TooMany {
        /// How long they are.
        bytes: u64,
    },
    /// The branch lock is not the author's.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The system refused an operation.
    #[error(transparent)]
    File(#[from] FileError),
    /// The journal or the wip.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The history.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Somebody else's entries are in the journal now; the drafts are kept.
    #[error(
        "the journal changed since the drafts were made on it: it ended with entry {} {}, and ends \
         with entry {} {}",
        base.seq, base.id, last.seq, last.id
    )]
    JournalChanged {
        /// The end of the journal under the drafts.
        base: EntryRef,
        /// Its end now.
        last: EntryRef,
    },
    /// Entries before the drafts are not applied here: checking in would have this host skip them.
    #[error(
        "{} was begun on entry {}, and this host's history stands at entry {position}",
        wip.display(), base.seq
    )]
    NotApplied {
        /// The wip.
        wip: PathBuf,
        /// The end of the journal under the drafts.
        base: EntryRef,
        /// How many entries this host has applied.
        position: u64,
    },
    /// The drafts cannot be told.
    #[error(transparent)]
    Drafts(#[from] DraftsError),
    /// Drafts were made under the lock of somebody else.
    #[error(transparent)]
    Others(#[from] OthersDrafts),
    /// Something hazardous was found about drafts, and that was not to be.
    #[error("something hazardous was found about {} of the changes", .0.len())]
    Hazards(Vec<Hazardous>),
}

/// Checks in the drafts of `author`, signed with this host's key. Without drafts it releases the
/// lock. Where several hosts keep the lock, `authority` speaks for them. To be called after [`recover`].
pub fn check_in(
    site: Site<'_>,
    author: &Author,
    key: &HostKey,
    now: Moment,
    strictness: Strictness,
    authority: Option<&dyn Authority>,
) -> Result<CheckedIn, CheckInError> {
    let lock_path = site.home.branch_lock(site.domain, site.branch);
    let held = agreed::lock_here(site)?
        .check(author, &key.public())?
        .clone();
    // From before the look at the journal's end until it is longer, unless others are to be asked.
    let right = AppendLock::take(site.home, site.domain, site.branch)?;
    let mut journal = Journal::open_or_create(&right)?;
    let history = History::open_or_create(site.host, site.home, site.domain)?;
    let wip = Wip::open(site.home, site.domain, site.branch)?;
    let made = own_drafts(site, wip.as_ref(), &history)?;
    let wip = match wip {
        Some(wip) if !made.is_empty() => wip,
        begun => {
            if let Some(authority) = authority {
                agreed::release(site, authority, &held)?;
            }
            BranchLock::release(site.host, &lock_path, held.fence)?;
            if let Some(empty) = begun {
                empty.remove(site.host)?;
            }
            return Ok(CheckedIn {
                entries: 0,
                last: journal.last(),
                authors: Vec::new(),
                hazardous: Vec::new(),
                released: Some(held),
                kept: Kept::Elsewhere,
            });
        }
    };
    let (base, last) = (wip.base(), journal.last());
    if base != last {
        return Err(CheckInError::JournalChanged { base, last });
    }
    check_position(&journal, &wip, &history)?;
    check_holder(&made, &held)?;
    let hazardous = hazardous(&made);
    if strictness == Strictness::Refuse && !hazardous.is_empty() {
        return Err(CheckInError::Hazards(hazardous));
    }
    let with_message = |wip: WipDraft| Draft {
        message: held.message.to_string(),
        ..wip.draft
    };
    let drafts: Vec<_> = made.into_iter().map(with_message).collect();
    let kept = match authority {
        None => {
            journal.append(&right, &drafts, key)?;
            drop(right);
            Kept::Elsewhere
        }
        Some(authority) => {
            drop((journal, right));
            let kept = agreed::append(site, authority, &held, &drafts, key)?;
            let right = AppendLock::take(site.home, site.domain, site.branch)?;
            journal = Journal::open_or_create(&right)?;
            kept
        }
    };
    crash_point("ci-journal");
    Ok(CheckedIn {
        hazardous,
        kept,
        ..finish(site, &journal, wip, now)?
    })
}

/// Whether a check-in of the drafts here was asked for, and it is not known whether they count.
pub fn is_undecided(site: Site<'_>) -> bool {
    site.home.undecided(site.domain, site.branch).exists()
}

/// The drafts about which something hazardous was found when they were made.
fn hazardous(drafts: &[WipDraft]) -> Vec<Hazardous> {
    let numbered = (1..).zip(drafts.iter().map(|wip| &wip.draft));
    numbered
        .filter(|(_, draft)| !draft.outcome.hazards.is_empty())
        .map(|(number, draft)| Hazardous {
            number,
            what: Description::from(&draft.kind),
            hazards: draft.outcome.hazards.clone(),
        })
        .collect()
}

/// The drafts of `wip`, checked against the history, which tells of the same ones unless a file was
/// lost or restored. To be called after [`recover`].
pub fn own_drafts(
    site: Site<'_>,
    wip: Option<&Wip>,
    history: &History,
) -> Result<Vec<WipDraft>, DraftsError> {
    let drafts = wip.map(Wip::drafts).transpose()?.unwrap_or_default();
    let file = site.home.wip(site.domain, site.branch);
    check_drafts(&file, &drafts, &history.made_lately()?)?;
    Ok(drafts)
}

/// Checks that this host did all that is before the drafts: its history is to say that it did
/// everything up to the last of them.
fn check_position(journal: &Journal, wip: &Wip, history: &History) -> Result<(), CheckInError> {
    let (base, position) = (wip.base(), history.position(journal.chain())?);
    if position == base.seq {
        return Ok(());
    }
    Err(CheckInError::NotApplied {
        wip: wip.chain().path().to_path_buf(),
        base,
        position,
    })
}

/// Whether a check-in was cut off behind its decisive moment. Its receipt may be an incomplete one then.
pub fn is_unfinished(site: Site<'_>) -> Result<bool, CheckInError> {
    let wip = Wip::open(site.home, site.domain, site.branch)?;
    let journal = Journal::open(site.home, site.domain, site.branch)?;
    match (wip, journal) {
        (Some(wip), Some(journal)) => Ok(is_checked_in(&journal, &wip)?),
        _ => Ok(false),
    }
}

/// Finishes a check-in that a crash cut off behind its decisive moment; `None` when there is none. Where there are no
/// drafts, nothing about them is undecided.
/// To be called at every start, before anything looks at lock, wip or history.
pub fn recover(site: Site<'_>, now: Moment) -> Result<Option<CheckedIn>, CheckInError> {
    let Some(wip) = Wip::open(site.home, site.domain, site.branch)? else {
        // Of two removals a filesystem may forget one.
        durable::remove_soon(&site.home.undecided(site.domain, site.branch))?;
        return Ok(None);
    };
    let Some(journal) = Journal::open(site.home, site.domain, site.branch)? else {
        return Ok(None);
    };
    if is_checked_in(&journal, &wip)? {
        finish(site, &journal, wip, now).map(Some)
    } else {
        Ok(None)
    }
}

/// Whether the entries behind the wip's base begin with its drafts.
fn is_checked_in(journal: &Journal, wip: &Wip) -> Result<bool, JournalError> {
    let base = wip.base();
    if wip.is_empty() || journal.len() < base.seq + wip.len() || !journal.contains(base) {
        return Ok(false);
    }
    for (seq, wip) in (base.seq + 1..).zip(wip.drafts()?) {
        if journal.entry(seq)?.draft.id != wip.draft.id {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Does what follows the decisive moment; each step can be repeated.
fn finish(
    site: Site<'_>,
    journal: &Journal,
    wip: Wip,
    now: Moment,
) -> Result<CheckedIn, CheckInError> {
    let entries = wip.len();
    let last = journal
        .at(wip.base().seq + entries)
        .unwrap_or(journal.last());
    let authors = authors(journal, wip.base(), entries)?;
    let first = wip.first()?.map(|wip| wip.draft.id);
    // Neither needs the other, and each waits for the disk.
    let give_up = || release(site, wip.base());
    let (released, recorded) = durable::together(give_up, || record(site, first, last, now));
    recorded?;
    crash_point("ci-receipt");
    let released = released?;
    crash_point("ci-lock");
    // None of the lock's name and these removals has to be durable: as long as the wip is back after a power cut, all of
    // this is done once more, and what was done already stays. The next wip, which is made under another lock, makes
    // all of it durable.
    durable::remove_soon(&site.home.undecided(site.domain, site.branch))?;
    wip.remove_soon(site.host)?;
    crash_point("ci-wip");
    Ok(CheckedIn {
        entries,
        last,
        authors,
        hazardous: Vec::new(),
        released,
        kept: Kept::Elsewhere,
    })
}

/// Who made the `entries` behind `base`.
fn authors(
    journal: &Journal,
    base: EntryRef,
    entries: u64,
) -> Result<Vec<EntriesBy>, JournalError> {
    let mut runs: Vec<EntriesBy> = Vec::new();
    for seq in base.seq + 1..=base.seq + entries {
        let author = journal.entry(seq)?.draft.author;
        match runs.last_mut() {
            Some(run) if run.author == author => run.last = seq,
            Some(_) | None => runs.push(EntriesBy {
                author,
                first: seq,
                last: seq,
            }),
        }
    }
    Ok(runs)
}

/// Tells the history where the drafts made here, `first` and those behind it, are in the journal, unless it knows.
fn record(
    site: Site<'_>,
    first: Option<DraftId>,
    last: EntryRef,
    now: Moment,
) -> Result<(), HistoryError> {
    let mut history = History::open_or_create(site.host, site.home, site.domain)?;
    if history.has_checked_in(first, last)? {
        return Ok(());
    }
    let receipt = ReceiptBody {
        deed: Deed::CheckedIn(last),
        branch: site.branch.clone(),
        changes: None,
        tx: None,
        started: now,
        finished: now,
        congruent: None,
    };
    // The wip announces it: see `is_unfinished`.
    history.append(site.host, &receipt)?;
    Ok(())
}

/// Releases the lock under which the drafts were made: one taken on the journal as it was before. A
/// lock that was taken since is not touched.
fn release(site: Site<'_>, base: EntryRef) -> Result<Option<Held>, LockError> {
    let path = site.home.branch_lock(site.domain, site.branch);
    match BranchLock::load(&path)?.held {
        Some(held) if held.journal == base => {
            BranchLock::release_soon(site.host, &path, held.fence)?;
            Ok(Some(held))
        }
        Some(_) | None => Ok(None),
    }
}

pub mod agreed;
#[cfg(test)]
mod tests;
