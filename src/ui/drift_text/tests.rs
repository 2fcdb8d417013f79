//! Drift as text and JSON.

use std::time::Duration;

use isconf_sandbox::change::{Digest, RelPath};

use super::super::drift_json::audit_json;
use super::super::sample::{directory, entry, file, path, symlink, unread, view, with};
use super::super::schema::assert_valid;
use super::*;
use crate::model::drift::Unreadable;
use crate::model::{Author, Hex};

fn drift(at: &str, kind: DriftKind, expected: Option<Node>, found: Option<Node>) -> Drift {
    Drift {
        path: path(at),
        kind,
        fields: Vec::new(),
        expected,
        found,
        writer: Writer {
            deed: WriterDeed::Entry(entry()),
            author: Some(Author::new("root@alpha").unwrap()),
            message: "install it".to_owned(),
        },
    }
}

fn sample() -> Audit {
    let other_owner = with(unread(1), |meta| {
        meta.uid = 5;
        meta.mtime.secs += 9;
    });
    let mut gone = drift("gone", DriftKind::Missing, Some(symlink(b"x")), None);
    gone.writer = Writer {
        deed: WriterDeed::OutOfBand(4),
        author: None,
        message: String::new(),
    };
    let mut back = drift("back", DriftKind::Unexpected, None, Some(directory()));
    back.writer.deed = WriterDeed::Wip(Hex::from_bytes([7; 16]));
    let mut owner = drift(
        "etc/x",
        DriftKind::Metadata,
        Some(unread(1)),
        Some(other_owner),
    );
    owner.fields = vec![Field::Owner, Field::Xattr(b"user.\xff".to_vec())];
    let other_file = Some(file(b"one\n2\n"));
    Audit {
        drifts: vec![
            back,
            drift(
                "etc/motd",
                DriftKind::Content,
                Some(file(b"one\ntwo\n")),
                other_file,
            ),
            drift(
                "etc/secret",
                DriftKind::Content,
                Some(file(b"a")),
                Some(file(b"b")),
            ),
            owner,
            gone,
            drift(
                "lib",
                DriftKind::WrongType,
                Some(directory()),
                Some(symlink(b"usr/lib")),
            ),
        ],
        unreadable: vec![Unreadable {
            path: path("proc/x"),
            errno: 13,
        }],
        checked: 120,
        ignored: 4,
        hashed: 10,
        unchanged: 100,
        duration: Duration::from_millis(12),
    }
}

struct Contents;

impl ContentSource for Contents {
    fn before(&self, path: &RelPath) -> Option<Vec<u8>> {
        assert_eq!(path.as_bytes(), b"etc/motd");
        Some(b"one\ntwo\n".to_vec())
    }

    fn after(&self, path: &RelPath) -> Option<Vec<u8>> {
        assert_eq!(path.as_bytes(), b"etc/motd");
        Some(b"one\n2\n".to_vec())
    }
}

#[test]
fn drift_names_path_difference_and_last_writer() {
    let text = audit_text(&sample(), &view(Detail::Normal), Some(&Contents));
    assert!(text == include_str!("normal.txt"), "{text}");
}

#[test]
fn summary_is_the_closing_line() {
    assert_eq!(
        audit_text(&sample(), &view(Detail::Summary), None),
        "Drift at 6 of 120 paths: 2 content, 1 metadata, 1 missing, 1 unexpected, 1 wrong type; \
         1 not read; 4 ignored; 12.0 ms.\n"
    );
    let clean = Audit {
        checked: 1,
        ..Audit::default()
    };
    assert_eq!(
        audit_text(&clean, &view(Detail::Normal), None),
        "No drift in 1 path; 0 s.\n"
    );
}

#[test]
fn full_text_has_the_digests_that_json_has() {
    let text = audit_text(&sample(), &view(Detail::Full), None);
    let line = audit_json(&sample(), &view(Detail::Full), None).unwrap();
    let json: serde_json::Value = serde_json::from_str(&line).unwrap();
    for side in ["expected", "found"] {
        let digest = json["drifts"][1][side]["sha256"].as_str().unwrap();
        assert!(text.contains(digest));
    }
    for id in [entry().id.to_string(), "07".repeat(16)] {
        assert!(text.contains(&id) && line.contains(&id));
    }
    let secret = Digest::of(b"a").to_string();
    assert!(!text.contains(&secret) && !line.contains(&secret));
}

#[test]
fn json_is_valid_against_the_schema() {
    for audit in [sample(), Audit::default()] {
        for contents in [None, Some(&Contents as &dyn ContentSource)] {
            let line = audit_json(&audit, &view(Detail::Normal), contents).unwrap();
            assert_valid("drift.schema.json", &line);
        }
    }
}
