//! Which hosts have another journal of a branch than this one: begun or gone on with apart. Somebody has to settle that.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};

use crate::model::{BranchName, PublicKey};

/// The hosts with other journals, by branch. Bounded by the hosts that were met and the branches that are here.
#[derive(Debug, Default)]
pub struct Diverged(Mutex<BTreeSet<(BranchName, PublicKey)>>);

impl Diverged {
    /// Notes that a host has another journal.
    pub fn note(&self, branch: &BranchName, peer: &PublicKey) {
        self.lock().insert((branch.clone(), *peer));
    }

    /// Notes that a host has the same.
    pub fn agrees(&self, branch: &BranchName, peer: &PublicKey) {
        self.lock().remove(&(branch.clone(), *peer));
    }

    /// Whether a host has another journal.
    pub fn has(&self, branch: &BranchName, peer: &PublicKey) -> bool {
        self.lock().contains(&(branch.clone(), *peer))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<(BranchName, PublicKey)>> {
        // Each change is one insertion or removal, so that what a panic left is whole.
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}
