//! The log, the history and the status as text and JSON.

use isconf_sandbox::change::Digest;
use isconf_sandbox::layout::TxId;

use super::super::diff::NoSecrets;
use super::super::history_text::{Behind, HistoryLine, history_json, history_text};
use super::super::sample::{changes, entry, path};
use super::super::schema::assert_valid;
use super::super::status_text::{
    ArrivingRow, ContentsRow, LockView, PeerRow, StatusView, VoterRow, VotersRow, status_json,
    status_text,
};
use super::*;
use crate::model::{
    Author, Bytes, ChangeDigests, Deed, EffectSummary, Hazard, HazardCode, HazardName, Hex, Moment,
    Network, PublicKey, Receipt, ReceiptBody, Snap,
};

fn digests() -> ChangeDigests {
    ChangeDigests {
        full: Digest::of(b"full"),
        normal: Digest::of(b"normal"),
    }
}

fn moment(text: &str) -> Moment {
    text.parse().unwrap()
}

fn draft(kind: EntryKind, exit: Exit) -> Draft {
    Draft {
        id: Hex::from_bytes([7; 16]),
        author: Author::new("root@alpha").unwrap(),
        time: moment("2026-11-20T17:44:31.000000001Z"),
        message: "install it".to_owned(),
        kind,
        outcome: Outcome {
            exit,
            changes: digests(),
            effects: vec![EffectSummary {
                kind: "mount".to_owned(),
                operation: "mount".to_owned(),
                target: String::new(),
                outcome: "refused 1".to_owned(),
                count: 2,
            }],
            hazards: vec![
                Hazard::of_entry(HazardCode::NetworkUsed, "1 connection"),
                Hazard {
                    code: HazardName::named("of-tomorrow".to_owned()),
                    path: Some(isconf_sandbox::change::RelPath::new(*b"etc/a").unwrap()),
                    detail: String::new(),
                },
            ],
            duration_ms: 1500,
            version: "5.0.0".to_owned(),
        },
    }
}

fn exec() -> Draft {
    let exec = Exec {
        argv: vec![Bytes::from("echo"), Bytes::new(b"\xff".to_vec())],
        cwd: Bytes::from("/root"),
        umask: 0o22,
        env: vec![(Bytes::from("LANG"), Bytes::from("C\n"))],
        stdin: Some(Digest::of(b"input")),
        network: Network::Host,
        effects: Handling::Refuse,
    };
    draft(EntryKind::Exec(exec), Exit::Status(0))
}

fn snap() -> Draft {
    let snap = Snap {
        paths: vec![path("etc/motd"), path("etc/a b")],
        manifest: Digest::of(b"manifest"),
        count: 2,
        total_bytes: 4096,
    };
    draft(EntryKind::Snap(snap), Exit::Signal(9))
}

#[test]
fn entries_are_shown_in_three_details() {
    let log = LogLine {
        at: Some(entry()),
        draft: &exec(),
        state: LogState::Pending,
    };
    assert_eq!(
        log_text(&log, Detail::Summary, Style::Plain),
        "entry 12 923fe53966c6  2026-11-20 17:44:31 UTC  pending  exec echo $'\\377'\n"
    );
    assert_eq!(
        log_text(&log, Detail::Normal, Style::Plain),
        "entry 12 923fe53966c6  2026-11-20 17:44:31 UTC  pending\n\
        \x20 by root@alpha: install it\n\
        \x20 exec echo $'\\377'\n"
    );
    let full = log_text(&log, Detail::Full, Style::Plain);
    assert!(full == include_str!("full.txt"), "{full}");
}

#[test]
fn wip_has_no_number() {
    let log = LogLine {
        at: None,
        draft: &snap(),
        state: LogState::Wip,
    };
    assert_eq!(
        log_text(&log, Detail::Normal, Style::Plain),
        "wip  2026-11-20 17:44:31 UTC  wip\n\
        \x20 by root@alpha: install it\n\
        \x20 snap /etc/motd /etc/a b\n"
    );
}

#[test]
fn log_json_is_valid_against_the_schema() {
    let reboot = draft(EntryKind::Reboot, Exit::Status(0));
    for draft in [&exec(), &snap(), &reboot] {
        for (at, state) in [(Some(entry()), LogState::Applied), (None, LogState::Wip)] {
            let line = log_json(&LogLine { at, draft, state }).unwrap();
            assert_valid("log.schema.json", &line);
        }
    }
}

#[test]
fn show_json_has_the_changes_and_is_valid_against_the_schema() {
    let (at, state) = (Some(entry()), LogState::Applied);
    let exec = exec();
    let log = LogLine {
        at,
        draft: &exec,
        state,
    };
    let line = show_json(&log, &changes(), &NoSecrets).unwrap();
    assert_valid("log.schema.json", &line);
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    let listed = value["changes"].as_array().unwrap();
    assert_eq!(listed.len(), changes().len());
}

fn receipt(deed: Deed) -> Receipt {
    Receipt {
        seq: 7,
        prev: Digest::of(b"prev"),
        body: ReceiptBody {
            deed,
            branch: "generic".parse().unwrap(),
            changes: Some(digests()),
            tx: Some(TxId::from_parts(1, 2)),
            started: moment("2026-11-20T17:44:31.000000000Z"),
            finished: moment("2026-11-20T17:44:32.500000000Z"),
            congruent: Some(true),
        },
    }
}

#[test]
fn receipts_are_a_line_each() {
    let draft = Hex::from_bytes([7; 16]);
    let at = entry();
    let undone = |now_at| Deed::Undone { receipt: 6, now_at };
    let table = [
        (Deed::Applied(at), "applied entry 12 923fe53966c6"),
        (Deed::Rebooted(at), "rebooted for entry 12 923fe53966c6"),
        (Deed::Made(draft), "made wip"),
        (
            Deed::CheckedIn(at),
            "checked in up to entry 12 923fe53966c6",
        ),
        (
            Deed::Discarded { draft, receipt: 3 },
            "discarded the wip of receipt 3",
        ),
        (
            undone(Some(at)),
            "undid receipt 6, now at entry 12 923fe53966c6",
        ),
        (undone(None), "undid receipt 6"),
        (Deed::OutOfBand, "committed out of band"),
    ];
    for (deed, words) in table {
        let became = match deed {
            Deed::Made(_) => ", not in the journal",
            _ => "",
        };
        let receipt = receipt(deed);
        let line = HistoryLine {
            receipt: &receipt,
            behind: Behind::Gone,
        };
        assert_eq!(
            history_text(&line, Detail::Normal, Style::Plain),
            format!(
                "receipt 7  2026-11-20 17:44:32 UTC  {words} on generic{became}, 1.50 s, \
                 same changes as on the origin\n"
            )
        );
        assert_valid("log.schema.json", &history_json(&line).unwrap());
    }
}

#[test]
fn receipts_say_what_was_made_by_whom_and_why() {
    let draft = exec();
    let receipt = receipt(Deed::Made(draft.id));
    let show = |behind| {
        let line = HistoryLine {
            receipt: &receipt,
            behind,
        };
        let json = history_json(&line).unwrap();
        assert_valid("log.schema.json", &json);
        assert!(
            json.contains(r#""author":"root@alpha","message":"install it","entry":{"kind":"exec""#)
        );
        history_text(&line, Detail::Normal, Style::Plain)
    };
    let text = |words| {
        format!(
            "receipt 7  2026-11-20 17:44:32 UTC  made wip on generic{words}, 1.50 s, \
             same changes as on the origin\n\
             \x20 by root@alpha: install it\n\
             \x20 exec echo $'\\377'\n"
        )
    };
    assert_eq!(show(Behind::Wip(&draft)), text(""));
    assert_eq!(
        show(Behind::Entry(entry(), &draft)),
        text(", now entry 12 923fe53966c6")
    );
}

fn peer(connected: bool) -> PeerRow {
    PeerRow {
        host: Some("beta".parse().unwrap()),
        key: PublicKey::from_bytes([u8::from(connected); 32]),
        address: Some("192.0.2.7:65027".parse().unwrap()),
        isconf: Some("5.0.0".to_owned()),
        branch: Some("generic".parse().unwrap()),
        entry: Some(12),
        seen: Some(moment("2026-11-20T17:44:31.000000000Z")),
        connected,
        ignored: false,
        diverged: false,
    }
}

fn voter(host: &str, reachable: bool) -> VoterRow {
    VoterRow {
        host: host.to_owned(),
        key: PublicKey::from_bytes([7; 32]),
        reachable,
    }
}

#[test]
fn status_is_a_page() {
    let status = StatusView {
        host: "alpha".parse().unwrap(),
        domain: "example.org".parse().unwrap(),
        branch: "generic".parse().unwrap(),
        lock: Some(LockView {
            holder: Author::new("root@beta").unwrap(),
            message: "installing".to_owned(),
            since: moment("2026-11-20T17:44:31.000000000Z"),
        }),
        at: None,
        head: Some(entry()),
        pending: 12,
        wip: 0,
        daemon: Some(42),
        contents: Some(ContentsRow {
            complete: 3,
            arriving: Some(ArrivingRow {
                entry: 4,
                here: 1024,
                length: 4096,
            }),
            hindrance: Some("nobody has it".to_owned()),
        }),
        voters: Some(VotersRow {
            epoch: 1,
            hosts: vec![
                voter("alpha", true),
                voter("beta", true),
                voter("gamma", false),
            ],
        }),
        peers: vec![peer(true), peer(false)],
        kept: vec!["mine".to_owned()],
        recovery: Some("a commit was interrupted".to_owned()),
    };
    assert_eq!(
        status_text(&status, Style::Plain),
        "alpha is on generic branch\n\
        \x20 domain    example.org\n\
        \x20 journal   entry 12 923fe53966c6\n\
        \x20 replayed  no entry\n\
        \x20 pending   12 entries\n\
        \x20 wip       nothing\n\
        \x20 lock      root@beta: installing (since 2026-11-20 17:44:31 UTC)\n\
        \x20 daemon    running, process 42\n\
        \x20 contents  here up to entry 3 of 12\n\
        \x20   1.0 KiB of 4.0 KiB arrived for entry 4\n\
        \x20   nobody has it\n\
        \x20 voters    alpha, beta, gamma (not reached)\n\
        \x20 peers     1 connected, 1 not\n\
        \x20   beta  192.0.2.7:65027  has entry 12 of generic\n\
        \x20   beta  192.0.2.7:65027  has entry 12 of generic  not connected, seen 2026-11-20 17:44:31 UTC\n\
        \x20 kept      mine\n\
        \x20 recovery  a commit was interrupted\n"
    );
    assert_valid("log.schema.json", &status_json(&status).unwrap());
    let quiet = StatusView {
        contents: None,
        voters: None,
        lock: None,
        daemon: None,
        kept: Vec::new(),
        recovery: None,
        ..status
    };
    assert_valid("log.schema.json", &status_json(&quiet).unwrap());
}
