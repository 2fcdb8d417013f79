//! Makes and removes the scratch directories of a transaction. Not for what the kernel and commit
//! put into them. Upholds: removal never follows a link and never leaves the scratch directory;
//! the live directory above keeps its time of modification.
//!
//! Nothing here is synced: a scratch directory that a power cut leaves behind, or half made, is
//! dropped by the next start (`sweep`); commit syncs what it relies on.

use std::ffi::CStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open};
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, fchmodat, mknod, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, unlinkat};

use super::hidden::{hidden_directory, is_roots_own};
use super::step::c_string;
use crate::fs::{self, Dir};
use crate::layout::{Layout, Volume};
use crate::sys::files::set_xattr_at;

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
    let hidden = hidden_directory(volume, layout).filter(|h| h.parent() == Some(&live));
    if let Some(name) = hidden.as_deref().and_then(Path::file_name) {
        let path = upper.join(name);
        // An overlay takes a character device 0:0 in the upper layer as "there is no such name".
        mknod(&path, SFlag::S_IFCHR, Mode::empty(), 0)
            .map_err(|errno| ("make the whiteout", path, errno.into()))?;
    }
    dress(&upper, &live, &status).map_err(|e| ("copy the attributes of the root to", upper, e))
}

/// Makes `<mount>/.isconf/<tx>` unless it is there, for what a commit copies beside the live tree;
/// the mount's root keeps its time of modification.
pub(crate) fn make_beside(transaction: &Path) -> io::Result<()> {
    let hidden = transaction.parent().unwrap_or(transaction);
    make_hidden(hidden, transaction).map_err(|(_, _, e)| e)
}

/// How often a hidden directory is made that other transactions make or remove at that very moment.
/// An attempt takes microseconds, and one lost is another's gain: 20 were too few for three that do
/// nothing else, on two cores. What an ordinary user puts there ends it at once.
const ATTEMPTS: usize = 1000;

/// Makes `<mount>/.isconf` and the transaction's directory in it; leaves the mount's root with its
/// time of modification.
fn make_hidden(hidden: &Path, transaction: &Path) -> Result<(), Failed> {
    let mut attempts = 1;
    loop {
        let made = make_hidden_once(hidden, transaction);
        let is_passing = |e: &io::Error| {
            matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
            )
        };
        match made {
            Err((_, _, e)) if is_passing(&e) && attempts < ATTEMPTS => attempts += 1,
            made => return made,
        }
    }
}

fn make_hidden_once(hidden: &Path, transaction: &Path) -> Result<(), Failed> {
    let fail = |operation, e| (operation, hidden.to_path_buf(), e);
    match std::fs::symlink_metadata(hidden) {
        Ok(status) if is_roots_own(&status) => {}
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
    let upper = c_string(upper.as_os_str().as_bytes().to_vec());
    for (name, value) in fs::read_xattrs(Dir::open(live)?.at(b""))? {
        // Those of an overlay say something about the live directory's place in a stack.
        if !name.starts_with(b"trusted.overlay.") {
            set_xattr_at(&upper, &c_string(name), &value)?;
        }
    }
    Ok(())
}

/// Removes everything the transaction has on any volume, its own directory last. What is not there
/// is no error.
pub(crate) fn remove_scratch(directory: &Path, scratches: &[PathBuf]) -> Result<(), RemoveError> {
    remove_volumes(directory, scratches)?;
    remove_tree(directory)
}

/// Removes these scratch directories, and the hidden directories that hold nothing more.
pub(crate) fn remove_volumes(directory: &Path, scratches: &[PathBuf]) -> Result<(), RemoveError> {
    clear_volumes(directory, scratches)?;
    for scratch in scratches.iter().filter(|s| !s.starts_with(directory)) {
        if let Some(hidden) = scratch.parent().and_then(Path::parent) {
            remove_hidden_if_empty(hidden).map_err(|e| not_removed(hidden, e))?;
        }
    }
    Ok(())
}

/// Removes these scratch directories, and leaves the hidden directories.
pub(crate) fn clear_volumes(directory: &Path, scratches: &[PathBuf]) -> Result<(), RemoveError> {
    for scratch in scratches {
        if scratch.starts_with(directory) {
            remove_volume(scratch)?;
            continue;
        }
        let Some(tx) = scratch.parent() else { continue };
        if tx.parent().is_some_and(is_ours) {
            remove_volume(scratch)?;
            remove_if_empty(tx).map_err(|e| not_removed(tx, e))?;
        }
    }
    Ok(())
}

fn not_removed(path: &Path, source: io::Error) -> RemoveError {
    RemoveError {
        path: path.to_path_buf(),
        source,
    }
}

/// Whether the hidden directory is one that we made. At the top of a volume where others may write
/// the name can be somebody else's by now, and a link: then nothing of ours is below it. Whatever mode
/// it was given since.
fn is_ours(hidden: &Path) -> bool {
    std::fs::symlink_metadata(hidden).is_ok_and(|status| status.is_dir() && status.uid() == 0)
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
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    if let Ok(top) = open(scratch, flags, Mode::empty()) {
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
    match is_ours(hidden) {
        true => keeping_parent_time(hidden, || remove_if_empty(hidden)),
        false => Ok(()),
    }
}

/// Removes an empty directory; leaves one that is not, since another transaction uses it, and what
/// somebody put there after ours was gone.
fn remove_if_empty(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir(path) {
        Err(e)
            if !matches!(
                e.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::DirectoryNotEmpty
                    | io::ErrorKind::NotADirectory
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
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(fail(Errno::EINVAL));
    };
    match Dir::open(parent) {
        Ok(parent) => fs::remove_tree(parent.at(name.as_bytes())).map_err(fail),
        // Somebody's file or link in the place of a hidden directory that is gone.
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(()),
        Err(errno) => Err(fail(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A place for a hidden directory; `None` where this is not root.
    fn top() -> Option<tempfile::TempDir> {
        let top = tempfile::tempdir().unwrap();
        (fs::metadata(top.path()).unwrap().uid() == 0).then_some(top)
    }

    #[test]
    fn a_name_that_is_somebody_elses_by_now_is_left_and_keeps_nothing_from_being_removed() {
        let Some(top) = top() else { return };
        let (hidden, other) = (top.path().join(".isconf"), top.path().join("other"));
        let scratch = hidden.join("tx/v1");
        let theirs = other.join("tx/v1/theirs");
        fs::create_dir_all(theirs.parent().unwrap()).unwrap();
        fs::write(&theirs, b"").unwrap();
        let remove = || remove_volumes(Path::new("/nowhere"), std::slice::from_ref(&scratch));
        remove().unwrap();
        symlink(&other, &hidden).unwrap();
        remove().unwrap();
        remove_hidden_if_empty(&hidden).unwrap();
        fs::remove_file(&hidden).unwrap();
        fs::write(&hidden, b"").unwrap();
        remove().unwrap();
        remove_hidden_if_empty(&hidden).unwrap();
        remove_tree(&scratch).unwrap();
        assert!(theirs.exists() && hidden.exists());
        assert!(make_beside(&hidden.join("tx")).is_err());
    }

    #[test]
    fn what_lies_in_a_hidden_directory_that_somebody_opened_is_removed() {
        let Some(top) = top() else { return };
        let scratch = top.path().join(".isconf/tx/v1");
        make_beside(scratch.parent().unwrap()).unwrap();
        fs::create_dir_all(scratch.join("upper/tree")).unwrap();
        let everybody = fs::Permissions::from_mode(0o755);
        fs::set_permissions(top.path().join(".isconf"), everybody).unwrap();
        remove_volumes(Path::new("/nowhere"), std::slice::from_ref(&scratch)).unwrap();
        assert_eq!(fs::read_dir(top.path()).unwrap().count(), 0);
    }

    #[test]
    fn two_that_make_and_remove_the_same_hidden_directory_do_not_disturb_each_other() {
        let Some(top) = top() else { return };
        let hidden = top.path().join(".isconf");
        std::thread::scope(|scope| {
            for name in ["a", "b", "c"] {
                let (tx, hidden) = (hidden.join(name), hidden.clone());
                scope.spawn(move || {
                    for _ in 0..300 {
                        make_hidden(&hidden, &tx).unwrap();
                        remove_if_empty(&tx).unwrap();
                        remove_hidden_if_empty(&hidden).unwrap();
                    }
                });
            }
        });
        assert!(!hidden.exists());
    }
}
