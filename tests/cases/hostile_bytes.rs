//! Names that climb and counts that lie, in every format that has names and counts: each is refused
//! before anything is done with it.

use std::collections::BTreeMap;
use std::path::Path;

use isconf::model::{BranchName, DomainName};
use isconf_sandbox::capture::{Capture, Glimpse, LiveIdentity, Meanwhile, Provenance, Source};
use isconf_sandbox::change::{
    Change, ChangeSet, Content, Digest, Kind, Metadata, Node, RelPath, decode_nodes, encode_nodes,
};

/// The path that the good bytes have, and those that are put in its place; all have its length.
const PATH: &[u8] = b"pp/qq/rr";
const CLIMBING: [&[u8]; 10] = [
    b"/p/qq/rr",
    b"pp/../rr",
    b"../qq/rr",
    b"pp/qq/..",
    b"pp//q/rr",
    b"pp/./rrr",
    b"./pp/qqr",
    b"pp/qq/r\0",
    b"pp/qq/r/",
    b"pp/qq/./",
];

fn node() -> Node {
    Node {
        kind: Kind::File {
            size: 3,
            content: Content::Read(Digest::of(b"abc")),
            hole_bytes: 0,
        },
        meta: Metadata::default(),
        link_of: None,
    }
}

fn path() -> RelPath {
    RelPath::new(PATH).unwrap()
}

fn set() -> ChangeSet {
    let change = Change {
        path: path(),
        before: None,
        after: Some(node()),
        moved_from: Some(path()),
    };
    ChangeSet::new(vec![change]).unwrap()
}

fn capture() -> Capture {
    let live = LiveIdentity {
        ino: 1,
        nlink: 1,
        ctime: Default::default(),
        mtime: Default::default(),
        size: 3,
        mode: 0o100_644,
        uid: 0,
        gid: 0,
    };
    Capture {
        set: set(),
        shown: ChangeSet::default(),
        provenance: vec![Provenance {
            volume: 0,
            source: Source::LiveData {
                path: path(),
                data: path(),
                ino: 1,
            },
            live: Some(live),
            live_path: path(),
            replaced: None,
            linked: None,
        }],
        since: Default::default(),
        present: None,
        findings: Vec::new(),
        conflicts: vec![Meanwhile {
            path: path(),
            seen: Glimpse::default(),
            found: Some(live),
        }],
    }
}

/// Reads the bytes; whether they were taken.
type Taken = fn(&[u8]) -> bool;

/// A kept seed of the fuzz targets.
fn seed(name: &str) -> Vec<u8> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds");
    std::fs::read(seeds.join(name)).unwrap()
}

/// An intent with its digest.
fn intent(body: &[u8]) -> bool {
    let mut bytes = body.to_vec();
    bytes.extend_from_slice(Digest::of(body).as_bytes());
    isconf_sandbox::fuzzing::intent(&bytes).is_some()
}

/// The formats: good bytes, a path in them, and what reads them.
fn formats() -> Vec<(&'static str, Vec<u8>, &'static [u8], Taken)> {
    let nodes = encode_nodes(&BTreeMap::from([(path(), node())]));
    vec![
        ("change set", set().encode(), PATH, |b| {
            ChangeSet::decode(b).is_ok()
        }),
        ("capture", capture().encode(), PATH, |b| {
            Capture::decode(b).is_ok()
        }),
        ("node list", nodes, PATH, |b| decode_nodes(b).is_ok()),
        ("intent", seed("intent/done"), b"undo/1", intent),
        ("entry", entry(), b"etc/a b", |b| {
            isconf::fuzzing::entry(b).is_some()
        }),
    ]
}

/// The snap of the journal that stands for those of version 1.
fn entry() -> Vec<u8> {
    let journal = String::from_utf8(seed("journal/version-1")).unwrap();
    let record = journal.split("[[entry]]\n").nth(2).unwrap();
    format!("[[entry]]\n{record}").into_bytes()
}

/// Every place at which a text occurs.
fn places(bytes: &[u8], text: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(text.len()).enumerate();
    let found = windows.filter(|(_, window)| *window == text);
    found.map(|(at, _)| at).collect()
}

#[test]
fn no_format_takes_a_name_that_climbs() {
    for (what, good, name, taken) in formats() {
        assert!(taken(&good), "{what}");
        let places = places(&good, name);
        assert!(!places.is_empty(), "{what} has no {name:?}");
        for at in places {
            for climbing in CLIMBING {
                let mut bad = good.clone();
                // Cut from the front where it still climbs, else from the end.
                let length = name.len();
                let text = &climbing[climbing.len() - length..];
                if RelPath::new(text).is_ok() {
                    continue;
                }
                bad[at..at + length].copy_from_slice(text);
                assert!(!taken(&bad), "{what} at {at}: {}", text.escape_ascii());
            }
        }
    }
}

#[test]
fn no_name_of_a_domain_or_branch_is_more_than_one_component() {
    for name in ["..", "../x", "a/b", "/a", ".a", "a\0b", "", "a b", "a\n"] {
        assert!(BranchName::new(name).is_err(), "{name:?}");
        assert!(DomainName::new(name).is_err(), "{name:?}");
    }
}

#[test]
fn no_format_believes_a_count() {
    // Whatever number of two to eight bytes stands anywhere is made huge: reading ends at once, with
    // an error or, where the bytes were no number, not.
    for (_, good, _, taken) in formats() {
        for at in 0..good.len() {
            for (width, fill) in [(2, 0xff), (4, 0xff), (4, 0x7f), (8, 0xff), (8, 0x7f)] {
                let mut bad = good.clone();
                let end = (at + width).min(bad.len());
                bad[at..end].fill(fill);
                taken(&bad);
            }
        }
    }
}

#[test]
fn a_path_is_bounded_however_deep_it_nests() {
    let deep = |levels: usize| vec!["d"; levels].join("/");
    assert!(RelPath::new(deep(8_000).as_str()).is_ok());
    assert!(RelPath::new(deep(9_000).as_str()).is_err());
    // One component after the other, as a parser of TOML sees them.
    let record = entry();
    let record = String::from_utf8(record).unwrap();
    let bad = record.replace("etc/a b", &deep(100_000));
    assert!(isconf::fuzzing::entry(bad.as_bytes()).is_none());
    let bad = record.replace("paths = [", &format!("paths = {}", "[".repeat(100_000)));
    assert!(isconf::fuzzing::entry(bad.as_bytes()).is_none());
    let argv = format!("argv = {}", "[".repeat(1_000_000));
    assert!(isconf::fuzzing::entry(argv.as_bytes()).is_none());
}
