//! Check-in on a host of directories: refusals, and a crash at every step.

use super::*;
use crate::journal::tests::{Host, draft, key};
use crate::lock::{Claim, Order, Row, Verdict};
use crate::model::{EntryKind, LockMessage};
use isconf_sandbox::change::Digest;
use std::collections::BTreeSet;
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

fn check_in_at(host: &Host) -> Result<CheckedIn, CheckInError> {
    check_in(
        site(host),
        &author(),
        &key(),
        Moment::EPOCH,
        Strictness::Tell,
        None,
    )
}

fn lock(host: &Host, message: &str) -> Held {
    let claim = Claim {
        author: author(),
        host: key().public(),
        message: LockMessage::new(message).unwrap(),
        since: Moment::EPOCH,
        journal: host.journal().last(),
        takes_over: false,
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
    let refused = check_in_at(&host);
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
    let refused = check_in_at(&host);
    assert!(matches!(
        refused,
        Err(CheckInError::Drafts(DraftsError::Fault(
            WipFault::NotMade { number: 1, .. }
        )))
    ));
    assert!(is_locked(&host) && has_wip(&host) && host.journal().is_empty());
}

#[test]
fn drafts_of_another_are_checked_in_only_by_who_took_them_over() {
    let host = Host::new();
    make_drafts(&host);
    let path = host.home.branch_lock(&host.domain, &host.branch);
    let bob = Author::new("bob@h1").unwrap();
    for takes_over in [false, true] {
        let claim = Claim {
            author: bob.clone(),
            host: key().public(),
            message: LockMessage::new("why").unwrap(),
            since: Moment::EPOCH,
            journal: host.journal().last(),
            takes_over,
        };
        BranchLock::take(&host.lock, &path, claim).unwrap();
        match check_in(
            site(&host),
            &bob,
            &key(),
            Moment::EPOCH,
            Strictness::Tell,
            None,
        ) {
            Err(CheckInError::Others(others)) => {
                assert!(!takes_over && is_locked(&host) && has_wip(&host));
                assert_eq!((others.count, others.authors.len()), (2, 1));
            }
            done => {
                let (first, last) = (1, 2);
                let author = author();
                let by = EntriesBy {
                    author,
                    first,
                    last,
                };
                assert_eq!((takes_over, done.unwrap().authors), (true, vec![by]));
            }
        }
    }
    assert_done(&host);
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
    let done = check_in_at(&host).unwrap();
    assert_eq!((done.entries, done.released), (2, Some(held)));
    assert_eq!(done.last, host.journal().last());
    assert_done(&host);
    assert_eq!(recover(site(&host), Moment::EPOCH).unwrap(), None);
}

#[test]
fn without_drafts_the_lock_is_released() {
    let host = Host::new();
    let refused = check_in_at(&host);
    assert!(matches!(
        refused,
        Err(CheckInError::Lock(LockError::NotLocked))
    ));
    lock(&host, "why");
    let done = check_in_at(&host).unwrap();
    assert_eq!(done.entries, 0);
    assert!(!is_locked(&host));
}

/// Those who keep the lock, when they cannot be asked, or not even for keeping contents.
#[derive(Debug)]
struct Unheard {
    keeps: bool,
}

fn unheard() -> NoVerdict {
    NoVerdict {
        why: "nobody answers".to_owned(),
        remedy: "ask again".to_owned(),
        is_passing: true,
        is_down: false,
    }
}

impl Authority for Unheard {
    fn carry_out(&self, _: Order) -> Result<Verdict, NoVerdict> {
        Err(unheard())
    }

    fn row(&self, _: &BranchName) -> Result<Row, NoVerdict> {
        Err(unheard())
    }

    fn are_several(&self) -> bool {
        false
    }

    fn keep(&self, _: BTreeSet<Digest>) -> Result<Kept, NoVerdict> {
        match self.keeps {
            true => Ok(Kept::Elsewhere),
            false => Err(unheard()),
        }
    }
}

#[test]
fn what_may_have_been_ordered_stays_undecided_until_there_is_a_verdict() {
    let host = Host::new();
    lock(&host, "why");
    make_drafts(&host);
    let ask = |keeps| {
        let authority = Unheard { keeps };
        let asked = check_in(
            site(&host),
            &author(),
            &key(),
            Moment::EPOCH,
            Strictness::Tell,
            Some(&authority),
        );
        assert!(
            matches!(asked, Err(CheckInError::NoVerdict(_))),
            "{asked:?}"
        );
        is_undecided(site(&host))
    };
    assert!(!ask(false), "nothing was ordered");
    assert!(
        ask(true),
        "it was ordered, and nobody knows what came of it"
    );
    assert!(ask(false), "what was ordered before may count");
    assert!(has_wip(&host));
}

#[test]
fn a_changed_journal_keeps_the_drafts() {
    let host = Host::new();
    lock(&host, "why");
    make_drafts(&host);
    host.journal_of(1);
    let refused = check_in_at(&host);
    assert!(matches!(refused, Err(CheckInError::JournalChanged { .. })));
    assert!(is_locked(&host) && has_wip(&host));
    assert_eq!(recover(site(&host), Moment::EPOCH).unwrap(), None);
}

#[test]
fn a_lock_taken_since_is_not_released_by_recovery() {
    let host = Host::new();
    lock(&host, "why");
    make_drafts(&host);
    let done = check_in_at(&host).unwrap();
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
            check_in_at(&host).unwrap();
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
    check_in_at(&host).unwrap();
}
