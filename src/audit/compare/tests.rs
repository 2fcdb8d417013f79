//! Audits of throwaway trees.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{SystemTime, UNIX_EPOCH};

use isconf_sandbox::change::{Change, ChangeSet, Digest, Metadata};
use tempfile::TempDir;

use super::*;
use crate::model::drift::{DriftKind, Field, Writer, WriterDeed};
use crate::model::progress::Silent;

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

/// The live object as an entry would have recorded it.
fn recorded(root: &Path, at: &str) -> Node {
    let live = path(at).to_path_under(root);
    let stat = fs::symlink_metadata(&live).unwrap();
    let kind = if stat.is_dir() {
        Kind::Directory
    } else if stat.is_symlink() {
        Kind::Symlink {
            target: fs::read_link(&live)
                .unwrap()
                .into_os_string()
                .into_encoded_bytes(),
        }
    } else {
        Kind::File {
            size: stat.len(),
            content: Content::Read(Digest::of(&fs::read(&live).unwrap())),
            hole_bytes: 0,
        }
    };
    Node {
        kind,
        meta: Metadata {
            mode: stat.mode() & 0o7777,
            uid: stat.uid(),
            gid: stat.gid(),
            mtime: Timestamp {
                secs: stat.mtime(),
                nanos: u32::try_from(stat.mtime_nsec()).unwrap(),
            },
            ..Metadata::default()
        },
        link_of: None,
    }
}

struct Host {
    root: TempDir,
    expected: ExpectedState,
    known: Known,
}

impl Host {
    /// A root with some objects, all as the history says, and one that was deleted.
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let at = root.path();
        fs::create_dir_all(at.join("etc/sub")).unwrap();
        fs::write(at.join("etc/file"), "one\n").unwrap();
        fs::write(at.join("etc/sub/file"), "two\n").unwrap();
        symlink("file", at.join("etc/link")).unwrap();
        let added = |name: &str| Change {
            path: path(name),
            before: None,
            after: Some(recorded(at, name)),
            moved_from: None,
        };
        let gone = Change {
            path: path("etc/gone"),
            before: Some(recorded(at, "etc/file")),
            after: None,
            moved_from: None,
        };
        let names = ["etc/file", "etc/link", "etc/sub", "etc/sub/file"];
        let changes = names.iter().map(|name| added(name)).chain([gone]).collect();
        let mut expected = ExpectedState::new();
        let writer = Writer {
            deed: WriterDeed::OutOfBand(1),
            author: None,
            message: String::new(),
        };
        expected.apply(writer, &ChangeSet::new(changes).unwrap());
        Self {
            root,
            expected,
            known: Known::default(),
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn audit(&mut self, change: impl Fn(&mut AuditRequest<'_>)) -> Audit {
        let mut request = AuditRequest {
            root: self.root.path(),
            limit: &[],
            times: false,
            thorough: false,
            is_ignored: &|_| false,
            now: in_an_hour(),
        };
        change(&mut request);
        audit(&self.expected, &mut self.known, &request, &mut Silent).unwrap()
    }

    fn drifts(&mut self) -> Vec<(String, DriftKind)> {
        let audit = self.audit(|_| {});
        let name = |drift: &Drift| (drift.path.to_string(), drift.kind);
        audit.drifts.iter().map(name).collect()
    }
}

/// Later than every change that a test makes.
fn in_an_hour() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp {
        secs: i64::try_from(now.as_secs()).unwrap() + 3600,
        nanos: 0,
    }
}

#[test]
fn clean_host_has_no_drift_and_is_not_hashed_again() {
    let mut host = Host::new();
    let first = host.audit(|_| {});
    assert_eq!((first.drifts.len(), first.checked), (0, 5));
    assert_eq!((first.hashed, first.unchanged), (2, 0));
    let second = host.audit(|_| {});
    assert_eq!(
        (second.drifts.len(), second.hashed, second.unchanged),
        (0, 0, 4)
    );
    let thorough = host.audit(|request| request.thorough = true);
    assert_eq!((thorough.hashed, thorough.unchanged), (2, 0));
}

#[test]
fn object_that_changed_just_now_is_not_remembered() {
    let mut host = Host::new();
    let now = Timestamp {
        secs: in_an_hour().secs - 3600,
        nanos: 0,
    };
    host.audit(|request| request.now = now);
    assert_eq!(host.audit(|_| {}).unchanged, 0);
}

#[test]
fn every_kind_of_drift_is_found() {
    let mut host = Host::new();
    host.audit(|_| {});
    fs::write(host.at("etc/file"), "ONE\n").unwrap();
    fs::write(host.at("etc/gone"), "back").unwrap();
    fs::remove_file(host.at("etc/link")).unwrap();
    fs::create_dir(host.at("etc/link")).unwrap();
    fs::set_permissions(host.at("etc/sub"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::remove_file(host.at("etc/sub/file")).unwrap();
    let wanted = [
        ("/etc/file", DriftKind::Content),
        ("/etc/gone", DriftKind::Unexpected),
        ("/etc/link", DriftKind::WrongType),
        ("/etc/sub", DriftKind::Metadata),
        ("/etc/sub/file", DriftKind::Missing),
    ];
    let wanted: Vec<_> = wanted
        .iter()
        .map(|(at, kind)| ((*at).to_owned(), *kind))
        .collect();
    assert_eq!(host.drifts(), wanted);
    // Found again: what drifted is not remembered.
    assert_eq!(host.drifts(), wanted);
}

#[test]
fn same_size_and_mtime_do_not_hide_other_content() {
    let mut host = Host::new();
    host.audit(|_| {});
    let before = fs::metadata(host.at("etc/file")).unwrap();
    fs::write(host.at("etc/file"), "1ne\n").unwrap();
    let file = fs::File::options()
        .write(true)
        .open(host.at("etc/file"))
        .unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    assert_eq!(
        host.drifts(),
        [("/etc/file".to_owned(), DriftKind::Content)]
    );
}

#[test]
fn times_are_compared_when_asked_for_also_for_what_is_known() {
    let mut host = Host::new();
    let file = fs::File::options()
        .write(true)
        .open(host.at("etc/file"))
        .unwrap();
    file.set_modified(UNIX_EPOCH).unwrap();
    assert_eq!(host.audit(|_| {}).drifts, []);
    let audit = host.audit(|request| request.times = true);
    let fields: Vec<_> = audit
        .drifts
        .iter()
        .map(|d| (d.kind, d.fields.clone()))
        .collect();
    assert_eq!(fields, [(DriftKind::Metadata, vec![Field::Mtime])]);
}

#[test]
fn directory_that_became_a_link_is_not_followed() {
    let mut host = Host::new();
    fs::rename(host.at("etc/sub"), host.at("elsewhere")).unwrap();
    symlink("../elsewhere", host.at("etc/sub")).unwrap();
    let wanted = [
        ("/etc/sub".to_owned(), DriftKind::WrongType),
        ("/etc/sub/file".to_owned(), DriftKind::Missing),
    ];
    assert_eq!(host.drifts(), wanted);
}

#[test]
fn audit_can_be_limited_and_paths_ignored() {
    let mut host = Host::new();
    let limit = [path("etc/sub")];
    let request = AuditRequest {
        root: host.root.path(),
        limit: &limit,
        times: false,
        thorough: false,
        is_ignored: &|at| at.file_name() == Some(b"file"),
        now: in_an_hour(),
    };
    let audit = audit(&host.expected, &mut host.known, &request, &mut Silent).unwrap();
    assert_eq!((audit.checked, audit.ignored), (1, 1));
}

#[test]
fn pipe_in_place_of_a_file_does_not_block() {
    let mut host = Host::new();
    fs::remove_file(host.at("etc/file")).unwrap();
    nix::unistd::mkfifo(&host.at("etc/file"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert_eq!(
        host.drifts(),
        [("/etc/file".to_owned(), DriftKind::WrongType)]
    );
}

#[test]
fn missing_root_is_an_error() {
    let mut host = Host::new();
    let root = host.at("none");
    let request = AuditRequest {
        root: &root,
        limit: &[],
        times: false,
        thorough: false,
        is_ignored: &|_| false,
        now: in_an_hour(),
    };
    let failed = audit(&host.expected, &mut host.known, &request, &mut Silent);
    assert!(matches!(failed, Err(AuditError::Root { .. })));
}

#[test]
fn known_survives_its_file_and_damage_is_refused() {
    let mut host = Host::new();
    host.audit(|_| {});
    let file = host.at("known");
    assert_eq!(Known::load(&file).unwrap(), Known::default());
    host.known.save(&file).unwrap();
    assert_eq!(Known::load(&file).unwrap(), host.known);
    let whole = fs::read(&file).unwrap();
    for end in 0..whole.len() {
        fs::write(&file, &whole[..end]).unwrap();
        assert!(Known::load(&file).is_err(), "cut at {end}");
    }
    for index in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[index] ^= 1;
        fs::write(&file, &flipped).unwrap();
        assert!(Known::load(&file).is_err(), "flipped at {index}");
    }
}

#[test]
fn live_content_is_bounded_and_follows_nothing() {
    use super::super::live_content;
    let host = Host::new();
    let root = host.root.path();
    assert_eq!(
        live_content(root, &path("etc/file"), 4),
        Some(b"one\n".to_vec())
    );
    assert_eq!(live_content(root, &path("etc/file"), 3), None);
    assert_eq!(live_content(root, &path("etc/link"), 100), None);
    assert_eq!(live_content(root, &path("etc"), 100), None);
    assert_eq!(live_content(root, &path("etc/none"), 100), None);
}

#[test]
fn extended_attributes_are_compared() {
    use isconf_sandbox::fs::{Dir, set_xattrs_exactly};
    let mut host = Host::new();
    let etc = Dir::open(&host.at("etc")).unwrap();
    let tag = [(b"user.x".to_vec(), b"1".to_vec())].into();
    set_xattrs_exactly(etc.at(b"file"), &tag).unwrap();
    let audit = host.audit(|_| {});
    let fields: Vec<_> = audit.drifts.iter().map(|d| d.fields.clone()).collect();
    assert_eq!(fields, [vec![Field::Xattr(b"user.x".to_vec())]]);
}
