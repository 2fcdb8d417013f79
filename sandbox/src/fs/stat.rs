//! What statx(2) says of an object, in our types. Upholds: an object is told from another by its
//! inode number, and its states by times and length.

use crate::capture::LiveIdentity;
use crate::change::{FLAG_APPEND, FLAG_IMMUTABLE, Timestamp};

/// The basic attributes of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Inode, names, times, length, mode and owner.
    pub identity: LiveIdentity,
    /// For a device node: its numbers.
    pub rdev: (u32, u32),
    /// The filesystem's device numbers.
    pub device: (u32, u32),
    /// Storage in units of 512 bytes.
    pub blocks: u64,
    /// `FS_IMMUTABLE_FL` and `FS_APPEND_FL`, as far as set.
    pub locks: u32,
}

impl Stat {
    /// Reads the kernel's answer.
    pub(super) fn from_kernel(raw: &libc::statx) -> Self {
        let time = |t: &libc::statx_timestamp| Timestamp {
            secs: t.tv_sec,
            nanos: t.tv_nsec,
        };
        let lock = |attribute: i32, flag| {
            if raw.stx_attributes & attribute as u64 == 0 {
                0
            } else {
                flag
            }
        };
        Self {
            identity: LiveIdentity {
                ino: raw.stx_ino,
                nlink: u64::from(raw.stx_nlink),
                ctime: time(&raw.stx_ctime),
                mtime: time(&raw.stx_mtime),
                size: raw.stx_size,
                mode: u32::from(raw.stx_mode),
                uid: raw.stx_uid,
                gid: raw.stx_gid,
            },
            rdev: (raw.stx_rdev_major, raw.stx_rdev_minor),
            device: (raw.stx_dev_major, raw.stx_dev_minor),
            blocks: raw.stx_blocks,
            locks: lock(libc::STATX_ATTR_IMMUTABLE, FLAG_IMMUTABLE)
                | lock(libc::STATX_ATTR_APPEND, FLAG_APPEND),
        }
    }

    /// Inode number.
    pub const fn ino(&self) -> u64 {
        self.identity.ino
    }

    /// The type bits of the mode (`S_IFMT`).
    pub const fn kind_bits(&self) -> u32 {
        self.identity.mode & libc::S_IFMT
    }

    /// Whether it is a directory.
    pub const fn is_directory(&self) -> bool {
        self.kind_bits() == libc::S_IFDIR
    }

    /// Whether it is a regular file.
    pub const fn is_file(&self) -> bool {
        self.kind_bits() == libc::S_IFREG
    }

    /// Whether it is overlayfs' mark of a deleted name: a character device 0:0.
    pub const fn is_whiteout(&self) -> bool {
        self.kind_bits() == libc::S_IFCHR && self.rdev.0 == 0 && self.rdev.1 == 0
    }

    /// Whether it has inode flags that can be read through a descriptor without side effects.
    pub const fn has_inode_flags(&self) -> bool {
        self.is_file() || self.is_directory()
    }
}
