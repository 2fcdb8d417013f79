//! What the history promises: where the host stands, and what is in effect.

use crate::chain::FormFault;
use std::fs;

use isconf_sandbox::change::Digest;
use isconf_sandbox::layout::TxId;
use proptest::prelude::*;

use super::record::{parse_receipt, receipt_body};
use super::*;
use crate::journal::tests::Host;
use crate::model::*;

fn body(deed: Deed) -> ReceiptBody {
    ReceiptBody {
        deed,
        branch: BranchName::generic(),
        changes: Some(ChangeDigests {
            full: Digest::of(b"full"),
            normal: Digest::of(b"normal"),
        }),
        tx: Some(TxId::from_parts(1, 2)),
        started: Moment::EPOCH,
        finished: Moment::EPOCH,
        congruent: Some(true),
    }
}

fn history(host: &Host) -> History {
    History::open_or_create(&host.lock, &host.home, &host.domain).unwrap()
}

fn record(host: &Host, deeds: impl IntoIterator<Item = Deed>) -> History {
    let mut history = history(host);
    for deed in deeds {
        history.append(&host.lock, &body(deed)).unwrap();
    }
    history
}

fn deeds() -> impl Strategy<Value = Deed> {
    let at = EntryRef {
        seq: 4,
        id: EntryId(Digest::of(b"4")),
    };
    let draft = Hex::from_bytes([9; 16]);
    prop_oneof![
        Just(Deed::Applied(at)),
        Just(Deed::Rebooted(at)),
        Just(Deed::CheckedIn(at)),
        Just(Deed::Made(draft)),
        (1_u64..9).prop_map(move |receipt| Deed::Discarded { draft, receipt }),
        (1_u64..9, proptest::option::of(Just(at)))
            .prop_map(|(receipt, now_at)| Deed::Undone { receipt, now_at }),
        Just(Deed::OutOfBand),
    ]
}

proptest! {
    #[test]
    fn a_receipt_comes_back_from_its_record(deed in deeds(), few in any::<bool>()) {
        let mut body = body(deed);
        if few {
            (body.changes, body.tx, body.congruent) = (None, None, None);
        }
        let prev = Digest::of(b"");
        let record = format!(
            "[[receipt]]\nseq = 9\nprev = \"{prev}\"\n{}check = \"{prev}\"\n",
            receipt_body(&body)
        );
        prop_assert_eq!(parse_receipt(record.as_bytes()).unwrap(), Receipt { seq: 9, prev, body });
    }
}

#[test]
fn what_a_newer_isconf_wrote_is_refused_by_name() {
    let prev = Digest::of(b"");
    let text = receipt_body(&body(Deed::OutOfBand));
    let parse = |from: &str, to: &str| {
        let text = text.replacen(from, to, 1);
        let record = format!("[[receipt]]\nseq = 9\nprev = \"{prev}\"\n{text}check = \"{prev}\"\n");
        parse_receipt(record.as_bytes()).unwrap_err()
    };
    let error = parse("out-of-band", "merged");
    assert_eq!(
        error.to_string(),
        "unknown action \"merged\": written by a newer isconf"
    );
    let error = parse("branch", "color = 1\nbranch");
    assert_eq!(
        error.to_string(),
        "unknown field `color`: written by a newer isconf"
    );
    assert!(matches!(
        parse("branch", "takes_back = 3\nbranch"),
        ReceiptFault::Form(FormFault::NotCanonical)
    ));
    assert!(matches!(
        parse("branch", "takes_back = 9\nbranch"),
        ReceiptFault::Impossible(_)
    ));
}

#[test]
fn replay_goes_on_behind_the_last_applied_entry() {
    let host = Host::new();
    let journal = host.journal_of(5);
    let at = |seq| journal.at(seq).unwrap();
    assert_eq!(history(&host).position(journal.chain()).unwrap(), 0);
    let history = record(
        &host,
        [
            Deed::Applied(at(1)),
            Deed::Rebooted(at(2)),
            Deed::Applied(at(3)),
        ],
    );
    assert_eq!(history.position(journal.chain()).unwrap(), 3);
    let history = record(
        &host,
        [
            Deed::OutOfBand,
            Deed::Undone {
                receipt: 4,
                now_at: None,
            },
            Deed::Undone {
                receipt: 3,
                now_at: Some(at(2)),
            },
        ],
    );
    assert_eq!(history.position(journal.chain()).unwrap(), 2);
    let undone = Deed::Undone {
        receipt: 1,
        now_at: Some(at(0)),
    };
    assert_eq!(
        record(&host, [undone]).position(journal.chain()).unwrap(),
        0
    );
}

#[test]
fn a_history_that_is_no_prefix_names_both_files() {
    let host = Host::new();
    let journal = host.journal_of(2);
    let elsewhere = EntryRef {
        seq: 2,
        id: EntryId(Digest::of(b"elsewhere")),
    };
    let history = record(
        &host,
        [
            Deed::Applied(journal.at(1).unwrap()),
            Deed::Applied(elsewhere),
        ],
    );
    let error = history.position(journal.chain()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("conf/history (record 2)") && text.contains("generic/journal"),
        "{text}"
    );
    assert!(matches!(error, HistoryError::NotAPrefix(_)));
}

#[test]
fn what_is_in_effect_knows_its_entry() {
    let host = Host::new();
    let journal = host.journal_of(5);
    let at = |seq| journal.at(seq).unwrap();
    let draft = |n| Hex::from_bytes([n; 16]);
    let history = record(
        &host,
        [
            Deed::Applied(at(1)),
            Deed::Made(draft(1)),
            Deed::Made(draft(2)),
            Deed::Discarded {
                draft: draft(2),
                receipt: 3,
            },
            Deed::Made(draft(3)),
            Deed::CheckedIn(at(3)),
            Deed::OutOfBand,
            Deed::OutOfBand,
            Deed::Undone {
                receipt: 8,
                now_at: None,
            },
            Deed::Undone {
                receipt: 5,
                now_at: Some(at(2)),
            },
            Deed::Applied(at(3)),
            Deed::Made(draft(4)),
        ],
    );
    let effective: Result<Vec<_>, _> = history.effective_backwards().collect();
    let found: Vec<_> = effective
        .unwrap()
        .iter()
        .map(|e| (e.receipt.seq, e.entry_seq))
        .collect();
    let expected = [
        (12, None),
        (11, Some(3)),
        (7, None),
        (2, Some(2)),
        (1, Some(1)),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_torn_receipt_is_cut_when_asked() {
    let host = Host::new();
    assert!(!History::cut_torn_tail(&host.lock, &host.home).unwrap());
    let history = record(&host, [Deed::OutOfBand, Deed::OutOfBand]);
    let mut bytes = fs::read(history.chain().path()).unwrap();
    fs::write(history.chain().path(), &bytes[..bytes.len() - 9]).unwrap();
    assert!(History::open(&host.home, &host.domain).is_err());
    assert!(History::cut_torn_tail(&host.lock, &host.home).unwrap());
    assert_eq!(record(&host, []).len(), 1);
    // A changed receipt is no torn one.
    bytes[300] ^= 1;
    fs::write(host.home.history(), bytes).unwrap();
    assert!(History::cut_torn_tail(&host.lock, &host.home).is_err());
}
