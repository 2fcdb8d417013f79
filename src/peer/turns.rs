//! Who is at what: each thing is done by one task at a time. Upholds: a turn is over when it is dropped, also by
//! a panic.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};

/// The things that somebody is at.
#[derive(Debug)]
pub struct Turns<K>(Mutex<BTreeSet<K>>);

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// That this task is at something.
#[derive(Debug)]
#[must_use = "the turn is over when this value is dropped"]
pub struct Turn<'a, K: Ord> {
    turns: &'a Turns<K>,
    thing: K,
}

impl<K: Ord + Clone> Turns<K> {
    /// Takes a turn; `None` when somebody is at it.
    pub fn take(&self, thing: &K) -> Option<Turn<'_, K>> {
        let is_free = self.taken().insert(thing.clone());
        is_free.then(|| Turn {
            turns: self,
            thing: thing.clone(),
        })
    }

    /// Whether somebody is at it.
    pub fn is_taken(&self, thing: &K) -> bool {
        self.taken().contains(thing)
    }
}

impl<K> Turns<K> {
    fn taken(&self) -> MutexGuard<'_, BTreeSet<K>> {
        // Each change is one insertion or removal, so that what a panic left is whole.
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl<K: Ord> Drop for Turn<'_, K> {
    fn drop(&mut self) {
        self.turns.taken().remove(&self.thing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_is_at_a_thing() {
        let turns = Turns::default();
        let turn = turns.take(&1).unwrap();
        assert!(turns.take(&1).is_none() && turns.is_taken(&1));
        assert!(turns.take(&2).is_some() && !turns.is_taken(&2));
        drop(turn);
        assert!(turns.take(&1).is_some());
    }
}
