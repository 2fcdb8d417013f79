//! What a commit does, as data: few kinds of step, each of which can be told done from not done by
//! inode numbers, repeated without harm, and turned round. Not for doing them (see `apply`).
//!
//! ```text
//! Steps = unlock (derived) → moves in order → rewrites → settings      forward
//! Steps::reversed = the same kinds, other way round                    rollback, undo
//! ```

use crate::change::{FLAG_APPEND, FLAG_IMMUTABLE, Metadata, RelPath, Timestamp};
use crate::sys::inspect::FileHandle;

/// The inode flags that refuse a change: immutable and append-only.
pub const LOCKS: u32 = FLAG_IMMUTABLE | FLAG_APPEND;

/// Which of a volume's two trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// The live tree; paths count from the mount point.
    Live,
    /// The transaction's scratch directory on the volume.
    Scratch,
}

/// A path in one of a volume's trees.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Loc {
    /// Index of the volume in the intent.
    pub volume: usize,
    /// Which tree.
    pub area: Area,
    /// Where in it.
    pub path: RelPath,
}

/// What a step expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Object {
    /// Inode number.
    pub ino: u64,
    /// Time of modification and length; `None` for a directory, in which others may work
    /// meanwhile.
    pub state: Option<(Timestamp, u64)>,
}

/// A step that changes which inode a name stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Move {
    /// Moves an object to a free name: place, remove, detach and attach.
    Rename {
        /// Where it is.
        from: Loc,
        /// The free name.
        to: Loc,
        /// The object.
        object: Object,
        /// The inode numbers of the directories of these two names, of live ones: the same name in
        /// another directory may be one of the same inode.
        holders: [Option<u64>; 2],
    },
    /// Exchanges a live object and one of the scratch directory.
    Exchange {
        /// The live name.
        live: Loc,
        /// The other name.
        scratch: Loc,
        /// What is live before.
        old: Object,
        /// What is live after.
        new: Object,
    },
    /// Gives an object one more name.
    Link {
        /// A name that it has then.
        existing: Loc,
        /// The new, free name.
        name: Loc,
        /// Its inode number.
        ino: u64,
        /// The inode number of the directory that the new name is in.
        holder: u64,
    },
    /// Takes that name away again.
    Unlink {
        /// A name that it keeps.
        existing: Loc,
        /// The name to take away.
        name: Loc,
        /// Its inode number.
        ino: u64,
        /// The inode number of the directory that the name is in.
        holder: u64,
    },
    /// Drops the undo area's name of an object that keeps names in the live tree, so that its
    /// number of names is right.
    Release {
        /// The name to drop.
        name: Loc,
        /// Its inode number.
        ino: u64,
        /// How to find the inode again.
        handle: FileHandle,
    },
    /// Gives the object its name in the undo area back.
    Recall {
        /// The free name.
        name: Loc,
        /// Its inode number.
        ino: u64,
        /// How to find the inode.
        handle: FileHandle,
    },
}

/// A step that changes the bytes of a live inode that must stay.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rewrite {
    /// Index of the volume.
    pub volume: usize,
    /// Its inode number.
    pub ino: u64,
    /// Live path, bytes and length before.
    pub before: Bytes,
    /// Live path, bytes and length after.
    pub after: Bytes,
}

/// One side of a [`Rewrite`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bytes {
    /// The live path of the inode on this side.
    pub path: RelPath,
    /// The file in the scratch directory that has the bytes.
    pub source: RelPath,
    /// Their number.
    pub size: u64,
}

/// A step that sets attributes of a live inode; one side is `None` when the inode is not live then.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Setting {
    /// Index of the volume.
    pub volume: usize,
    /// Its inode number.
    pub ino: u64,
    /// Live path and attributes before.
    pub before: Option<(RelPath, Attributes)>,
    /// Live path and attributes after.
    pub after: Option<(RelPath, Attributes)>,
}

/// Which attributes a [`Setting`] sets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Attributes {
    /// All.
    All(Metadata),
    /// Only the time of modification, which other steps disturb.
    Mtime(Timestamp),
    /// Only the immutable and append-only flags, which other steps need to be off.
    Locks(u32),
}

impl Attributes {
    /// The immutable and append-only flags among them.
    pub const fn locks(&self) -> u32 {
        match self {
            Self::All(meta) => meta.flags & LOCKS,
            Self::Mtime(_) => 0,
            Self::Locks(flags) => *flags & LOCKS,
        }
    }
}

/// All steps of a transaction in one direction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Steps {
    /// In order; each may rely on those before it.
    pub moves: Vec<Move>,
    /// After all moves, in any order.
    pub rewrites: Vec<Rewrite>,
    /// Last: of one inode the one of flags that refuse changes after the other, in both directions.
    pub settings: Vec<Setting>,
}

impl Move {
    /// The step that takes this one back.
    fn reversed(self) -> Self {
        match self {
            Self::Rename {
                from,
                to,
                object,
                holders: [old, new],
            } => Self::Rename {
                from: to,
                to: from,
                object,
                holders: [new, old],
            },
            Self::Exchange {
                live,
                scratch,
                old,
                new,
            } => Self::Exchange {
                live,
                scratch,
                old: new,
                new: old,
            },
            Self::Link {
                existing,
                name,
                ino,
                holder,
            } => Self::Unlink {
                existing,
                name,
                ino,
                holder,
            },
            Self::Unlink {
                existing,
                name,
                ino,
                holder,
            } => Self::Link {
                existing,
                name,
                ino,
                holder,
            },
            Self::Release { name, ino, handle } => Self::Recall { name, ino, handle },
            Self::Recall { name, ino, handle } => Self::Release { name, ino, handle },
        }
    }

    /// Every name that the step takes from or gives to an object.
    pub fn names(&self) -> Vec<&Loc> {
        match self {
            Self::Rename { from, to, .. } => vec![from, to],
            Self::Exchange { live, scratch, .. } => vec![live, scratch],
            Self::Link { name, .. }
            | Self::Unlink { name, .. }
            | Self::Release { name, .. }
            | Self::Recall { name, .. } => vec![name],
        }
    }
}

impl Steps {
    /// The steps that lead back.
    pub fn reversed(self) -> Self {
        let rewrite = |r: Rewrite| Rewrite {
            before: r.after,
            after: r.before,
            ..r
        };
        let setting = |s: Setting| Setting {
            before: s.after,
            after: s.before,
            ..s
        };
        Self {
            moves: self.moves.into_iter().rev().map(Move::reversed).collect(),
            rewrites: self.rewrites.into_iter().rev().map(rewrite).collect(),
            settings: self.settings.into_iter().map(setting).collect(),
        }
    }
}
