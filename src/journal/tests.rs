//! What the journal and the wip promise. The values made here serve the tests of other modules too.

use crate::chain::FormFault;
use std::fs;
use std::path::Path;

use isconf_sandbox::change::{Digest, RelPath};
use isconf_sandbox::child::Exit;
use isconf_sandbox::layout::TxId;
use proptest::prelude::*;

use super::record::{entry_body, parse_entry, parse_wip, wip_body};
use super::*;
use crate::identity::HostKey;
use crate::lock::{AppendLock, Holder, HostLock, Wait};
use crate::model::*;

/// A throwaway home with its host lock.
pub(crate) struct Host {
    pub(crate) home: Home,
    pub(crate) lock: HostLock,
    pub(crate) domain: DomainName,
    pub(crate) branch: BranchName,
    _directory: Option<tempfile::TempDir>,
}

impl Host {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut host = Self::at(directory.path());
        host._directory = Some(directory);
        host
    }

    /// A host that a test keeps the directory of.
    pub(crate) fn at(directory: &Path) -> Self {
        let home = Home::new(directory);
        crate::durable::create_directories(&home.conf()).unwrap();
        let holder = Holder {
            pid: 1,
            verb: "test".to_owned(),
            since: Moment::EPOCH,
        };
        let lock = HostLock::take(&home.host_lock(), &holder, Wait::No, &mut |_| ()).unwrap();
        Self {
            home,
            lock,
            domain: DomainName::new("example.com").unwrap(),
            branch: BranchName::generic(),
            _directory: None,
        }
    }

    pub(crate) fn append_lock(&self) -> AppendLock {
        AppendLock::take(&self.home, &self.domain, &self.branch).unwrap()
    }

    pub(crate) fn journal(&self) -> Journal {
        Journal::open_or_create(&self.append_lock()).unwrap()
    }

    pub(crate) fn journal_of(&self, entries: u8) -> Journal {
        let mut journal = self.journal();
        let drafts: Vec<_> = (0..entries).map(|n| draft(n, EntryKind::Reboot)).collect();
        journal
            .append(&self.append_lock(), &drafts, &key())
            .unwrap();
        journal
    }

    pub(crate) fn wip(&self, base: EntryRef) -> Wip {
        Wip::open_or_create(&self.lock, &self.home, &self.domain, &self.branch, base).unwrap()
    }
}

pub(crate) fn key() -> HostKey {
    HostKey::from_secret(&[3; 32])
}

pub(crate) fn draft(number: u8, kind: EntryKind) -> Draft {
    Draft {
        id: Hex::from_bytes([number; 16]),
        author: Author::new("root@h1").unwrap(),
        time: Moment::EPOCH,
        message: "because".to_owned(),
        kind,
        outcome: Outcome {
            exit: Exit::Status(0),
            changes: ChangeDigests {
                full: Digest::of(b"full"),
                normal: Digest::of(b"normal"),
            },
            effects: Vec::new(),
            hazards: Vec::new(),
            duration_ms: 12,
            version: "5.0.0".to_owned(),
        },
    }
}

fn bytes_without_nul() -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(1_u8.., 0..12).prop_map(Bytes::new)
}

fn execs() -> impl Strategy<Value = EntryKind> {
    let names = proptest::collection::btree_map("[^=\0]{1,5}", bytes_without_nul(), 0..3);
    let argv = proptest::collection::vec(bytes_without_nul(), 0..4);
    (
        argv,
        bytes_without_nul(),
        0_u32..0o1000,
        names,
        any::<Option<[u8; 4]>>(),
        any::<bool>(),
        proptest::sample::select(vec![Handling::Refuse, Handling::Contain, Handling::Live]),
    )
        .prop_map(|(mut argv, cwd, umask, env, stdin, has_network, effects)| {
            argv.insert(0, Bytes::from("sh"));
            EntryKind::Exec(Exec {
                argv,
                cwd: Bytes::new([b"/", cwd.as_slice()].concat()),
                umask,
                env: env
                    .into_iter()
                    .map(|(n, v)| (Bytes::from(n.as_str()), v))
                    .collect(),
                stdin: stdin.map(|s| Digest::of(&s)),
                network: if has_network {
                    Network::Host
                } else {
                    Network::None
                },
                effects,
            })
        })
}

fn snaps() -> impl Strategy<Value = EntryKind> {
    let name = proptest::collection::vec(1_u8.., 1..9).prop_map(|mut name| {
        name.iter_mut()
            .filter(|b| matches!(b, b'/' | b'.'))
            .for_each(|b| *b = b'\n');
        RelPath::new(name).unwrap()
    });
    (proptest::collection::vec(name, 0..4), 0..i64::MAX as u64).prop_map(|(paths, total_bytes)| {
        EntryKind::Snap(Snap {
            count: paths.len() as u64,
            paths,
            manifest: Digest::of(b"manifest"),
            total_bytes,
        })
    })
}

fn hazards() -> impl Strategy<Value = Hazard> {
    let path = proptest::collection::vec(0x80_u8.., 1..9);
    let path = proptest::option::of(path.prop_map(|name| RelPath::new(name).unwrap()));
    ("(clock-in-file|of-tomorrow)", path, any::<String>()).prop_map(|(code, path, detail)| Hazard {
        code: HazardName::named(code),
        path,
        detail,
    })
}

fn drafts() -> impl Strategy<Value = Draft> {
    let kinds = prop_oneof![execs(), snaps(), Just(EntryKind::Reboot)];
    let effect = ("\\PC{0,6}", any::<u32>()).prop_map(|(target, count)| EffectSummary {
        kind: "mount".to_owned(),
        operation: "mount".to_owned(),
        target,
        outcome: "refused 1".to_owned(),
        count,
    });
    let effects = proptest::collection::vec(effect, 0..3);
    let exits = prop_oneof![
        any::<u8>().prop_map(Exit::Status),
        (1..65).prop_map(Exit::Signal)
    ];
    let hazards = proptest::collection::vec(hazards(), 0..3);
    (kinds, any::<String>(), effects, hazards, exits).prop_map(
        |(kind, message, effects, hazards, exit)| {
            let mut draft = draft(7, kind);
            draft.message = message;
            draft.outcome.effects = effects;
            draft.outcome.hazards = hazards;
            draft.outcome.exit = exit;
            draft
        },
    )
}

/// A whole record around a body.
fn record_of(table: &str, body: &str, seal_key: &str, digits: usize) -> Vec<u8> {
    let (prev, seal) = (Digest::of(b""), "0".repeat(digits));
    format!("[[{table}]]\nseq = 1\nprev = \"{prev}\"\n{body}{seal_key} = \"{seal}\"\n").into_bytes()
}

proptest! {
    #[test]
    fn an_entry_comes_back_from_its_record(draft in drafts()) {
        let public = key().public();
        let record = record_of("entry", &entry_body(&draft, &public), "sig", 128);
        let entry = parse_entry(&record).unwrap();
        prop_assert_eq!(&entry.draft, &draft);
        prop_assert_eq!((entry.at.seq, entry.key), (1, public));
        prop_assert_eq!(entry.at.id.0, Digest::of(&record));
    }

    #[test]
    fn a_draft_comes_back_from_its_record(draft in drafts(), has_tx in any::<bool>()) {
        let wip = WipDraft { draft, tx: has_tx.then(|| TxId::from_parts(1, 2)) };
        let record = record_of("draft", &wip_body(&wip), "check", 64);
        prop_assert_eq!(parse_wip(&record).unwrap(), wip);
    }

    #[test]
    fn a_changed_record_never_panics(draft in drafts(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut record = record_of("entry", &entry_body(&draft, &key().public()), "sig", 128);
        let at = at.index(record.len());
        record[at] = byte;
        if let Ok(entry) = parse_entry(&record) {
            prop_assert_eq!(entry.at.id.0, Digest::of(&record));
        }
    }
}

#[test]
fn what_a_newer_isconf_wrote_is_refused_by_name() {
    let body = entry_body(&draft(1, EntryKind::Reboot), &key().public());
    let parse = |from: &str, to: &str| {
        let changed = body.replacen(from, to, 1);
        assert_ne!(changed, body);
        parse_entry(&record_of("entry", &changed, "sig", 128)).unwrap_err()
    };
    let error = parse("kind = \"reboot\"", "kind = \"barrier\"");
    assert_eq!(
        error.to_string(),
        "unknown kind \"barrier\": written by a newer isconf"
    );
    let error = parse("kind =", "color = 1\nkind =");
    assert_eq!(
        error.to_string(),
        "unknown field `color`: written by a newer isconf"
    );
    let error = parse("version =", "cpu_ms = 1\nversion =");
    assert_eq!(
        error.to_string(),
        "unknown field `cpu_ms`: written by a newer isconf"
    );
    assert!(matches!(
        parse("status = 0", "status = 0x0"),
        RecordFault::Form(FormFault::NotCanonical)
    ));
    assert!(matches!(
        parse("status = 0", "status = 256"),
        RecordFault::Form(FormFault::Toml(_))
    ));
}

#[test]
fn a_journal_keeps_what_was_appended_and_checks_signatures() {
    let host = Host::new();
    assert!(
        Journal::open(&host.home, &host.domain, &host.branch)
            .unwrap()
            .is_none()
    );
    let journal = host.journal_of(3);
    let again = host.journal();
    assert_eq!(again.last(), journal.last());
    assert_eq!(again.pending(1), 2..=3);
    for seq in again.pending(0) {
        let entry = again.signed_entry(seq).unwrap();
        assert_eq!(entry.draft, draft(seq as u8 - 1, EntryKind::Reboot));
        assert_eq!(Some(entry.at), again.at(seq));
        assert_eq!(Some(entry.prev), again.chain().id_of(seq - 1));
    }
    let record = again.chain().read(2).unwrap();
    assert_eq!(verify_signature(&record), Ok(key().public()));
    for bit in 0..record.len() * 8 {
        let mut changed = record.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(verify_signature(&changed).is_err(), "bit {bit}");
    }
}

#[test]
fn a_journal_with_a_forged_end_is_not_opened() {
    let host = Host::new();
    let mut journal = host.journal_of(1);
    let body = entry_body(&draft(9, EntryKind::Reboot), &key().public());
    journal.append_forged(body);
    let error = Journal::open(&host.home, &host.domain, &host.branch).unwrap_err();
    assert!(matches!(error, JournalError::Signature { seq: 2, .. }));
}

#[test]
fn a_journal_of_another_domain_is_refused() {
    let host = Host::new();
    let journal = host.journal_of(1);
    let other = DomainName::new("example.net").unwrap();
    let there = host.home.branch(&other, &host.branch);
    crate::durable::create_directories(&there).unwrap();
    for name in ["journal", "head"] {
        let from = journal.chain().path().with_file_name(name);
        fs::copy(from, there.join(name)).unwrap();
    }
    let error = Journal::open(&host.home, &other, &host.branch).unwrap_err();
    assert!(matches!(
        error,
        JournalError::WrongPlace {
            field: "domain",
            ..
        }
    ));
}

#[test]
fn a_fork_is_a_byte_copy_and_goes_its_own_way() {
    let host = Host::new();
    let mut parent = host.journal_of(3);
    let name = BranchName::new("web").unwrap();
    let fork_right = || AppendLock::take(&host.home, &host.domain, &name).unwrap();
    let mut child = parent.fork(&fork_right()).unwrap();
    let bytes = |journal: &Journal| fs::read(journal.chain().path()).unwrap();
    assert_eq!(bytes(&parent), bytes(&child));
    let again = parent.fork(&fork_right());
    assert!(matches!(again, Err(JournalError::BranchExists(_))));

    let more = draft(8, EntryKind::Reboot);
    child
        .append(&fork_right(), std::slice::from_ref(&more), &key())
        .unwrap();
    assert!(child.contains(parent.last()));
    assert!(!parent.contains(child.last()));
    assert_eq!(parent.first_difference(&child), None);
    let other = draft(9, EntryKind::Reboot);
    parent
        .append(&host.append_lock(), &[other, more], &key())
        .unwrap();
    assert_eq!(parent.first_difference(&child), Some(4));
    assert_eq!(child.first_difference(&parent), Some(4));
}

#[test]
fn import_takes_signed_entries_that_follow() {
    let (origin, target) = (Host::new(), Host::new());
    let source = origin.journal_of(4);
    let mut journal = target.journal();
    let right = target.append_lock();
    let mut import = journal.import(&right).unwrap();
    assert!(import.push(&source.chain().read(2).unwrap()).is_err());
    import.push(&source.chain().read(1).unwrap()).unwrap();
    drop(import);
    drop(right);
    assert!(target.journal().is_empty());
    let right = target.append_lock();
    let mut import = journal.import(&right).unwrap();
    for seq in source.pending(0) {
        import.push(&source.chain().read(seq).unwrap()).unwrap();
    }
    import.finish().unwrap();
    drop(right);
    assert_eq!(target.journal().last(), source.last());
}

#[test]
fn wip_keeps_drafts_and_the_journals_end() {
    let host = Host::new();
    let base = host.journal_of(2).last();
    let open = || Wip::open(&host.home, &host.domain, &host.branch).unwrap();
    assert!(open().is_none());
    let mut wip = host.wip(base);
    let made = WipDraft {
        draft: draft(1, EntryKind::Reboot),
        tx: Some(TxId::from_parts(1, 2)),
    };
    wip.append(&host.lock, &made).unwrap();
    let again = open().unwrap();
    assert_eq!((again.base(), again.len()), (base, 1));
    assert_eq!(again.drafts().unwrap(), [made]);
    again.remove(&host.lock).unwrap();
    assert!(open().is_none());
    // A crash between the removal of the two files leaves a head, which hurts nobody.
    let head = host
        .wip(base)
        .chain()
        .path()
        .with_file_name("journal.wip.head");
    fs::remove_file(host.home.wip(&host.domain, &host.branch)).unwrap();
    assert!(head.exists() && open().is_none());
    assert!(host.wip(base).is_empty());
}

/// A journal as version 1 writes it. The file is never edited: it stands for those on hosts.
const VERSION_1: &str = include_str!("version-1.journal");

#[test]
fn a_journal_of_version_1_stays_as_it_is() {
    let host = Host::new();
    let mut journal = host.journal();
    let exec = EntryKind::Exec(Exec {
        argv: vec!["sh".into(), "".into(), "a\n%".into(), Bytes::new([0xff])],
        cwd: "/root".into(),
        umask: 0o22,
        env: vec![("A".into(), "=".into()), ("PATH".into(), "/bin".into())],
        stdin: Some(Digest::of(b"stdin")),
        network: Network::None,
        effects: Handling::Refuse,
    });
    let snap = EntryKind::Snap(Snap {
        paths: vec![RelPath::new("etc/a b").unwrap(), RelPath::root()],
        manifest: Digest::of(b"manifest"),
        count: 2,
        total_bytes: 512,
    });
    let mut killed = draft(3, EntryKind::Reboot);
    killed.outcome.exit = Exit::Signal(9);
    killed.outcome.effects.push(EffectSummary {
        kind: "mount".to_owned(),
        operation: "mount".to_owned(),
        target: "/mnt".to_owned(),
        outcome: "refused 1".to_owned(),
        count: 2,
    });
    let drafts = [draft(1, exec), draft(2, snap), killed];
    journal
        .append(&host.append_lock(), &drafts, &key())
        .unwrap();
    let written = fs::read_to_string(journal.chain().path()).unwrap();
    assert_eq!(written, VERSION_1);
}

#[test]
fn a_journal_that_another_value_added_to_is_not_current() {
    let host = Host::new();
    let (earlier, mut journal) = (host.journal(), host.journal());
    assert!(earlier.is_current().unwrap());
    let drafts = [draft(1, EntryKind::Reboot)];
    journal
        .append(&host.append_lock(), &drafts, &key())
        .unwrap();
    assert!(journal.is_current().unwrap());
    assert!(!earlier.is_current().unwrap());
}

#[test]
#[ignore = "a measurement: cargo test --release -p isconf --lib -- --ignored --nocapture opening"]
fn opening_a_journal_is_linear() {
    for entries in [10_000_u32, 100_000] {
        let host = Host::new();
        let mut journal = host.journal();
        let exec = EntryKind::Exec(Exec {
            argv: vec![
                "sh".into(),
                "-c".into(),
                "make -C /usr/local/src install".into(),
            ],
            cwd: "/root".into(),
            umask: 0o22,
            env: vec![
                ("LANG".into(), "C".into()),
                ("PATH".into(), "/usr/bin:/bin".into()),
            ],
            stdin: None,
            network: Network::Host,
            effects: Handling::Refuse,
        });
        let drafts: Vec<_> = (0..entries).map(|n| draft(n as u8, exec.clone())).collect();
        let begin = std::time::Instant::now();
        journal
            .append(&host.append_lock(), &drafts, &key())
            .unwrap();
        let appended = begin.elapsed();
        let begin = std::time::Instant::now();
        let again = host.journal();
        let opened = begin.elapsed();
        assert_eq!(again.last(), journal.last());
        let bytes = fs::metadata(again.chain().path()).unwrap().len();
        let begin = std::time::Instant::now();
        for seq in 1..=1000 {
            again.signed_entry(seq).unwrap();
        }
        let each = begin.elapsed() / 1000;
        println!(
            "{entries} entries, {bytes} bytes: append {appended:?}, open {opened:?}, read an entry {each:?}"
        );
    }
}
