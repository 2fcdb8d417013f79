//! One blob, from whoever has it. Upholds: nobody is blamed for what may be another's fault; whoever is busy is waited
//! for as long as something comes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isconf_sandbox::change::Digest;
use tokio::task::spawn_blocking;

use super::super::arrivals::Arrival;
use super::super::endpoint::Link;
use super::super::frames::FrameError;
use super::super::messages::{Refused, Request};
use super::super::serve::ask;
use super::super::this_host::{Shared, chained};
use super::super::turns::Turn;
use super::patch::{self, Patched};
use super::{hindered, stream};
use crate::model::{BranchName, PublicKey};
use crate::store::{LONG_BYTES, Partial, StoreError, Stored};

/// How often it is looked whether somebody else fetched the same blob.
const TURN_PAUSE: Duration = Duration::from_millis(50);

/// How long it takes until those that are busy are asked again, doubled up to the longest.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_BUSY_PAUSE: Duration = Duration::from_secs(1);

/// How long those that give it to others are waited for while nothing comes.
const BUSY_PATIENCE: Duration = Duration::from_secs(20);

/// After how long without anything those that gave it to enough others lately are asked all the same.
const PRESSING: Duration = Duration::from_secs(2);

/// How often what came from several hosts may be something else.
const MAX_MIXED: u32 = 3;

/// A blob that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Which.
    pub digest: Digest,
    /// Its length in bytes, if that is known.
    pub length: Option<u64>,
    /// How long it may be.
    pub longest: u64,
}

impl Wish {
    /// A blob of a known length.
    pub const fn of_length(digest: Digest, length: u64) -> Self {
        Self {
            digest,
            length: Some(length),
            longest: length,
        }
    }

    /// A blob that is no longer than that.
    pub const fn at_most(digest: Digest, longest: u64) -> Self {
        Self {
            digest,
            length: None,
            longest,
        }
    }
}

/// Why a blob did not come from a peer.
#[derive(Debug, thiserror::Error)]
pub(super) enum BlobError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Refused(#[from] Refused),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("it answered what cannot be")]
    Nonsense,
    #[error("the work failed")]
    Panicked(#[from] tokio::task::JoinError),
    /// What came from it alone is not the blob.
    #[error("what it sent is something else")]
    Forged,
    /// The parts of several hosts do not make the blob. They were dropped.
    #[error("what several hosts sent is something else")]
    Mixed,
    /// There is no room for so many bytes.
    #[error("there is no room for {0} bytes; so much and some spare has to be free below IS_HOME")]
    NoRoom(u64),
}

/// How a blob is looked for.
#[derive(Debug, Default)]
struct Search {
    /// Who was asked in this round.
    asked: BTreeSet<PublicKey>,
    /// Who of them has it and gives it to others just now.
    busy: BTreeSet<PublicKey>,
    /// Whose contents were something else.
    wrong: BTreeSet<PublicKey>,
    /// How often what came was something else, and nobody could be blamed.
    mixed: u32,
    /// What was in the way here.
    trouble: Option<String>,
}

/// A blob that is being fetched.
#[derive(Debug)]
pub(super) struct Work<'a> {
    /// Which.
    pub(super) wish: Wish,
    /// How far it is, for others.
    pub(super) arrival: Arrival<'a>,
    /// What is here of it, once that was read.
    pub(super) partial: Option<Partial>,
    /// How the next host is asked.
    pub(super) how: How,
}

impl<'a> Work<'a> {
    fn begin(shared: &'a Shared, wish: Wish, entry: u64) -> Self {
        Self {
            wish,
            arrival: shared.arrivals.begin(wish.digest, entry),
            partial: None,
            how: How::default(),
        }
    }

    /// What is here of it.
    pub(super) async fn partial(&mut self, shared: &Shared) -> Result<Partial, BlobError> {
        if let Some(partial) = self.partial.take() {
            return Ok(partial);
        }
        let (store, digest) = (shared.local.store().clone(), self.wish.digest);
        Ok(spawn_blocking(move || store.partial(&digest)).await??)
    }
}

/// How a host is asked.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct How {
    /// It is not to be one where the blob still arrives.
    pub(super) whole: bool,
    /// It gives it also when it gave it to enough others lately.
    pub(super) pressing: bool,
    /// Other blobs that are here have too little in common with it.
    is_new: bool,
}

/// Waits for whoever fetches the same: branches that were forked need the same contents, and there is one
/// file for what arrives of each.
async fn turn_at(shared: &Shared, digest: Digest) -> Turn<'_, Digest> {
    loop {
        match shared.fetching.take(&digest) {
            Some(turn) => return turn,
            None => tokio::time::sleep(TURN_PAUSE).await,
        }
    }
}

/// Fetches one blob from whoever has it; whether it came.
pub(super) async fn fetch_blob(
    shared: &Arc<Shared>,
    branch: &BranchName,
    seq: u64,
    wish: Wish,
) -> bool {
    let digest = wish.digest;
    let _turn = turn_at(shared, digest).await;
    let is_here = shared.on_disk(move |shared| shared.local.store().contains(&digest));
    if is_here.await.unwrap_or(false) {
        return true;
    }
    let mut work = Work::begin(shared, wish, seq);
    let mut search = Search::default();
    let (mut came, mut since, mut pause) = (0, Instant::now(), BUSY_PAUSE);
    loop {
        let link = provider(shared, branch, seq, &search.asked);
        if let Some(link) = link.filter(|_| search.mixed < MAX_MIXED) {
            search.asked.insert(link.peer);
            match bring(shared, &link, &mut work).await {
                Ok(()) => return true,
                Err(error) => search.failed(shared, &link, &mut work, error),
            }
            continue;
        }
        let here = work.arrival.here();
        if here > came {
            (came, since, pause) = (here, Instant::now(), BUSY_PAUSE);
        }
        if search.busy.is_empty() || since.elapsed() > BUSY_PATIENCE {
            break;
        }
        work.how.pressing = since.elapsed() > PRESSING;
        // One of those may have a place by now.
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_BUSY_PAUSE);
        search.asked.clear();
        search.busy.clear();
    }
    search.was_vain(shared, branch, seq, digest);
    false
}

impl Search {
    /// Notes why a blob did not come from a host.
    fn failed(&mut self, shared: &Arc<Shared>, link: &Link, work: &mut Work<'_>, error: BlobError) {
        match error {
            BlobError::Refused(Refused::Busy) => {
                self.busy.insert(link.peer);
            }
            BlobError::Refused(_) | BlobError::Frame(FrameError::Broken(_) | FrameError::Late) => {}
            BlobError::Mixed => {
                // Who sent the wrong part cannot be told; now all of it comes from one that has it.
                self.mixed += 1;
                self.wrong.insert(link.peer);
                work.how.whole = true;
                work.how.is_new = true;
                self.asked.clear();
            }
            BlobError::Forged => {
                // It may have been the list only, wherever that came from.
                self.wrong.insert(link.peer);
                work.how.is_new = true;
                doubt(shared, link, work.wish.digest);
            }
            BlobError::Store(_) | BlobError::NoRoom(_) | BlobError::Panicked(_) => {
                let why = chained(&error);
                self.trouble = Some(format!("contents cannot be stored: {why}"));
            }
            BlobError::Nonsense
            | BlobError::Frame(FrameError::Malformed(_) | FrameError::Endless) => {
                shared.ignore(&link.peer, &error);
            }
        }
    }

    /// Says why it did not come from anybody.
    fn was_vain(self, shared: &Shared, branch: &BranchName, seq: u64, digest: Digest) {
        if let Some(why) = self.trouble {
            hindered(shared, branch, format!("store {branch}"), why);
            return;
        }
        let names = |of: &BTreeSet<PublicKey>| {
            let names: Vec<_> = of.iter().map(|peer| shared.name_of(peer)).collect();
            names.join(", ")
        };
        let why = if !self.busy.is_empty() {
            let names = names(&self.busy);
            format!("which {names} cannot give just now, since others get it")
        } else if !self.wrong.is_empty() {
            let names = names(&self.wrong);
            format!("and what {names} sent for it was something else")
        } else if self.asked.is_empty() {
            "which nobody has now: no other host can be reached".to_owned()
        } else {
            let names = names(&self.asked);
            format!("which nobody has now: asked were {names}")
        };
        let why = format!("entry {seq} of branch {branch} needs blob {digest}, {why}");
        hindered(shared, branch, format!("blob {digest}"), why);
    }
}

/// Has a blob that a host says it has; whether it is here then.
pub async fn fetch_for(shared: &Arc<Shared>, link: &Link, wish: Wish) -> bool {
    let digest = wish.digest;
    let _turn = turn_at(shared, digest).await;
    let is_here = shared.on_disk(move |shared| shared.local.store().renew(&digest));
    if is_here.await.unwrap_or(false) {
        return true;
    }
    let mut work = Work::begin(shared, wish, 0);
    // It is this host that was asked to have it.
    work.how.pressing = true;
    match bring(shared, link, &mut work).await {
        Ok(()) => true,
        Err(BlobError::Forged) => {
            doubt(shared, link, digest);
            false
        }
        Err(error @ (BlobError::Store(_) | BlobError::NoRoom(_))) => {
            shared.mention("keep".to_owned(), || {
                format!("contents cannot be kept: {}", chained(&error))
            });
            false
        }
        // Whoever asked for it asks again.
        Err(_) => false,
    }
}

/// Gets from one host what is missing of a blob.
async fn bring(shared: &Arc<Shared>, link: &Link, work: &mut Work<'_>) -> Result<(), BlobError> {
    let brought = bring_somehow(shared, link, work).await;
    let teller = work.arrival.teller();
    teller.send_modify(|how| how.is_coming = false);
    brought
}

async fn bring_somehow(
    shared: &Arc<Shared>,
    link: &Link,
    work: &mut Work<'_>,
) -> Result<(), BlobError> {
    let Wish { digest, length, .. } = work.wish;
    let Some(length) = length.filter(|length| *length >= LONG_BYTES) else {
        return stream::stream(shared, link, work).await;
    };
    let mut patched = Patched::NotWorth;
    if !work.how.is_new {
        patched = patch::patch(shared, link, length, work).await?;
        work.how.is_new = patched == Patched::NotWorth;
    }
    if patched != Patched::Done {
        stream::stream(shared, link, work).await?;
    }
    shared.versions.came(Stored { digest, length });
    Ok(())
}

/// Says that what a host sent was another blob, and tells that host: its disk may be to blame.
fn doubt(shared: &Arc<Shared>, link: &Link, digest: Digest) {
    shared.mention(format!("forged {digest} {}", link.peer), || {
        let name = shared.name_of(&link.peer);
        format!("what {name} sent as blob {digest} is something else; others are asked")
    });
    let link = link.clone();
    tokio::spawn(async move {
        // It knows better or not; nothing here depends on it.
        let _told = ask(&link, &Request::Doubt(digest)).await;
    });
}

/// The next host to ask: one of those that say they have all of the entry; then one of those that have the
/// entry; then any.
fn provider(
    shared: &Shared,
    branch: &BranchName,
    seq: u64,
    asked: &BTreeSet<PublicKey>,
) -> Option<Link> {
    let table = shared.table();
    let mut best: Vec<&Link> = Vec::new();
    let mut best_rank = 0;
    for (key, peer) in table.peers() {
        let Some(link) = peer.link().filter(|_| !asked.contains(key)) else {
            continue;
        };
        let rank = match peer.head(branch) {
            Some(head) if head.complete >= seq => 3,
            Some(head) if head.seq >= seq => 2,
            Some(_) | None => 1,
        };
        if rank > best_rank {
            best.clear();
            best_rank = rank;
        }
        if rank == best_rank {
            best.push(link);
        }
    }
    fastrand::choice(best).cloned()
}
