//! Holds the package manager's live locks while its files change. Not for the locks inside a
//! scratchpad, which live processes do not see. Upholds: a commit never races with a running
//! dpkg(1) or apt(8). The files and their kind of lock are those of dpkg and apt (`lock-frontend`:
//! dpkg's doc/frontend.txt).

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use crate::change::{ChangeSet, RelPath};

/// The lock files, in the order in which the package tools themselves take them.
const LOCKS: &[&str] = &[
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/lock",
    "var/lib/apt/lists/lock",
    "var/cache/apt/archives/lock",
];

/// Changes below these need the locks.
const GUARDED: &[&str] = &["var/lib/dpkg", "var/lib/apt"];

/// The locks were not had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageLockError {
    /// Another process has one.
    #[error("{path} is locked by process {pid}")]
    Busy {
        /// The lock.
        path: PathBuf,
        /// Who has it; 0 when it was given up while we asked.
        pid: i32,
    },
    /// One could not be opened or asked for.
    #[error("cannot lock {path}")]
    Failed {
        /// The lock.
        path: PathBuf,
        /// Why.
        #[source]
        errno: Errno,
    },
}

/// The locks, held until this is dropped.
#[derive(Debug)]
#[must_use = "the locks are given up when this is dropped"]
pub struct PackageLocks {
    _files: Vec<File>,
}

/// Takes the live locks when the change set touches what they guard; those that do not exist are
/// not needed.
pub fn package_locks(root: &Path, set: &ChangeSet) -> Result<PackageLocks, PackageLockError> {
    let mut files = Vec::new();
    if needs_locks(set) {
        for lock in LOCKS {
            files.extend(take(root.join(lock))?);
        }
    }
    Ok(PackageLocks { _files: files })
}

/// Whether a change set touches the package manager's files. Pure.
fn needs_locks(set: &ChangeSet) -> bool {
    let guarded: Vec<RelPath> = GUARDED
        .iter()
        .filter_map(|p| RelPath::new(*p).ok())
        .collect();
    set.changes()
        .iter()
        .any(|change| guarded.iter().any(|top| change.path.starts_with(top)))
}

fn take(path: PathBuf) -> Result<Option<File>, PackageLockError> {
    let failed = |path: &Path, errno| PackageLockError::Failed {
        path: path.to_path_buf(),
        errno,
    };
    let file = match OpenOptions::new().read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => {
            let errno = Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO));
            return Err(failed(&path, errno));
        }
    };
    let mut whole = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match fcntl(&file, FcntlArg::F_SETLK(&whole)) {
        Ok(_) => Ok(Some(file)),
        Err(Errno::EAGAIN | Errno::EACCES) => {
            fcntl(&file, FcntlArg::F_GETLK(&mut whole)).map_err(|errno| failed(&path, errno))?;
            let pid = whole.l_pid;
            Err(PackageLockError::Busy { path, pid })
        }
        Err(errno) => Err(failed(&path, errno)),
    }
}
