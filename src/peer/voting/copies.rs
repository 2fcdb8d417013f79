//! Having other hosts keep contents before they are needed there. Upholds: a host says that it keeps a blob only
//! when the blob is durable there and has its digest.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isconf_sandbox::change::Digest;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::super::contents::{self, Wish};
use super::super::endpoint::Link;
use super::super::messages::{Answer, MAX_KEPT, Request};
use super::super::serve::ask;
use super::super::this_host::Shared;

/// How long a host fetches before it says how much is missing still: less than its answer is waited for.
const FETCHING: Duration = Duration::from_secs(5);

/// How many blobs are fetched at once.
const AT_ONCE: usize = 4;

/// How often in a row a host may have got nothing more.
const MAX_IDLE: u32 = 6;

/// How many hosts are asked to keep contents, one after another.
const MAX_ASKED: usize = 5;

/// Where contents are beside this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptBy {
    /// On this host, by name.
    Host(String),
    /// Nowhere, since no other host can be reached.
    NobodyThere,
    /// Nowhere, although hosts can be reached.
    NobodyCould {
        /// Who was asked, by name.
        asked: Vec<String>,
    },
}

/// Fetches what `link`'s host asks this one to keep; how many blobs are missing still.
pub async fn keep_for(shared: &Arc<Shared>, link: &Link, blobs: Vec<(Digest, u64)>) -> u64 {
    let begun = Instant::now();
    let mut missing = blobs.len() as u64;
    let (mut blobs, mut under_way) = (blobs.into_iter(), JoinSet::new());
    loop {
        while under_way.len() < AT_ONCE
            && let Some((digest, length)) = blobs.next()
        {
            let (shared, link) = (Arc::clone(shared), link.clone());
            let wish = Wish::of_length(digest, length);
            under_way.spawn(async move { contents::fetch_for(&shared, &link, wish).await });
        }
        let left = FETCHING.saturating_sub(begun.elapsed());
        match timeout(left, under_way.join_next()).await {
            Ok(Some(Ok(true))) => missing -= 1,
            Ok(Some(Ok(false) | Err(_))) => {}
            Ok(None) => break,
            // They are asked for again, and go on until then: two at once at the same would spoil what arrived.
            Err(_late) => {
                under_way.detach_all();
                break;
            }
        }
    }
    missing
}

/// Asks a host to keep blobs until it does; whether it does.
pub async fn kept(link: &Link, blobs: &[(Digest, u64)]) -> bool {
    for part in blobs.chunks(MAX_KEPT) {
        let (mut fewest, mut idle) = (u64::MAX, 0);
        loop {
            let before = Instant::now();
            match ask(link, &Request::Keep(part.to_vec())).await {
                Ok((Answer::Kept(0), _)) => break,
                Ok((Answer::Kept(missing), _)) => {
                    // A long blob is under way as long as it takes all its time.
                    let is_under_way = before.elapsed() >= FETCHING / 2;
                    idle = match missing < fewest || is_under_way {
                        true => 0,
                        false => idle + 1,
                    };
                    fewest = fewest.min(missing);
                }
                Ok(_) | Err(_) => return false,
            }
            if idle >= MAX_IDLE {
                return false;
            }
            if before.elapsed() < FETCHING / 2 {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
    true
}

/// Has one other host keep blobs: a voter, if one can be reached.
pub async fn keep_elsewhere(shared: &Arc<Shared>, blobs: &[Digest]) -> KeptBy {
    let (mut tried, mut could_not) = (BTreeSet::new(), Vec::new());
    let wanted = blobs.to_vec();
    let lengths = shared.on_disk(move |shared| {
        let store = shared.local.store();
        // What is not here is asked for in vain, and that is told.
        let length = |digest: &Digest| store.length(digest).unwrap_or(0);
        wanted
            .iter()
            .map(|digest| (*digest, length(digest)))
            .collect::<Vec<_>>()
    });
    let blobs = lengths.await.unwrap_or_default();
    loop {
        let link = candidates(shared)
            .into_iter()
            .find(|link| !tried.contains(&link.peer));
        let Some(link) = link.filter(|_| tried.len() < MAX_ASKED) else {
            break;
        };
        tried.insert(link.peer);
        if kept(&link, &blobs).await {
            return KeptBy::Host(shared.name_of(&link.peer));
        }
        // One that went away meanwhile is as good as one that was not there.
        if shared.link_to(&link.peer).is_some() {
            could_not.push(shared.name_of(&link.peer));
        }
    }
    match could_not.is_empty() {
        true => KeptBy::NobodyThere,
        false => KeptBy::NobodyCould { asked: could_not },
    }
}

/// The connected hosts, voters first.
fn candidates(shared: &Shared) -> Vec<Link> {
    let voters = super::voters(shared);
    let mut links: Vec<_> = shared.table().links().cloned().collect();
    fastrand::shuffle(&mut links);
    links.sort_by_key(|link| !voters.contains(&link.peer));
    links
}
