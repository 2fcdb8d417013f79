//! The lint over change sets made by hand, and two runs compared.

use std::collections::BTreeMap;

use isconf_sandbox::change::{Content, Digest, Metadata, Node, NormalRules, Timestamp};
use isconf_sandbox::child::{EffectKind, EffectOutcome, Exit};

use super::repeat::{Run, compare};
use super::*;
use crate::model::HazardName;
use crate::model::report::Ending;

/// Contents before and after, by path.
#[derive(Default)]
struct Sample(BTreeMap<RelPath, [Option<Vec<u8>>; 2]>);

impl ContentSource for Sample {
    fn before(&self, path: &RelPath) -> Option<Vec<u8>> {
        self.0.get(path)?[0].clone()
    }

    fn after(&self, path: &RelPath) -> Option<Vec<u8>> {
        self.0.get(path)?[1].clone()
    }
}

fn path(text: &str) -> RelPath {
    RelPath::new(text.as_bytes()).unwrap()
}

fn file(bytes: &[u8], mode: u32) -> Node {
    let kind = Kind::File {
        size: bytes.len() as u64,
        content: Content::Read(Digest::of(bytes)),
        hole_bytes: 0,
    };
    let mtime = AT.0;
    let meta = Metadata {
        mode,
        mtime,
        ..Metadata::default()
    };
    Node {
        kind,
        meta,
        link_of: None,
    }
}

/// 2026-11-21 20:00:32 UTC, for two seconds.
const AT: (Timestamp, Timestamp) = run_at(1_795_291_232);

const fn run_at(secs: i64) -> (Timestamp, Timestamp) {
    let to = Timestamp {
        secs: secs + 1,
        nanos: 0,
    };
    (Timestamp { secs, nanos: 0 }, to)
}

/// New files with these modes and contents.
fn made(files: &[(&str, u32, &[u8])]) -> (ChangeSet, Sample) {
    let mut sample = Sample::default();
    let mut changes = Vec::new();
    for (name, mode, bytes) in files {
        sample.0.insert(path(name), [None, Some(bytes.to_vec())]);
        changes.push(Change {
            path: path(name),
            before: None,
            after: Some(file(bytes, *mode)),
            moved_from: None,
        });
    }
    (ChangeSet::new(changes).unwrap(), sample)
}

fn linted(changes: &ChangeSet, contents: &Sample, effects: &[Effect], said: &str) -> Vec<String> {
    let host = HostFacts::new().with_name("alpha");
    let found = find(&Evidence {
        changes,
        shown_only: &ChangeSet::default(),
        effects,
        contents,
        said: said.as_bytes(),
        window: Some(Window::of(AT)),
        host: &host,
        is_ignored: &|path| path.starts_with(&RelPath::new(*b"var/log").unwrap()),
        is_secret: &|path| path.as_bytes() == b"srv/own",
        is_out_of_reach: &|path| path.as_bytes().starts_with(b"root/"),
    });
    names(&found)
}

fn names(found: &[Hazard]) -> Vec<String> {
    let name = |hazard: &Hazard| match &hazard.path {
        Some(path) => format!("{} {path}", hazard.code),
        None => hazard.code.to_string(),
    };
    found.iter().map(name).collect()
}

fn of_files(files: &[(&str, u32, &[u8])]) -> Vec<String> {
    let (changes, sample) = made(files);
    linted(&changes, &sample, &[], "")
}

#[test]
fn an_ordinary_file_is_no_hazard() {
    assert_eq!(of_files(&[("etc/motd", 0o644, b"welcome\n")]), [""; 0]);
    assert_eq!(of_files(&[]), [""; 0]);
}

#[test]
fn the_time_and_the_host_in_a_file_are_found_but_in_logs() {
    let stamp = b"built on alpha at 2026-11-21\n";
    assert_eq!(
        of_files(&[("etc/stamp", 0o644, stamp)]),
        ["clock-in-file /etc/stamp", "host-in-file /etc/stamp"]
    );
    assert_eq!(
        of_files(&[("etc/x", 0o644, b""), ("var/log/x", 0o644, stamp)]),
        [""; 0]
    );
    let (changes, sample) = made(&[("etc/stamp", 0o644, stamp)]);
    let said = "echo built on alpha at 2026-11-21";
    assert_eq!(linted(&changes, &sample, &[], said), [""; 0]);
}

#[test]
fn lines_that_were_there_before_are_not_news() {
    let (before, after) = (b"on alpha\nx\n".to_vec(), b"on alpha\ny\n".to_vec());
    let change = Change {
        path: path("etc/a"),
        before: Some(file(&before, 0o644)),
        after: Some(file(&after, 0o644)),
        moved_from: None,
    };
    let mut sample = Sample::default();
    sample.0.insert(path("etc/a"), [Some(before), Some(after)]);
    let changes = ChangeSet::new(vec![change]).unwrap();
    assert_eq!(linted(&changes, &sample, &[], ""), [""; 0]);
}

#[test]
fn a_link_that_points_to_the_host_is_found() {
    let mut node = file(b"", 0o777);
    node.kind = Kind::Symlink {
        target: b"certs/alpha.pem".to_vec(),
    };
    let changes = ChangeSet::new(vec![Change {
        path: path("etc/cert"),
        before: None,
        after: Some(node),
        moved_from: None,
    }]);
    assert_eq!(
        linted(&changes.unwrap(), &Sample::default(), &[], ""),
        ["host-in-file /etc/cert"]
    );
}

#[test]
fn paths_of_one_host_are_named() {
    assert_eq!(
        of_files(&[("etc/hosts", 0o644, b""), ("etc/hosts.allow", 0o644, b"")]),
        ["environmental-path /etc/hosts"]
    );
}

#[test]
fn a_secret_is_told_by_content_name_or_setting_and_only_when_others_can_read_it() {
    let key = b"-----BEGIN OPENSSH PRIVATE KEY-----\nx\n";
    let public = b"-----BEGIN PUBLIC KEY-----\nx\n";
    assert_eq!(
        of_files(&[
            ("etc/a.key", 0o644, b"x"),
            ("etc/b.key", 0o600, b"x"),
            ("etc/c.key", 0o640, b"x"),
            ("etc/d", 0o444, key),
            ("etc/e.key", 0o644, public),
            ("root/f.key", 0o644, b"x"),
            ("srv/own", 0o604, b"x"),
            ("usr/share/keys/g.key", 0o644, b"x"),
        ]),
        [
            "secret-readable /etc/a.key",
            "secret-readable /etc/d",
            "secret-readable /srv/own"
        ]
    );
}

#[test]
fn an_entry_that_wrote_only_logs_is_told_so() {
    assert_eq!(of_files(&[("var/log/x", 0o644, b"x")]), ["logs-only"]);
    let both: &[(&str, u32, &[u8])] = &[("etc/x", 0o644, b"x"), ("var/log/x", 0o644, b"x")];
    assert_eq!(of_files(both), [""; 0]);
}

#[test]
fn connections_and_processes_that_were_left_are_hazards() {
    let effect = |kind, operation: &str, outcome| Effect {
        kind,
        operation: operation.to_owned(),
        target: "192.0.2.1:80".to_owned(),
        process: String::new(),
        outcome,
        count: 2,
    };
    let effects = [
        effect(EffectKind::Network, "connect", EffectOutcome::Allowed),
        effect(EffectKind::Network, "connect", EffectOutcome::Contained),
        effect(EffectKind::Network, "bind", EffectOutcome::Allowed),
        effect(
            EffectKind::Process,
            "left running",
            EffectOutcome::Contained,
        ),
    ];
    assert_eq!(crate::model::connection_count(&effects), 2);
    let found = linted(&ChangeSet::default(), &Sample::default(), &effects, "");
    assert_eq!(found, ["network-used", "processes-left"]);
}

/// Compares a run that made `first` with one, half a minute later and as `beta`, that made `second`.
fn compared(first: &[(&str, u32, &[u8])], second: &[(&str, u32, &[u8])]) -> Vec<String> {
    let rules = |run| NormalRules {
        since: AT.0,
        run,
        ignore: NormalRules::default_ignore(),
    };
    let (one, other) = (made(first), made(second));
    let (first_rules, second_rules) = (rules(AT), rules(run_at(AT.0.secs + 30)));
    let ending = Ending::Exited(Exit::Status(0));
    let first = Run {
        ending,
        changes: &one.0,
        rules: &first_rules,
        contents: &one.1,
    };
    let second = Run {
        ending,
        changes: &other.0,
        rules: &second_rules,
        contents: &other.1,
    };
    names(&compare(
        &first,
        &second,
        &HostFacts::new().with_name("beta"),
    ))
}

#[test]
fn two_runs_that_did_the_same_are_repeatable() {
    let same: &[(&str, u32, &[u8])] = &[("etc/a", 0o644, b"2026-11-21 alpha")];
    assert_eq!(compared(same, same), [""; 0]);
    let logs = |text: &'static [u8]| [("var/log/a", 0o644, text)];
    assert_eq!(compared(&logs(b"1"), &logs(b"2")), [""; 0]);
}

#[test]
fn what_differs_between_runs_is_explained() {
    let text = |text: &'static [u8]| [("etc/a", 0o644, text)];
    for (one, other, code) in [
        (&b"on alpha"[..], &b"on beta"[..], "host-in-file"),
        (b"1795291232", b"1795291262", "clock-in-file"),
        (b"at 20:00:32", b"at 20:01:02", "clock-in-file"),
        (b"at 20:00:32 x", b"at 20:00:32 y", "random-in-file"),
        (b"f81d4fae", b"7dec11d0", "random-in-file"),
        (
            b"\x1f\x8b\x60\xf8\x01\x6b",
            b"\x1f\x8b\x7e\xf8\x01\x6b",
            "clock-in-file",
        ),
    ] {
        assert_eq!(
            compared(&text(one), &text(other)),
            [format!("{code} /etc/a")],
            "{one:?} {other:?}"
        );
    }
}

#[test]
fn names_that_differ_between_runs_are_explained() {
    let name = |name: &'static str| [(name, 0o644, &b""[..])];
    assert_eq!(
        compared(&name("srv/alpha.conf"), &name("srv/beta.conf")),
        [
            "random-in-file /srv/alpha.conf",
            "host-in-file /srv/beta.conf"
        ]
    );
    assert_eq!(
        compared(&name("srv/1795291232"), &name("srv/1795291262")),
        [
            "clock-in-file /srv/1795291232",
            "clock-in-file /srv/1795291262"
        ]
    );
}

#[test]
fn a_second_run_that_fails_is_told() {
    let rules = NormalRules::for_run(AT.0, AT.1);
    let (changes, sample) = made(&[]);
    let run = |status| Run {
        ending: Ending::Exited(Exit::Status(status)),
        changes: &changes,
        rules: &rules,
        contents: &sample,
    };
    let found = compare(&run(0), &run(3), &HostFacts::new());
    assert_eq!(
        found[0].code,
        HazardName::Known(HazardCode::EndsDifferently)
    );
    assert_eq!(found[0].detail, "the second time with exit status 3");
}
