//! A blob that arrives from elsewhere, piece by piece, and goes on after an interruption. Upholds: what
//! arrived counts as the blob only when all of it has the blob's digest and is durable.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

use isconf_sandbox::change::Digest;
use isconf_sandbox::fs::sync_at;
use sha2::{Digest as _, Sha256};

use super::blobs::{CHUNK_BYTES, Store, StoreError};
use crate::durable::{self, FileError, PRIVATE_FILE_MODE};

/// The directory for blobs that arrive.
pub(super) const PARTIAL: &str = "partial";

/// What is left free on the filesystem: so many bytes, or on a small one such a part of all.
const SPARE_BYTES: u64 = 256 << 20;
const SPARE_PART: u64 = 20;

/// A blob of which a part is here. One at a time may have it open; dropped, what is there stays for the next.
#[derive(Debug)]
pub struct Partial {
    store: Store,
    digest: Digest,
    path: PathBuf,
    file: File,
    length: u64,
    /// Of all that is here: what comes is hashed while it is written.
    hash: Sha256,
}

impl Store {
    /// Opens what is here of a blob that is to come, which takes a reading of it.
    pub fn partial(&self, digest: &Digest) -> Result<Partial, StoreError> {
        let directory = self.root().join(PARTIAL);
        durable::create_directories(&directory)?;
        let path = directory.join(digest.to_string());
        let opened = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(PRIVATE_FILE_MODE)
            .open(&path);
        let file = opened.map_err(FileError::of("open", &path))?;
        durable::check_regular(&file).map_err(FileError::of("open", &path))?;
        let mut partial = Partial {
            store: self.clone(),
            digest: *digest,
            path,
            file,
            length: 0,
            hash: Sha256::new(),
        };
        partial.hash_all()?;
        Ok(partial)
    }

    /// Opens what is here of a blob, for giving it to others.
    pub fn open_partial(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.root().join(PARTIAL).join(digest.to_string());
        Ok(durable::open_regular(&path).map_err(FileError::of("open", &path))?)
    }
}

impl Partial {
    /// How many bytes are here.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Whether the filesystem has room for a blob of this length, and some more for everything else on it.
    pub fn has_room(&self, length: u64) -> Result<bool, StoreError> {
        let status = nix::sys::statvfs::fstatvfs(&self.file);
        let status = status.map_err(|errno| FileError::of("stat", &self.path)(errno.into()))?;
        let unit = status.fragment_size();
        let bytes = |blocks: u64| unit.saturating_mul(blocks);
        let spare = SPARE_BYTES.min(bytes(status.blocks()) / SPARE_PART);
        let wanted = length.saturating_sub(self.length).saturating_add(spare);
        Ok(wanted <= bytes(status.blocks_available()))
    }

    /// Takes the next bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let written = self.file.write_all(bytes);
        if written.is_err() {
            // A part of them may be there; what is there is what counts the next time.
            self.hash_all()?;
        }
        written.map_err(FileError::of("write", &self.path))?;
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Reads some of what is here.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), StoreError> {
        let read = self.file.read_exact_at(buffer, offset);
        Ok(read.map_err(FileError::of("read", &self.path))?)
    }

    /// Forgets what is here beyond so many bytes.
    pub fn shorten(&mut self, length: u64) -> Result<(), StoreError> {
        let cut = self.file.set_len(length);
        cut.map_err(FileError::of("truncate", &self.path))?;
        self.hash_all()
    }

    /// Makes it the blob, durably. When it is something else it is forgotten, and that is
    /// [`StoreError::NotTheBlob`].
    pub fn finish(mut self) -> Result<u64, StoreError> {
        let metadata = self.file.metadata();
        let metadata = metadata.map_err(FileError::of("stat", &self.path))?;
        if metadata.len() != self.length {
            // Somebody else wrote to it.
            self.hash_all()?;
        }
        let found = Digest::from_bytes(std::mem::take(&mut self.hash).finalize().into());
        if found != self.digest {
            self.shorten(0)?;
            let expected = self.digest;
            return Err(StoreError::NotTheBlob { expected, found });
        }
        let path = &self.path;
        // The bytes must be durable before a name says that they are a blob: without this a power cut
        // could leave an empty file under the name.
        if let Err(error) = sync_at("partial.bytes", || self.file.sync_all()) {
            // The next sync would not tell of it again: it has to come anew.
            let _removed = fs::remove_file(path);
            return Err(FileError::of("sync", path)(error).into());
        }
        let place = self.store.path_of(&self.digest);
        let directory = place.parent().unwrap_or(self.store.root());
        durable::create_directories(directory)?;
        fs::rename(path, &place).map_err(FileError::of("rename", &place))?;
        // The name must be durable before others are told that the contents are here. One that is
        // lost is fetched again.
        durable::sync_directory(directory)?;
        Ok(self.length)
    }

    /// Reads what is here.
    fn hash_all(&mut self) -> Result<(), StoreError> {
        let (mut length, mut buffer) = (0, vec![0; CHUNK_BYTES]);
        self.hash = Sha256::new();
        loop {
            let got = self.file.read_at(&mut buffer, length);
            match got.map_err(FileError::of("read", &self.path))? {
                0 => break,
                got => {
                    self.hash.update(&buffer[..got]);
                    length += got as u64;
                }
            }
        }
        self.length = length;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_goes_on_where_it_was_and_counts_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("blob"));
        let digest = Digest::of(b"content");
        let mut partial = store.partial(&digest).unwrap();
        partial.write(b"con").unwrap();
        drop(partial);
        let mut partial = store.partial(&digest).unwrap();
        assert_eq!(partial.length(), 3);
        partial.write(b"tend").unwrap();
        partial.shorten(5).unwrap();
        partial.write(b"nt").unwrap();
        assert!(!store.contains(&digest));
        assert_eq!(partial.finish().unwrap(), 7);
        assert_eq!(store.get(&digest, 7).unwrap(), b"content");
        assert_eq!(store.partial(&digest).unwrap().length(), 0);
        assert_eq!(store.walk().count(), 1);
    }

    #[test]
    fn something_else_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("blob"));
        let digest = Digest::of(b"content");
        let mut partial = store.partial(&digest).unwrap();
        partial.write(b"contents").unwrap();
        let error = partial.finish().unwrap_err();
        assert!(matches!(error, StoreError::NotTheBlob { .. }), "{error}");
        assert!(!store.contains(&digest));
        assert_eq!(store.partial(&digest).unwrap().length(), 0);
    }
}
