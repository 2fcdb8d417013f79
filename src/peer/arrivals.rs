//! What arrives here, and is given on before it is whole; and how many hosts are given the same at once. Upholds: what
//! is not whole is only told to whoever asks for it, and as what it is.
//!
//! ```text
//! a long blob on one host   ─> three hosts ─> three hosts each ─> …    each gives on what it has of it
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use isconf_sandbox::change::Digest;
use tokio::sync::watch;

/// How many hosts are given the same long blob, at once and lately. The others get it from these, while it arrives
/// there.
const MAX_GIVEN: usize = 3;
const LATELY: Duration = Duration::from_secs(60);

/// How far a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Arriving {
    /// The entry that needs it; 0 for none that is here.
    pub entry: u64,
    /// How many bytes of it are here.
    pub here: u64,
    /// Its length in bytes; 0 until it is known.
    pub length: u64,
}

/// The blobs that arrive. Bounded by how many are fetched at once.
#[derive(Debug, Default)]
pub struct Arrivals(Mutex<BTreeMap<Digest, watch::Receiver<Arriving>>>);

/// A blob that arrives, until it is dropped.
#[derive(Debug)]
#[must_use = "it arrives as long as this value is kept"]
pub struct Arrival<'a> {
    arrivals: &'a Arrivals,
    digest: Digest,
    how: Arc<watch::Sender<Arriving>>,
}

impl Arrivals {
    /// Notes that a blob arrives for an entry. One at a time may have it do so.
    pub fn begin(&self, digest: Digest, entry: u64) -> Arrival<'_> {
        let how = Arriving {
            entry,
            ..Arriving::default()
        };
        let (how, seen) = watch::channel(how);
        self.lock().insert(digest, seen);
        Arrival {
            arrivals: self,
            digest,
            how: Arc::new(how),
        }
    }

    /// How far a blob is, now and later.
    pub fn watch(&self, digest: &Digest) -> Option<watch::Receiver<Arriving>> {
        self.lock().get(digest).cloned()
    }

    /// How far those are that entries here need.
    pub fn all(&self) -> Vec<(Digest, Arriving)> {
        let arrivals = self.lock();
        let all = arrivals
            .iter()
            .map(|(digest, how)| (*digest, *how.borrow()));
        all.filter(|(_, how)| how.entry > 0 && how.length > 0)
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, watch::Receiver<Arriving>>> {
        // Each change is one insertion or removal, so that what a panic left is whole.
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Arrival<'_> {
    /// Tells how far it is.
    pub fn teller(&self) -> Arc<watch::Sender<Arriving>> {
        Arc::clone(&self.how)
    }

    /// How many bytes are here.
    pub fn here(&self) -> u64 {
        self.how.borrow().here
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.arrivals.lock().remove(&self.digest);
    }
}

/// Who is given which long blobs, and was lately. Bounded by what is asked for within a minute.
#[derive(Debug, Default)]
pub struct Places(Mutex<BTreeMap<Digest, Taken>>);

#[derive(Debug, Default)]
struct Taken {
    now: usize,
    /// When each of those began, and of those before them.
    begun: Vec<Instant>,
}

/// That one more host is given a blob.
#[derive(Debug)]
#[must_use = "the place is free when this value is dropped"]
pub struct Place<'a> {
    places: &'a Places,
    digest: Digest,
}

impl Places {
    /// Takes a place among those that are given a blob, also when enough were lately if it is pressing; `None` when
    /// there is none.
    pub fn take(&self, digest: Digest, pressing: bool) -> Option<Place<'_>> {
        let now = Instant::now();
        let mut all = self.lock();
        for taken in all.values_mut() {
            taken
                .begun
                .retain(|begun| now.duration_since(*begun) < LATELY);
        }
        all.retain(|_, taken| taken.now > 0 || !taken.begun.is_empty());
        let taken = all.entry(digest).or_default();
        let is_free = taken.now < MAX_GIVEN && (pressing || taken.begun.len() < MAX_GIVEN);
        is_free.then(|| {
            taken.now += 1;
            taken.begun.push(now);
            Place {
                places: self,
                digest,
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, Taken>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(taken) = self.places.lock().get_mut(&self.digest) {
            taken.now -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_given_a_blob_at_once_and_lately() {
        let places = Places::default();
        let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
        let take = |_| places.take(one, false).unwrap();
        let mut taken: Vec<_> = (0..MAX_GIVEN).map(take).collect();
        assert!(places.take(one, true).is_none());
        assert!(places.take(other, false).is_some());
        taken.pop();
        assert!(places.take(one, false).is_none());
        taken.push(places.take(one, true).unwrap());
        assert!(places.take(one, true).is_none());
        drop(taken);
        assert!(places.take(one, true).is_some());
    }

    #[test]
    fn what_arrives_is_told_until_it_ends() {
        let arrivals = Arrivals::default();
        let digest = Digest::of(b"1");
        let arrival = arrivals.begin(digest, 7);
        // Nobody knows how long it is.
        assert!(arrivals.all().is_empty());
        arrival
            .teller()
            .send_modify(|how| (how.here, how.length) = (3, 9));
        let seen = arrivals.watch(&digest).unwrap();
        assert_eq!((seen.borrow().here, arrival.here()), (3, 3));
        assert_eq!(arrivals.all().len(), 1);
        drop(arrival);
        assert!(arrivals.watch(&digest).is_none());
        assert!(seen.has_changed().is_err(), "no more will come");
    }
}
