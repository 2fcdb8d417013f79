//! Listing the store, and removing what a stopped process left half-written and what somebody found to be
//! dispensable. Not for finding that out: entries, drafts and receipts refer to blobs, and those of an undone
//! entry are wanted again when it is applied again.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use isconf_sandbox::change::Digest;
use walkdir::WalkDir;

use super::blobs::{CORRUPT, Store, StoreError, TMP};
use super::partial::PARTIAL;
use super::pieces::PIECES;
use crate::durable::FileError;
use crate::lock::HostLock;

/// A blob of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub digest: Digest,
    /// Its length in bytes.
    pub length: u64,
}

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// How many blobs and leftovers.
    pub count: u64,
    /// Their lengths in bytes.
    pub bytes: u64,
}

impl Store {
    /// Lists all blobs; their bytes are not looked at. Files with other names are passed over.
    pub fn walk(&self) -> impl Iterator<Item = Result<Stored, StoreError>> {
        let beside = [TMP, CORRUPT, PARTIAL, PIECES];
        let is_wanted = move |name: &std::ffi::OsStr| beside.iter().all(|other| name != *other);
        let files = WalkDir::new(self.root())
            .min_depth(1)
            .max_depth(2)
            .sort_by_file_name()
            .into_iter()
            .filter_entry(move |entry| entry.depth() != 1 || is_wanted(entry.file_name()));
        let is_there = self.root().is_dir();
        files.filter(move |_| is_there).filter_map(|entry| {
            let entry = match entry {
                Ok(entry) if entry.depth() == 2 && entry.file_type().is_file() => entry,
                Ok(_) => return None,
                Err(e) => return Some(Err(walk_error(e))),
            };
            let digest = entry.file_name().to_str()?.parse().ok()?;
            let length = match entry.metadata() {
                Ok(metadata) => metadata.len(),
                Err(e) => return Some(Err(walk_error(e))),
            };
            Some(Ok(Stored { digest, length }))
        })
    }

    /// The blobs that were found damaged and are not here again. Bounded by how many are.
    pub fn damaged(&self) -> Result<BTreeSet<Digest>, StoreError> {
        let directory = self.root().join(CORRUPT);
        let listed = match fs::read_dir(&directory) {
            Ok(listed) => listed,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(e) => return Err(FileError::of("list", &directory)(e).into()),
        };
        let names = listed.filter_map(Result::ok);
        let digests = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Ok(digests.filter(|digest| !self.contains(digest)).collect())
    }

    /// Removes what arrived of blobs that are here by now, or of which nothing came for long: `is_old` tells
    /// of a file's last change. Nobody may fetch meanwhile.
    pub fn remove_partials(
        &self,
        is_old: impl Fn(SystemTime) -> bool,
    ) -> Result<Removed, StoreError> {
        let mut removed = Removed::default();
        let partials = WalkDir::new(self.root().join(PARTIAL))
            .min_depth(1)
            .max_depth(1);
        for entry in partials.into_iter().filter_map(Result::ok) {
            let digest: Option<Digest> = entry.file_name().to_str().and_then(|n| n.parse().ok());
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            let is_done = digest.is_none_or(|digest| self.contains(&digest));
            if is_done || metadata.modified().is_ok_and(&is_old) {
                removed.take(entry.path(), metadata.len())?;
            }
        }
        Ok(removed)
    }

    /// Removes the lists of pieces of blobs that are not here any more.
    pub fn remove_pieces(&self) -> Result<Removed, StoreError> {
        let mut removed = Removed::default();
        let lists = WalkDir::new(self.root().join(PIECES))
            .min_depth(1)
            .max_depth(1);
        for entry in lists.into_iter().filter_map(Result::ok) {
            let digest: Option<Digest> = entry.file_name().to_str().and_then(|n| n.parse().ok());
            if digest.is_none_or(|digest| !self.contains(&digest)) {
                let length = entry.metadata().map_or(0, |metadata| metadata.len());
                removed.take(entry.path(), length)?;
            }
        }
        Ok(removed)
    }

    /// Whether a blob is here; if so, it counts as one that came just now: somebody relies on it from now on.
    pub fn renew(&self, digest: &Digest) -> bool {
        let opened = self.open(digest);
        opened.is_ok_and(|file| file.set_modified(SystemTime::now()).is_ok())
    }

    /// Removes a blob. Needs no sync: one that is back after a power cut is removed the next time.
    pub fn remove(&self, _host: &HostLock, digest: &Digest) -> Result<(), StoreError> {
        let path = self.path_of(digest);
        match fs::remove_file(&path) {
            Ok(()) => {}
            // It was found damaged and set aside just now.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(FileError::of("remove", &path)(e).into()),
        }
        self.forget_pieces(digest);
        // It would be taken for one that is damaged and missing.
        let _none = fs::remove_file(self.root().join(CORRUPT).join(digest.to_string()));
        Ok(())
    }

    /// Removes what processes that are gone left half-written. Needs no sync: a
    /// file that is back after a power cut is removed the next time.
    pub fn remove_leftovers(&self, _host: &HostLock) -> Result<Removed, StoreError> {
        let mut removed = Removed::default();
        let leftovers = WalkDir::new(self.root().join(TMP))
            .min_depth(1)
            .max_depth(1);
        // A store that was never written to has no such directory.
        for entry in leftovers.into_iter().filter_map(Result::ok) {
            let name = entry.file_name().to_str().unwrap_or_default();
            let pid = name.split('.').next().unwrap_or_default();
            if !pid.is_empty() && !Path::new("/proc").join(pid).exists() {
                let length = entry.metadata().map_or(0, |metadata| metadata.len());
                removed.take(entry.path(), length)?;
            }
        }
        Ok(removed)
    }
}

impl Removed {
    /// Removes a file and counts it.
    fn take(&mut self, path: &Path, length: u64) -> Result<(), FileError> {
        fs::remove_file(path).map_err(FileError::of("remove", path))?;
        self.count += 1;
        self.bytes += length;
        Ok(())
    }
}

/// The error of a walk as ours.
fn walk_error(error: walkdir::Error) -> StoreError {
    let path = error.path().unwrap_or(Path::new("")).to_path_buf();
    let source = error.into_io_error();
    // Links are not followed, so the only other cause, a loop of links, cannot be.
    let source = source.unwrap_or_else(|| nix::errno::Errno::ELOOP.into());
    StoreError::File(FileError::of("list", &path)(source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::tests::Host;
    use std::fs::File;
    use std::io::{Read, Write};

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("blob"));
        (dir, store)
    }

    #[test]
    fn what_was_put_is_read_back() {
        let (_dir, store) = store();
        assert_eq!(store.walk().count(), 0);
        let digest = store.put_bytes(b"content").unwrap();
        assert_eq!(digest, Digest::of(b"content"));
        assert_eq!(store.put_bytes(b"content").unwrap(), digest);
        assert_eq!(store.get(&digest, 7).unwrap(), b"content");
        assert!(matches!(
            store.get(&digest, 6),
            Err(StoreError::TooLong { found: 7, .. })
        ));
        let mut text = String::new();
        store
            .open_verified(&digest)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "content");
        let missing = Digest::of(b"");
        assert!(matches!(store.get(&missing, 9), Err(StoreError::Missing(d)) if d == missing));
        assert_eq!(store.put_bytes(b"").unwrap(), missing);
        assert_eq!(store.walk().map(|s| s.unwrap().length).sum::<u64>(), 7);
        assert_eq!(fs::read_dir(store.root().join(TMP)).unwrap().count(), 0);
    }

    #[test]
    fn a_file_is_put_from_its_position() {
        let (dir, store) = store();
        let path = dir.path().join("f");
        let content: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        fs::write(&path, &content).unwrap();
        let mut file = File::open(&path).unwrap();
        let (digest, length) = store.put_file(&mut file).unwrap();
        assert_eq!((digest, length), (Digest::of(&content), 1_000_000));
        let mut copy = Vec::new();
        assert_eq!(store.copy_to(&digest, &mut copy).unwrap(), length);
        assert_eq!(copy, content);
    }

    #[test]
    fn a_damaged_blob_is_set_aside_and_can_be_put_again() {
        let (_dir, store) = store();
        let digest = store.put_bytes(b"content").unwrap();
        fs::write(store.path_of(&digest), b"c0ntent").unwrap();
        let error = store.open_verified(&digest).unwrap_err();
        let StoreError::Corrupt { found, aside, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(found, Digest::of(b"c0ntent"));
        assert!(aside.exists() && !store.contains(&digest));
        store.put_bytes(b"content").unwrap();
        assert_eq!(store.get(&digest, 99).unwrap(), b"content");
        assert_eq!(store.walk().count(), 1);
        // A shorter one is noticed even when it is put again.
        fs::write(store.path_of(&digest), b"").unwrap();
        store.put_bytes(b"content").unwrap();
        assert_eq!(store.get(&digest, 99).unwrap(), b"content");
    }

    #[test]
    fn a_batch_counts_when_finished() {
        let (_dir, store) = store();
        let mut batch = store.batch().unwrap();
        let first = batch.add_bytes(b"first").unwrap();
        let _second_batch_has_other_names = store.put_bytes(b"other").unwrap();
        drop(batch);
        assert!(!store.contains(&first));
        let mut batch = store.batch().unwrap();
        let digests: Vec<_> = (0..70_u8)
            .map(|n| batch.add_bytes(&[n % 66]).unwrap())
            .collect();
        batch.finish().unwrap();
        assert!(digests.iter().all(|digest| store.get(digest, 1).is_ok()));
        assert_eq!(store.walk().count(), 67);
        assert_eq!(fs::read_dir(store.root().join(TMP)).unwrap().count(), 0);
    }

    #[test]
    fn errors_of_source_and_receiver_are_told_apart() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (_dir, store) = store();
        assert!(matches!(
            store.put_reader(Broken),
            Err(StoreError::Source(_))
        ));
        let digest = store.put_bytes(b"x").unwrap();
        let error = store.copy_to(&digest, &mut Broken).unwrap_err();
        assert!(matches!(error, StoreError::Receiver { .. }));
        assert!(store.contains(&digest));
    }

    #[test]
    fn only_what_ended_processes_left_is_removed() {
        let host = Host::new();
        let store = Store::new(host.home.blobs(&host.domain));
        assert_eq!(
            store.remove_leftovers(&host.lock).unwrap(),
            Removed::default()
        );
        let kept = store.put_bytes(b"kept").unwrap();
        // No process has a number this large (PID_MAX_LIMIT is 2^22).
        fs::write(store.root().join(TMP).join("99999999.0"), b"half").unwrap();
        let own = store
            .root()
            .join(TMP)
            .join(format!("{}.7", std::process::id()));
        fs::write(&own, b"being written").unwrap();
        let removed = store.remove_leftovers(&host.lock).unwrap();
        assert_eq!(removed, Removed { count: 1, bytes: 4 });
        assert!(store.contains(&kept) && own.exists());
    }
}
