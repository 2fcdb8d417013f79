//! Reports with everything in them, for the tests of text and JSON.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use isconf_sandbox::capture::{Finding, FindingReason, Glimpse, LiveIdentity};
use isconf_sandbox::change::{
    Change, ChangeSet, Content, DifferenceKind, Digest, FLAG_IMMUTABLE, Kind, Metadata, Node,
    RelPath, Timestamp,
};
use isconf_sandbox::child::{Effect, EffectKind, EffectOutcome, Exceeded, Exit, Phases};
use isconf_sandbox::services::{Action, Manager, Verb};

use super::attributes::Detail;
use super::diff::Secrets;
use super::hazard_text::sample_hazards;
use super::report_text::View;
use super::style::Style;
use crate::model::contents::ContentSource;
use crate::model::report::{
    Conflict, Congruence, Description, Divergence, Ending, Fate, Place, Refusal, Rehearsal, Report,
    Seen, UncoveredMount, Verdict,
};
use crate::model::{
    ActionFate, ActionReport, Author, Bytes, ChangeDigests, EntryId, EntryRef, Times,
};

pub(super) fn path(bytes: impl AsRef<[u8]>) -> RelPath {
    RelPath::new(bytes.as_ref()).unwrap()
}

pub(super) fn node(kind: Kind) -> Node {
    Node {
        kind,
        meta: Metadata {
            mode: 0o644,
            mtime: Timestamp {
                secs: 1_000_000_000,
                nanos: 7,
            },
            ..Metadata::default()
        },
        link_of: None,
    }
}

pub(super) fn file(bytes: &[u8]) -> Node {
    node(Kind::File {
        size: bytes.len() as u64,
        content: Content::Read(Digest::of(bytes)),
        hole_bytes: 0,
    })
}

/// A file that was last modified so many seconds after the epoch.
fn file_of(mtime: i64, bytes: &[u8]) -> Node {
    let mut node = file(bytes);
    (node.meta.mtime.secs, node.meta.mtime.nanos) = (mtime, 0);
    node
}

pub(super) fn unread(size: u64) -> Node {
    node(Kind::File {
        size,
        content: Content::Unread,
        hole_bytes: 0,
    })
}

pub(super) fn directory() -> Node {
    let mut directory = node(Kind::Directory);
    directory.meta.mode = 0o755;
    directory
}

pub(super) fn symlink(target: &[u8]) -> Node {
    let mut link = node(Kind::Symlink {
        target: target.to_vec(),
    });
    link.meta.mode = 0o777;
    link
}

pub(super) fn with(mut node: Node, change: impl Fn(&mut Metadata)) -> Node {
    change(&mut node.meta);
    node
}

pub(super) fn change(at: &str, before: Option<Node>, after: Option<Node>) -> Change {
    Change {
        path: path(at),
        before,
        after,
        moved_from: None,
    }
}

fn later(node: Node) -> Node {
    with(node, |meta| meta.mtime.secs += 1)
}

fn tagged(node: Node, value: &[u8]) -> Node {
    let tag = (b"user.tag".to_vec(), value.to_vec());
    with(node, |meta| meta.xattrs = BTreeMap::from([tag.clone()]))
}

/// One change of every kind, nasty names included.
pub(super) fn changes() -> ChangeSet {
    let mut sparse = file(b"0123456789");
    if let Kind::File { hole_bytes, .. } = &mut sparse.kind {
        *hole_bytes = 4096;
    }
    let mut linked = file(b"new\n");
    linked.link_of = Some(path("etc/added"));
    let mut list = vec![
        change("etc", Some(directory()), Some(later(directory()))),
        change("etc/added", None, Some(file(b"new\n"))),
        change("etc/added-link", None, Some(linked)),
        change("etc/attributes", Some(unread(5)), {
            let all = |meta: &mut Metadata| {
                meta.mode = 0o4755;
                meta.uid = 12;
                meta.flags = FLAG_IMMUTABLE;
            };
            Some(with(tagged(unread(5), b"a"), all))
        }),
        change(
            "etc/motd",
            Some(file(b"one\ntwo\n")),
            Some(file(b"one\n2\n\x1b[2J\n")),
        ),
        change("etc/same-bytes", Some(unread(9)), Some(later(unread(9)))),
        change(
            "etc/secret",
            Some(file(b"old")),
            Some(tagged(file(b"new"), b"x")),
        ),
        change(
            "etc/tagged",
            Some(tagged(unread(1), b"a")),
            Some(tagged(unread(1), b"b")),
        ),
        change("gone", Some(directory()), None),
        change("gone/file", Some(unread(2048)), None),
        change("lib", Some(file(b"x")), Some(symlink(b"usr/lib"))),
        change("new dir", None, Some(directory())),
        change(
            "new dir/null",
            None,
            Some(node(Kind::CharDevice { major: 1, minor: 3 })),
        ),
        change("new dir/pipe", None, Some(node(Kind::Fifo))),
        change("new dir/sparse", None, Some(sparse)),
        change("opt/old", Some(directory()), None),
        change("odd\nname", None, Some(symlink(b"a\\b\xff"))),
        Change {
            path: path(b"odd\xff"),
            ..change("x", Some(symlink(b"one")), Some(symlink(b"two")))
        },
    ];
    list.extend(moves());
    ChangeSet::new(list).unwrap()
}

/// A directory and a file that were moved.
fn moves() -> [Change; 2] {
    let moved = |from: &str, change| Change {
        moved_from: Some(path(from)),
        ..change
    };
    let there = change("opt/new", Some(directory()), Some(directory()));
    let edited = change("etc/c.conf", Some(file(b"1\n2\n")), Some(file(b"1\n3\n")));
    [moved("opt/old", there), moved("etc/b.conf", edited)]
}

pub(super) fn entry() -> EntryRef {
    EntryRef {
        seq: 12,
        id: EntryId(Digest::of(b"entry")),
    }
}

fn effects() -> Vec<Effect> {
    let effect = |kind, operation: &str, target: &str, outcome, count| Effect {
        kind,
        operation: operation.to_owned(),
        target: target.to_owned(),
        process: "sh -c reboot".to_owned(),
        outcome,
        count,
    };
    vec![
        effect(
            EffectKind::Mount,
            "mount",
            "/mnt",
            EffectOutcome::Contained,
            1,
        ),
        effect(
            EffectKind::KernelModule,
            "finit_module",
            "",
            EffectOutcome::Refused(1),
            2,
        ),
        effect(
            EffectKind::Network,
            "connect",
            "10.0.0.1:80",
            EffectOutcome::Allowed,
            1,
        ),
    ]
}

fn actions() -> Vec<ActionReport> {
    let report = |verb: Verb, fate| ActionReport {
        action: Action {
            program: "/bin/systemctl".into(),
            argv: ["systemctl", verb.name(), "x"].map(OsString::from).into(),
            cwd: "/".into(),
            env: Vec::new(),
            manager: Manager::Systemd,
            verb,
            services: vec!["x.service".to_owned()],
        },
        fate,
    };
    let failed = ActionFate::Failed {
        status: 1,
        said: "Job for x.service failed.\nSee its log.".to_owned(),
        times: Times::Once,
    };
    vec![
        report(Verb::ManagerReload, ActionFate::Done(Times::Once)),
        report(Verb::Stop, ActionFate::Done(Times::OnceOrTwice)),
        report(Verb::Start, ActionFate::TakenBack),
        report(
            Verb::Other("kill".to_owned()),
            ActionFate::NotTakenBack("it has no reverse".to_owned()),
        ),
        report(Verb::Restart, failed),
        report(Verb::Reload, ActionFate::Waits),
    ]
}

/// A report of an entry that was committed.
pub(super) fn committed() -> Report {
    Report {
        place: Place::Journal(entry()),
        description: Description::Exec {
            argv: ["sh", "-c", "make install"].map(Bytes::from).into(),
            cwd: Bytes::from("/usr/src/a b"),
        },
        author: Some(Author::new("root@alpha").unwrap()),
        message: "install \x1bit".to_owned(),
        changes: changes(),
        digests: Some(ChangeDigests {
            full: Digest::of(b"full"),
            normal: Digest::of(b"normal"),
        }),
        shown_only: ChangeSet::new(vec![change("run/a.pid", None, Some(file(b"1\n")))]).unwrap(),
        effects: effects(),
        rehearsal: Some(Rehearsal {
            ending: Ending::Exited(Exit::Status(1)),
            effects: effects(),
            acted_before: true,
        }),
        actions: actions(),
        hazards: sample_hazards(),
        uncovered: vec![UncoveredMount {
            mount_point: path("srv/nfs"),
            fs_type: "nfs4".to_owned(),
            treatment: "read-only inside: no upper layer can be on it".to_owned(),
        }],
        findings: vec![Finding {
            path: path("tmp/x.sock"),
            reason: FindingReason::SocketOfEndedProcess,
        }],
        conflicts: Vec::new(),
        ending: Ending::Exited(Exit::Status(0)),
        verdict: Verdict::Approved,
        fate: Fate::Committed,
        congruence: Congruence::Differs(vec![
            Divergence {
                path: path("etc/motd"),
                origin: Some(change("etc/motd", None, Some(file(b"there")))),
                here: changes().get(&path("etc/motd")).cloned(),
                aspects: vec![DifferenceKind::Before, DifferenceKind::Content],
            },
            Divergence {
                path: path("only/there"),
                origin: Some(change("only/there", None, Some(file(b"there")))),
                here: None,
                aspects: vec![DifferenceKind::OnlyAtOrigin],
            },
            Divergence {
                path: path("srv/copy"),
                origin: Some(change("srv/copy", None, Some(file_of(1, b"there")))),
                here: Some(change("srv/copy", None, Some(file_of(2, b"there")))),
                aspects: vec![DifferenceKind::Mtime],
            },
        ]),
        phases: Phases {
            set_up: Duration::from_micros(5_040),
            run: Duration::from_millis(1_200),
            collect: Duration::from_micros(900),
            commit: Duration::from_millis(12),
        },
        retries: 1,
        stopped_by: Some(15),
    }
}

/// A report of an entry that met a conflict.
pub(super) fn conflicting() -> Report {
    let live = |ino, size| LiveIdentity {
        ino,
        nlink: 1,
        ctime: Timestamp { secs: 20, nanos: 0 },
        mtime: Timestamp { secs: 10, nanos: 0 },
        size,
        mode: 0o100_644,
        uid: 0,
        gid: 4,
    };
    Report {
        conflicts: vec![
            Conflict {
                path: path("etc/motd"),
                seen: Seen::Live(live(5, 12)),
                found: Some(live(6, 2048)),
            },
            Conflict {
                path: path("etc/added"),
                seen: Seen::Nothing,
                found: Some(live(7, 0)),
            },
            Conflict {
                path: path("etc/late"),
                seen: Seen::At(
                    live(5, 12).ctime,
                    Glimpse {
                        kind: Some(0o100_000),
                        ino: Some(5),
                        permissions: Some(0o644),
                        owner: Some((0, 4)),
                        size: None,
                    },
                ),
                found: Some(live(5, 12)),
            },
            Conflict {
                path: path("etc/removed"),
                seen: Seen::At(live(5, 12).ctime, Glimpse::default()),
                found: None,
            },
            Conflict {
                path: path("etc/moved"),
                seen: Seen::AsLeft,
                found: None,
            },
        ],
        changes: ChangeSet::default(),
        verdict: Verdict::Conflict,
        fate: Fate::Dropped,
        ..bare()
    }
}

/// A report with nothing in it.
pub(super) fn bare() -> Report {
    Report {
        place: Place::Try { name: None },
        description: Description::Exec {
            argv: vec![Bytes::from("true")],
            cwd: Bytes::from("/"),
        },
        author: None,
        message: String::new(),
        changes: ChangeSet::default(),
        digests: None,
        shown_only: ChangeSet::default(),
        effects: Vec::new(),
        rehearsal: None,
        actions: Vec::new(),
        hazards: Vec::new(),
        uncovered: Vec::new(),
        findings: Vec::new(),
        conflicts: Vec::new(),
        ending: Ending::Exited(Exit::Status(0)),
        verdict: Verdict::Approved,
        fate: Fate::Dropped,
        congruence: Congruence::Unknown,
        phases: Phases::default(),
        retries: 0,
        stopped_by: None,
    }
}

/// Every verdict, ending and fate that occurs.
pub(super) fn endings() -> Vec<Report> {
    let refusals = vec![
        Refusal {
            path: Some(path("usr/bin")),
            reason: "the filesystem is read-only".to_owned(),
            remedy: None,
        },
        Refusal {
            path: None,
            reason: "no space left".to_owned(),
            remedy: None,
        },
    ];
    let with = |ending, verdict, fate| Report {
        ending,
        verdict,
        fate,
        ..bare()
    };
    let status = |status| Ending::Exited(Exit::Status(status));
    let too_long = Verdict::LimitExceeded(Exceeded::Time(Duration::from_secs(60)));
    vec![
        with(status(0), Verdict::Approved, Fate::Previewed),
        with(status(0), Verdict::Approved, Fate::Kept),
        with(status(7), Verdict::CommandFailed, Fate::Dropped),
        with(status(7), Verdict::CommandFailed, Fate::Committed),
        with(
            Ending::Exited(Exit::Signal(9)),
            Verdict::CommandFailed,
            Fate::Previewed,
        ),
        with(
            Ending::CouldNotStart(2),
            Verdict::CommandFailed,
            Fate::Dropped,
        ),
        with(status(0), Verdict::Refused(refusals), Fate::Dropped),
        with(status(0), Verdict::OutOfReach, Fate::Dropped),
        with(status(0), Verdict::ActionFailed, Fate::TakenBack),
        with(status(0), Verdict::ActionFailed, Fate::Committed),
        with(status(9), too_long, Fate::Dropped),
        with(
            Ending::Exited(Exit::Signal(2)),
            Verdict::Interrupted(2),
            Fate::Dropped,
        ),
        Report {
            description: Description::Reboot,
            ..with(Ending::NoCommand, Verdict::RebootNotAllowed, Fate::Dropped)
        },
        Report {
            description: Description::Undo(Some(Box::new(Description::Reboot))),
            ..with(Ending::NoCommand, Verdict::Approved, Fate::Committed)
        },
        Report {
            description: Description::Undo(None),
            ..with(Ending::NoCommand, Verdict::Approved, Fate::Previewed)
        },
    ]
}

/// Marks `/etc/secret`.
#[derive(Clone, Copy)]
pub(super) struct EtcSecret;

impl Secrets for EtcSecret {
    fn is_secret(&self, path: &RelPath) -> bool {
        path.as_bytes() == b"etc/secret"
    }
}

/// The contents of [`changes`].
pub(super) struct SampleContents;

impl ContentSource for SampleContents {
    fn before(&self, path: &RelPath) -> Option<Vec<u8>> {
        match path.as_bytes() {
            b"etc/motd" => Some(b"one\ntwo\n".to_vec()),
            b"etc/c.conf" => Some(b"1\n2\n".to_vec()),
            b"etc/secret" => panic!("a secret was read"),
            _ => None,
        }
    }

    fn after(&self, path: &RelPath) -> Option<Vec<u8>> {
        match path.as_bytes() {
            b"etc/motd" => Some(b"one\n2\n\x1b[2J\n".to_vec()),
            b"etc/c.conf" => Some(b"1\n3\n".to_vec()),
            b"etc/secret" => panic!("a secret was read"),
            _ => None,
        }
    }
}

pub(super) fn view(detail: Detail) -> View<'static> {
    View::new(Style::Plain, detail, &EtcSecret)
}
