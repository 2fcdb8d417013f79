//! The directory in which a throwaway host keeps its images, and the sweep that removes those of
//! makers that died. Upholds: nothing of a host is left behind for longer than until the next one
//! is made. A directory is in use as long as its maker holds the lock on it.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::HostError;

/// The start of every directory's name.
const PREFIX: &str = "isconf-host-";

/// Room that a place must have: enough for the largest file of a test, twice.
const ROOM: u64 = 4 << 30;

/// A locked directory that is removed when dropped.
#[derive(Debug)]
pub(super) struct WorkDir {
    path: PathBuf,
    /// Keeps the lock; the kernel drops it with the process.
    lock: File,
}

impl WorkDir {
    /// Removes what dead makers left, and makes a fresh directory, in the usual place unless
    /// another is named.
    ///
    /// # Errors
    /// Says which file could not be used.
    pub(super) fn create(named: Option<&Path>) -> Result<Self, HostError> {
        /// Tells the hosts of one process apart.
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let place = named.map_or_else(place, Path::to_owned);
        sweep(&place);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}{number}", prefix());
        let path = place.join(&name);
        // Locked under a name that no sweep looks at, so that no sweep can find it unlocked.
        let aside = place.join(format!(".{name}"));
        fs::create_dir(&aside).map_err(|source| HostError::file(&aside, source))?;
        let lock = File::open(&aside).map_err(|source| HostError::file(&aside, source))?;
        lock.lock()
            .map_err(|source| HostError::file(&aside, source))?;
        fs::rename(&aside, &path).map_err(|source| HostError::file(&path, source))?;
        for name in ["root", "base"] {
            let dir = path.join(name);
            fs::create_dir(&dir).map_err(|source| HostError::file(&dir, source))?;
        }
        Ok(Self { path, lock })
    }

    /// Returns where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        remove(&self.path);
        // Fails only if the lock is gone already, which is what is wanted.
        let _unlocked = self.lock.unlock();
    }
}

/// Returns the start of the names of this process's directories.
pub(super) fn prefix() -> String {
    format!("{PREFIX}{}-", std::process::id())
}

/// Lists the directories that this process has made and not removed yet.
pub(super) fn ours() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(place()) else {
        return Vec::new();
    };
    let ours = prefix();
    let paths = entries.flatten().map(|entry| entry.path());
    paths
        .filter(|path| path.to_string_lossy().contains(&ours))
        .collect()
}

/// Chooses memory where there is enough of it, and the place for temporary files elsewhere.
pub(super) fn place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    match rustix::fs::statvfs(memory) {
        Ok(stat) if stat.f_bavail.saturating_mul(stat.f_frsize) >= ROOM => memory.to_owned(),
        Ok(_) | Err(_) => std::env::temp_dir(),
    }
}

/// Removes the directories whose makers are dead.
fn sweep(place: &Path) {
    // A place that cannot be read is reported by the creation that follows.
    let Ok(entries) = fs::read_dir(place) else {
        return;
    };
    for entry in entries.flatten() {
        if !entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(PREFIX.as_bytes())
        {
            continue;
        }
        let Ok(dir) = File::open(entry.path()) else {
            continue;
        };
        match dir.try_lock() {
            Ok(()) => remove(&entry.path()),
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
        }
    }
}

/// Removes a directory, unless something is mounted in it here: hosts mount in namespaces of their
/// own, so a mount means that this is not ours to delete.
fn remove(path: &Path) {
    let Ok(mounts) = fs::read_to_string("/proc/self/mountinfo") else {
        return;
    };
    if mounts.contains(&*path.to_string_lossy()) {
        return;
    }
    // The next sweep tries again.
    let _left_for_the_next_sweep = fs::remove_dir_all(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_directory_is_gone_and_a_living_one_survives_the_sweep() {
        let living = WorkDir::create(None).unwrap();
        let dropped = WorkDir::create(None).unwrap();
        let path = dropped.path().to_owned();
        drop(dropped);
        sweep(&place());
        assert!(!path.exists());
        assert!(living.path().exists());
    }

    #[test]
    fn a_directory_whose_maker_is_dead_is_swept() {
        let left = place().join(format!("{PREFIX}0-dead"));
        fs::create_dir(&left).unwrap();
        sweep(&place());
        assert!(!left.exists());
    }
}
