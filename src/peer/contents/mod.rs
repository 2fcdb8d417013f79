//! Getting the contents that entries need. Upholds: no blob is in memory as a whole; what came counts
//! only when it has its digest; when a provider ends, the next one goes on where it was.
//!
//! ```text
//! what is missing ─> blob: whom to ask ─┬─> patch: of what is here, and parts from one host
//!                                       └─> stream: all of it, from where it stopped
//! ```

mod blob;
mod patch;
mod plan;
mod stream;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use isconf_sandbox::change::Digest;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use self::blob::fetch_blob;
pub use self::blob::{Wish, fetch_for};
use super::local::LocalError;
use super::this_host::{Shared, chained};
use crate::model::BranchName;

/// How long it takes until what nobody had is asked for again, doubled up to the longest while there are no
/// news.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How long a part of a blob is kept of which nothing more comes.
const KEPT_PARTIALS: Duration = Duration::from_secs(7 * 24 * 3600);

/// How many blobs are fetched at once.
const AT_ONCE: usize = 4;

/// Fetches what entries need, whenever there may be such: for this host's own branch and for all others side by
/// side, so that a large file there holds nobody up here.
pub async fn fetch(shared: Arc<Shared>) {
    let store = shared.local.store().clone();
    let is_old = |changed: SystemTime| changed.elapsed().is_ok_and(|age| age > KEPT_PARTIALS);
    let tidied = spawn_blocking(move || {
        store.remove_partials(is_old)?;
        store.remove_pieces()
    });
    if let Ok(Err(error)) = tidied.await {
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
    blobs: Vec<(Digest, Option<u64>)>,
) -> bool {
    let (mut under_way, mut all_came) = (JoinSet::new(), true);
    for (digest, length) in blobs {
        let wish = Wish {
            digest,
            length,
            // What a list says of a length is no more than a hint: the digest decides.
            longest: u64::MAX,
        };
        if under_way.len() >= AT_ONCE {
            all_came &= matches!(under_way.join_next().await, Some(Ok(true)));
        }
        let (shared, branch) = (Arc::clone(shared), branch.clone());
        under_way.spawn(async move { fetch_blob(&shared, &branch, seq, wish).await });
    }
    while let Some(came) = under_way.join_next().await {
        all_came &= matches!(came, Ok(true));
    }
    all_came
}

/// Notes and says why contents do not come.
fn hindered(shared: &Shared, branch: &BranchName, subject: String, why: String) {
    shared.mention(subject, || why.clone());
    shared.deliveries.is_hindered(branch, why);
}
