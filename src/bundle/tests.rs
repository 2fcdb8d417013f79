//! What a bundle promises: all of it comes over, or nothing is visible.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::Path;

use isconf_sandbox::change::{Content, Digest, Kind, Metadata, Node, RelPath, encode_nodes};
use proptest::prelude::*;

use super::format::TRAILER_BYTES;
use super::*;
use crate::identity::{Authentication, HmacKeys};
use crate::journal::Journal;
use crate::journal::tests::{Host, draft, key};
use crate::model::progress::{Progress, Silent, Unit};
use crate::model::*;
use crate::store::Store;

/// The manifest of one file.
fn manifest(content: Digest) -> Vec<u8> {
    let kind = Kind::File {
        size: 100,
        content: Content::Read(content),
        hole_bytes: 0,
    };
    let node = Node {
        kind,
        meta: Metadata::default(),
        link_of: None,
    };
    encode_nodes(&BTreeMap::from([(RelPath::new("etc/motd").unwrap(), node)]))
}

fn keys(text: &str) -> HmacKeys {
    HmacKeys::parse(text.as_bytes())
}

fn store(host: &Host) -> Store {
    Store::new(host.home.blobs(&host.domain))
}

/// A host with `count` snaps of small files in its journal.
fn origin(count: u8) -> Host {
    let host = Host::new();
    let store = store(&host);
    let mut journal = host.journal();
    for number in 0..count {
        let content = store.put_bytes(&[number; 100]).unwrap();
        let manifest = store.put_bytes(&manifest(content)).unwrap();
        let snap = EntryKind::Snap(Snap {
            paths: vec![RelPath::new("etc/motd").unwrap()],
            manifest,
            count: 1,
            total_bytes: 100,
        });
        let mut draft = draft(number, snap);
        draft.outcome.changes.full = store.put_bytes(&[number, 0]).unwrap();
        journal
            .append(&host.append_lock(), &[draft], &key())
            .unwrap();
    }
    host
}

fn export_from(host: &Host, since: u64, keys: &HmacKeys) -> Result<Vec<u8>, ExportError> {
    let (journal, store) = (host.journal(), store(host));
    let source = Source {
        domain: &host.domain,
        journal: &journal,
        store: &store,
        keys,
    };
    let mut bytes = Vec::new();
    export(source, since, &mut bytes, &mut Silent).map(|_| bytes)
}

fn import_into(host: &Host, bytes: &[u8], keys: &HmacKeys) -> Result<Imported, ImportError> {
    import_anyhow(host, bytes, keys, false)
}

fn import_anyhow(
    host: &Host,
    bytes: &[u8],
    keys: &HmacKeys,
    allow_unauthenticated: bool,
) -> Result<Imported, ImportError> {
    let target = Target {
        home: &host.home,
        domain: &host.domain,
        keys,
        allow_unauthenticated,
    };
    import(
        target,
        Path::new("file.bundle"),
        Cursor::new(bytes),
        &mut |_| true,
        &mut Silent,
    )
}

fn fault(result: Result<Imported, ImportError>) -> BundleFault {
    match result.unwrap_err() {
        ImportError::Bundle(error) => error.fault,
        other => panic!("another error: {other:?}"),
    }
}

fn has_nothing(host: &Host) -> bool {
    let journal = Journal::open(&host.home, &host.domain, &host.branch).unwrap();
    journal.is_none_or(|journal| journal.is_empty())
}

/// Notes what it is told.
#[derive(Default)]
struct Noted {
    phases: Vec<(String, Option<u64>, u64)>,
    ended: bool,
}

impl Progress for Noted {
    fn is_watched(&self) -> bool {
        true
    }

    fn begin(&mut self, phase: &str, _unit: Unit, total: Option<u64>) {
        self.phases.push((phase.to_owned(), total, 0));
    }

    fn done(&mut self, steps: u64) {
        let (_, total, done) = self.phases.last_mut().unwrap();
        assert!(*done <= steps && total.is_none_or(|total| steps <= total));
        *done = steps;
    }

    fn end(&mut self) {
        self.ended = true;
    }
}

#[test]
fn progress_ends_where_the_total_is() {
    let (origin, target, keys) = (origin(3), Host::new(), keys("k"));
    let (journal, store) = (origin.journal(), store(&origin));
    let source = Source {
        domain: &origin.domain,
        journal: &journal,
        store: &store,
        keys: &keys,
    };
    let (mut out, mut back, mut bytes) = (Noted::default(), Noted::default(), Vec::new());
    export(source, 0, &mut bytes, &mut out).unwrap();
    let target = Target {
        home: &target.home,
        domain: &target.domain,
        keys: &keys,
        allow_unauthenticated: false,
    };
    let path = Path::new("file.bundle");
    import(target, path, Cursor::new(&bytes), &mut |_| true, &mut back).unwrap();
    assert!(out.ended && back.ended);
    for (phase, total, done) in &out.phases {
        assert_eq!(*total, Some(*done), "{phase}");
    }
    // The trailer is read once only.
    let (_, total, done) = &back.phases[0];
    assert!(total.unwrap() - done < TRAILER_BYTES);
}

#[test]
fn a_bundle_brings_entries_and_blobs() {
    let (origin, target, keys) = (origin(3), Host::new(), keys("k"));
    let bytes = export_from(&origin, 0, &keys).unwrap();
    let imported = import_into(&target, &bytes, &keys).unwrap();
    assert_eq!((imported.new_entries, imported.blobs), (3, 9));
    assert_eq!(imported.authentication, Authentication::Known);
    let read = |host: &Host| fs::read(host.journal().chain().path()).unwrap();
    assert_eq!(read(&origin), read(&target));
    for stored in store(&origin).walk() {
        store(&target)
            .open_verified(&stored.unwrap().digest)
            .unwrap();
    }
    let again = import_into(&target, &bytes, &keys).unwrap();
    assert_eq!(again.new_entries, 0);
}

#[test]
fn a_later_bundle_continues_and_an_older_one_is_no_news() {
    let (origin, target, keys) = (origin(3), Host::new(), keys("k"));
    let tail = export_from(&origin, 2, &keys).unwrap();
    let gap = import_into(&target, &tail, &keys).unwrap_err();
    assert!(matches!(gap, ImportError::Gap { first: 3, last: 0 }));
    assert!(has_nothing(&target));
    let all = export_from(&origin, 0, &keys).unwrap();
    let mut journal = origin.journal();
    journal.append(&origin.append_lock(), &[], &key()).unwrap();
    import_into(&target, &all, &keys).unwrap();
    assert_eq!(import_into(&target, &tail, &keys).unwrap().new_entries, 0);
    let empty = export_from(&origin, 3, &keys).unwrap();
    assert_eq!(import_into(&target, &empty, &keys).unwrap().new_entries, 0);
    assert!(matches!(
        export_from(&origin, 4, &keys),
        Err(ExportError::NotThatLong { since: 4, last: 3 })
    ));
    let mut ahead = target.journal();
    let more = Draft {
        id: Hex::from_bytes([9; 16]),
        ..draft(9, EntryKind::Reboot)
    };
    ahead
        .append(&target.append_lock(), &[more], &key())
        .unwrap();
    assert_eq!(import_into(&target, &all, &keys).unwrap().new_entries, 0);
}

#[test]
fn a_journal_that_went_another_way_is_not_touched() {
    let (origin, target, keys) = (origin(2), Host::new(), keys("k"));
    let before = target.journal_of(1).last();
    let bytes = export_from(&origin, 0, &keys).unwrap();
    let diverged = import_into(&target, &bytes, &keys).unwrap_err();
    assert!(matches!(diverged, ImportError::Diverged { seq: 1, .. }));
    assert_eq!(target.journal().last(), before);
}

#[test]
fn a_key_of_ours_must_vouch_unless_the_user_says_otherwise() {
    let origin = origin(1);
    let bytes = export_from(&origin, 0, &keys("theirs\nshared")).unwrap();
    let unsigned = export_from(&origin, 0, &keys("")).unwrap();
    for (bundle, ours, accepted) in [
        (&bytes, "ours\ntheirs", Some(Authentication::Known)),
        (&bytes, "ours\nshared", None),
        (&bytes, "", None),
        (&bytes, "+ANY+\nours", Some(Authentication::AnyAccepted)),
        (&unsigned, "ours", None),
        (&unsigned, "+ANY+\nours", None),
    ] {
        let target = Host::new();
        match (import_into(&target, bundle, &keys(ours)), accepted) {
            (Ok(imported), Some(expected)) => assert_eq!(imported.authentication, expected),
            (refused, None) => {
                assert_eq!(fault(refused), BundleFault::Unauthenticated);
                assert!(has_nothing(&target));
                assert_eq!(store(&target).walk().count(), 0);
            }
            (Err(error), Some(_)) => panic!("{error}"),
        }
        assert!(import_anyhow(&target, bundle, &keys(ours), true).is_ok());
    }
}

#[test]
fn a_bundle_of_another_domain_is_refused() {
    let (origin, keys) = (origin(1), keys("k"));
    let bytes = export_from(&origin, 0, &keys).unwrap();
    let mut target = Host::new();
    target.domain = DomainName::new("example.net").unwrap();
    let refused = import_into(&target, &bytes, &keys).unwrap_err();
    assert!(matches!(refused, ImportError::WrongDomain { .. }));
}

#[test]
fn an_incomplete_store_exports_nothing() {
    let origin = origin(1);
    let content = Digest::of(&[0; 100]);
    fs::remove_file(store(&origin).path_of(&content)).unwrap();
    let refused = export_from(&origin, 0, &keys("k"));
    assert!(matches!(refused, Err(ExportError::Store(_))));
}

/// Puts a right trailer behind changed content, as somebody without a key can.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - format::TRAILER_BYTES as usize;
    let digest = Digest::of(&bytes[..end]);
    bytes[end..end + 32].copy_from_slice(digest.as_bytes());
    bytes[end + 32..].fill(0);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_changed_bit_or_cut_is_refused_and_leaves_nothing(
        at in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let (target, keys) = (Host::new(), keys("k"));
        let mut bytes = bundle_of_two().to_vec();
        if is_cut {
            bytes.truncate(at.index(bytes.len()));
        } else {
            let bit = at.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let refused = import_into(&target, &bytes, &keys);
        prop_assert!(matches!(refused, Err(ImportError::Bundle(_))));
        prop_assert!(has_nothing(&target));
        prop_assert_eq!(store(&target).walk().count(), 0);
    }

    #[test]
    fn a_forged_bundle_never_panics_and_never_adds_an_unsigned_entry(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let (target, keys) = (Host::new(), keys("k"));
        let mut bytes = bundle_of_two().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let is_changed = bytes != bundle_of_two();
        let outcome = import_anyhow(&target, &resealed(bytes), &keys, true);
        let in_trailer = at >= bundle_of_two().len() - format::TRAILER_BYTES as usize;
        prop_assert!(in_trailer || !is_changed || outcome.is_err() || is_other_branch(&outcome));
        if outcome.is_err() {
            prop_assert!(has_nothing(&target));
        }
    }
}

/// The branch's name is not bound by the chain, since a child's journal is a copy.
fn is_other_branch(outcome: &Result<Imported, ImportError>) -> bool {
    outcome
        .as_ref()
        .is_ok_and(|imported| imported.header.branch != BranchName::generic())
}

fn bundle_of_two() -> &'static [u8] {
    static BUNDLE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BUNDLE.get_or_init(|| export_from(&origin(2), 0, &keys("k")).unwrap())
}
