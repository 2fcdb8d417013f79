//! The promise, at every crash point: all old or all new, and recovery knows which.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use super::manifest::{Seen, difference, manifest};
use super::stage::Stage;
use super::{make_live, path};
use crate::change::{ChangeSet, RelPath};
use crate::commit::{ALL, CRASH_AT, CommitError, commit, forget, kept, recover, undo};

const BASE: &str = "ISCONF_TEST_CRASH_BASE";
const WORK: &str = "ISCONF_TEST_CRASH_WORK";

/// Some of every kind of step.
pub fn everything(s: &mut Stage) {
    s.write("new", b"new", false);
    s.mkdir("tree");
    s.write("tree/file", b"file", false);
    s.rename("a/b/c", "tree/c");
    s.write("tree/c/four", b"4 changed", false);
    s.write("a/one", b"replaced", false);
    s.remove("a/link");
    s.mkdir("d");
    s.write("d/only", b"only", false);
    s.write("keep/x", b"both names", true);
    s.rename("keep/y", "keep/z");
    s.write("keep/y", b"another y", false);
    s.chmod("top", 0o600);
    s.link("top", "empty/top2");
}

/// What the child does, and then dies in.
fn do_work(stage: &Stage, work: &str) {
    let (home, root, tx) = (stage.home(), stage.live(), &stage.layout.tx);
    let mut capture = stage.capture();
    if work == "fail" {
        // The last thing to be placed is not what it was said to be, as if it had been changed.
        let mut changes = capture.set.changes().to_vec();
        let last = changes.last_mut().unwrap();
        last.after.as_mut().unwrap().meta.mtime.secs += 1;
        capture.set = ChangeSet::new(changes).unwrap();
    }
    let landed = match commit(&stage.layout, &capture, b"receipt") {
        Ok(landed) => landed,
        Err(CommitError::Transaction(_)) if work == "fail" => return,
        Err(other) => panic!("{other:?}"),
    };
    landed.finish().unwrap();
    if work == "undo" || work == "forget" {
        undo(&home, root, tx, b"undo").unwrap().finish().unwrap();
    }
    if work == "forget" {
        forget(&home, tx).unwrap();
    }
}

fn build(base: &Path, work: &str) -> Stage {
    let mut stage = Stage::new(base, make_live);
    everything(&mut stage);
    if work == "fail" {
        stage.write("zz", b"last", false);
    }
    stage
}

/// Run by the tests below in a process of its own.
#[test]
fn child() {
    let (Some(base), Ok(work)) = (std::env::var_os(BASE), std::env::var(WORK)) else {
        return;
    };
    let base = Path::new(&base);
    match work.as_str() {
        "recover" => {
            let home = base.join("home");
            for one in recover(&home, &base.join("live")).unwrap() {
                if let Some(landed) = one.landed {
                    landed.finish().unwrap();
                }
            }
        }
        _ => do_work(&build(base, &work), &work),
    }
}

/// Runs the child until it ends or dies at the point; gives whether it died.
fn dies(base: &Path, work: &str, point: &str, passage: usize) -> bool {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["commit::tests::crash::child", "--exact", "--nocapture"])
        .env(BASE, base)
        .env(WORK, work)
        .env(CRASH_AT, format!("{point}:{passage}"))
        .output()
        .unwrap();
    match output.status.signal() {
        Some(libc::SIGKILL) => true,
        _ if output.status.success() => false,
        _ => panic!(
            "{point}:{passage}: {}",
            String::from_utf8_lossy(&output.stderr)
        ),
    }
}

fn before() -> BTreeMap<RelPath, Seen> {
    let place = tempfile::tempdir_in("/dev/shm").unwrap();
    let stage = Stage::new(place.path(), make_live);
    manifest(stage.live()).0
}

/// Recovers, and gives whether the tree is all new; anything between fails.
fn recovered_is_new(base: &Path, old: &BTreeMap<RelPath, Seen>, at: &str) -> bool {
    let (home, live) = (base.join("home"), base.join("live"));
    for one in recover(&home, &live).unwrap_or_else(|e| panic!("{at}: {e}")) {
        assert!(one.payload == b"receipt" || one.payload == b"undo");
        if let Some(landed) = one.landed {
            landed.finish().unwrap();
        }
    }
    let now = manifest(&live).0;
    let new = manifest(&base.join("native")).0;
    let is_old = difference(&now, old);
    let is_new = difference(&now, &new);
    assert!(
        is_old.is_empty() || is_new.is_empty(),
        "{at}: neither old:\n{is_old}\nnor new:\n{is_new}"
    );
    assert!(recover(&home, &live).unwrap().is_empty(), "{at}: twice");
    assert_eq!(difference(&manifest(&live).0, &now), "", "{at}: twice");
    is_new.is_empty()
}

fn visit(work: &str, expect: impl Fn(&str) -> Option<bool>) {
    let old = before();
    let mut died = 0;
    for point in ALL {
        for passage in 1.. {
            let place = tempfile::tempdir_in("/dev/shm").unwrap();
            let base = place.path();
            if !dies(base, work, point, passage) {
                break;
            }
            died += 1;
            let at = format!("{work} at {point}:{passage}");
            let is_new = recovered_is_new(base, &old, &at);
            if let Some(expected) = expect(point) {
                assert_eq!(is_new, expected, "{at}");
            }
            let home = base.join("home");
            for one in kept(&home).unwrap() {
                assert!(is_new, "{at}: what is kept was made real");
                let landed = undo(&home, &base.join("live"), &one.tx, b"undo").unwrap();
                landed.finish().unwrap();
                let now = manifest(&base.join("live")).0;
                assert_eq!(difference(&now, &old), "", "{at}: undone");
            }
        }
    }
    assert!(died > 10, "only {died} crashes");
}

#[test]
fn a_commit_is_all_or_nothing() {
    visit("commit", |point| {
        let nothing = [
            "commit.prepare",
            "commit.presync",
            "commit.intent.written",
            "commit.intent.synced",
        ];
        Some(!nothing.iter().any(|name| point.starts_with(name)))
    });
}

#[test]
fn a_commit_that_fails_leaves_nothing_or_is_completed() {
    visit("fail", |point| {
        point.starts_with("commit.rollback").then_some(false)
    });
}

#[test]
fn an_undo_is_all_or_nothing_and_so_is_forgetting() {
    visit("forget", |point| {
        (point.starts_with("commit.forget")).then_some(false)
    });
}

#[test]
fn a_recovery_can_be_killed_anywhere() {
    let old = before();
    for first in [
        "commit.apply.after_move:5",
        "commit.intent.renamed:1",
        "commit.rollback.durable:1",
    ] {
        let work = if first.contains("rollback") {
            "fail"
        } else {
            "commit"
        };
        let (point, passage) = first.split_once(':').unwrap();
        for second in ALL {
            for again in [1, 4] {
                let place = tempfile::tempdir_in("/dev/shm").unwrap();
                let base = place.path();
                assert!(dies(base, work, point, passage.parse().unwrap()));
                if !dies(base, "recover", second, again) {
                    break;
                }
                let at = format!("{first} then {second}");
                assert_eq!(recovered_is_new(base, &old, &at), work == "commit", "{at}");
            }
        }
    }
}

#[test]
fn the_failing_workload_fails() {
    let place = tempfile::tempdir().unwrap();
    let stage = build(place.path(), "fail");
    let (old, inodes) = manifest(stage.live());
    do_work(&stage, "fail");
    let (now, inodes_now) = manifest(stage.live());
    assert_eq!(difference(&now, &old), "");
    assert_eq!(inodes, inodes_now);
    assert!(!now.contains_key(&path("zz")));
}
