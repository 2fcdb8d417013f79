//! Commits on real filesystems, in throwaway trees.

mod manifest;
mod stage;
mod crash;
mod conflict;
mod real;

use std::path::Path;

use self::manifest::{difference, manifest};
use self::stage::{Stage, path};
use super::*;

/// A live tree with some of everything.
fn make_live(root: &Path) {
    let write = |name: &str, bytes: &[u8]| std::fs::write(root.join(name), bytes).unwrap();
    for dir in ["a", "a/b", "a/b/c", "d", "d/e", "empty", "keep"] {
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
        assert!(recover(&stage.home(), stage.live()).unwrap().is_empty());
        forget(&stage.home(), &stage.layout.tx).unwrap();
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
