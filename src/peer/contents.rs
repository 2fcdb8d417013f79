//! Getting the contents that entries need. Upholds: no blob is in memory as a whole; what came counts
//! only when it has its digest; when a provider ends, the next one goes on where it was.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use isconf_sandbox::change::Digest;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use super::endpoint::Link;
use super::frames::{FrameError, Incoming, cut_off};
use super::local::LocalError;
use super::messages::{Answer, Blob, BlobFrom, Refused, Request};
use super::serve::ask;
use super::standing::Arriving;
use super::this_host::{Shared, chained};
use super::turns::Turn;
use crate::model::{BranchName, PublicKey};
use crate::store::StoreError;

/// How long it takes until what nobody had is asked for again, doubled up to the longest while there are no
/// news.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How many hosts are asked for one blob in a row.
const MAX_ASKED: usize = 16;

/// How long a part of a blob is kept of which nothing more comes.
const KEPT_PARTIALS: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long a piece may take: some 8 KiB a second at least.
const PIECE_PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether somebody else fetched the same blob.
const TURN_PAUSE: Duration = Duration::from_millis(50);

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
    #[error("what it sent is something else")]
    Forged,
    /// The parts of several hosts do not make the blob. They were dropped.
    #[error("what several hosts sent is something else")]
    Mixed,
    /// There is no room for so many bytes.
    #[error("there is no room for {0} bytes; so much and some spare has to be free below IS_HOME")]
    NoRoom(u64),
}

/// Fetches what entries need, whenever there may be such: for this host's own branch and for all others side by
/// side, so that a large file there holds nobody up here.
pub async fn fetch(shared: Arc<Shared>) {
    let store = shared.local.store().clone();
    let is_old = |changed: SystemTime| changed.elapsed().is_ok_and(|age| age > KEPT_PARTIALS);
    if let Ok(Err(error)) = spawn_blocking(move || store.remove_partials(is_old)).await {
        tracing::warn!("what arrived in part is not tidied up: {error}");
    }
    let own = fetch_whenever(Arc::clone(&shared), |branch, own| branch == own);
    let others = fetch_whenever(shared, |branch, own| branch != own);
    tokio::join!(own, others);
}

/// Fetches what entries of some branches need, whenever there may be such.
async fn fetch_whenever(shared: Arc<Shared>, is_mine: fn(&BranchName, &BranchName) -> bool) {
    let mut news = shared.want.subscribe();
    let mut pause = FIRST_PAUSE;
    loop {
        let mut is_complete = true;
        news.mark_unchanged();
        for branch in branches(&shared, is_mine) {
            is_complete &= fetch_branch(&shared, &branch).await;
        }
        if is_complete {
            pause = FIRST_PAUSE;
            // The sender is as old as the network.
            let _told = news.changed().await;
        } else if timeout(pause, news.changed()).await.is_ok() {
            pause = FIRST_PAUSE;
        } else {
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// The branches that are here and to be looked after.
fn branches(shared: &Shared, is_mine: fn(&BranchName, &BranchName) -> bool) -> Vec<BranchName> {
    let own = shared.own();
    let branches = own.heads.iter().map(|head| &head.branch);
    branches
        .filter(|branch| is_mine(branch, &own.branch))
        .cloned()
        .collect()
}

/// Fetches what is missing of a branch, entry by entry; whether all is here then. What nobody has holds the
/// entries behind it not up.
async fn fetch_branch(shared: &Arc<Shared>, branch: &BranchName) -> bool {
    let (mut told, mut after, mut is_complete) = (Instant::now(), 0, true);
    loop {
        let asked = branch.clone();
        let wanted = shared.on_disk(move |shared| shared.local.wanted(&asked, after));
        let wanted = match wanted.await {
            Ok(Ok(Some(wanted))) => wanted,
            Ok(Ok(None)) => break,
            Ok(Err(error)) => {
                let why = format!("contents of branch {branch}: {}", chained(&error));
                hindered(shared, branch, format!("contents {branch}"), why);
                match error {
                    // It never will be one; those behind it are another matter.
                    LocalError::References { seq, .. } => after = seq,
                    _ => return false,
                }
                is_complete = false;
                continue;
            }
            Err(_panicked) => return false,
        };
        if !fetch_blobs(shared, branch, wanted.seq, wanted.blobs).await {
            after = wanted.seq;
            is_complete = false;
        }
        // Others may want it from here before all is here.
        if told.elapsed() > Duration::from_secs(1) {
            told = Instant::now();
            shared.look.notify_one();
        }
    }
    if is_complete {
        shared.deliveries.goes_on(branch);
    }
    shared.look.notify_one();
    is_complete
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
async fn fetch_blob(shared: &Arc<Shared>, branch: &BranchName, seq: u64, digest: Digest) -> bool {
    let _turn = turn_at(shared, digest).await;
    let is_here = shared.on_disk(move |shared| shared.local.store().contains(&digest));
    if is_here.await.unwrap_or(false) {
        return true;
    }
    let mut asked = BTreeSet::new();
    let mut trouble = None;
    while asked.len() < MAX_ASKED
        && let Some(link) = provider(shared, branch, seq, &asked)
    {
        asked.insert(link.peer);
        let mut came = fetch_from(shared, &link, (Some(seq), u64::MAX), digest).await;
        if matches!(came, Err(BlobError::Mixed)) {
            // Who sent the wrong part cannot be told; now all of it comes from one.
            came = fetch_from(shared, &link, (Some(seq), u64::MAX), digest).await;
        }
        shared.deliveries.ended(&digest);
        match came {
            Ok(()) => return true,
            Err(BlobError::Refused(_) | BlobError::Mixed) => {}
            Err(BlobError::Frame(FrameError::Broken(_) | FrameError::Late)) => {}
            Err(BlobError::Forged) => doubt(shared, &link, digest),
            Err(error @ (BlobError::Store(_) | BlobError::NoRoom(_) | BlobError::Panicked(_))) => {
                trouble = Some(format!("contents cannot be stored: {}", chained(&error)));
            }
            Err(
                error @ (BlobError::Nonsense
                | BlobError::Frame(FrameError::Malformed(_) | FrameError::Endless)),
            ) => shared.ignore(&link.peer, &error),
        }
    }
    if let Some(why) = trouble {
        hindered(shared, branch, format!("store {branch}"), why);
        return false;
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

/// Has a blob of at most so many bytes that a host says it has; whether it is here then.
pub async fn fetch_for(shared: &Arc<Shared>, link: &Link, digest: Digest, longest: u64) -> bool {
    let _turn = turn_at(shared, digest).await;
    let is_here = shared.on_disk(move |shared| shared.local.store().contains(&digest));
    if is_here.await.unwrap_or(false) {
        return true;
    }
    let came = fetch_from(shared, link, (None, longest), digest).await;
    shared.deliveries.ended(&digest);
    match came {
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

/// Notes and says why contents do not come.
fn hindered(shared: &Shared, branch: &BranchName, subject: String, why: String) {
    shared.mention(subject, || why.clone());
    shared.deliveries.is_hindered(branch, why);
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

/// Fetches the rest of a blob from one host.
async fn fetch_from(
    shared: &Arc<Shared>,
    link: &Link,
    (entry, longest): (Option<u64>, u64),
    digest: Digest,
) -> Result<(), BlobError> {
    let store = shared.local.store();
    let opened = store.clone();
    let here = spawn_blocking(move || opened.partial(&digest).map(|partial| partial.length()));
    let offset = here.await??;
    let (answer, mut incoming) = ask(link, &Request::Blob(BlobFrom { digest, offset })).await?;
    let length = match answer {
        Answer::Blob(Blob { length }) if length > longest => return Err(BlobError::Nonsense),
        Answer::Blob(Blob { length }) if length >= offset => length,
        // What is here cannot be its beginning; it begins anew.
        Answer::Refused(Refused::Nonsense) if offset > 0 => {
            let store = store.clone();
            spawn_blocking(move || store.partial(&digest)?.clear()).await??;
            return Err(BlobError::Mixed);
        }
        Answer::Refused(refused) => return Err(refused.into()),
        _ => return Err(BlobError::Nonsense),
    };
    let (pieces, mut to_disk) = mpsc::channel::<Vec<u8>>(PIECES);
    let store = store.clone();
    let writing = spawn_blocking(move || {
        let mut partial = store.partial(&digest)?;
        if !partial.has_room(length)? {
            return Err(BlobError::NoRoom(length));
        }
        while let Some(piece) = to_disk.blocking_recv() {
            partial.write(&piece)?;
        }
        // Cut off, it goes on from here the next time.
        if partial.length() < length {
            return Ok(false);
        }
        match partial.finish() {
            Ok(_) => Ok(true),
            Err(StoreError::NotTheBlob { .. }) if offset == 0 => Err(BlobError::Forged),
            Err(StoreError::NotTheBlob { .. }) => Err(BlobError::Mixed),
            Err(error) => Err(error.into()),
        }
    });
    let tell = |here| {
        // What no entry here needs yet is nothing that anybody here waits for.
        let Some(entry) = entry else { return };
        let arriving = Arriving {
            entry,
            here,
            length,
        };
        shared.deliveries.arrives(digest, arriving);
    };
    let received = receive(&mut incoming, (offset, length), &pieces, tell).await;
    drop(pieces);
    match writing.await?? {
        true => Ok(()),
        false => {
            received?;
            Err(cut_off().into())
        }
    }
}

/// Hands on what comes, in pieces.
async fn receive(
    incoming: &mut Incoming,
    (offset, length): (u64, u64),
    pieces: &mpsc::Sender<Vec<u8>>,
    tell: impl Fn(u64),
) -> Result<(), BlobError> {
    let mut left = length - offset;
    while left > 0 {
        tell(length - left);
        // All of it in time, not only the next byte: whoever drips is no provider.
        let piece = timeout(PIECE_PATIENCE, next_piece(incoming, left)).await;
        let piece = piece.map_err(|_| FrameError::Late)??;
        left -= piece.len() as u64;
        if pieces.send(piece).await.is_err() {
            // The disk refuses; whoever writes says why.
            return Ok(());
        }
    }
    Ok(())
}

/// The next piece: a whole one, or all that is left.
async fn next_piece(incoming: &mut Incoming, left: u64) -> Result<Vec<u8>, FrameError> {
    let wanted = usize::try_from(left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
    let (mut piece, mut filled) = (vec![0; wanted], 0);
    while filled < wanted {
        match incoming.piece(&mut piece[filled..], u64::MAX).await? {
            0 => return Err(cut_off()),
            got => filled += got,
        }
    }
    Ok(piece)
}
