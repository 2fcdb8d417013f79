//! Trees as values: what is there, and what a change set makes of it.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::super::object::Reader;
use super::bench::OLD_SECS;
use crate::change::{Change, Content, Kind, Node, RelPath, Timestamp};

pub(super) type Manifest = BTreeMap<RelPath, Node>;

/// Every object of a tree, with the content of files, and times since the test began made equal.
pub(super) fn manifest(root: &Path) -> Manifest {
    let mut all = Manifest::new();
    let mut links = BTreeMap::new();
    let mut reader = Reader::new();
    let mut pending = vec![RelPath::root()];
    while let Some(path) = pending.pop() {
        let full = path.to_path_under(root);
        let directory = std::fs::File::open(full.parent().unwrap()).unwrap();
        let name = CString::new(full.file_name().unwrap().as_bytes()).unwrap();
        let object = reader.read(directory.as_fd(), &name).unwrap().unwrap();
        let mut node = object.live_node();
        if let Kind::File { content, .. } = &mut node.kind {
            *content = Content::Read(reader.digest(&object).unwrap());
        }
        if object.is_directory() {
            for entry in std::fs::read_dir(&full).unwrap() {
                pending.push(path.child(entry.unwrap().file_name().as_bytes()).unwrap());
            }
        } else {
            links
                .entry(object.stat.st_ino)
                .or_insert_with(Vec::new)
                .push(path.clone());
        }
        all.insert(path, timeless(node));
    }
    for mut group in links.into_values() {
        group.sort();
        for path in &group[1..] {
            all.get_mut(path).unwrap().link_of = Some(group[0].clone());
        }
    }
    all
}

pub(super) fn timeless(mut node: Node) -> Node {
    if node.meta.mtime.secs > OLD_SECS + 1_000_000 {
        node.meta.mtime = Timestamp { secs: 1, nanos: 0 };
    }
    if let Kind::File { hole_bytes, .. } = &mut node.kind {
        *hole_bytes = 0;
    }
    node
}

/// What a tree becomes by a change set, as a reader of its documentation would do it.
pub(super) fn apply(before: &Manifest, changes: &[Change]) -> Manifest {
    let moves: BTreeMap<&RelPath, &RelPath> = changes
        .iter()
        .filter_map(|c| Some((c.moved_from.as_ref()?, &c.path)))
        .collect();
    let place = |path: &RelPath| {
        let mut above = Some(path.clone());
        while let Some(at) = above {
            if let Some(to) = moves.get(&at) {
                return to.join(&path.strip_prefix(&at).unwrap()).unwrap();
            }
            above = at.parent();
        }
        path.clone()
    };
    let mut after = Manifest::new();
    // What stays first, so that what moves over it wins.
    let (moved, stayed): (Vec<_>, Vec<_>) = before.iter().partition(|(p, _)| place(p) != **p);
    for (path, node) in stayed.into_iter().chain(moved) {
        let mut node = node.clone();
        node.link_of = node.link_of.map(|to| place(&to));
        after.insert(place(path), node);
    }
    for change in changes {
        if change.after.is_none() {
            after.remove(&change.path);
        }
    }
    let mut links: Vec<(RelPath, RelPath)> = Vec::new();
    for change in changes {
        let Some(node) = &change.after else { continue };
        let mut node = timeless(node.clone());
        if let Some(to) = node.link_of.take() {
            links.push((change.path.clone(), to));
        } else if let Kind::File { content, .. } = &mut node.kind
            && *content == Content::Unread
        {
            let old = after
                .get(&change.path)
                .expect("unread content is old content");
            let Kind::File { content: known, .. } = &old.kind else {
                panic!("{change:?}")
            };
            *content = *known;
            node.link_of = old.link_of.clone();
        }
        after.insert(change.path.clone(), node);
    }
    for (path, to) in links {
        let mut node = after[&to].clone();
        node.link_of = Some(to);
        after.insert(path, node);
    }
    after
}

/// Compares two trees; groups of hard links by their members, whatever name stands for them.
pub(super) fn assert_same(found: &Manifest, expected: &Manifest) {
    let lines = |all: &Manifest| -> Vec<String> {
        let mut groups: BTreeMap<RelPath, Vec<RelPath>> = BTreeMap::new();
        for (path, node) in all {
            let head = node.link_of.clone().unwrap_or_else(|| path.clone());
            groups.entry(head).or_default().push(path.clone());
        }
        let group =
            |path: &RelPath, node: &Node| groups[node.link_of.as_ref().unwrap_or(path)].clone();
        all.iter()
            .map(|(p, n)| format!("{p} {:?} {:?} links {:?}", n.kind, n.meta, group(p, n)))
            .collect()
    };
    let (found, expected) = (lines(found), lines(expected));
    let missing: Vec<_> = expected.iter().filter(|l| !found.contains(l)).collect();
    let excess: Vec<_> = found.iter().filter(|l| !expected.contains(l)).collect();
    assert!(
        missing.is_empty() && excess.is_empty(),
        "missing {missing:#?}\nexcess {excess:#?}"
    );
}
