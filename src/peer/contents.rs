//! Getting the contents that entries need. Upholds: no blob is in memory as a whole; what came counts
//! only when it has its digest; when a provider ends, the next one goes on where it was.

use std::sync::Arc;
use std::time::{Duration, Instant};

use isconf_sandbox::change::Digest;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use super::endpoint::Link;
use super::frames::FrameError;
use super::messages::{Answer, Blob, BlobFrom, Refused, Request};
use super::network::{Shared, chained};
use super::serve::{PATIENCE, ask};
use super::standing::Arriving;
use crate::model::{BranchName, PublicKey};
use crate::store::StoreError;

/// How long it takes until what nobody had is asked for again.
const AGAIN: Duration = Duration::from_secs(5);

/// How many blobs are fetched at once.
const AT_ONCE: usize = 4;

/// How much of a blob is handed to the disk at a time, and how many such pieces may wait for it.
const PIECE_BYTES: usize = 256 * 1024;
const PIECES: usize = 4;

/// Why a blob did not come from a peer.
#[derive(Debug, thiserror::Error)]
enum BlobError {
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
    /// The whole blob came from it, and is another one.
    #[error("what it sent as blob {0} is something else")]
    Forged(Digest),
}

/// Fetches what entries need, whenever there may be such.
pub async fn fetch_all(shared: Arc<Shared>) {
    loop {
        let mut is_complete = true;
        for branch in branches(&shared) {
            is_complete &= fetch_branch(&shared, &branch).await;
        }
        let more = shared.want.notified();
        if is_complete {
            more.await;
        } else {
            // Whether somebody said something or not.
            let _in_any_case = timeout(AGAIN, more).await;
        }
    }
}

/// The branches that are here, this host's own first.
fn branches(shared: &Shared) -> Vec<BranchName> {
    let own = shared.own();
    let mut branches: Vec<_> = own.heads.iter().map(|head| head.branch.clone()).collect();
    branches.sort_by_key(|branch| *branch != own.branch);
    branches
}

/// Fetches what is missing of a branch, entry by entry; whether all is here then.
async fn fetch_branch(shared: &Arc<Shared>, branch: &BranchName) -> bool {
    let mut told = Instant::now();
    loop {
        let asked = branch.clone();
        let wanted = shared
            .on_disk(move |shared| shared.local.wanted(&asked))
            .await;
        let wanted = match wanted {
            Ok(Ok(Some(wanted))) => wanted,
            Ok(Ok(None)) => {
                shared.deliveries.goes_on(branch);
                shared.look.notify_one();
                return true;
            }
            Ok(Err(error)) => {
                let why = format!("contents of branch {branch}: {}", chained(&error));
                hindered(shared, branch, format!("contents {branch}"), why);
                return false;
            }
            Err(_panicked) => return false,
        };
        if !fetch_blobs(shared, branch, wanted.seq, wanted.blobs).await {
            return false;
        }
        // Others may want it from here before all is here.
        if told.elapsed() > Duration::from_secs(1) {
            told = Instant::now();
            shared.look.notify_one();
        }
    }
}

/// Fetches blobs, some at once; whether all came.
async fn fetch_blobs(
    shared: &Arc<Shared>,
    branch: &BranchName,
    seq: u64,
    blobs: Vec<Digest>,
) -> bool {
    let (mut under_way, mut all_came) = (JoinSet::new(), true);
    for digest in blobs {
        if under_way.len() >= AT_ONCE {
            all_came &= matches!(under_way.join_next().await, Some(Ok(true)));
        }
        let (shared, branch) = (Arc::clone(shared), branch.clone());
        under_way.spawn(async move { fetch_blob(&shared, &branch, seq, digest).await });
    }
    while let Some(came) = under_way.join_next().await {
        all_came &= matches!(came, Ok(true));
    }
    all_came
}

/// Fetches one blob from whoever has it; whether it came.
async fn fetch_blob(shared: &Arc<Shared>, branch: &BranchName, seq: u64, digest: Digest) -> bool {
    let mut asked = Vec::new();
    while let Some(link) = provider(shared, branch, seq, &asked) {
        asked.push(link.peer);
        let came = fetch_from(shared, &link, seq, digest).await;
        shared.deliveries.ended(&digest);
        match came {
            Ok(()) => {
                shared.deliveries.goes_on(branch);
                return true;
            }
            Err(
                BlobError::Refused(_) | BlobError::Frame(FrameError::Broken(_) | FrameError::Late),
            ) => {}
            Err(BlobError::Store(error)) => {
                let why = format!("contents cannot be stored: {}", chained(&error));
                hindered(shared, branch, format!("store {error}"), why);
                return false;
            }
            Err(error) => shared.ignore(&link.peer, &error),
        }
    }
    let names: Vec<_> = asked.iter().map(|peer| shared.name_of(peer)).collect();
    let whom = match names.as_slice() {
        [] => "no other host can be reached".to_owned(),
        names => format!("asked were {}", names.join(", ")),
    };
    let why =
        format!("entry {seq} of branch {branch} needs blob {digest}, which nobody has now: {whom}");
    hindered(shared, branch, format!("blob {digest}"), why);
    false
}

/// Notes and says why contents do not come.
fn hindered(shared: &Shared, branch: &BranchName, subject: String, why: String) {
    shared.mention(subject, || why.clone());
    shared.deliveries.is_hindered(branch, why);
}

/// The next host to ask: one of those that say they have all of the entry; then one of those that have the
/// entry; then any.
fn provider(shared: &Shared, branch: &BranchName, seq: u64, asked: &[PublicKey]) -> Option<Link> {
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

/// Fetches the rest of a blob from one host.
async fn fetch_from(
    shared: &Arc<Shared>,
    link: &Link,
    entry: u64,
    digest: Digest,
) -> Result<(), BlobError> {
    let store = shared.local.store();
    let opened = store.clone();
    let here = spawn_blocking(move || opened.partial(&digest).map(|partial| partial.length()));
    let offset = here.await??;
    let (answer, mut incoming) = ask(link, &Request::Blob(BlobFrom { digest, offset })).await?;
    let length = match answer {
        Answer::Blob(Blob { length }) if length >= offset => length,
        // What is here cannot be its beginning; it begins anew.
        Answer::Refused(Refused::Nonsense) if offset > 0 => {
            let store = store.clone();
            spawn_blocking(move || store.partial(&digest)?.clear()).await??;
            return Err(Refused::Later.into());
        }
        Answer::Refused(refused) => return Err(refused.into()),
        Answer::Blob(_) | Answer::Hello(_) | Answer::Records(_) => return Err(BlobError::Nonsense),
    };
    let (pieces, mut to_disk) = mpsc::channel::<Vec<u8>>(PIECES);
    let store = store.clone();
    let writing = spawn_blocking(move || {
        let mut partial = store.partial(&digest)?;
        while let Some(piece) = to_disk.blocking_recv() {
            partial.write(&piece)?;
        }
        // Cut off, it goes on from here the next time.
        if partial.length() < length {
            return Ok(false);
        }
        partial.finish()?;
        Ok(true)
    });
    let tell = |here| {
        let arriving = Arriving {
            entry,
            here,
            length,
        };
        shared.deliveries.arrives(digest, arriving);
    };
    let received = receive(&mut incoming, (offset, length), &pieces, tell).await;
    drop(pieces);
    match writing.await? {
        Ok(true) => Ok(()),
        Ok(false) => {
            received?;
            Err(BlobError::Nonsense)
        }
        Err(StoreError::NotTheBlob { .. }) if offset == 0 => Err(BlobError::Forged(digest)),
        // Who sent the wrong part cannot be told; it was dropped, and comes anew.
        Err(StoreError::NotTheBlob { .. }) => Err(Refused::Later.into()),
        Err(error) => Err(error.into()),
    }
}

/// Hands on what comes, in pieces.
async fn receive(
    incoming: &mut super::frames::Incoming,
    (offset, length): (u64, u64),
    pieces: &mpsc::Sender<Vec<u8>>,
    tell: impl Fn(u64),
) -> Result<(), BlobError> {
    let mut left = length - offset;
    while left > 0 {
        tell(length - left);
        let mut piece = vec![0; PIECE_BYTES];
        let mut filled = 0;
        while filled < piece.len() && left > 0 {
            let got = timeout(PATIENCE, incoming.piece(&mut piece[filled..], left)).await;
            match got.map_err(|_| FrameError::Late)?? {
                0 => return Err(FrameError::Endless.into()),
                got => {
                    filled += got;
                    left -= got as u64;
                }
            }
        }
        piece.truncate(filled);
        if pieces.send(piece).await.is_err() {
            // The disk refuses; whoever writes says why.
            return Ok(());
        }
    }
    Ok(())
}
