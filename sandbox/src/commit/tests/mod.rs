//! Commits on real filesystems, in throwaway trees.

mod manifest;
mod stage;
mod intent_bytes;
mod crash;
mod conflict;
mod real;
mod random;
mod predicted;
mod speed;
mod model;

use std::error::Error;
use std::path::Path;

use nix::errno::Errno;

use self::manifest::{difference, manifest};
use self::stage::{Stage, path};
use super::*;
use crate::collect::tests::bench::is_root_here;

/// A live tree with some of everything.
fn make_live(root: &Path) {
    let write = |name: &str, bytes: &[u8]| std::fs::write(root.join(name), bytes).unwrap();
    for dir in [
        "a",
        "a/b",
        "a/b/c",
        "d",
        "d/e",
        "empty",
        "keep",
        "linked",
        "linked/in",
    ] {
        std::fs::create_dir(root.join(dir)).unwrap();
    }
    for (name, bytes) in [
        ("top", &b"top"[..]),
        ("a/one", b"1"),
        ("a/two", b"22"),
        ("a/b/three", b"333"),
        ("a/b/c/four", b"4444"),
        ("d/five", b"55555"),
        ("d/e/six", b"666666"),
        ("keep/x", b"x"),
        ("keep/y", b"y"),
    ] {
        write(name, bytes);
    }
    std::fs::hard_link(root.join("keep/x"), root.join("keep/x2")).unwrap();
    std::fs::hard_link(root.join("a/two"), root.join("keep/two2")).unwrap();
    std::fs::hard_link(root.join("top"), root.join("linked/in/top3")).unwrap();
    std::fs::hard_link(root.join("a/two"), root.join("linked/two4")).unwrap();
    std::os::unix::fs::symlink("one", root.join("a/link")).unwrap();
}

fn places() -> Vec<tempfile::TempDir> {
    vec![
        tempfile::tempdir_in("/dev/shm").unwrap(),
        tempfile::tempdir().unwrap(),
    ]
}

/// Commits what `work` does and compares with the same done natively, on each filesystem.
fn check(work: impl Fn(&mut Stage)) {
    for place in places() {
        let mut stage = Stage::new(place.path(), make_live);
        work(&mut stage);
        let (before, inodes) = manifest(stage.live());
        let landed = commit(&stage.layout, &stage.capture(), b"payload").unwrap();
        landed.finish().unwrap();
        let (live, _) = manifest(stage.live());
        let (native, _) = manifest(&stage.native());
        assert_eq!(difference(&live, &native), "", "committed");
        assert!(recover(&stage.home(), stage.live()).unwrap().is_empty());
        assert_eq!(kept(&stage.home()).unwrap()[0].payload, b"payload");
        let undone = undo(&stage.home(), stage.live(), &stage.layout.tx, b"back").unwrap();
        undone.finish().unwrap();
        let (after, inodes_after) = manifest(stage.live());
        assert_eq!(difference(&after, &before), "", "undone");
        assert_eq!(inodes, inodes_after);
        assert!(kept(&stage.home()).unwrap().is_empty());
        // The next start drops what was taken back.
        assert!(recover(&stage.home(), stage.live()).unwrap().is_empty());
        assert!(!stage.layout.directory.exists());
        assert!(!stage.layout.volumes[0].scratch.exists());
    }
}

#[test]
fn new_files_and_trees_are_placed() {
    check(|s| {
        s.write("new", b"new", false);
        s.mkdir("tree");
        s.mkdir("tree/sub");
        s.write("tree/sub/file", b"deep", false);
        s.symlink("tree/sub/link", "../nowhere");
        s.write("a/b/beside", b"b", false);
    });
}

#[test]
fn replaced_modified_and_removed_files() {
    check(|s| {
        s.write("a/one", b"replaced", false);
        s.write("a/two", b"modified", true);
        s.remove("a/b/three");
        s.symlink("d/five", "elsewhere");
        s.remove("a/link");
    });
}

#[test]
fn whole_directories_go_and_are_replaced() {
    check(|s| {
        s.remove("a");
        s.mkdir("d");
        s.write("d/only", b"only", false);
        s.write("empty", b"now a file", false);
        s.mkdir("top");
    });
}

#[test]
fn live_objects_move() {
    check(|s| {
        s.rename("d/e", "moved");
        s.write("moved/more", b"more", false);
        s.rename("a/one", "a/b/uno");
        s.remove("d/five");
        s.chmod("a/b", 0o700);
        s.chmod("top", 0o4711);
    });
}

#[test]
fn objects_move_out_of_what_is_removed_or_new_and_swap() {
    check(|s| {
        s.rename("a/b/c", "c");
        s.rename("a/two", "d/two");
        s.remove("a");
        s.mkdir("fresh");
        s.rename("d/e", "fresh/e");
        s.rename("d/five", "fresh/five");
        s.write("fresh/e/six", b"changed", false);
        s.rename("keep/y", "keep/z");
        s.write("keep/y", b"other", false);
    });
}

#[test]
fn names_of_live_files_are_added() {
    check(|s| {
        s.link("top", "top2");
        s.link("keep/x", "d/x3");
        s.mkdir("fresh");
        s.link("a/one", "fresh/uno");
    });
}

#[test]
fn a_file_with_names_outside_the_set_keeps_its_inode() {
    for place in places() {
        let mut stage = Stage::new(place.path(), make_live);
        let (_, before) = manifest(stage.live());
        stage.write("keep/x", b"new bytes for both", true);
        let landed = commit(&stage.layout, &stage.capture(), b"").unwrap();
        landed.finish().unwrap();
        let (live, after) = manifest(stage.live());
        assert_eq!(before[&path("keep/x")], after[&path("keep/x")]);
        let (native, _) = manifest(&stage.native());
        assert_eq!(difference(&live, &native), "");
    }
}
#[test]
fn replacing_one_name_of_several_leaves_the_right_number_of_names() {
    check(|s| s.write("keep/x", b"another inode", false));
    check(|s| s.remove("keep/x2"));
}

#[test]
fn a_file_that_is_open_for_writing_keeps_its_inode() {
    for place in places() {
        let mut stage = Stage::new(place.path(), make_live);
        let (old, before) = manifest(stage.live());
        let mut log = std::fs::OpenOptions::new()
            .append(true)
            .open(stage.live().join("a/one"))
            .unwrap();
        stage.write("a/one", b"1 and more", true);
        let landed = commit(&stage.layout, &stage.capture(), b"").unwrap();
        landed.finish().unwrap();
        let (live, after) = manifest(stage.live());
        assert_eq!(before[&path("a/one")], after[&path("a/one")]);
        assert_eq!(difference(&live, &manifest(&stage.native()).0), "");
        undo(&stage.home(), stage.live(), &stage.layout.tx, b"")
            .unwrap()
            .finish()
            .unwrap();
        assert_eq!(difference(&manifest(stage.live()).0, &old), "");
        std::io::Write::write_all(&mut log, b"!").unwrap();
        assert_eq!(std::fs::read(stage.live().join("a/one")).unwrap(), b"1!");
    }
}

#[test]
fn nasty_names_and_deep_trees() {
    check(|s| {
        s.write("new\nline", b"n", false);
        s.write("back\\slash \u{1b}[31m", b"b", false);
        s.write(&"x".repeat(255), b"long", false);
        let mut deep = String::from("deep");
        s.mkdir(&deep);
        for _ in 0..60 {
            deep += &format!("/{}", "y".repeat(40));
            s.mkdir(&deep);
        }
        s.write(&format!("{deep}/end"), b"end", false);
    });
}

/// Does some of everything on a volume whose scratchpad lies on another filesystem.
#[test]
fn an_upper_layer_elsewhere_is_copied() {
    let (near, far) = (
        tempfile::tempdir_in("/var/tmp").unwrap(),
        tempfile::tempdir_in("/dev/shm"),
    );
    let far = far.unwrap();
    let mut stage = Stage::new(near.path(), make_live);
    let own = far.path().join(stage.layout.tx.as_str());
    let scratch = own.join("v0");
    std::fs::create_dir_all(&scratch).unwrap();
    crash::everything(&mut stage);
    stage.write("six2", b"new", false);
    let moved = std::process::Command::new("cp")
        .arg("-a")
        .arg(stage.layout.volumes[0].upper())
        .arg(&scratch)
        .status();
    assert!(moved.unwrap().success());
    std::fs::remove_dir_all(stage.live().join(".isconf")).unwrap();
    let mut capture = stage.capture();
    for provenance in &mut capture.provenance {
        if let crate::capture::Source::Upper { path, ino, .. } = &mut provenance.source {
            *ino = stage::stat_of(&scratch.join("upper"), path).unwrap().ino();
        }
    }
    stage.layout.volumes[0].scratch = scratch;
    stage.layout.volumes[0].policy = CommitPolicy::Copy;
    let before = manifest(stage.live());
    commit(&stage.layout, &capture, b"")
        .unwrap()
        .finish()
        .unwrap();
    let now = manifest(stage.live());
    assert_eq!(difference(&now.0, &manifest(&stage.native()).0), "");
    undo(&stage.home(), stage.live(), &stage.layout.tx, b"")
        .unwrap()
        .finish()
        .unwrap();
    assert_eq!(difference(&manifest(stage.live()).0, &before.0), "");
    // What was taken back is dropped at the next start: beside the live tree, and the upper layer.
    assert!(stage.live().join(".isconf").exists() && own.exists());
    assert!(recover(&stage.home(), stage.live()).unwrap().is_empty());
    assert!(!stage.live().join(".isconf").exists() && !own.exists());
    assert!(!stage.layout.directory.exists());
}

#[test]
fn no_space_leaves_everything_as_before() {
    if !is_root_here() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let output = std::process::Command::new("unshare")
        .args(["-m", "--propagation", "private", "/bin/sh", "-ec"])
        .arg("mount -t tmpfs -o size=1M,nr_inodes=200 tmpfs \"$1\"; shift; exec \"$@\"")
        .arg("sh")
        .arg(place.path())
        .arg(std::env::current_exe().unwrap())
        .args(["commit::tests::full_child", "--exact", "--nocapture"])
        .env("ISCONF_TEST_FULL", place.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What the system said, in the end.
fn errno_of(error: &(dyn Error + 'static)) -> Option<Errno> {
    match error.source() {
        Some(source) => errno_of(source),
        None => error.downcast_ref().copied(),
    }
}

/// Run by the test above, in a mount namespace of its own.
#[test]
fn full_child() {
    let Some(base) = std::env::var_os("ISCONF_TEST_FULL") else {
        return;
    };
    let mut stage = Stage::new(Path::new(&base), make_live);
    stage.write("new", b"new", false);
    stage.write("a/one", b"replaced", false);
    // In place, with more bytes than the filesystem has left.
    stage.write("keep/x", &[b'x'; 150_000], true);
    std::fs::remove_dir_all(stage.native()).unwrap();
    std::fs::write(stage.base.join("filler"), vec![0; 700_000]).unwrap();
    let before = manifest(stage.live());
    let error = commit(&stage.layout, &stage.capture(), b"").unwrap_err();
    let CommitError::Transaction(TransactionError::TakenBack(failure)) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(errno_of(failure), Some(Errno::ENOSPC), "{failure:?}");
    let after = manifest(stage.live());
    assert_eq!(difference(&after.0, &before.0), "");
    assert_eq!(after.1, before.1);
    assert!(recover(&stage.home(), stage.live()).unwrap().is_empty());
    // A mount point in the way: seen only when the step is tried.
    std::fs::remove_file(stage.base.join("filler")).unwrap();
    let mut stage = Stage::new(&Path::new(&base).join("second"), make_live);
    stage.write("new", b"new", false);
    stage.remove("empty");
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "tmpfs"])
        .arg(stage.live().join("empty"))
        .status();
    assert!(mounted.unwrap().success());
    let error = commit(&stage.layout, &stage.capture(), b"").unwrap_err();
    assert_eq!(errno_of(&error), Some(Errno::EBUSY), "{error:?}");
    assert!(!stage.live().join("new").exists());
}

#[test]
fn a_busy_package_manager_is_named() {
    let place = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(place.path(), |root| {
        std::fs::create_dir_all(root.join("var/lib/dpkg")).unwrap();
        std::fs::write(root.join("var/lib/dpkg/lock"), b"").unwrap();
        std::fs::write(root.join("var/lib/dpkg/status"), b"s").unwrap();
    });
    stage.write("var/lib/dpkg/status", b"new", false);
    let lock = stage.live().join("var/lib/dpkg/lock");
    // Locks of one's own process are no obstacle, so another has it.
    let mut holder = std::process::Command::new("python3")
        .args(["-c", "import fcntl,sys\nf=open(sys.argv[1],'r+')\nfcntl.lockf(f,fcntl.LOCK_EX)\nprint('x',flush=True)\nsys.stdin.read()"])
        .arg(&lock)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut [0; 2]).unwrap();
    let Err(CommitError::PackageLock(PackageLockError::Busy { path, pid })) =
        commit(&stage.layout, &stage.capture(), b"")
    else {
        panic!("not busy");
    };
    assert_eq!((path, pid), (lock, holder.id() as i32));
    drop(holder.stdin.take());
    holder.wait().unwrap();
    commit(&stage.layout, &stage.capture(), b"")
        .unwrap()
        .finish()
        .unwrap();
}
