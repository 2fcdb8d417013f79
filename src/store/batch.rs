//! Putting several blobs at once. Upholds: no name points at bytes that are not durable; the number
//! of syncs does not grow with the number of blobs.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use isconf_sandbox::change::Digest;
use isconf_sandbox::commit::{Companion, CompanionError, crash_point};
use isconf_sandbox::fs::{sync_at, sync_together};
use sha2::{Digest as _, Sha256};

use super::blobs::{CHUNK_BYTES, Store, StoreError, TMP};
use crate::durable::{self, FileError, PRIVATE_DIRECTORY_MODE, PRIVATE_FILE_MODE};

/// From this number of blobs on, one syncfs(2) is cheaper than a sync of each, though it waits for
/// what others wrote to the filesystem too.
const SYNCFS_FROM: usize = 64;

/// How much is copied at once, in bytes: well below a second on slow disks, and a multiple of every
/// block size, so that blocks can be shared.
const COPY_BYTES: u64 = 8 << 20;

/// Blobs being put; they are there when it is finished. Dropped unfinished, nothing was put.
#[derive(Debug)]
#[must_use = "blobs are stored only when the batch is finished"]
pub struct Batch<'a> {
    store: &'a Store,
    tmp: PathBuf,
    /// Written aside and not in place yet.
    waiting: Vec<Waiting>,
    /// Directories with names of blobs that were there already: who gave them may have been stopped
    /// before the sync.
    known: BTreeSet<PathBuf>,
    /// The number of the next name aside.
    next: u64,
}

/// A blob written aside.
#[derive(Debug)]
struct Waiting {
    aside: PathBuf,
    digest: Digest,
}

impl<'a> Batch<'a> {
    /// Makes the store's directories.
    pub(super) fn begin(store: &'a Store) -> Result<Self, StoreError> {
        let tmp = store.root().join(TMP);
        durable::create_directories(&tmp)?;
        Ok(Self {
            store,
            tmp,
            waiting: Vec::new(),
            known: BTreeSet::new(),
            next: 0,
        })
    }

    /// Adds bytes.
    pub fn add_bytes(&mut self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        if self.store.has_length(&digest, bytes.len() as u64) {
            self.known.insert(self.directory_of(&digest));
            return Ok(digest);
        }
        let (aside, mut file) = self.create_aside()?;
        if let Err(e) = file.write_all(bytes) {
            let error = FileError::of("write", &aside)(e);
            drop_aside(aside);
            return Err(error.into());
        }
        self.add_aside(aside, digest, bytes.len() as u64);
        Ok(digest)
    }

    /// Adds all that `reader` gives, hashing while it is written. Returns digest and length.
    pub fn add_reader(&mut self, mut reader: impl Read) -> Result<(Digest, u64), StoreError> {
        let (aside, mut file) = self.create_aside()?;
        let (mut hash, mut total) = (Sha256::new(), 0);
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let got = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(got) => got,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => {
                    drop_aside(aside);
                    return Err(StoreError::Source(e));
                }
            };
            hash.update(&buffer[..got]);
            total += got as u64;
            if let Err(e) = file.write_all(&buffer[..got]) {
                let error = FileError::of("write", &aside)(e);
                drop_aside(aside);
                return Err(error.into());
            }
        }
        let digest = Digest::from_bytes(hash.finalize().into());
        self.add_aside(aside, digest, total);
        Ok((digest, total))
    }

    /// Adds a file's content from its current position on. The kernel copies (and shares the storage
    /// where the filesystem can); the copy is what is hashed, so that a file that changes meanwhile
    /// cannot make a blob of the wrong name. Tells the length of each piece that was copied, and
    /// again when it is hashed.
    pub fn add_file(
        &mut self,
        source: &mut File,
        tell: &mut dyn FnMut(u64),
    ) -> Result<(Digest, u64), StoreError> {
        let (aside, mut file) = self.create_aside()?;
        let hashed = copy_telling(source, &mut file, tell)
            .map_err(StoreError::Source)
            .and_then(|()| {
                let digest = file.rewind();
                let digest = digest.and_then(|()| Digest::of_reader_telling(&file, tell));
                Ok(digest.map_err(FileError::of("read", &aside))?)
            });
        match hashed {
            Ok((digest, total)) => {
                self.add_aside(aside, digest, total);
                Ok((digest, total))
            }
            Err(error) => {
                drop_aside(aside);
                Err(error)
            }
        }
    }

    /// Puts all blobs in place, durably.
    pub fn finish(mut self) -> Result<(), StoreError> {
        if !self.waiting.is_empty() {
            crash_point("store-written");
            // The bytes must be durable before a name says that they are a blob: without this a
            // power cut could leave an empty file under the name.
            sync_blobs(self.store, &self.waiting)?;
        }
        let directories = self.rename()?;
        // The names must be durable before an entry refers to them. All renames are in one journal
        // transaction of the filesystem, so that one of these syncs pays for all.
        sync_at("blobs.names", || sync_directories(&directories))
    }

    /// Gives the blobs, whose bytes are durable, their names; tells the directories of the names.
    fn rename(&mut self) -> Result<BTreeSet<PathBuf>, FileError> {
        let mut directories = std::mem::take(&mut self.known);
        // Always: whoever made the blobs' directories may have been stopped before their sync.
        directories.insert(self.store.root().to_path_buf());
        if self.waiting.is_empty() {
            return Ok(directories);
        }
        crash_point("store-synced");
        for blob in &self.waiting {
            let path = self.store.path_of(&blob.digest);
            let directory = self.directory_of(&blob.digest);
            if !directories.contains(&directory) {
                make_directory(&directory)?;
                directories.insert(directory);
            }
            fs::rename(&blob.aside, &path).map_err(FileError::of("rename", &path))?;
        }
        self.waiting.clear();
        crash_point("store-renamed");
        Ok(directories)
    }

    fn directory_of(&self, digest: &Digest) -> PathBuf {
        let path = self.store.path_of(digest);
        path.parent().unwrap_or(self.store.root()).to_path_buf()
    }

    /// Makes a file with a name of its own: other processes and batches have other numbers, and a
    /// leftover of a process with the same number is passed over.
    fn create_aside(&mut self) -> Result<(PathBuf, File), StoreError> {
        loop {
            let name = format!("{}.{}", std::process::id(), self.next);
            self.next += 1;
            let aside = self.tmp.join(name);
            let opened = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(PRIVATE_FILE_MODE)
                .open(&aside);
            match opened {
                Ok(file) => return Ok((aside, file)),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(FileError::of("create", &aside)(e).into()),
            }
        }
    }

    /// Notes a blob that was written aside, or drops it if the store has it.
    fn add_aside(&mut self, aside: PathBuf, digest: Digest, length: u64) {
        if self.store.has_length(&digest, length) {
            self.known.insert(self.directory_of(&digest));
            drop_aside(aside);
        } else {
            self.waiting.push(Waiting { aside, digest });
        }
    }
}

/// A few blobs that go with a commit, which does their syncs with its own.
impl Companion for Batch<'_> {
    fn contents(&self) -> Result<Vec<File>, CompanionError> {
        if !self.waiting.is_empty() {
            crash_point("store-written");
        }
        Ok(open_all(self.waiting.iter().map(|blob| &blob.aside))?)
    }

    fn place(&mut self) -> Result<Vec<File>, CompanionError> {
        Ok(open_all(&self.rename()?)?)
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.waiting
            .drain(..)
            .for_each(|blob| drop_aside(blob.aside));
    }
}

/// Copies by the kernel, in pieces between which it can be told how far it is.
fn copy_telling(from: &mut File, to: &mut File, tell: &mut dyn FnMut(u64)) -> io::Result<()> {
    loop {
        match io::copy(&mut from.take(COPY_BYTES), to)? {
            0 => return Ok(()),
            copied => tell(copied),
        }
    }
}

/// Removes a file that was written aside. One that stays costs space until the next upkeep.
fn drop_aside(aside: PathBuf) {
    let _removed_by_upkeep_otherwise = fs::remove_file(aside);
}

/// Makes a directory for blobs unless it is there. Its own name is made durable with those of the
/// blobs in it: nothing refers to them before both are.
fn make_directory(directory: &Path) -> Result<(), FileError> {
    match DirBuilder::new()
        .mode(PRIVATE_DIRECTORY_MODE)
        .create(directory)
    {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            Err(FileError::of("create", directory)(e))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes the names in these directories durable.
fn sync_directories(directories: &BTreeSet<PathBuf>) -> Result<(), StoreError> {
    let open = open_all(directories)?;
    sync_together(&open).map_err(|(index, errno)| {
        let path = directories.iter().nth(index);
        FileError::of("sync", path.map_or(Path::new(""), PathBuf::as_path))(errno.into())
    })?;
    Ok(())
}

fn open_all<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> Result<Vec<File>, FileError> {
    let open = |path: &'p PathBuf| File::open(path).map_err(FileError::of("open", path));
    paths.into_iter().map(open).collect()
}

/// Syncs each blob, or their filesystem when there are many.
fn sync_blobs(store: &Store, blobs: &[Waiting]) -> Result<(), StoreError> {
    if blobs.len() >= SYNCFS_FROM {
        let root = File::open(store.root()).map_err(FileError::of("open", store.root()))?;
        sync_at("blobs.filesystem", || nix::unistd::syncfs(&root))
            .map_err(|errno| FileError::of("sync", store.root())(errno.into()))?;
        return Ok(());
    }
    for Waiting { aside, .. } in blobs {
        sync_at("blobs.bytes", || File::open(aside)?.sync_all())
            .map_err(FileError::of("sync", aside))?;
    }
    Ok(())
}
