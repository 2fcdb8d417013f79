//! What the daemon answers to verbs. Not for how a connection goes (see `server`).

use std::time::{SystemTime, UNIX_EPOCH};

use super::protocol::{Answer, Arriving, DaemonStatus, PeerStatus, Request, Standing};
use super::run::DaemonFacts;
use crate::model::BranchName;
use crate::peer::{Network, PeerView};

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
                self.network.look();
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
        }
    }

    fn status(&self) -> DaemonStatus {
        DaemonStatus {
            pid: std::process::id(),
            isconf: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started,
            domain: self.domain.clone(),
            peers: self.network.peers().into_iter().map(peer_status).collect(),
        }
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
    }
}

/// Seconds since 1970; a clock before is shown as 1970.
fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
