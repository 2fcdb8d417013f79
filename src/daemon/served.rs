//! What the daemon answers to verbs. Not for how a connection goes (see `server`).

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::timeout;

use super::protocol::{Answer, Request};
use super::run::DaemonFacts;
use super::statuses::{
    Arriving, Copies, DaemonStatus, HostStatus, PeerStatus, Standing, VoterStatus, VotingStatus,
};
use crate::model::BranchName;
use crate::peer::{Network, PeerView, chained};

/// How long a verb waits until it is told that blobs are under way still.
const KEEPING: Duration = Duration::from_secs(20);

/// What verbs may ask of.
#[derive(Debug)]
pub(super) struct Served {
    started: u64,
    domain: String,
    network: Network,
}

impl Served {
    /// The daemon of `facts`.
    pub(super) fn new(facts: &DaemonFacts, network: Network) -> Self {
        Self {
            started: seconds(facts.now),
            domain: facts.network.domain.to_string(),
            network,
        }
    }

    /// Answers a request.
    pub(super) async fn answer(&self, request: Request) -> Answer {
        match request {
            Request::Ping => Answer::Pong,
            Request::Status => Answer::Status(self.status()),
            Request::Look => {
                self.network.look().await;
                Answer::Looking
            }
            Request::Sync(branch) => {
                self.network.sync(&branch).await;
                Answer::Standing(self.standing(&branch).await)
            }
            Request::Standing(branch) => Answer::Standing(self.standing(&branch).await),
            Request::Join(address) => match self.network.join(&address).await {
                Ok(view) => Answer::Joined(peer_status(view)),
                Err(error) => Answer::NotJoined(error.to_string()),
            },
            Request::Ledger(ask) => Answer::Ledger(self.network.ledger(ask).await),
            Request::Keep(blobs) => {
                let kept = self.network.keep_elsewhere(&blobs);
                Answer::Kept(timeout(KEEPING, kept).await.ok())
            }
            Request::Copies(branch) => Answer::Copies(Copies {
                policy: self.network.cache_policy().name().to_owned(),
                settled: self.network.is_settled().await,
                complete: self.network.copies(&branch),
            }),
            Request::Pruned => {
                self.network.were_pruned();
                Answer::Looking
            }
            Request::Hosts => Answer::Hosts(self.hosts()),
            Request::Events(after) => {
                let (last, events) = self.network.events(after);
                Answer::Events(last, events)
            }
            Request::Recover => match self.network.recover().await {
                Ok(epoch) => Answer::Recovered(epoch.number),
                Err(error) => Answer::NotRecovered(chained(&error)),
            },
            Request::Stop => Answer::Stopping,
        }
    }

    async fn standing(&self, branch: &BranchName) -> Standing {
        let standing = self.network.standing(branch).await;
        Standing {
            known: standing.known,
            connected: standing.connected,
            last: standing.last,
            complete: standing.complete,
            arriving: standing.arriving.map(|(blob, arriving)| Arriving {
                blob,
                entry: arriving.entry,
                here: arriving.here,
                length: arriving.length,
            }),
            hindrance: standing.hindrance,
            diverged: standing.diverged,
        }
    }

    fn status(&self) -> DaemonStatus {
        DaemonStatus {
            pid: std::process::id(),
            isconf: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started,
            domain: self.domain.clone(),
            peers: self.network.peers().into_iter().map(peer_status).collect(),
            voting: self.voting(),
        }
    }

    fn hosts(&self) -> Vec<HostStatus> {
        let connected = self.network.connected();
        let heads = self.network.heads();
        let seen: BTreeMap<_, _> = self
            .network
            .peers()
            .into_iter()
            .filter_map(|peer| Some((peer.key, seconds(peer.last_seen?))))
            .collect();
        let hosts = self.network.cards().into_iter().map(|(key, published)| {
            let card = published.card.clone();
            HostStatus {
                key,
                isconf: published.isconf.clone(),
                last: heads.get(&card.branch).copied(),
                card,
                seen: seen.get(&key).copied(),
                connected: connected.contains(&key),
            }
        });
        hosts.collect()
    }

    fn voting(&self) -> Option<VotingStatus> {
        let charter = self.network.charter()?;
        let connected = self.network.connected();
        let voters = charter.voters.iter().map(|voter| VoterStatus {
            key: voter.key,
            host: voter.host.clone(),
            connected: connected.contains(&voter.key),
        });
        Some(VotingStatus {
            epoch: charter.epoch.number,
            voters: voters.collect(),
            locks: charter.locks.clone(),
        })
    }
}

fn peer_status(view: PeerView) -> PeerStatus {
    let hello = view.hello.as_ref();
    let own_head = hello.and_then(|hello| {
        let mut heads = hello.heads.iter();
        heads.find(|head| head.branch == hello.branch)
    });
    PeerStatus {
        key: view.key,
        host: hello.map(|hello| hello.host.clone()),
        address: view.address,
        isconf: hello.map(|hello| hello.version.clone()),
        branch: hello.map(|hello| hello.branch.clone()),
        entry: own_head.map(|head| head.seq),
        seen: view.last_seen.map(seconds),
        connected: view.is_connected,
        ignored: view.is_ignored,
        diverged: view.is_diverged,
    }
}

/// Seconds since 1970; a clock before is shown as 1970.
fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
