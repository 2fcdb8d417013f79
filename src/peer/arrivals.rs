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

use crate::model::PublicKey;

/// How many hosts are given the same long blob lately. The others get it from these, while it arrives there.
const MAX_GIVEN: usize = 3;
const LATELY: Duration = Duration::from_secs(60);

/// How many hosts are given it at once all in all: those that were slow, and those to whom nobody else gives it.
const MAX_AT_ONCE: usize = 16;

/// How far a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Arriving {
    /// The entry that needs it; 0 for none that is here.
    pub entry: u64,
    /// How many bytes of it are here.
    pub here: u64,
    /// Its length in bytes; 0 until it is known.
    pub length: u64,
    /// Whether somebody gives it just now.
    pub is_coming: bool,
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
pub struct Places(Mutex<BTreeMap<Digest, BTreeMap<PublicKey, Given>>>);

/// That a host is given a blob, or was.
#[derive(Debug)]
struct Given {
    begun: Instant,
    is_over: bool,
}

/// That one more host is given a blob.
#[derive(Debug)]
#[must_use = "the place is free when this value is dropped"]
pub struct Place<'a> {
    places: &'a Places,
    digest: Digest,
    to: PublicKey,
}

impl Places {
    /// Takes a place among those that are given a blob, also when enough were lately if it is pressing; `None` when
    /// there is none, or `to` is given it already. Who goes on after a break has its place still.
    pub fn take(&self, digest: Digest, to: PublicKey, pressing: bool) -> Option<Place<'_>> {
        let now = Instant::now();
        let is_lately = |given: &Given| now.duration_since(given.begun) < LATELY;
        let mut all = self.lock();
        all.retain(|_, given| {
            given.retain(|_, given| !given.is_over || is_lately(given));
            !given.is_empty()
        });
        let given = all.entry(digest).or_default();
        let at_once = given.values().filter(|given| !given.is_over).count();
        let lately = given.values().filter(|given| is_lately(given)).count();
        let begun = match given.get(&to) {
            Some(before) if !before.is_over => return None,
            Some(before) => before.begun,
            None if pressing || lately < MAX_GIVEN => now,
            None => return None,
        };
        (at_once < MAX_AT_ONCE).then(|| {
            let is_over = false;
            given.insert(to, Given { begun, is_over });
            Place {
                places: self,
                digest,
                to,
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, BTreeMap<PublicKey, Given>>> {
        // Each change is one insertion or assignment, so that what a panic left is whole.
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut all = self.places.lock();
        let given = all.get_mut(&self.digest);
        if let Some(given) = given.and_then(|given| given.get_mut(&self.to)) {
            given.is_over = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_given_a_blob_lately_and_more_when_it_is_pressing() {
        let places = Places::default();
        let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
        let host = |byte: u8| PublicKey::from_bytes([byte; 32]);
        let mut taken: Vec<_> = (0..3)
            .map(|byte| places.take(one, host(byte), false).unwrap())
            .collect();
        assert!(places.take(one, host(3), false).is_none());
        assert!(places.take(other, host(3), false).is_some());
        assert!(places.take(one, host(0), true).is_none(), "it has one");
        // What is over counts for a while, but not against who goes on.
        taken.clear();
        assert!(places.take(one, host(3), false).is_none());
        taken.push(places.take(one, host(1), false).unwrap());
        for byte in 3..18 {
            taken.push(places.take(one, host(byte), true).unwrap());
        }
        assert!(places.take(one, host(18), true).is_none());
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
