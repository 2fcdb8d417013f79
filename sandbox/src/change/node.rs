//! What a path is at one moment: kind, content, metadata. Not for how it came to be so (that is
//! [`Change`](super::Change)). Upholds: everything that commit must keep is in this value.

use std::collections::BTreeMap;

use super::{Digest, RelPath};

/// Seconds and nanoseconds since 1970-01-01 UTC; `nanos` is below 1,000,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    /// Whole seconds, negative before 1970.
    pub secs: i64,
    /// The rest, always forward from `secs`.
    pub nanos: u32,
}

/// The attributes of an object that a change set records and a commit keeps.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Metadata {
    /// Permission bits with setuid, setgid and sticky: `st_mode & 0o7777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of last modification.
    pub mtime: Timestamp,
    /// Every extended attribute by name (ACLs, capabilities and labels are attributes too), without
    /// the overlay's own and without `trusted.SGI_ACL_*`, xfs's second view of the ACLs.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Inode flags (`FS_IOC_GETFLAGS`), only those of [`KEPT_FLAGS`].
    pub flags: u32,
}

/// The inode flags that a person sets with chattr(1) and that we keep: `S u i a d A c D s t C P`
/// less those the filesystem itself manages (extents, inline data, encryption, verity).
/// Values from linux/fs.h.
pub const KEPT_FLAGS: u32 = FLAG_SECRM
    | FLAG_UNRM
    | FLAG_COMPR
    | FLAG_SYNC
    | FLAG_IMMUTABLE
    | FLAG_APPEND
    | FLAG_NODUMP
    | FLAG_NOATIME
    | FLAG_JOURNAL_DATA
    | FLAG_NOTAIL
    | FLAG_DIRSYNC
    | FLAG_TOPDIR
    | FLAG_NOCOW;

/// `FS_SECRM_FL`.
pub const FLAG_SECRM: u32 = 0x0000_0001;
/// `FS_UNRM_FL`.
pub const FLAG_UNRM: u32 = 0x0000_0002;
/// `FS_COMPR_FL`.
pub const FLAG_COMPR: u32 = 0x0000_0004;
/// `FS_SYNC_FL`.
pub const FLAG_SYNC: u32 = 0x0000_0008;
/// `FS_IMMUTABLE_FL`.
pub const FLAG_IMMUTABLE: u32 = 0x0000_0010;
/// `FS_APPEND_FL`.
pub const FLAG_APPEND: u32 = 0x0000_0020;
/// `FS_NODUMP_FL`.
pub const FLAG_NODUMP: u32 = 0x0000_0040;
/// `FS_NOATIME_FL`.
pub const FLAG_NOATIME: u32 = 0x0000_0080;
/// `FS_JOURNAL_DATA_FL`.
pub const FLAG_JOURNAL_DATA: u32 = 0x0000_4000;
/// `FS_NOTAIL_FL`.
pub const FLAG_NOTAIL: u32 = 0x0000_8000;
/// `FS_DIRSYNC_FL`.
pub const FLAG_DIRSYNC: u32 = 0x0001_0000;
/// `FS_TOPDIR_FL`.
pub const FLAG_TOPDIR: u32 = 0x0002_0000;
/// `FS_NOCOW_FL`.
pub const FLAG_NOCOW: u32 = 0x0080_0000;

/// The content of a regular file, as far as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content {
    /// The SHA-256 of all bytes.
    Read(Digest),
    /// Not read: the state before of a file that was deleted, or whose content did not change
    /// while only its metadata did. Undo keeps such bytes; hashing them would make `rm -rf` of a
    /// large tree cost as much as reading it.
    Unread,
}

/// What an object is, with what belongs to that kind alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File {
        /// Length in bytes.
        size: u64,
        /// Its bytes.
        content: Content,
        /// Bytes of the length that are holes (no storage); rounded as the filesystem reports it.
        hole_bytes: u64,
    },
    /// A directory. What is in it are paths of their own.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Where it points, as stored.
        target: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A Unix socket's name.
    Socket,
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

impl Kind {
    /// The kind's name for people and for JSON: `file`, `directory`, `symlink`, `fifo`, `socket`,
    /// `char_device` or `block_device`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Directory => "directory",
            Self::Symlink { .. } => "symlink",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::CharDevice { .. } => "char_device",
            Self::BlockDevice { .. } => "block_device",
        }
    }
}

/// The state of a path that exists.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Its attributes.
    pub meta: Metadata,
    /// The first path (in path order) of this change set that is the same inode; `None` for that
    /// first path itself and for files with no second name in the set. A new name of a file that
    /// is not in the set, because nothing else of it changed, has that file's path.
    pub link_of: Option<RelPath>,
}
