//! Which long blobs are here that another one may be a version of. Not for what they have in common (see
//! `store::Pieces`).

use std::fs;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use crate::store::{LONG_BYTES, Store, Stored};

/// How long what was listed is good, beside what came since.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// The long blobs that are here.
#[derive(Debug, Default)]
pub struct Versions(Mutex<Option<Listed>>);

#[derive(Debug)]
struct Listed {
    at: Instant,
    /// The newest last.
    blobs: Vec<Stored>,
}

impl Versions {
    /// Those of about this length, in bytes, the newest first. Lists the store now and then.
    pub fn about(&self, store: &Store, length: u64) -> Vec<Stored> {
        let is_good = |listed: &Listed| listed.at.elapsed() < GOOD_FOR;
        if !self.lock().as_ref().is_some_and(is_good) {
            // Nobody waits for it but whoever asked.
            let at = Instant::now();
            let blobs = list(store);
            *self.lock() = Some(Listed { at, blobs });
        }
        let listed = self.lock();
        let blobs = listed.as_ref().map_or(&[][..], |listed| &listed.blobs);
        // A new version is seldom a quarter longer or shorter.
        let about = length - length / 4..=length.saturating_add(length / 4);
        let alike = blobs.iter().rev();
        alike
            .filter(|blob| about.contains(&blob.length))
            .copied()
            .collect()
    }

    /// Notes that a blob came.
    pub fn came(&self, blob: Stored) {
        if blob.length >= LONG_BYTES
            && let Some(listed) = self.lock().as_mut()
        {
            listed.blobs.push(blob);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Listed>> {
        // Each change is one assignment or a push, so that what a panic left is whole.
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// The long blobs, the newest last. What cannot be listed is none of them: it is told where the store is used.
fn list(store: &Store) -> Vec<Stored> {
    let blobs = store.walk().filter_map(Result::ok);
    let mut long: Vec<_> = blobs
        .filter(|blob| blob.length >= LONG_BYTES)
        .map(|blob| {
            let changed = fs::metadata(store.path_of(&blob.digest)).and_then(|m| m.modified());
            (changed.unwrap_or(SystemTime::UNIX_EPOCH), blob)
        })
        .collect();
    long.sort_by_key(|(changed, _)| *changed);
    long.into_iter().map(|(_, blob)| blob).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use isconf_sandbox::change::Digest;

    #[test]
    fn those_of_about_the_same_length_are_listed_and_what_came() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("blob"));
        let put = |byte: u8, length: u64| {
            let bytes = vec![byte; usize::try_from(length).unwrap()];
            let digest = store.put_bytes(&bytes).unwrap();
            Stored { digest, length }
        };
        let _short = put(1, LONG_BYTES - 1);
        let long = put(2, LONG_BYTES);
        let _longer = put(3, 2 * LONG_BYTES);
        let versions = Versions::default();
        assert_eq!(versions.about(&store, LONG_BYTES + 9), [long]);
        let came = Stored {
            digest: Digest::of(b"came"),
            length: LONG_BYTES + 1,
        };
        versions.came(came);
        assert_eq!(versions.about(&store, LONG_BYTES), [came, long]);
        assert!(versions.about(&store, u64::MAX).is_empty());
    }
}
