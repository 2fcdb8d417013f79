//! The lock that a daemon holds as long as it lives. Not the host lock. Upholds: one daemon on a
//! home; after `kill -9` nothing stale is believed, since the kernel frees the lock.
//!
//! It is a record lock of fcntl(2), since F_GETLK names the process that holds one, and asking takes
//! nothing. Two properties must be kept in mind: closing *any* descriptor of the file gives up the lock, so
//! the daemon opens it once; and a process never sees its own lock.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::durable::{FileError, PRIVATE_FILE_MODE};
use crate::model::Home;

/// How often a lock is tried that only somebody who waits for a daemon's end holds for a moment.
const TRIES: usize = 1000;

/// The lock; given up when it is dropped or the process ends.
#[derive(Debug)]
#[must_use = "the lock is given up when it is dropped"]
pub struct DaemonLock {
    _file: File,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum DaemonLockError {
    /// Another daemon runs.
    #[error("the daemon is already running, process {pid}")]
    Running {
        /// Its process; 0 when it is in a pid namespace that cannot be seen from here.
        pid: u32,
    },
    /// The lock is held again and again for a moment by others.
    #[error("{} stays busy", path.display())]
    Busy {
        /// The lock file.
        path: PathBuf,
    },
    /// The system refused an operation.
    #[error(transparent)]
    File(#[from] FileError),
}

impl DaemonLock {
    /// Takes the lock; the file is made when missing. Call it once in a process.
    pub fn take(home: &Home) -> Result<Self, DaemonLockError> {
        let path = home.daemon_lock();
        let file = opened(&path)?;
        for _ in 0..TRIES {
            match fcntl(&file, FcntlArg::F_SETLK(&whole_file(libc::F_WRLCK))) {
                Ok(_) => return Ok(Self { _file: file }),
                Err(Errno::EAGAIN | Errno::EACCES) => {}
                Err(errno) => return Err(failed("lock", &path, errno).into()),
            }
            if let Some(pid) = writer(&file, &path)? {
                return Err(DaemonLockError::Running { pid });
            }
            std::thread::yield_now();
        }
        Err(DaemonLockError::Busy { path })
    }
}

/// The process of the daemon that runs on this home, if one does; 0 when it cannot be named here.
/// Never call it in the daemon itself.
pub fn running_daemon(home: &Home) -> Result<Option<u32>, FileError> {
    let path = home.daemon_lock();
    match File::open(&path) {
        Ok(file) => writer(&file, &path),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(FileError::of("open", &path)(e)),
    }
}

/// Waits until no daemon runs on this home, however long that takes.
pub(super) fn wait_for_end(home: &Home) -> Result<(), FileError> {
    let path = home.daemon_lock();
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(FileError::of("open", &path)(e)),
    };
    loop {
        // Shared, so that those who wait do not wait for each other, and no one takes them for a daemon.
        match fcntl(&file, FcntlArg::F_SETLKW(&whole_file(libc::F_RDLCK))) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(failed("wait for the lock of", &path, errno)),
        }
    }
}

fn opened(path: &Path) -> Result<File, FileError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.mode(PRIVATE_FILE_MODE).open(path);
    file.map_err(FileError::of("open", path))
}

/// The process that holds the exclusive lock.
fn writer(file: &File, path: &Path) -> Result<Option<u32>, FileError> {
    let mut asked = whole_file(libc::F_RDLCK);
    fcntl(file, FcntlArg::F_GETLK(&mut asked))
        .map_err(|e| failed("ask for the lock of", path, e))?;
    let is_free = libc::c_int::from(asked.l_type) == libc::F_UNLCK;
    Ok((!is_free).then(|| u32::try_from(asked.l_pid).unwrap_or(0)))
}

fn failed(operation: &'static str, path: &Path, errno: Errno) -> FileError {
    FileError::of(operation, path)(errno.into())
}

/// A lock of the whole file, whatever its length becomes.
fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock {
        // The constants are small and fit the field on every Linux.
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}
