//! A whole tree as a value, for comparing.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::errno::Errno;

use crate::change::{Digest, Metadata, RelPath};
use crate::fs::{Dir, read_metadata, walk};

/// One object of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub kind: u32,
    pub meta: Metadata,
    pub nlink: u64,
    pub content: Vec<u8>,
    /// The first path of the tree that is the same inode.
    pub same_as: RelPath,
}

/// Everything below `root`, but for hidden scratch directories, with inode numbers aside.
pub fn manifest(root: &Path) -> (BTreeMap<RelPath, Seen>, BTreeMap<RelPath, u64>) {
    let top = Dir::open(root).unwrap();
    let mut found = BTreeMap::new();
    let mut inodes = BTreeMap::new();
    let mut note = |path: RelPath, place: crate::fs::Place<'_>, stat: &crate::fs::Stat| {
        if path.as_bytes().starts_with(b".isconf") {
            return Ok::<(), Errno>(());
        }
        let full = path.to_path_under(root);
        let content = match stat.kind_bits() {
            libc::S_IFREG => {
                let bytes = std::fs::read(&full).unwrap();
                Digest::of(&bytes).as_bytes().to_vec()
            }
            libc::S_IFLNK => std::fs::read_link(&full)
                .unwrap()
                .as_os_str()
                .as_bytes()
                .to_vec(),
            _ => format!("{:?}", stat.rdev).into_bytes(),
        };
        inodes.insert(path.clone(), stat.ino());
        found.insert(
            path.clone(),
            Seen {
                kind: stat.kind_bits(),
                meta: read_metadata(place, stat)?,
                nlink: stat.identity.nlink,
                content,
                same_as: path,
            },
        );
        Ok(())
    };
    let stat = top.at(b"").stat().unwrap().unwrap();
    note(RelPath::root(), top.at(b""), &stat).unwrap();
    walk::<Errno>(&top, &mut |path, place, stat| {
        note(path.clone(), place, stat)
    })
    .unwrap();
    let mut firsts: BTreeMap<u64, RelPath> = BTreeMap::new();
    for (path, seen) in &mut found {
        if seen.kind != libc::S_IFDIR {
            seen.same_as = firsts
                .entry(inodes[path])
                .or_insert_with(|| path.clone())
                .clone();
        }
    }
    if let Some(root) = found.get_mut(&RelPath::root()) {
        // The scratch directory is a subdirectory of the root, and made in it.
        root.nlink = 0;
        root.meta.mtime = crate::change::Timestamp::default();
    }
    (found, inodes)
}

/// Shows what differs; empty when nothing does.
pub fn difference(a: &BTreeMap<RelPath, Seen>, b: &BTreeMap<RelPath, Seen>) -> String {
    let mut text = String::new();
    let paths: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
    for path in paths {
        if a.get(path) != b.get(path) {
            text += &format!("{path}:\n  {:?}\n  {:?}\n", a.get(path), b.get(path));
        }
    }
    text
}
