//! The tree that each sequence works on, and how trees are compared.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use nix::sys::stat::{Mode, SFlag, UtimensatFlags};
use nix::sys::time::TimeSpec;

use super::super::manifest::{Seen, difference};
use super::work::Work;
use crate::change::{FLAG_IMMUTABLE, RelPath, Timestamp};
use crate::sys::files;

/// When everything was made; what has a later time was touched by the work, at a time that two runs
/// do not have in common.
const MADE: i64 = 1_500_000_000;

/// A sequence, and the directory that it works in.
#[derive(Clone)]
pub struct Case {
    pub directory: String,
    pub works: Vec<Work>,
}

impl Case {
    /// Makes the tree of the case below `root`.
    pub fn make(&self, root: &Path) {
        let top = root.join(&self.directory);
        let outside = root.join("outside").join(&self.directory);
        for name in [
            "d/e",
            "g/deep/er",
            "p/p/p/p/p/p/p/p/p/p/p/p",
            "sticky",
            "shared",
            "acl",
        ] {
            fs::create_dir_all(top.join(name)).unwrap();
        }
        fs::create_dir_all(&outside).unwrap();
        for (name, bytes) in [
            ("a", "a\n"),
            ("b", "b\n"),
            ("d/a", "a in d\n"),
            ("d/e/f", "f\n"),
            ("g/one", "one\n"),
            ("g/deep/two", "two\n"),
            ("g/deep/er/three", "three\n"),
            ("p/p/p/p/p/p/p/p/p/p/p/p/bottom", "deep\n"),
            ("l1", "linked\n"),
            ("sticky/s", "s\n"),
            ("fixed", "fixed\n"),
        ] {
            fs::write(top.join(name), bytes).unwrap();
        }
        for (old, new) in [
            (top.join("l1"), top.join("l2")),
            (top.join("l1"), top.join("d/l3")),
            (top.join("l1"), outside.join("l4")),
            (top.join("g/one"), outside.join("one")),
        ] {
            fs::hard_link(old, new).unwrap();
        }
        symlink("a", top.join("link")).unwrap();
        let mode = Mode::from_bits_truncate(0o640);
        nix::sys::stat::mknod(&top.join("fifo"), SFlag::S_IFIFO, mode, 0).unwrap();
        let sparse = fs::File::create(top.join("hole")).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&sparse, b"end", 40_000).unwrap();
        for (name, mode) in [("sticky", 0o1777), ("shared", 0o2775), ("g/one", 0o4755)] {
            fs::set_permissions(top.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        for directory in [&top, &outside] {
            settle(directory);
        }
        let fixed = fs::File::open(top.join("fixed")).unwrap();
        files::set_inode_flags(std::os::fd::AsFd::as_fd(&fixed), FLAG_IMMUTABLE).unwrap();
    }

    /// Does the work below `root`; what each said.
    pub fn carry_out(&self, root: &Path) -> Vec<Result<(), nix::errno::Errno>> {
        nix::unistd::chdir(&root.join(&self.directory)).unwrap();
        let said = self.works.iter().map(|work| work.carry_out()).collect();
        // A working directory would keep the mount.
        nix::unistd::chdir("/").unwrap();
        said
    }
}

/// Gives everything below a directory, and itself, the time at which all was made.
fn settle(path: &Path) {
    if path.symlink_metadata().unwrap().is_dir() {
        for entry in path.read_dir().unwrap() {
            settle(&entry.unwrap().path());
        }
    }
    let time = TimeSpec::new(MADE, 0);
    let flags = UtimensatFlags::NoFollowSymlink;
    nix::sys::stat::utimensat(nix::fcntl::AT_FDCWD, path, &time, &time, flags).unwrap();
}

/// What differs between two trees that had the same work done, but for the times at which. xfs gives
/// a directory that overlayfs moves a new one.
pub fn unlike(
    a: &BTreeMap<RelPath, Seen>,
    b: &BTreeMap<RelPath, Seen>,
    ages_moved: bool,
) -> String {
    let (mut a, mut b) = (a.clone(), b.clone());
    for (path, seen) in &mut a {
        let Some(other) = b.get_mut(path) else {
            continue;
        };
        let is_new = |seen: &Seen| seen.meta.mtime.secs > MADE;
        let aged = ages_moved && seen.kind == libc::S_IFDIR && (is_new(seen) || is_new(other));
        if aged || is_new(seen) && is_new(other) {
            seen.meta.mtime = Timestamp::default();
            other.meta.mtime = Timestamp::default();
        }
    }
    difference(&a, &b)
}
