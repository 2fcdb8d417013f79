//! Drift: where the live filesystem is not what this host's history says, as values. Not for
//! finding it (`audit`) or showing it (`ui`). Upholds: a finding is not a failure.

use std::time::Duration;

use isconf_sandbox::change::{Node, RelPath};

use super::{Author, DraftId, EntryRef};

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audit {
    /// The paths that drifted, in path order.
    pub drifts: Vec<Drift>,
    /// Paths whose live state could not be read.
    pub unreadable: Vec<Unreadable>,
    /// Paths compared, those in `drifts` and `unreadable` included.
    pub checked: u64,
    /// Paths left out by the ignore list.
    pub ignored: u64,
    /// Files whose content was read and hashed.
    pub hashed: u64,
    /// Paths known to be unchanged since an earlier audit found them as expected.
    pub unchanged: u64,
    /// How long it took; zero until whoever has a clock sets it.
    pub duration: Duration,
}

/// One path that is not what the history says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Where.
    pub path: RelPath,
    /// In which way.
    pub kind: DriftKind,
    /// The attributes that differ as well, or alone; empty unless `kind` is `Content` or `Metadata`.
    pub fields: Vec<Field>,
    /// What the history says; `None` when the path was deleted or moved away.
    pub expected: Option<Node>,
    /// What is there; `None` when nothing is.
    pub found: Option<Node>,
    /// The entry that wrote the path last.
    pub writer: Writer,
}

/// In which way a path drifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DriftKind {
    /// Other bytes, link target or device numbers.
    Content,
    /// Only attributes differ.
    Metadata,
    /// Nothing is there.
    Missing,
    /// Something is there that was deleted or moved away.
    Unexpected,
    /// An object of another kind is there.
    WrongType,
}

/// An attribute that can differ.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Permission bits.
    Mode,
    /// Owner or group.
    Owner,
    /// Time of last modification; only when asked for.
    Mtime,
    /// The extended attribute of this name.
    Xattr(Vec<u8>),
    /// Inode flags.
    Flags,
}

/// What wrote a path last.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Writer {
    /// Which change.
    pub deed: WriterDeed,
    /// Who made it; `None` when nobody is recorded.
    pub author: Option<Author>,
    /// The lock message; empty when there is none.
    pub message: String,
}

/// The change that wrote a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriterDeed {
    /// An entry of the journal.
    Entry(EntryRef),
    /// A draft that is not checked in.
    Wip(DraftId),
    /// A change that no journal has; the sequence number of its receipt.
    OutOfBand(u64),
}

/// A path whose live state could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Where.
    pub path: RelPath,
    /// The errno.
    pub errno: i32,
}
