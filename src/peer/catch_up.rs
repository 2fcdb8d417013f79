//! Getting the entries that others have and this host has not. Upholds: a longer journal of a peer is a
//! hint; what it sends is checked record by record before it counts; one that differs is never mixed
//! with the one here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::endpoint::Link;
use super::frames::{FrameError, cut_off};
use super::local::LocalError;
use super::messages::{Answer, BranchHead, RecordsAfter, Refused, Request};
use super::serve::{PATIENCE, ask};
use super::this_host::{Shared, chained};
use super::voting;
use crate::chain::MAX_RECORD_BYTES;
use crate::model::{BranchName, EntryRef, PublicKey};

/// The pause while another process appends to the same journal.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// How often that is waited for: a check-in takes milliseconds, an import of a bundle may take minutes, and
/// the next hello comes in any case.
const BUSY_TRIES: usize = 100;

/// Why nothing more came from a peer.
#[derive(Debug, thiserror::Error)]
enum PullError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Refused(#[from] Refused),
    #[error(transparent)]
    Local(#[from] LocalError),
    #[error("it answered what cannot be")]
    Nonsense,
    #[error("the journal here stays busy")]
    Busy,
    #[error("the work failed")]
    Panicked(#[from] tokio::task::JoinError),
}

/// Compares what a peer has with what is here, and begins to catch up where it has more.
pub fn compare(shared: &Arc<Shared>, peer: &PublicKey, heads: &[BranchHead]) {
    let own = shared.own().heads.clone();
    let own: BTreeMap<_, _> = own.iter().map(|head| (&head.branch, head)).collect();
    for head in heads {
        let here = own.get(&head.branch);
        match here {
            Some(here) if here.seq == head.seq && here.id != head.id => {
                diverged(shared, peer, &head.branch);
            }
            Some(here) if here.seq == head.seq => shared.diverged.agrees(&head.branch, peer),
            Some(here) if here.seq > head.seq => {}
            // A voter does not take what the voters did not agree on: it would be in the way of what they do.
            _ if voting::agreed(shared, &head.branch).is_some_and(|agreed| agreed < head.seq) => {
                let (branch, seq) = (&head.branch, head.seq);
                if shared.is_due(format!("unagreed {branch} {peer}")) {
                    tracing::info!(
                        "{} has entries of branch {branch} up to {seq}, which this voter does not know of yet",
                        shared.name_of(peer)
                    );
                }
            }
            Some(_) | None => {
                let (shared, branch) = (Arc::clone(shared), head.branch.clone());
                tokio::spawn(async move { catch_up(&shared, branch).await });
            }
        }
    }
}

/// Gets what the connected hosts have of a branch, until none of them has more.
pub async fn catch_up(shared: &Arc<Shared>, branch: BranchName) {
    let Some(_turn) = shared.pulling.take(&branch) else {
        return;
    };
    // It is never closed.
    let Ok(_place) = shared.pulls.acquire().await else {
        return;
    };
    let mut failed = BTreeSet::new();
    loop {
        let asked = branch.clone();
        let last = shared
            .on_disk(move |shared| shared.local.last(&asked))
            .await;
        let Ok(Ok(last)) = last else {
            // What is wrong with the journal here is told by whoever looks at it.
            return;
        };
        // A voter has what the voters agreed on, and no more.
        let limit = voting::agreed(shared, &branch).unwrap_or(u64::MAX);
        let Some(link) = source(shared, &branch, last, &failed).filter(|_| last.seq < limit) else {
            return;
        };
        match pull(shared, &link, &branch, last, limit).await {
            Ok(now) => {
                shared.diverged.agrees(&branch, &link.peer);
                tracing::info!(
                    "branch {branch} is at entry {} now, from {}",
                    now.seq,
                    shared.name_of(&link.peer)
                );
            }
            Err(error) => {
                failed.insert(link.peer);
                told(shared, &link.peer, &branch, &error);
            }
        }
        // What came before a fault counts, too.
        shared.look.notify_one();
    }
}

/// A connected host that says it has more, any of them.
fn source(
    shared: &Shared,
    branch: &BranchName,
    last: EntryRef,
    failed: &BTreeSet<PublicKey>,
) -> Option<Link> {
    let table = shared.table();
    let sources = table.peers().filter(|(key, peer)| {
        !failed.contains(*key) && peer.head(branch).is_some_and(|head| head.seq > last.seq)
    });
    let links: Vec<_> = sources.filter_map(|(_, peer)| peer.link()).collect();
    fastrand::choice(links).cloned()
}

/// Takes one answer's worth of entries; gives the journal's end.
async fn pull(
    shared: &Arc<Shared>,
    link: &Link,
    branch: &BranchName,
    last: EntryRef,
    limit: u64,
) -> Result<EntryRef, PullError> {
    let request = Request::Records(RecordsAfter {
        branch: branch.clone(),
        seq: last.seq,
        id: last.id,
    });
    let (answer, mut incoming) = ask(link, &request).await?;
    let mut lengths = match answer {
        Answer::Records(records) if records.is_bounded(MAX_RECORD_BYTES) => records.lengths,
        Answer::Refused(refused) => return Err(refused.into()),
        _ => return Err(PullError::Nonsense),
    };
    if lengths.is_empty() {
        // It said that it had more, and has not.
        return Err(Refused::Missing.into());
    }
    lengths.truncate(usize::try_from(limit - last.seq).unwrap_or(usize::MAX));
    // Bounded by `is_bounded`: an answer and one record more.
    let all: u64 = lengths.iter().sum();
    let mut bytes = vec![0; usize::try_from(all).unwrap_or(usize::MAX)];
    let mut filled = 0;
    while filled < bytes.len() {
        let (buffer, left) = (&mut bytes[filled..], u64::MAX);
        let piece = tokio::time::timeout(PATIENCE, incoming.piece(buffer, left)).await;
        match piece.map_err(|_| FrameError::Late)?? {
            0 => return Err(cut_off().into()),
            got => filled += got,
        }
    }
    take(shared, branch, last, lengths, bytes).await
}

/// Makes the records part of the journal here.
async fn take(
    shared: &Arc<Shared>,
    branch: &BranchName,
    last: EntryRef,
    lengths: Vec<u64>,
    bytes: Vec<u8>,
) -> Result<EntryRef, PullError> {
    let got = Arc::new((lengths, bytes));
    for _ in 0..BUSY_TRIES {
        let (got, branch) = (Arc::clone(&got), branch.clone());
        let taken = shared.on_disk(move |shared| {
            let (lengths, mut rest) = (&got.0, got.1.as_slice());
            let mut records = Vec::with_capacity(lengths.len());
            for length in lengths {
                let length = usize::try_from(*length).unwrap_or(usize::MAX);
                let (record, behind) = rest.split_at_checked(length)?;
                records.push(record);
                rest = behind;
            }
            Some(shared.local.take_records(&branch, last, &records))
        });
        match taken.await?.ok_or(PullError::Nonsense)?? {
            Some(now) => return Ok(now),
            None => tokio::time::sleep(BUSY_PAUSE).await,
        }
    }
    Err(PullError::Busy)
}

/// Says what came of an attempt, and ignores whoever is to blame.
fn told(shared: &Arc<Shared>, peer: &PublicKey, branch: &BranchName, error: &PullError) {
    match error {
        PullError::Refused(Refused::Diverged) => diverged(shared, peer, branch),
        PullError::Local(local) if local.is_the_senders() => {
            let why = format!("branch {branch}: {}", chained(local));
            shared.ignore(peer, &why);
        }
        PullError::Nonsense | PullError::Frame(FrameError::Malformed(_) | FrameError::Endless) => {
            shared.ignore(peer, error);
        }
        PullError::Local(_) | PullError::Busy | PullError::Panicked(_) => {
            shared.mention(format!("take {branch}"), || {
                format!(
                    "entries of branch {branch} cannot be taken: {}",
                    chained(error)
                )
            });
        }
        // The connection broke, or it lost what it had: others are asked, or it again after its next hello.
        PullError::Frame(FrameError::Broken(_) | FrameError::Late) | PullError::Refused(_) => {}
    }
}

/// Says that a peer's journal is another one.
pub fn diverged(shared: &Shared, peer: &PublicKey, branch: &BranchName) {
    shared.diverged.note(branch, peer);
    shared.mention(format!("diverged {branch} {peer}"), || {
        format!(
            "{} has other entries in branch {branch} than this host; nothing of that branch is taken from it",
            shared.name_of(peer)
        )
    });
}
