//! Makes and removes the scratch directories of a transaction. Not for what the kernel and commit
//! put into them. Upholds: removal never follows a link and never leaves the scratch directory;
//! the live directory above keeps its time of modification.
//!
//! Nothing here is synced: a scratch directory that a power cut leaves behind, or half made, is
//! dropped by the next start (`sweep`); commit syncs what it relies on.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open, openat, renameat};
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, fchmodat, mknod, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, unlinkat};

use super::step::c_string;
use crate::change::{FLAG_APPEND, FLAG_IMMUTABLE};
use crate::layout::{Layout, VOLUME_SCRATCH_DIR, Volume};
use crate::sys::files::{set_inode_flags, set_xattr_at};
use crate::sys::inspect::{XATTR_BYTES, get_xattr_at, inode_flags, list_xattrs_at};

/// A scratch directory could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}", path.display())]
pub struct ScratchError {
    /// Index of the volume.
    pub volume: usize,
    /// What was tried.
    pub operation: &'static str,
    /// With which path.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub source: io::Error,
}

/// A scratch directory could not be removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot remove {}", path.display())]
pub struct RemoveError {
    /// What.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub source: io::Error,
}

/// How many directories are open at a time while a tree is removed; what is deeper is moved up
/// first. Far below the usual limit of 1024 descriptors.
const MAX_OPEN_DEPTH: usize = 100;

/// Makes the directories of every volume. The transaction's own directory exists.
pub(crate) fn make_scratch(layout: &Layout) -> Result<(), ScratchError> {
    for (index, volume) in layout.volumes.iter().enumerate() {
        make_volume(layout, volume).map_err(|(operation, path, errno)| ScratchError {
            volume: index,
            operation,
            path,
            source: errno,
        })?;
    }
    Ok(())
}

type Failed = (&'static str, PathBuf, io::Error);

fn make_volume(layout: &Layout, volume: &Volume) -> Result<(), Failed> {
    let live = volume.live(&layout.root);
    let status = std::fs::symlink_metadata(&live).map_err(|e| ("look at", live.clone(), e))?;
    let upper = volume.upper();
    if let Some(hidden) = hidden_directory(volume, layout) {
        make_hidden(&hidden, &hidden.join(layout.tx.as_str()))?;
    }
    for path in [&volume.scratch, &upper, &volume.work()] {
        make_directory(path)?;
    }
    let is_own = volume.scratch.starts_with(live.join(VOLUME_SCRATCH_DIR));
    if is_own && hidden_directory(volume, layout).is_some() {
        let path = upper.join(VOLUME_SCRATCH_DIR);
        // An overlay takes a character device 0:0 in the upper layer as "there is no such name".
        mknod(&path, SFlag::S_IFCHR, Mode::empty(), 0)
            .map_err(|errno| ("make the whiteout", path, errno.into()))?;
    }
    dress(&upper, &live, &status).map_err(|e| ("copy the attributes of the root to", upper, e))
}

/// `<mount>/.isconf`, if the volume's scratch lies below such a directory and not below the home.
fn hidden_directory(volume: &Volume, layout: &Layout) -> Option<PathBuf> {
    if volume.scratch.starts_with(&layout.directory) {
        return None;
    }
    volume.scratch.parent()?.parent().map(Path::to_path_buf)
}

/// Makes `<mount>/.isconf/<tx>` unless it is there, for what a commit copies beside the live tree;
/// the mount's root keeps its time of modification.
pub(crate) fn make_beside(transaction: &Path) -> io::Result<()> {
    let hidden = transaction.parent().unwrap_or(transaction);
    make_hidden(hidden, transaction).map_err(|(_, _, e)| e)
}

/// Makes `<mount>/.isconf` and the transaction's directory in it; leaves the mount's root with its
/// time of modification.
fn make_hidden(hidden: &Path, transaction: &Path) -> Result<(), Failed> {
    let fail = |operation, e| (operation, hidden.to_path_buf(), e);
    match std::fs::symlink_metadata(hidden) {
        Ok(status) if status.is_dir() && status.uid() == 0 && status.mode() & 0o077 == 0 => {}
        Ok(_) => {
            return Err(fail(
                "trust (not a directory of root's own)",
                Errno::EPERM.into(),
            ));
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            keeping_parent_time(hidden, || new_directory(hidden))
                .map_err(|e| fail("make the directory", e))?;
        }
        Err(e) => return Err(fail("look at", e)),
    }
    make_directory_unless_there(transaction)
}

fn new_directory(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().mode(0o700).create(path)
}

fn make_directory(path: &Path) -> Result<(), Failed> {
    new_directory(path).map_err(|e| ("make the directory", path.to_path_buf(), e))
}

/// Two volumes may have their scratch on the same filesystem.
fn make_directory_unless_there(path: &Path) -> Result<(), Failed> {
    match new_directory(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            Err(("make the directory", path.to_path_buf(), e))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Does something to the name `path` and gives the directory that holds it its time of modification
/// back, so that a run leaves no trace there. (Between the two calls somebody else's change of that
/// directory could lose its time; it is a microsecond, and ctime still tells.)
fn keeping_parent_time(path: &Path, act: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let status = std::fs::symlink_metadata(parent)?;
    act()?;
    set_time(parent, &status)
}

fn set_time(path: &Path, from: &std::fs::Metadata) -> io::Result<()> {
    let mtime = TimeSpec::new(from.mtime(), from.mtime_nsec());
    let flags = UtimensatFlags::NoFollowSymlink;
    Ok(utimensat(
        AT_FDCWD,
        path,
        &TimeSpec::UTIME_OMIT,
        &mtime,
        flags,
    )?)
}

/// Gives the upper layer's root the attributes of the live one, because the overlay shows the
/// upper's. The time comes last, since everything else changes it.
fn dress(upper: &Path, live: &Path, status: &std::fs::Metadata) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(status.uid()), Gid::from_raw(status.gid()));
    let no_flags = AtFlags::empty();
    fchownat(AT_FDCWD, upper, Some(uid), Some(gid), no_flags)?;
    let mode = Mode::from_bits_truncate(status.mode() & 0o7777);
    fchmodat(
        AT_FDCWD,
        upper,
        mode,
        nix::sys::stat::FchmodatFlags::FollowSymlink,
    )?;
    copy_attributes(upper, live)?;
    set_time(upper, status)
}

fn copy_attributes(upper: &Path, live: &Path) -> io::Result<()> {
    let (upper, live) = (c_path(upper), c_path(live));
    let mut names = [0; 4096];
    let names: Vec<u8> = match list_xattrs_at(&live, &mut names) {
        Ok(length) => names[..length].to_vec(),
        Err(Errno::EOPNOTSUPP) => return Ok(()),
        Err(Errno::ERANGE) => {
            let mut all = vec![0; XATTR_BYTES];
            let length = list_xattrs_at(&live, &mut all)?;
            all.truncate(length);
            all
        }
        Err(errno) => return Err(errno.into()),
    };
    for name in names.split_inclusive(|b| *b == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else {
            continue; // The kernel ends each name with NUL.
        };
        // Those of an overlay say something about the live directory's place in a stack, and xfs's
        // second view of the ACLs comes with the ACLs.
        let bytes = name.to_bytes();
        if bytes.starts_with(b"trusted.overlay.") || bytes.starts_with(b"trusted.SGI_ACL_") {
            continue;
        }
        let mut value = vec![0; XATTR_BYTES];
        let length = get_xattr_at(&live, name, &mut value)?;
        set_xattr_at(&upper, name, &value[..length])?;
    }
    Ok(())
}

fn c_path(path: &Path) -> CString {
    c_string(path.as_os_str().as_bytes().to_vec())
}

/// Removes everything the transaction has on any volume, its own directory last. What is not there
/// is no error.
pub(crate) fn remove_scratch(directory: &Path, scratches: &[PathBuf]) -> Result<(), RemoveError> {
    remove_volumes(directory, scratches)?;
    remove_tree(directory)
}

/// Removes these scratch directories, and the hidden directories that hold nothing more.
pub(crate) fn remove_volumes(directory: &Path, scratches: &[PathBuf]) -> Result<(), RemoveError> {
    for scratch in scratches.iter().filter(|s| s.starts_with(directory)) {
        remove_volume(scratch)?;
    }
    for scratch in scratches.iter().filter(|s| !s.starts_with(directory)) {
        remove_volume(scratch)?;
        let fail = |path: &Path, source| RemoveError {
            path: path.to_path_buf(),
            source,
        };
        let Some(tx) = scratch.parent() else { continue };
        remove_if_empty(tx).map_err(|e| fail(tx, e))?;
        let Some(hidden) = tx.parent() else { continue };
        remove_hidden_if_empty(hidden).map_err(|e| fail(hidden, e))?;
    }
    Ok(())
}

/// What lies in a scratch directory in which nothing was written, from the inside out: our own
/// directories and whiteout, and what overlayfs makes (fs/overlayfs/super.c, Linux 5.10 and later).
const BARE: [(&CStr, UnlinkatFlags); 8] = [
    (
        c"work/work/incompat/volatile/dirty",
        UnlinkatFlags::NoRemoveDir,
    ),
    (c"work/work/incompat/volatile", UnlinkatFlags::RemoveDir),
    (c"work/work/incompat", UnlinkatFlags::RemoveDir),
    (c"work/work", UnlinkatFlags::RemoveDir),
    (c"work/index", UnlinkatFlags::RemoveDir),
    (c"work", UnlinkatFlags::RemoveDir),
    (c"upper/.isconf", UnlinkatFlags::NoRemoveDir),
    (c"upper", UnlinkatFlags::RemoveDir),
];

/// Removes a scratch directory. One in which nothing was written needs not be read for that, which
/// is most of the cost of a short entry's removal. No path can lead elsewhere: their directories are
/// ours and the kernel's.
fn remove_volume(scratch: &Path) -> Result<(), RemoveError> {
    if let Ok(top) = open(scratch, directory_flags(), Mode::empty()) {
        for (path, kind) in BARE {
            // Whatever is not as expected, `remove_tree` deals with.
            let _ = unlinkat(&top, path, kind);
        }
    }
    match std::fs::remove_dir(scratch) {
        Ok(()) => Ok(()),
        Err(_) => remove_tree(scratch),
    }
}

/// Removes `<mount>/.isconf` if it is empty; the mount's root keeps its time of modification.
pub(crate) fn remove_hidden_if_empty(hidden: &Path) -> io::Result<()> {
    keeping_parent_time(hidden, || remove_if_empty(hidden))
}

/// Removes an empty directory; leaves one that is not, since another transaction uses it.
fn remove_if_empty(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir(path) {
        Err(e)
            if !matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Err(e)
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Removes a directory with all that is in it, whatever its mode and flags. Not being there is no
/// error.
pub(crate) fn remove_tree(path: &Path) -> Result<(), RemoveError> {
    let fail = |errno: Errno| RemoveError {
        path: path.to_path_buf(),
        source: errno.into(),
    };
    match open(path, directory_flags(), Mode::empty()) {
        Ok(top) => clear(top).map_err(fail)?,
        Err(Errno::ENOENT) => return Ok(()),
        Err(errno) => return Err(fail(errno)),
    }
    unlinkat(AT_FDCWD, path, UnlinkatFlags::RemoveDir).map_err(fail)
}

fn directory_flags() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC
}

/// Empties the directory. Trees that are too deep are moved up into it and removed in another pass.
fn clear(top: OwnedFd) -> Result<(), Errno> {
    let mut sweep = Sweep {
        top: top.try_clone().map_err(|_| Errno::last())?,
        moved: 0,
    };
    loop {
        let before = sweep.moved;
        let again = openat(&top, c".", directory_flags(), Mode::empty())?;
        sweep.empty(again, 0)?;
        if sweep.moved == before {
            return Ok(());
        }
    }
}

/// One removal under way.
struct Sweep {
    top: OwnedFd,
    /// How many subtrees were moved to the top, which also makes their names there.
    moved: u64,
}

impl Sweep {
    fn empty(&mut self, directory: OwnedFd, depth: usize) -> Result<(), Errno> {
        let mut directory = Dir::from_fd(directory)?;
        let entries: Vec<_> = directory
            .iter()
            .filter(
                |entry| !matches!(entry, Ok(e) if matches!(e.file_name().to_bytes(), b"." | b"..")),
            )
            .collect::<Result<_, _>>()?;
        for entry in entries {
            let name = entry.file_name();
            match entry.file_type() {
                Some(Type::Directory) => self.remove_directory(directory.as_fd(), name, depth)?,
                Some(_) => remove_file(directory.as_fd(), name)?,
                None => match remove_file(directory.as_fd(), name) {
                    Err(Errno::EISDIR) => self.remove_directory(directory.as_fd(), name, depth)?,
                    other => other?,
                },
            }
        }
        Ok(())
    }

    fn remove_directory(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &CStr,
        depth: usize,
    ) -> Result<(), Errno> {
        let remove = || unlinkat(parent, name, UnlinkatFlags::RemoveDir);
        match remove() {
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => {}
            Err(Errno::EPERM) => clear_protection(parent, name)?,
            other => return other,
        }
        if depth == MAX_OPEN_DEPTH {
            self.moved += 1;
            let place = format!("deep-{}-{}", std::process::id(), self.moved);
            return renameat(parent, name, &self.top, place.as_str());
        }
        let directory = openat(parent, name, directory_flags(), Mode::empty())?;
        self.empty(directory, depth + 1)?;
        remove()
    }
}

fn remove_file(parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    let remove = || unlinkat(parent, name, UnlinkatFlags::NoRemoveDir);
    match remove() {
        Err(Errno::EPERM) => {
            clear_protection(parent, name)?;
            remove()
        }
        other => other,
    }
}

/// Takes `chattr +i` and `+a` off the object and off the directory that holds it.
fn clear_protection(parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    let clear = |file: BorrowedFd<'_>| {
        set_inode_flags(file, inode_flags(file)? & !(FLAG_IMMUTABLE | FLAG_APPEND))
    };
    clear(parent)?;
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    match openat(parent, name, flags, Mode::empty()) {
        Ok(file) => clear(file.as_fd()),
        // A link, socket or device without driver cannot have the flags.
        Err(Errno::ELOOP | Errno::ENXIO | Errno::ENODEV) => Ok(()),
        Err(errno) => Err(errno),
    }
}
