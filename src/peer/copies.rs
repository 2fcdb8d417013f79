//! On how many hosts contents are that are not needed here. Upholds: a host that may remove a content itself does not
//! count, so that no two rely on each other.

use std::sync::Arc;
use std::time::Duration;

use isconf_sandbox::change::Digest;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::endpoint::Link;
use super::messages::{Answer, MAX_KEPT, Request};
use super::serve::ask;
use super::this_host::Shared;
use crate::model::CachePolicy;

/// How long the other hosts may take to say what they have. Whoever is late has nothing.
const ASKING: Duration = Duration::from_secs(20);

/// Which of these blobs this host has and will keep.
pub fn kept_here(shared: &Shared, blobs: &[Digest]) -> Vec<bool> {
    let keeps_all = shared.facts.cache == CachePolicy::Full;
    let store = shared.local.store();
    let is_kept = |digest: &Digest| keeps_all && store.contains(digest);
    blobs.iter().map(is_kept).collect()
}

/// On how many of the connected hosts that keep everything blobs are, one by one.
pub async fn count(shared: &Arc<Shared>, blobs: &[Digest]) -> Vec<u64> {
    let links: Vec<_> = shared.table().links().cloned().collect();
    let mut asking = JoinSet::new();
    for link in links {
        let blobs = blobs.to_vec();
        asking.spawn(async move { timeout(ASKING, has(&link, &blobs)).await });
    }
    let mut counts = vec![0; blobs.len()];
    while let Some(answer) = asking.join_next().await {
        if let Ok(Ok(Some(has))) = answer {
            for (count, has) in counts.iter_mut().zip(has) {
                *count += u64::from(has);
            }
        }
    }
    counts
}

/// Which blobs a host has and keeps; `None` when it does not say.
async fn has(link: &Link, blobs: &[Digest]) -> Option<Vec<bool>> {
    let mut all = Vec::new();
    for part in blobs.chunks(MAX_KEPT) {
        match ask(link, &Request::Have(part.to_vec())).await {
            Ok((Answer::Have(has), _)) if has.len() == part.len() => all.extend(has),
            Ok(_) | Err(_) => return None,
        }
    }
    Some(all)
}
