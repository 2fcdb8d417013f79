//! One path that an upper layer touches, or hides: what it was, what it is.

use std::collections::BTreeMap;

use crate::capture::{LiveIdentity, Provenance};
use crate::change::{Change, Kind, Node, RelPath};

/// All items by path.
pub(super) type Items = BTreeMap<RelPath, Item>;

/// A change and where it comes from.
pub(super) type Row = (Change, Provenance);

/// What the walk found at one path of the merged view.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) volume: usize,
    pub(super) before: Option<Node>,
    pub(super) after: Option<Node>,
    pub(super) moved_from: Option<RelPath>,
    pub(super) live: Option<LiveIdentity>,
    pub(super) live_path: RelPath,
    pub(super) replaced: Option<LiveIdentity>,
    /// For a new name of a live file: that file.
    pub(super) linked: Option<LiveIdentity>,
    /// Whether what was here before is now elsewhere, so that this is not it, however equal.
    pub(super) displaced: bool,
    pub(super) role: Role,
    /// Inode in the upper layer; it is called 0 for what is gone.
    pub(super) upper: UpperInode,
}

/// The inode of the upper layer that a path has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct UpperInode {
    /// What it is called; see [`Inodes`](super::inodes::Inodes).
    pub(super) id: u64,
    pub(super) nlink: u64,
}

/// How an upper object relates to the live ones; becomes a [`Source`](crate::capture::Source).
#[derive(Debug, Clone)]
pub(super) enum Role {
    /// Not there any more.
    Gone,
    /// A directory that shows the live one through.
    Merged,
    /// All of it is in the upper layer; a modified copy of that live inode, if any.
    Whole { origin: Option<u64> },
    /// Its data is that of the live file at this path below the root, with this inode number.
    LiveData { data: RelPath, ino: u64 },
    /// Like `LiveData` with a live file of another name: renamed, or one more name. Which of the
    /// two is known when all names have been seen.
    Elsewhere(Box<Elsewhere>),
}

/// The live file of another name that has the data.
#[derive(Debug, Clone)]
pub(super) struct Elsewhere {
    pub(super) data: RelPath,
    pub(super) node: Node,
    pub(super) live: LiveIdentity,
    /// Whether the data is in the upper layer all the same, because it was written since.
    pub(super) rewritten: bool,
}

impl Item {
    /// Whether it is a name of an inode that can have several.
    pub(super) fn is_leaf(&self) -> bool {
        self.after
            .as_ref()
            .is_some_and(|node| node.kind != Kind::Directory)
    }

    /// Whether this is the object that was at `live_path`, perhaps changed.
    pub(super) fn shows_live(&self) -> bool {
        match &self.role {
            Role::Gone | Role::Whole { origin: None } => false,
            Role::Merged | Role::Whole { origin: Some(_) } => true,
            Role::LiveData { ino, .. } => self.live.is_some_and(|live| live.ino == *ino),
            Role::Elsewhere(_) => false,
        }
    }

    /// Whether the data of a live file, or what else it is, is as before.
    pub(super) fn keeps_data(&self) -> bool {
        let kind = |node: &Option<Node>| node.as_ref().map(|node| node.kind.clone());
        match (kind(&self.before), kind(&self.after)) {
            (Some(before), Some(after)) => same_kind(&before, &after),
            (None, _) | (_, None) => false,
        }
    }

    /// Whether live would be different with this: a copy that is as before is none.
    pub(super) fn is_change(&self) -> bool {
        let (before, after) = match (&self.before, &self.after) {
            (None, None) => return false,
            (Some(before), Some(after)) => (before, after),
            (None, Some(_)) | (Some(_), None) => return true,
        };
        if self.moved_from.is_some() || self.displaced {
            return true;
        }
        let differs = !same_state(before, after);
        match &self.role {
            Role::Gone => true,
            Role::Merged => differs,
            Role::LiveData { ino, .. } => differs || self.live.is_none_or(|l| l.ino != *ino),
            Role::Elsewhere(_) => true,
            // An equal file in the place of another is as good, unless either has more names.
            Role::Whole { origin } => {
                differs
                    || after.kind == Kind::Directory
                    || (origin.is_none()
                        && (self.upper.nlink > 1 || self.live.is_some_and(|l| l.nlink > 1)))
            }
        }
    }
}

/// Whether two states are the same apart from holes and names.
pub(super) fn same_state(before: &Node, after: &Node) -> bool {
    before.meta == after.meta && same_kind(&before.kind, &after.kind)
}

/// Whether two kinds are the same apart from holes, which copying rearranges.
pub(super) fn same_kind(before: &Kind, after: &Kind) -> bool {
    match (before, after) {
        (
            Kind::File {
                size: s1,
                content: c1,
                ..
            },
            Kind::File {
                size: s2,
                content: c2,
                ..
            },
        ) => (s1, c1) == (s2, c2),
        (before, after) => before == after,
    }
}
