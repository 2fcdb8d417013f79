//! The store: reading blobs, and putting single ones. Upholds: what is read is what was put, or an
//! error; a damaged blob is set aside so that it can be fetched again.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use isconf_sandbox::change::Digest;
use sha2::{Digest as _, Sha256};

use super::Batch;
use crate::durable::{self, FileError};

/// The longest change set or manifest that is read from a store, in bytes: 100,000 objects with long
/// names and attributes.
pub const MAX_LIST_BYTES: u64 = 256 << 20;

/// How much of a blob is in memory at a time.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;

/// The directory for blobs that are being written.
pub(super) const TMP: &str = "tmp";

/// The directory for blobs that were found damaged.
pub(super) const CORRUPT: &str = "corrupt";

/// Why a blob was not stored or not read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused an operation.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no such blob.
    #[error("blob {0} is missing")]
    Missing(Digest),
    /// The blob's bytes are not those of its name. It was set aside.
    #[error("blob {expected} is damaged: it has digest {found}; set aside as {}", aside.display())]
    Corrupt {
        /// Its name.
        expected: Digest,
        /// The digest of its bytes.
        found: Digest,
        /// Where it is now.
        aside: PathBuf,
    },
    /// What arrived as the blob has another digest. It was dropped.
    #[error("what came as blob {expected} has digest {found}")]
    NotTheBlob {
        /// The blob.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// The blob is longer than the caller can take.
    #[error("blob {digest} has {found} bytes; at most {limit} are allowed")]
    TooLong {
        /// Which.
        digest: Digest,
        /// Its length.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// The source of a new blob could not be read.
    #[error("cannot read what is to be stored")]
    Source(#[source] io::Error),
    /// The receiver of a blob's bytes did not take them.
    #[error("cannot write the content of blob {digest}")]
    Receiver {
        /// Which.
        digest: Digest,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A content-addressed store of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store in `root` (see `Home::blobs`), which is made when something is put.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Its directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a blob lies if it is there.
    pub fn path_of(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.root.join(&name[..2]).join(name)
    }

    /// Whether the blob is there; its bytes are not looked at.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.path_of(digest).is_file()
    }

    /// Begins to put several blobs, which share their syncs.
    pub fn batch(&self) -> Result<Batch<'_>, StoreError> {
        Batch::begin(self)
    }

    /// Puts bytes; durable on return.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let mut batch = self.batch()?;
        let digest = batch.add_bytes(bytes)?;
        batch.finish()?;
        Ok(digest)
    }

    /// Puts all that `reader` gives, in constant memory; durable on return. Returns the digest and
    /// the length.
    pub fn put_reader(&self, reader: impl Read) -> Result<(Digest, u64), StoreError> {
        let mut batch = self.batch()?;
        let put = batch.add_reader(reader)?;
        batch.finish()?;
        Ok(put)
    }

    /// Puts a file's content from its current position on; the kernel shares the storage where the
    /// filesystem can. Durable on return.
    pub fn put_file(&self, file: &mut File) -> Result<(Digest, u64), StoreError> {
        let mut batch = self.batch()?;
        let put = batch.add_file(file, &mut |_| {})?;
        batch.finish()?;
        Ok(put)
    }

    /// Reads and verifies a whole blob of at most `limit` bytes.
    pub fn get(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, StoreError> {
        let found = self.length(digest)?;
        if found > limit {
            return Err(StoreError::TooLong {
                digest: *digest,
                found,
                limit,
            });
        }
        let mut bytes = Vec::new();
        self.copy_to(digest, &mut bytes)?;
        Ok(bytes)
    }

    /// Copies a blob's bytes, verifying as it goes; returns the length. On an error what was
    /// written already must not be used.
    pub fn copy_to(&self, digest: &Digest, writer: &mut impl Write) -> Result<u64, StoreError> {
        let file = self.open(digest)?;
        self.copy_verified(digest, &file, writer)
    }

    /// Opens a blob after all of it was verified; stands at its start. For readers that cannot
    /// take back what they read: it costs one more reading of the blob.
    pub fn open_verified(&self, digest: &Digest) -> Result<File, StoreError> {
        let mut file = self.open(digest)?;
        self.copy_verified(digest, &file, &mut io::sink())?;
        file.rewind()
            .map_err(FileError::of("seek", &self.path_of(digest)))?;
        Ok(file)
    }

    /// The length of a blob, in bytes.
    pub fn length(&self, digest: &Digest) -> Result<u64, StoreError> {
        let path = self.path_of(digest);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.len()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(StoreError::Missing(*digest)),
            Err(e) => Err(FileError::of("stat", &path)(e).into()),
        }
    }

    /// Whether the blob is there with that length: enough not to write it again. One that was
    /// damaged otherwise is found when it is read.
    pub(super) fn has_length(&self, digest: &Digest, length: u64) -> bool {
        fs::metadata(self.path_of(digest)).is_ok_and(|m| m.is_file() && m.len() == length)
    }

    /// Opens a blob without looking at its bytes: for whoever passes them on to somebody who does.
    pub fn open(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.path_of(digest);
        durable::open_regular(&path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => StoreError::Missing(*digest),
            _ => FileError::of("open", &path)(e).into(),
        })
    }

    /// Copies and hashes.
    fn copy_verified(
        &self,
        digest: &Digest,
        mut file: &File,
        writer: &mut impl Write,
    ) -> Result<u64, StoreError> {
        let path = self.path_of(digest);
        let (mut hash, mut total) = (Sha256::new(), 0);
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let got = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(got) => got,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(FileError::of("read", &path)(e).into()),
            };
            hash.update(&buffer[..got]);
            total += got as u64;
            writer
                .write_all(&buffer[..got])
                .map_err(|source| StoreError::Receiver {
                    digest: *digest,
                    source,
                })?;
        }
        let found = Digest::from_bytes(hash.finalize().into());
        if found == *digest {
            Ok(total)
        } else {
            Err(self.set_aside(digest, found)?)
        }
    }

    /// Moves a damaged blob out of the way, so that it counts as missing.
    fn set_aside(&self, digest: &Digest, found: Digest) -> Result<StoreError, StoreError> {
        let directory = self.root.join(CORRUPT);
        durable::create_directories(&directory)?;
        let (path, aside) = (self.path_of(digest), directory.join(digest.to_string()));
        fs::rename(&path, &aside).map_err(FileError::of("rename", &path))?;
        // They may be those of what it was turned into.
        self.forget_pieces(digest);
        // Neither move needs a sync: after a power cut the blob may be back in its place, and is
        // found damaged once more.
        Ok(StoreError::Corrupt {
            expected: *digest,
            found,
            aside,
        })
    }
}
