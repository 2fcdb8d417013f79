//! How a branch stands on this host: what is here, what arrives, and what is in the way. For people who wait.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use isconf_sandbox::change::Digest;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::arrivals::Arriving;
use super::network::Network;
use super::this_host::Shared;
use super::voting;
use crate::model::BranchName;

/// How long the other hosts may take to say what they have, before it is gone on without them.
const ASKING: Duration = Duration::from_secs(2);

/// How long getting their entries may take before the asker is told how far it is: well below the time
/// of one conversation over the control socket.
const CATCHING_UP: Duration = Duration::from_secs(5);

/// How long a voter waits for what others say was agreed on.
const AGREEING: Duration = Duration::from_secs(2);

/// How often it is looked whether that is over.
const LOOK: Duration = Duration::from_millis(5);

/// How a branch stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// How many other hosts are known.
    pub known: usize,
    /// How many of them are connected.
    pub connected: usize,
    /// The number of the last entry here.
    pub last: u64,
    /// Up to which entry all contents are here.
    pub complete: u64,
    /// One of the blobs that arrive.
    pub arriving: Option<(Digest, Arriving)>,
    /// Why not all contents come, in words.
    pub hindrance: Option<String>,
    /// The connected hosts that have another journal of it, by name.
    pub diverged: Vec<String>,
}

/// What is in the way of contents. Bounded by the number of branches.
#[derive(Debug, Default)]
pub struct Deliveries(Mutex<BTreeMap<BranchName, String>>);

impl Deliveries {
    /// Notes why contents of a branch do not come.
    pub fn is_hindered(&self, branch: &BranchName, why: String) {
        self.hindered().insert(branch.clone(), why);
    }

    /// Whether contents of some branch do not come.
    pub fn is_hindered_anywhere(&self) -> bool {
        !self.hindered().is_empty()
    }

    /// Notes that contents of a branch come, or are there, or are tried anew.
    pub fn goes_on(&self, branch: &BranchName) {
        self.hindered().remove(branch);
    }

    fn hindered(&self) -> MutexGuard<'_, BTreeMap<BranchName, String>> {
        // Each change is one insertion or removal, so that what a panic left is whole.
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// Waits until this voter has appended what others have: what is agreed on comes a moment after the verdict.
async fn has_what_others_have(shared: &Arc<Shared>, branch: &BranchName) {
    loop {
        let asked = branch.clone();
        let last =
            shared.on_disk(move |shared| shared.local.last(&asked).map_or(0, |last| last.seq));
        let last = last.await.unwrap_or(0);
        let theirs = {
            let table = shared.table();
            let connected = table.peers().filter(|(_, peer)| peer.link().is_some());
            let heads = connected.filter_map(|(_, peer)| peer.head(branch));
            heads.map(|head| head.seq).max()
        };
        if theirs.is_none_or(|theirs| theirs <= last) {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl Network {
    /// Asks the connected hosts how they are, and gets the entries of a branch that they have and this one
    /// has not; what takes long goes on afterwards.
    pub async fn sync(&self, branch: &BranchName) {
        let shared = self.shared();
        let links: Vec<_> = shared.table().links().cloned().collect();
        let mut asking = JoinSet::new();
        for link in links {
            let shared = Arc::clone(shared);
            asking.spawn(async move { shared.say_hello(&link).await });
        }
        let all = async { while asking.join_next().await.is_some() {} };
        // Whoever does not answer holds nobody up.
        let _late = timeout(ASKING, all).await;
        asking.detach_all();
        let caught_up = async {
            while shared.pulling.is_taken(branch) {
                tokio::time::sleep(LOOK).await;
            }
        };
        let _goes_on = timeout(CATCHING_UP, caught_up).await;
        if voting::agreed(shared, branch).is_some() {
            let _goes_on = timeout(AGREEING, has_what_others_have(shared, branch)).await;
        }
        let asked = branch.clone();
        // Looking for what is missing moves on up to where all is complete.
        let looked = shared.on_disk(move |shared| shared.local.wanted(&asked, 0));
        let _told_by_whoever_fetches = looked.await;
        shared.read_heads().await;
        // What hindered it may be over; if not, it is noted again.
        shared.deliveries.goes_on(branch);
        shared.want.send_replace(());
    }

    /// How a branch stands.
    pub async fn standing(&self, branch: &BranchName) -> Standing {
        let shared: &Arc<Shared> = self.shared();
        let asked = branch.clone();
        let here = shared.on_disk(move |shared| {
            let last = shared.local.last(&asked).map_or(0, |last| last.seq);
            (last, shared.local.complete(&asked).unwrap_or(0))
        });
        let (last, complete) = here.await.unwrap_or_default();
        let (known, connected) = {
            let table = shared.table();
            (table.peers().count(), table.links().count())
        };
        let links: Vec<_> = shared.table().links().map(|link| link.peer).collect();
        let others = links
            .iter()
            .filter(|peer| shared.diverged.has(branch, peer));
        let diverged = others.map(|peer| shared.name_of(peer)).collect();
        let deliveries = &shared.deliveries;
        let mut arriving = shared.arrivals.all();
        arriving.sort_by_key(|(_, arriving)| std::cmp::Reverse(arriving.length));
        let hindrance = deliveries.hindered().get(branch).cloned();
        Standing {
            known,
            connected,
            last,
            complete,
            arriving: arriving.first().copied(),
            hindrance,
            diverged,
        }
    }
}
