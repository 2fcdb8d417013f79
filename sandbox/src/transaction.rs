//! The transaction's directory below the home, as a thing that cleans up after itself: lock, list
//! of scratch directories, markers, removal, and the sweeping up of what a killed isconf left. Not
//! for what lies in the scratch directories. Upholds: one process owns a transaction; what nobody
//! owns and nothing marks is removed.
//!
//! ```text
//! home/scratch/<tx>/lock      flock(2) held by the owner
//!                  /volumes   the scratch directories on all volumes, before any is made
//!                  /keep      spared by sweep: a person wants it
//!                  /intent, /done   spared by sweep: recovery and undo decide (see `commit`)
//! ```

use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::change::Timestamp;
use crate::commit::RECORD_FILES;
use crate::layout::{HOME_SCRATCH_DIR, Layout, TxId, Volume};
use crate::mounts::{RemoveError, clear_volumes, remove_scratch, remove_volumes};
use crate::volumes_file::{self, VolumesError};

const LOCK: &str = "lock";
const KEEP: &str = "keep";

/// The transaction's directory could not be made or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}", path.display())]
pub struct DirectoryError {
    /// What was tried.
    pub operation: &'static str,
    /// With which path.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub source: io::Error,
}

/// A scratchpad could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// Where it lies could not be written down.
    #[error(transparent)]
    Volumes(#[from] VolumesError),
    /// It could not be marked.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// The scratch directories could not be removed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DiscardError(#[from] RemoveError);

/// Abandoned transactions could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// A directory or file could not be read.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A list of scratch directories cannot be used.
    #[error(transparent)]
    Volumes(#[from] VolumesError),
    /// Something could not be removed.
    #[error(transparent)]
    Remove(#[from] RemoveError),
}

/// A transaction that this process owns. Dropping it removes its directories on all volumes.
#[derive(Debug)]
pub(crate) struct Transaction {
    home: PathBuf,
    directory: PathBuf,
    volumes: Vec<Volume>,
    is_released: bool,
    lock: Flock<File>,
}

fn failed<'a>(
    operation: &'static str,
    path: &'a Path,
) -> impl Fn(io::Error) -> DirectoryError + use<'a> {
    move |source| DirectoryError {
        operation,
        path: path.to_path_buf(),
        source,
    }
}

impl Transaction {
    /// Makes the home if need be, and the transaction's directory, locked.
    pub(crate) fn make(home: &Path, tx: &TxId) -> Result<Self, DirectoryError> {
        let scratch = home.join(HOME_SCRATCH_DIR);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&scratch)
            .map_err(failed("make the directory", &scratch))?;
        let home = std::fs::canonicalize(home).map_err(failed("resolve", home))?;
        let scratch = home.join(HOME_SCRATCH_DIR);
        // Keeps sweep away between the making of the directory and its lock.
        let _making = lock(&scratch, FlockArg::LockShared)?;
        let directory = scratch.join(tx.as_str());
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .map_err(failed("make the directory", &directory))?;
        let lock = lock_file(&directory).inspect_err(|_| {
            // The error that is returned matters more, and sweep will come by.
            let _ = std::fs::remove_dir_all(&directory);
        })?;
        Ok(Self {
            home,
            directory,
            volumes: Vec::new(),
            is_released: false,
            lock,
        })
    }

    /// The home without symbolic links.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Writes down where the scratch directories will be, so that they can be found when this
    /// process is killed.
    pub(crate) fn record_volumes(&mut self, layout: &Layout) -> Result<(), VolumesError> {
        // Those of an earlier attempt stay in the list, since something of them may be there.
        for volume in &layout.volumes {
            if !self.volumes.iter().any(|v| v.scratch == volume.scratch) {
                self.volumes.push(volume.clone());
            }
        }
        volumes_file::write(&self.directory, &self.volumes)
    }

    /// Changes a file of the transaction and gives the time that the kernel stamped it with: what
    /// changes from now on has this time or a later one. No clock tells that, because a kernel with
    /// multigrain timestamps (Linux 6.13) stamps between the ticks of the coarse clock what was
    /// looked at before; so the file is looked at before, too.
    pub(crate) fn stamp(&self) -> Result<Timestamp, DirectoryError> {
        let path = self.directory.join(LOCK);
        let stamped = || {
            let mode = self.lock.metadata()?.permissions();
            self.lock.set_permissions(mode)?;
            self.lock.metadata()
        };
        let status = stamped().map_err(failed("stamp", &path))?;
        Ok(Timestamp {
            secs: status.ctime(),
            nanos: status.ctime_nsec() as u32,
        })
    }

    /// Removes the scratch directories that were made, and leaves the transaction itself.
    pub(crate) fn clear(&self) -> Result<(), DirectoryError> {
        for volume in &self.volumes {
            crate::mounts::remove_tree(&volume.scratch).map_err(|error| DirectoryError {
                operation: "remove",
                path: error.path,
                source: error.source,
            })?;
        }
        Ok(())
    }

    /// Removes everything.
    pub(crate) fn discard(mut self) -> Result<(), DiscardError> {
        self.is_released = true;
        let scratches = scratches(std::mem::take(&mut self.volumes));
        Ok(remove_scratch(&self.directory, &scratches)?)
    }

    /// Marks the transaction as wanted, with all that is needed to find `layout` again, and lets go
    /// of it.
    pub(crate) fn keep(mut self, layout: &Layout) -> Result<(), KeepError> {
        volumes_file::keep(&self.directory, &layout.volumes)?;
        let path = self.directory.join(KEEP);
        File::create(&path).map_err(failed("make", &path))?;
        self.is_released = true;
        Ok(())
    }

    /// Lets go of the transaction, of which only the volumes of `layout` are still needed.
    pub(crate) fn release_but(mut self, layout: &Layout) -> Unneeded {
        self.is_released = true;
        let is_needed = |own: &Volume| layout.volumes.iter().any(|v| v.scratch == own.scratch);
        let mut unneeded = std::mem::take(&mut self.volumes);
        unneeded.retain(|own| !is_needed(own));
        Unneeded {
            directory: self.directory.clone(),
            scratches: scratches(unneeded),
        }
    }

    /// Lets go of the transaction without removing anything.
    pub(crate) fn release(mut self) {
        self.is_released = true;
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // Once there is an intent, recovery decides; not even a fault of ours removes what it needs.
        if !self.is_released && !is_marked(&self.directory) {
            // Some other error is on its way to the user; what stays here is swept at the next start.
            let scratches = scratches(std::mem::take(&mut self.volumes));
            let _ = remove_scratch(&self.directory, &scratches);
        }
    }
}

/// Scratch directories of a committed transaction that no undo needs. What is not removed of them,
/// for whatever reason, goes with the undo copies.
#[derive(Debug)]
#[must_use = "they take room until they are removed"]
pub struct Unneeded {
    directory: PathBuf,
    scratches: Vec<PathBuf>,
}

impl Unneeded {
    /// Removes them.
    pub fn remove(self) {
        let _goes_with_the_undo_copies = remove_volumes(&self.directory, &self.scratches);
    }

    /// Removes them, and leaves the hidden directories that hold them, empty or not: making or
    /// removing one changes the top of its volume, where the next entry would see it if it is being
    /// run meanwhile. To be [removed](Self::remove) when it is not.
    pub fn cleared(self) -> Self {
        let _goes_with_the_undo_copies = clear_volumes(&self.directory, &self.scratches);
        self
    }
}

/// A kept scratchpad that nobody else commits or removes while this lasts.
#[derive(Debug)]
#[must_use = "the scratchpad is held as long as this value lasts"]
pub struct KeptHold {
    _lock: Flock<File>,
}

/// Takes the lock of a kept scratchpad's transaction, without waiting: to be had before it is
/// committed or its marker is removed, since `sweep` removes what has neither owner nor marker.
/// `EAGAIN` when somebody else has it; `ENOENT` when it is not kept any more.
pub fn hold_kept(directory: &Path) -> Result<KeptHold, DirectoryError> {
    let path = directory.join(LOCK);
    let file = File::open(&path).map_err(failed("open", &path))?;
    let lock = take(file, FlockArg::LockExclusiveNonblock)
        .map_err(|errno| failed("lock", &path)(errno.into()))?;
    let marker = directory.join(KEEP);
    std::fs::symlink_metadata(&marker).map_err(failed("find", &marker))?;
    Ok(KeptHold { _lock: lock })
}

/// The scratch directories of these volumes.
fn scratches(volumes: Vec<Volume>) -> Vec<PathBuf> {
    volumes.into_iter().map(|volume| volume.scratch).collect()
}

/// Takes a lock on a directory or file, waiting for it.
fn lock(path: &Path, how: FlockArg) -> Result<Flock<File>, DirectoryError> {
    let file = File::open(path).map_err(failed("open", path))?;
    take(file, how).map_err(|errno| failed("lock", path)(errno.into()))
}

fn take(mut file: File, how: FlockArg) -> Result<Flock<File>, Errno> {
    loop {
        match Flock::lock(file, how) {
            Ok(lock) => return Ok(lock),
            Err((same, Errno::EINTR)) => file = same,
            Err((_, errno)) => return Err(errno),
        }
    }
}

fn lock_file(directory: &Path) -> Result<Flock<File>, DirectoryError> {
    let path = directory.join(LOCK);
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed("make", &path))?;
    take(file, FlockArg::LockExclusiveNonblock).map_err(|errno| failed("lock", &path)(errno.into()))
}

/// Removes the transactions below the home that no process owns and no marker protects, on all
/// their volumes; gives their ids. A home that is not there has none.
pub fn sweep(home: &Path) -> Result<Vec<TxId>, SweepError> {
    let scratch = match std::fs::canonicalize(home) {
        Ok(home) => home.join(HOME_SCRATCH_DIR),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(failed("resolve", home)(e).into()),
    };
    let entries = match std::fs::read_dir(&scratch) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed("read", &scratch))?,
    };
    // Nobody is between making a transaction and locking it while this is held.
    let _sweeping = lock(&scratch, FlockArg::LockExclusive)?;
    let mut swept = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed("read", &scratch))?.file_name();
        if let Some(tx) = name.to_str().and_then(|name| name.parse::<TxId>().ok())
            && sweep_one(&scratch.join(&name), &tx)?
        {
            swept.push(tx);
        }
    }
    Ok(swept)
}

/// Whether the commit of the transaction in this directory was begun: it is a kept scratchpad no
/// more, whatever marker it has.
pub fn is_committed(directory: &Path) -> bool {
    RECORD_FILES
        .iter()
        .any(|record| directory.join(record).exists())
}

/// Whether the transaction is wanted, or was begun to be committed.
fn is_marked(directory: &Path) -> bool {
    directory.join(KEEP).exists() || is_committed(directory)
}

/// Removes one transaction if it is abandoned; says whether it was.
fn sweep_one(directory: &Path, tx: &TxId) -> Result<bool, SweepError> {
    if is_marked(directory) {
        return Ok(false);
    }
    let path = directory.join(LOCK);
    let _lock = match File::open(&path) {
        Ok(file) => match take(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Some(lock),
            Err(Errno::EAGAIN) => return Ok(false),
            Err(errno) => return Err(failed("lock", &path)(errno.into()).into()),
        },
        // Its owner was killed before it could make the lock, or while it removed everything.
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(failed("open", &path)(e).into()),
    };
    remove_owned(directory, tx)
}

/// Removes a transaction whose lock we have, or that has none, unless it is marked: until it was
/// ours, its owner may have kept it, or have begun to commit.
fn remove_owned(directory: &Path, tx: &TxId) -> Result<bool, SweepError> {
    if is_marked(directory) {
        return Ok(false);
    }
    let scratches = volumes_file::scratches(directory, tx)?;
    remove_scratch(directory, &scratches)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tx() -> TxId {
        TxId::from_parts(1, 2)
    }

    #[test]
    fn nothing_that_a_commit_may_need_is_swept() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join(HOME_SCRATCH_DIR).join(tx().as_str());
        std::fs::create_dir_all(&directory).unwrap();
        let states = [
            "intent",
            "rollback",
            "done",
            "undo-intent",
            "undo-rollback",
            "undone",
            "dropped",
        ];
        for state in states.iter().chain([&KEEP]) {
            let record = directory.join(state);
            std::fs::write(&record, b"").unwrap();
            assert_eq!(sweep(home.path()).unwrap(), [], "{state}");
            std::fs::remove_file(&record).unwrap();
        }
        assert_eq!(sweep(home.path()).unwrap(), [tx()]);
    }

    #[test]
    fn a_kept_scratchpad_that_is_held_is_neither_swept_nor_held_twice() {
        let home = tempfile::tempdir().unwrap();
        let kept = Transaction::make(home.path(), &tx()).unwrap();
        let directory = kept.directory.clone();
        assert!(hold_kept(&directory).is_err());
        let layout = Layout {
            tx: tx(),
            directory: directory.clone(),
            root: PathBuf::from("/"),
            volumes: Vec::new(),
        };
        kept.keep(&layout).unwrap();
        let hold = hold_kept(&directory).unwrap();
        assert!(hold_kept(&directory).is_err());
        std::fs::remove_file(directory.join(KEEP)).unwrap();
        assert_eq!(sweep(home.path()).unwrap(), []);
        drop(hold);
        assert!(hold_kept(&directory).is_err());
        assert_eq!(sweep(home.path()).unwrap(), [tx()]);
    }

    #[test]
    fn what_its_owner_marked_before_we_had_its_lock_stays() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join(tx().as_str());
        std::fs::create_dir(&directory).unwrap();
        for marker in [KEEP, "intent", "done"] {
            let marker = directory.join(marker);
            std::fs::write(&marker, b"").unwrap();
            assert!(!remove_owned(&directory, &tx()).unwrap());
            std::fs::remove_file(&marker).unwrap();
        }
        assert!(remove_owned(&directory, &tx()).unwrap());
        assert!(!directory.exists());
    }

    #[test]
    fn sweep_spares_owned_and_marked_transactions() {
        let home = tempfile::tempdir().unwrap();
        let owned = Transaction::make(home.path(), &TxId::from_parts(1, 1)).unwrap();
        let kept = Transaction::make(home.path(), &TxId::from_parts(2, 2)).unwrap();
        let layout = Layout {
            tx: TxId::from_parts(2, 2),
            directory: kept.directory.clone(),
            root: PathBuf::from("/"),
            volumes: Vec::new(),
        };
        kept.keep(&layout).unwrap();
        let abandoned = TxId::from_parts(3, 3);
        Transaction::make(home.path(), &abandoned)
            .unwrap()
            .release();
        assert_eq!(sweep(home.path()).unwrap(), [abandoned]);
        assert!(owned.directory.exists());
        let scratch = home.path().join(HOME_SCRATCH_DIR);
        drop(owned);
        assert_eq!(std::fs::read_dir(scratch).unwrap().count(), 1);
    }
}
