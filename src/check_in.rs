//! `ci`: drafts become entries, the history learns their places, the lock is released, the wip goes;
//! all of it or none. A conductor: it knows journal, history and lock, which do not know each other.
//! Upholds: the journal's head file is the one moment at which it happens; whatever is missing
//! behind that is done at the next start.
//!
//! ```text
//! journal + head ─> receipt "checked-in" ─> lock released ─> wip removed
//!              └── here it has happened; the wip is removed last because it tells recovery so
//! ```

use crate::history::{History, HistoryError};
use crate::identity::HostKey;
use crate::journal::{Journal, JournalError, Wip, WipDraft};
use crate::lock::{BranchLock, Held, HostLock, LockError};
use crate::model::{
    Author, BranchName, Deed, DomainName, Draft, EntryRef, Home, Moment, ReceiptBody,
};
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
    /// The lock that was released; none when a crash had released it already.
    pub released: Option<Held>,
}

/// Why nothing was checked in.
#[derive(Debug, thiserror::Error)]
pub enum CheckInError {
    /// The branch lock is not the author's.
    #[error(transparent)]
    Lock(#[from] LockError),
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
    /// A draft that was not made on this host as its history is now.
    #[error("{}: draft {number} is not in this host's history", wip.display())]
    NotMade {
        /// The wip.
        wip: PathBuf,
        /// Which draft, from 1.
        number: u64,
    },
}

/// Checks in the drafts of `author`, signed with this host's key. Without drafts it releases the
/// lock. To be called after [`recover`].
pub fn check_in(
    site: Site<'_>,
    author: &Author,
    key: &HostKey,
    now: Moment,
) -> Result<CheckedIn, CheckInError> {
    let lock_path = site.home.branch_lock(site.domain, site.branch);
    let held = BranchLock::load(&lock_path)?.check(author)?.clone();
    let mut journal = Journal::open_or_create(site.host, site.home, site.domain, site.branch)?;
    let wip = match Wip::open(site.home, site.domain, site.branch)? {
        Some(wip) if !wip.is_empty() => wip,
        begun => {
            BranchLock::release(site.host, &lock_path, held.fence)?;
            if let Some(empty) = begun {
                empty.remove(site.host)?;
            }
            return Ok(CheckedIn {
                entries: 0,
                last: journal.last(),
                released: Some(held),
            });
        }
    };
    let (base, last) = (wip.base(), journal.last());
    if base != last {
        return Err(CheckInError::JournalChanged { base, last });
    }
    let made = wip.drafts()?;
    check_history(site, &journal, &wip, &made)?;
    let with_message = |wip: WipDraft| Draft {
        message: held.message.to_string(),
        ..wip.draft
    };
    let drafts: Vec<_> = made.into_iter().map(with_message).collect();
    journal.append(site.host, &drafts, key)?;
    crash_point("ci-journal");
    finish(site, &journal, wip, now)
}

/// Checks that this host did all that is before the drafts, and then the drafts themselves: its
/// history is to say that it did everything up to the last of them.
fn check_history(
    site: Site<'_>,
    journal: &Journal,
    wip: &Wip,
    drafts: &[WipDraft],
) -> Result<(), CheckInError> {
    let history = History::open_or_create(site.host, site.home, site.domain)?;
    let (base, position) = (wip.base(), history.position(journal.chain())?);
    let wip = wip.chain().path().to_path_buf();
    if position != base.seq {
        return Err(CheckInError::NotApplied {
            wip,
            base,
            position,
        });
    }
    let made = history.made_lately()?;
    match (1..)
        .zip(drafts)
        .find(|(_, draft)| !made.contains(&draft.draft.id))
    {
        Some((number, _)) => Err(CheckInError::NotMade { wip, number }),
        None => Ok(()),
    }
}

/// Finishes a check-in that a crash cut off behind its decisive moment; `None` when there is none.
/// To be called at every start, before anything looks at lock, wip or history.
pub fn recover(site: Site<'_>, now: Moment) -> Result<Option<CheckedIn>, CheckInError> {
    let Some(wip) = Wip::open(site.home, site.domain, site.branch)? else {
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
    record(site, last, now)?;
    crash_point("ci-receipt");
    let released = release(site, wip.base())?;
    crash_point("ci-lock");
    wip.remove(site.host)?;
    crash_point("ci-wip");
    Ok(CheckedIn {
        entries,
        last,
        released,
    })
}

/// Tells the history where the drafts made here are in the journal, unless it knows.
fn record(site: Site<'_>, last: EntryRef, now: Moment) -> Result<(), HistoryError> {
    let mut history = History::open_or_create(site.host, site.home, site.domain)?;
    if history.standing()?.is_some_and(|(_, at)| at == last) {
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
    history.append_announced(site.host, site.home, &receipt)?;
    Ok(())
}

/// Releases the lock under which the drafts were made: one taken on the journal as it was before. A
/// lock that was taken since is not touched.
fn release(site: Site<'_>, base: EntryRef) -> Result<Option<Held>, LockError> {
    let path = site.home.branch_lock(site.domain, site.branch);
    match BranchLock::load(&path)?.held {
        Some(held) if held.journal == base => {
            BranchLock::release(site.host, &path, held.fence)?;
            Ok(Some(held))
        }
        Some(_) | None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::tests::{Host, draft, key};
    use crate::lock::Claim;
    use crate::model::{EntryKind, LockMessage};
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    fn site(host: &Host) -> Site<'_> {
        Site {
            host: &host.lock,
            home: &host.home,
            domain: &host.domain,
            branch: &host.branch,
        }
    }

    fn author() -> Author {
        Author::new("root@h1").unwrap()
    }

    fn lock(host: &Host, message: &str) -> Held {
        let claim = Claim {
            author: author(),
            message: LockMessage::new(message).unwrap(),
            since: Moment::EPOCH,
            journal: host.journal().last(),
        };
        let path = host.home.branch_lock(&host.domain, &host.branch);
        BranchLock::take(&host.lock, &path, claim).unwrap()
    }

    fn make_drafts(host: &Host) {
        let mut wip = host.wip(host.journal().last());
        for number in 1..=2 {
            let draft = draft(number, EntryKind::Reboot);
            make(host, Deed::Made(draft.id));
            wip.append(&host.lock, &WipDraft { draft, tx: None })
                .unwrap();
        }
    }

    fn make(host: &Host, deed: Deed) {
        let receipt = ReceiptBody {
            deed,
            branch: host.branch.clone(),
            changes: None,
            tx: None,
            started: Moment::EPOCH,
            finished: Moment::EPOCH,
            congruent: None,
        };
        let mut history = History::open_or_create(&host.lock, &host.home, &host.domain).unwrap();
        history.append(&host.lock, &receipt).unwrap();
    }

    #[test]
    fn an_entry_that_was_not_applied_here_is_not_skipped() {
        let host = Host::new();
        host.journal_of(2);
        lock(&host, "why");
        make(&host, Deed::Applied(host.journal().at(1).unwrap()));
        make_drafts(&host);
        let refused = check_in(site(&host), &author(), &key(), Moment::EPOCH);
        assert!(matches!(
            refused,
            Err(CheckInError::NotApplied { position: 1, .. })
        ));
        assert!(is_locked(&host) && has_wip(&host) && host.journal().len() == 2);
    }

    #[test]
    fn a_draft_that_the_history_does_not_know_is_not_checked_in() {
        let host = Host::new();
        lock(&host, "why");
        make_drafts(&host);
        std::fs::remove_file(host.home.history()).unwrap();
        let refused = check_in(site(&host), &author(), &key(), Moment::EPOCH);
        assert!(matches!(
            refused,
            Err(CheckInError::NotMade { number: 1, .. })
        ));
        assert!(is_locked(&host) && has_wip(&host) && host.journal().is_empty());
    }

    fn is_locked(host: &Host) -> bool {
        let path = host.home.branch_lock(&host.domain, &host.branch);
        BranchLock::load(&path).unwrap().held.is_some()
    }

    fn has_wip(host: &Host) -> bool {
        Wip::open(&host.home, &host.domain, &host.branch)
            .unwrap()
            .is_some()
    }

    fn assert_done(host: &Host) {
        let journal = host.journal();
        assert_eq!(journal.len(), 2);
        assert_eq!(journal.signed_entry(2).unwrap().draft.message, "why");
        let history = History::open(&host.home, &host.domain).unwrap().unwrap();
        assert_eq!(
            (history.len(), history.position(journal.chain()).unwrap()),
            (3, 2)
        );
        assert!(!is_locked(host) && !has_wip(host));
    }

    #[test]
    fn drafts_become_entries_with_the_locks_message() {
        let host = Host::new();
        let held = lock(&host, "why");
        make_drafts(&host);
        let done = check_in(site(&host), &author(), &key(), Moment::EPOCH).unwrap();
        assert_eq!((done.entries, done.released), (2, Some(held)));
        assert_eq!(done.last, host.journal().last());
        assert_done(&host);
        assert_eq!(recover(site(&host), Moment::EPOCH).unwrap(), None);
    }

    #[test]
    fn without_drafts_the_lock_is_released() {
        let host = Host::new();
        let refused = check_in(site(&host), &author(), &key(), Moment::EPOCH);
        assert!(matches!(
            refused,
            Err(CheckInError::Lock(LockError::NotLocked))
        ));
        lock(&host, "why");
        let done = check_in(site(&host), &author(), &key(), Moment::EPOCH).unwrap();
        assert_eq!(done.entries, 0);
        assert!(!is_locked(&host));
    }

    #[test]
    fn a_changed_journal_keeps_the_drafts() {
        let host = Host::new();
        lock(&host, "why");
        make_drafts(&host);
        host.journal_of(1);
        let refused = check_in(site(&host), &author(), &key(), Moment::EPOCH);
        assert!(matches!(refused, Err(CheckInError::JournalChanged { .. })));
        assert!(is_locked(&host) && has_wip(&host));
        assert_eq!(recover(site(&host), Moment::EPOCH).unwrap(), None);
    }

    #[test]
    fn a_lock_taken_since_is_not_released_by_recovery() {
        let host = Host::new();
        lock(&host, "why");
        make_drafts(&host);
        let done = check_in(site(&host), &author(), &key(), Moment::EPOCH).unwrap();
        lock(&host, "next");
        assert_eq!(
            release(site(&host), host.journal().at(0).unwrap()).unwrap(),
            None
        );
        assert!(done.released.is_some() && is_locked(&host));
    }

    const CRASH_POINTS: [&str; 12] = [
        "journal-append-begin",
        "journal-append-written",
        "journal-append-synced",
        "journal-append-acknowledged",
        "ci-journal",
        "history-append-begin",
        "history-append-written",
        "history-append-synced",
        "history-append-acknowledged",
        "ci-receipt",
        "ci-lock",
        "ci-wip",
    ];

    /// The directory of the host that the crashing process works on.
    const CRASH_HOME: &str = "ISCONF_TEST_HOME";

    #[test]
    fn after_a_crash_at_any_point_it_has_happened_or_not() {
        for (index, point) in CRASH_POINTS.iter().enumerate() {
            let directory = tempfile::tempdir().unwrap();
            let host = Host::at(directory.path());
            lock(&host, "why");
            make_drafts(&host);
            drop(host);
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "check_in::tests::crashing_process", "--ignored"])
                .env("ISCONF_CRASH_AT", point)
                .env(CRASH_HOME, directory.path())
                .output()
                .unwrap()
                .status;
            assert_eq!(status.signal(), Some(9), "{point}");
            let host = Host::at(directory.path());
            let recovered = recover(site(&host), Moment::EPOCH).unwrap();
            let has_happened = index >= 3;
            assert_eq!(
                host.journal().len(),
                if has_happened { 2 } else { 0 },
                "{point}"
            );
            if !has_happened {
                assert!(recovered.is_none() && is_locked(&host), "{point}");
                check_in(site(&host), &author(), &key(), Moment::EPOCH).unwrap();
            }
            assert_done(&host);
            assert_eq!(recover(site(&host), Moment::EPOCH).unwrap(), None);
        }
    }

    #[test]
    #[ignore = "run by after_a_crash_at_any_point_it_has_happened_or_not in a process of its own"]
    fn crashing_process() {
        let Some(home) = std::env::var_os(CRASH_HOME) else {
            return;
        };
        let host = Host::at(home.as_ref());
        check_in(site(&host), &author(), &key(), Moment::EPOCH).unwrap();
    }
}
