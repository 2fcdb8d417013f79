//! A new version of a long blob: what it has in common with blobs that are here is taken from them, and the rest in
//! parts from one host that has all of it. Upholds: each piece is checked before it is written, wherever it is from; so
//! whoever sent a wrong one is known.

use std::sync::Arc;
use std::time::Duration;

use isconf_sandbox::change::Digest;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::super::cutting::cut;
use super::super::endpoint::Link;
use super::super::frames::Incoming;
use super::super::messages::{Answer, Blob, BlobParts, PieceList, Refused, Request};
use super::super::serve::ask;
use super::super::this_host::Shared;
use super::blob::{BlobError, Work};
use super::plan::{Begin, Fault, MAX_LOOKED_IN, Plan, Step, parts_of};
use super::stream::{self, PORTION_BYTES, PORTIONS};
use crate::store::{MAX_PIECES_BYTES, Pieces, StoreError, Stored};

/// How long a host may take to tell the pieces, and how many bytes it has to have cut in a second beyond that.
const CUTTING: Duration = Duration::from_secs(20);
const CUT_A_SECOND: u64 = 50 << 20;

/// How long it takes until it is asked again while it is cutting.
const PAUSE: Duration = Duration::from_millis(500);

/// How many blobs that are here are cut for that.
const MAX_CUT: usize = 2;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patched {
    /// The blob is here.
    Done,
    /// What is here has too little in common with it.
    NotWorth,
    /// The host cannot tell its pieces.
    NotThere,
}

/// Makes a blob of what is here and of parts that a host has.
pub(super) async fn patch(
    shared: &Arc<Shared>,
    link: &Link,
    length: u64,
    work: &mut Work<'_>,
) -> Result<Patched, BlobError> {
    let (digest, teller) = (work.wish.digest, work.arrival.teller());
    let alike = shared.on_disk(move |shared| {
        let store = shared.local.store();
        shared.versions.about(store, length)
    });
    let alike = alike.await?;
    if alike.is_empty() {
        return Ok(Patched::NotWorth);
    }
    let patience = CUTTING + Duration::from_secs(length / CUT_A_SECOND);
    // Both hosts are at it at the same time.
    let (pieces, ()) = tokio::join!(
        timeout(patience, pieces_of(link, digest, length)),
        cut_some(shared, &alike)
    );
    let Ok(Some(pieces)) = pieces.unwrap_or(Ok(None)) else {
        return Ok(Patched::NotThere);
    };
    let plan = shared.on_disk(move |shared| Plan::make(shared.local.store(), pieces, &alike));
    let plan = Arc::new(plan.await?);
    // Otherwise hosts that want it give it to each other.
    if plan.common < length - length / 4 {
        return Ok(Patched::NotWorth);
    }
    let partial = work.partial(shared).await?;
    let (steps, to_do) = mpsc::channel(PORTIONS);
    let (mut partial, begin) = {
        let plan = Arc::clone(&plan);
        spawn_blocking(move || plan.begin(partial)).await??
    };
    let doing = {
        let plan = Arc::clone(&plan);
        spawn_blocking(move || {
            stream::has_room(&partial, length, &teller)?;
            plan.assemble(&mut partial, to_do, &teller)?;
            if partial.length() < length {
                return Ok(Some(partial));
            }
            match partial.finish() {
                Ok(_) => Ok(None),
                // Its pieces were right one by one: then their list was wrong.
                Err(StoreError::NotTheBlob { .. }) => Err(BlobError::Forged.into()),
                Err(error) => Err(error.into()),
            }
        })
    };
    let came = get(link, (digest, length), &plan, begin, &steps).await;
    drop(steps);
    match doing.await? {
        Ok(None) => Ok(Patched::Done),
        Ok(partial) => {
            work.partial = partial;
            came.map(|()| Patched::NotThere)
        }
        Err(Fault::Blob(error)) => Err(error),
        // What was a piece of it here is none any more: that blob is looked at, and this one comes as a whole.
        Err(Fault::Rotten(other)) => {
            let look = shared.on_disk(move |shared| shared.local.look_at_blob(&other));
            let _sets_it_aside_if_it_is = look.await;
            Ok(Patched::NotWorth)
        }
    }
}

/// Cuts some of those blobs that are looked in first and were not cut yet. What cannot be cut is not looked in.
async fn cut_some(shared: &Arc<Shared>, alike: &[Stored]) {
    let first: Vec<_> = alike.iter().take(MAX_LOOKED_IN).copied().collect();
    let uncut = shared.on_disk(move |shared| {
        let store = shared.local.store();
        let mut uncut = first;
        uncut.retain(|blob| store.kept_pieces(&blob.digest, blob.length).is_none());
        uncut
    });
    for blob in uncut.await.unwrap_or_default().iter().take(MAX_CUT) {
        // Somebody else may be at it.
        while let Err(Refused::Later) = cut(shared, blob.digest).await {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Asks a host for the pieces of a blob; `None` when it cannot tell them.
async fn pieces_of(link: &Link, digest: Digest, length: u64) -> Result<Option<Pieces>, BlobError> {
    loop {
        let (answer, mut incoming) = ask(link, &Request::Pieces(digest)).await?;
        let PieceList { length: bytes } = match answer {
            Answer::Pieces(list) if list.length <= MAX_PIECES_BYTES => list,
            Answer::Refused(Refused::Later | Refused::Busy) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Answer::Refused(_) => return Ok(None),
            _ => return Err(BlobError::Nonsense),
        };
        let list = body(&mut incoming, bytes).await?;
        // The blob may be damaged there, or have another length than was said here.
        return Ok(Pieces::parse(&list, length));
    }
}

/// Reads what follows an answer; the caller bounded it.
async fn body(incoming: &mut Incoming, bytes: u64) -> Result<Vec<u8>, BlobError> {
    let mut all = Vec::new();
    while (all.len() as u64) < bytes {
        let left = usize::try_from(bytes).map_or(0, |bytes| bytes - all.len());
        all.extend(stream::portion(incoming, left.min(PORTION_BYTES)).await?);
    }
    Ok(all)
}

/// Gets what is not here, and has all put together in its order.
async fn get(
    link: &Link,
    (digest, length): (Digest, u64),
    plan: &Plan,
    begin: Begin,
    steps: &mpsc::Sender<Step>,
) -> Result<(), BlobError> {
    let runs = plan.runs(begin);
    let mut runs = &runs[..];
    while !runs.is_empty() {
        let (parts, count) = parts_of(runs);
        let (batch, rest) = runs.split_at(count);
        runs = rest;
        let mut came = Vec::new();
        if !parts.is_empty() {
            let bytes = parts.iter().map(|(_, length)| length).sum();
            let (answer, mut incoming) =
                ask(link, &Request::Parts(BlobParts { digest, parts })).await?;
            match answer {
                Answer::Blob(Blob { length: found, .. }) if found == length => {}
                Answer::Blob(_) => return Err(BlobError::Forged),
                Answer::Refused(refused) => return Err(refused.into()),
                _ => return Err(BlobError::Nonsense),
            }
            came = body(&mut incoming, bytes).await?;
        }
        let mut rest = &came[..];
        for run in batch {
            let step = match run.is_here {
                true => Step::Here(run.pieces.clone()),
                false => {
                    let length = usize::try_from(run.length).unwrap_or(usize::MAX);
                    let (these, behind) =
                        rest.split_at_checked(length).ok_or(BlobError::Nonsense)?;
                    rest = behind;
                    Step::There(run.pieces.clone(), these.to_vec())
                }
            };
            if steps.send(step).await.is_err() {
                // Whoever puts it together says why.
                return Ok(());
            }
        }
    }
    Ok(())
}
