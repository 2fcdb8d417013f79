//! Putting several blobs at once. Upholds: no name points at bytes that are not durable; the number
//! of syncs does not grow with the number of blobs.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use isconf_sandbox::change::Digest;
use isconf_sandbox::commit::crash_point;
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
            next: 0,
        })
    }

    /// Adds bytes.
    pub fn add_bytes(&mut self, bytes: &[u8]) -> Result<Digest, StoreError> {
        self.add_reader(bytes).map(|(digest, _)| digest)
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
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        crash_point("store-written");
        // The bytes must be durable before a name says that they are a blob: without this a power
        // cut could leave an empty file under the name.
        sync_blobs(self.store, &waiting)?;
        crash_point("store-synced");
        // Always: whoever made the blobs' directories may have been stopped before this sync.
        let mut directories = BTreeSet::from([self.store.root().to_path_buf()]);
        for blob in &waiting {
            let path = self.store.path_of(&blob.digest);
            let directory = path.parent().unwrap_or(self.store.root()).to_path_buf();
            if !directories.contains(&directory) {
                make_directory(&directory)?;
                directories.insert(directory);
            }
            fs::rename(&blob.aside, &path).map_err(FileError::of("rename", &path))?;
        }
        crash_point("store-renamed");
        // The names must be durable before an entry refers to them. All renames are in one journal
        // transaction of the filesystem, so that one of these syncs pays for all.
        sync_at("blobs.names", || sync_directories(directories))
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
            drop_aside(aside);
        } else {
            self.waiting.push(Waiting { aside, digest });
        }
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
fn sync_directories(directories: BTreeSet<PathBuf>) -> Result<(), StoreError> {
    let paths: Vec<PathBuf> = directories.into_iter().collect();
    let open: Vec<File> = paths
        .iter()
        .map(|path| File::open(path).map_err(FileError::of("open", path)))
        .collect::<Result<_, _>>()?;
    sync_together(&open)
        .map_err(|(index, errno)| FileError::of("sync", &paths[index])(errno.into()))?;
    Ok(())
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
