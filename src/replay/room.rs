//! Keeps room on the disk for what is written after a change is visible: the draft, the receipt,
//! the heads. Not for the change itself, whose room the sandbox takes before its first step.
//! Upholds: a full disk refuses a change while nothing of it is live yet.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

use isconf_sandbox::fs::sync_at;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate};
use nix::sys::statvfs::{Statvfs, statvfs};

use super::this_host::ThisHost;
use crate::durable::{FileError, PRIVATE_FILE_MODE, check_regular, create_directories};

/// Bytes that records need beside their own text: a block or two for each of about ten files and
/// directories that may have to be made, and what a filesystem wants to see free before it makes
/// one. xfs wants the most: a chunk of inodes in one piece and a tree's height of blocks, twice.
const BASE: u64 = 1 << 20;

/// Files and directories that may have to be made for the first draft of a branch.
const OBJECTS: u64 = 16;

/// Why there is no room for the records of a change.
#[derive(Debug, thiserror::Error)]
pub enum NoRoom {
    /// The bytes cannot be reserved.
    #[error("cannot keep room for the record of the change")]
    Bytes(#[source] FileError),
    /// The filesystem has hardly any inodes left.
    #[error("no room for the record of the change: only {left} inodes left on the filesystem of {}", home.display())]
    Inodes {
        /// How many there are.
        left: u64,
        /// `IS_HOME`.
        home: std::path::PathBuf,
    },
}

/// Keeps room for records that were made from a payload of so many bytes. What is reserved stays
/// so for the next change; nearly always there is nothing to do.
pub fn keep_room(host: &ThisHost, payload: usize) -> Result<(), NoRoom> {
    let home = host.home.as_path();
    // The draft and the receipt, each no longer than both in the payload are.
    let wanted = BASE + 2 * payload as u64;
    create_directories(&host.home.conf()).map_err(NoRoom::Bytes)?;
    reserve(host, wanted).map_err(|source| {
        NoRoom::Bytes(FileError::of("reserve space in", &host.home.reserve())(
            source,
        ))
    })?;
    match space(home) {
        // Without inode tables of a fixed size (btrfs) both are zero.
        Some(space) if space.files() > 0 && space.files_free() < OBJECTS => Err(NoRoom::Inodes {
            left: space.files_free(),
            home: home.to_path_buf(),
        }),
        Some(_) | None => Ok(()),
    }
}

/// Gives the reserved room to the records that are about to be written, if there is no other.
/// Called again after a crash, when the file may be gone already.
pub fn give_room(host: &ThisHost) -> Result<(), FileError> {
    let path = host.home.reserve();
    let Ok(metadata) = fs::symlink_metadata(&path) else {
        return Ok(());
    };
    let kept = metadata.blocks().saturating_mul(512);
    // What is free to anybody: of what is free to root ext4 keeps a part for itself.
    let short = space(host.home.as_path()).is_some_and(|space| {
        space
            .blocks_available()
            .saturating_mul(space.fragment_size())
            < kept
    });
    if !short {
        return Ok(());
    }
    match fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(FileError::of("remove", &path)(e)),
        // No sync: what matters is that the filesystem counts the room as free.
        _ => Ok(()),
    }
}

/// What the filesystem says of its room. One that cannot say it is taken to have enough: the
/// writes themselves find out.
fn space(home: &std::path::Path) -> Option<Statvfs> {
    statvfs(home).ok()
}

/// Makes the file have at least `wanted` bytes on the disk. No sync: it holds nothing, and after a
/// crash it is made again.
fn reserve(host: &ThisHost, wanted: u64) -> io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(PRIVATE_FILE_MODE)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits())
        .open(host.home.reserve())?;
    check_regular(&file)?;
    if file.metadata()?.blocks().saturating_mul(512) >= wanted {
        return Ok(());
    }
    let bytes = i64::try_from(wanted).map_err(|_| io::Error::from(Errno::EFBIG))?;
    match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        Err(Errno::EOPNOTSUPP) => write_zeros(&file, wanted),
        Err(errno) => Err(errno.into()),
    }
}

/// Takes the room by writing, where the filesystem cannot reserve it.
fn write_zeros(mut file: &File, bytes: u64) -> io::Result<()> {
    let zeros = [0; 4096];
    for _ in 0..bytes.div_ceil(zeros.len() as u64) {
        file.write_all(&zeros)?;
    }
    // Delayed allocation (ext4, xfs) finds out only now whether there is room.
    sync_at("room.taken", || file.sync_data())
}
