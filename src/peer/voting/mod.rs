//! This host's part in keeping the domain's locks: who votes, whether this host does, and how an order gets
//! to whoever leads the voters. Not for how voters agree (see `quorum`). Upholds: what is told of the voters
//! is signed by one of them; a host serves one epoch at a time; only hosts of the domain are heard.
//!
//! ```text
//! verb ─> orders ─> (a neighbour) ─> leader ─> quorum ─> batches ─> journals of the voters
//!                                     └─> steward: founds, seats       charter ─> everybody, by hello
//! ```

mod batches;
mod calls;
mod charter;
mod copies;
mod orders;
mod founding;
mod own_voter;
mod steward;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, watch};

pub(super) use batches::append;
pub(super) use batches::is_settled;
pub(super) use calls::answer as answer_call;
pub use charter::{Charter, Elector, LockNews, SignedCharter};
pub use copies::KeptBy;
pub(super) use copies::keep_elsewhere;
pub(super) use copies::keep_for;
pub use founding::RecoverError;
pub(super) use founding::{FOUNDS_NOT, may_found, recover};
pub(super) use orders::{LeadersWord, pass, place};
pub use orders::{LedgerAnswer, LedgerAsk, SignedAnswer, Trouble};
pub(super) use steward::{attend, seat_now_and_then};

use super::this_host::Shared;
use crate::model::{BranchName, PublicKey};
use crate::quorum::{Epoch, Voter};

/// What this host knows of the voters, and its own vote.
#[derive(Debug)]
pub struct Voting {
    known: Mutex<Option<SignedCharter>>,
    /// The epoch and the voters that are written down, durably.
    saved: Mutex<Option<(Epoch, Vec<Elector>)>>,
    /// The voter that runs here; each change is news.
    voter: watch::Sender<Option<Voter>>,
    /// One at a time opens and closes the voter.
    changing: tokio::sync::Mutex<()>,
    /// How many verbs of this host wait for a verdict. One at a time holds the host lock, and those that ask
    /// do nothing by themselves.
    asking: AtomicUsize,
    /// Something is to be looked at before the next tick.
    pub(super) wake: Notify,
}

impl Default for Voting {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            saved: Mutex::default(),
            voter: watch::Sender::new(None),
            changing: tokio::sync::Mutex::default(),
            asking: AtomicUsize::new(0),
            wake: Notify::new(),
        }
    }
}

impl Voting {
    /// What is known of the voters, as one of them signed it.
    pub(super) fn signed_charter(&self) -> Option<SignedCharter> {
        self.known().clone()
    }

    /// What is known of the voters.
    pub(super) fn charter(&self) -> Option<Arc<Charter>> {
        self.known().as_ref()?.charter().cloned()
    }

    /// The voter that runs here, if one does.
    pub(super) fn voter(&self) -> Option<Voter> {
        self.voter.borrow().clone()
    }

    /// Notes that a verb of this host waits.
    fn asks(&self) -> Asking<'_> {
        self.asking.fetch_add(1, Ordering::SeqCst);
        Asking(self)
    }

    /// Whether a verb of this host waits for a verdict.
    fn is_asked(&self) -> bool {
        self.asking.load(Ordering::SeqCst) > 0
    }

    fn saved(&self) -> MutexGuard<'_, Option<(Epoch, Vec<Elector>)>> {
        self.saved.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn known(&self) -> MutexGuard<'_, Option<SignedCharter>> {
        // Each change is one assignment, so that what a panic left is whole.
        self.known.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// That a verb of this host waits.
struct Asking<'a>(&'a Voting);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.asking.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The number of the last entry of a branch on which the voters agreed, as far as the voter here knows. A host that does
/// not vote knows nothing of it.
pub(super) fn agreed(shared: &Shared, branch: &BranchName) -> Option<u64> {
    let voter = shared.voting.voter().filter(Voter::has_begun)?;
    let applied = voter.applied();
    let row = applied.borrow().ledger.row(branch);
    Some(row.head.seq)
}

/// The hosts that vote, as far as is known.
pub(super) fn voters(shared: &Shared) -> BTreeSet<PublicKey> {
    let charter = shared.voting.charter();
    let voters = charter.iter().flat_map(|charter| &charter.voters);
    voters.map(|voter| voter.key).collect()
}

/// The other voters, where this host votes, too.
pub(super) fn fellows(shared: &Shared) -> BTreeSet<PublicKey> {
    let mut voters = voters(shared);
    match voters.remove(&shared.member.own) {
        true => voters,
        false => BTreeSet::new(),
    }
}

/// Takes what a host said of the voters, if it is news and one of them signed it.
pub(super) fn heard(shared: &Arc<Shared>, charter: SignedCharter) {
    if charter::take(shared, charter) {
        shared.voting.wake.notify_one();
        shared.look.notify_one();
    }
}
