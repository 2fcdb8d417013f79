//! What a snap installs, as values. Its bytes are the sandbox's node list. Upholds: the blob that an
//! entry names says all that a target needs.

use std::collections::{BTreeMap, BTreeSet};

use isconf_sandbox::change::{Content, Digest, Kind, Node, RelPath};

use super::Snap;

/// Every object of a snap and the directories above, by path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    /// What was at each path on the origin.
    pub nodes: BTreeMap<RelPath, Node>,
}

impl Manifest {
    /// The objects that the snap installs: at or below a path that the user named.
    pub fn installed<'a>(
        &'a self,
        snap: &'a Snap,
    ) -> impl Iterator<Item = (&'a RelPath, &'a Node)> {
        self.nodes.iter().filter(|(path, _)| is_named(snap, path))
    }

    /// The directories above, which are made where they are missing, parents first.
    pub fn parents<'a>(&'a self, snap: &'a Snap) -> impl Iterator<Item = (&'a RelPath, &'a Node)> {
        self.nodes.iter().filter(|(path, _)| !is_named(snap, path))
    }

    /// The blobs with the contents of its files.
    pub fn contents(&self) -> BTreeSet<Digest> {
        let content = |node: &Node| match node.kind {
            Kind::File {
                content: Content::Read(digest),
                ..
            } => Some(digest),
            Kind::File { .. }
            | Kind::Directory
            | Kind::Symlink { .. }
            | Kind::Fifo
            | Kind::Socket
            | Kind::CharDevice { .. }
            | Kind::BlockDevice { .. } => None,
        };
        self.nodes.values().filter_map(content).collect()
    }
}

/// Whether the user named the path or something above it.
fn is_named(snap: &Snap, path: &RelPath) -> bool {
    snap.paths.iter().any(|named| path.starts_with(named))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    #[test]
    fn what_the_user_named_is_installed_and_the_rest_are_parents() {
        let file = |digest| Node {
            kind: Kind::File {
                size: 1,
                content: Content::Read(digest),
                hole_bytes: 0,
            },
            meta: Default::default(),
            link_of: None,
        };
        let directory = Node {
            kind: Kind::Directory,
            meta: Default::default(),
            link_of: None,
        };
        let digest = Digest::of(b"x");
        let nodes = BTreeMap::from([
            (path("etc"), directory.clone()),
            (path("etc/a"), directory),
            (path("etc/a/f"), file(digest)),
            (path("etc/b"), file(digest)),
        ]);
        let snap = Snap {
            paths: vec![path("etc/a"), path("etc/b")],
            manifest: Digest::of(b""),
            count: 3,
            total_bytes: 2,
        };
        let manifest = Manifest { nodes };
        let names = |(path, _): (&RelPath, &Node)| path.to_string();
        let installed: Vec<_> = manifest.installed(&snap).map(names).collect();
        assert_eq!(installed, ["/etc/a", "/etc/a/f", "/etc/b"]);
        let parents: Vec<_> = manifest.parents(&snap).map(names).collect();
        assert_eq!(parents, ["/etc"]);
        assert_eq!(manifest.contents(), BTreeSet::from([digest]));
    }
}
