//! This host as a voter. Upholds: an order is granted by the leader of more than half of the voters, or by
//! nobody; the number of voters is never even.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::{CheckIsLeaderError, ClientWriteError, RaftError};
use openraft::raft::{AppendEntriesRequest, VoteRequest};
use openraft::{ChangeMembers, Config, Raft, SnapshotPolicy, Vote};
use tokio::sync::watch;
use tokio::time::timeout;

use super::calls::{CallKind, Carrier, Lines};
use super::database::{Database, DatabaseError};
use super::kinds::{Epoch, Kinds, Seat, Step, VoterId};
use super::log::Log;
use super::machine::{Applied, Machine};
use crate::lock::{CheckIn, Ledger, Order, Verdict};
use crate::model::PublicKey;

/// How often a leader is heard, and how long one is missed before another is chosen, in milliseconds: a
/// lock is a person's, who does not notice two seconds, and hosts are idle most of the time. A heartbeat is also
/// how long the engine waits for an answer.
const HEARTBEAT: u64 = 500;
const ELECTION: (u64, u64) = (1500, 3000);

/// How many entries of the log are sent at a time; fewer if they are long (see `Log`).
const AT_A_TIME: u64 = 64;

/// How far beyond the known term a call may be. Each election is one term; a voter that was cut off tries for
/// ever, one in some seconds.
const MAX_TERMS_AHEAD: u64 = 1 << 32;

/// How long an answer of more than half of the voters may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a host that becomes a voter may take to get the ledger.
const LEARNING: Duration = Duration::from_secs(10);

/// Why this host is no voter.
#[derive(Debug, thiserror::Error)]
pub enum VoterError {
    /// Its file cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The engine stopped.
    #[error("the voter stopped: {0}")]
    Engine(String),
}

/// Why an order could not be given to this voter now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    /// Another one leads, if it is known.
    #[error("another voter leads")]
    OtherLeads(Option<PublicKey>),
    /// More than half of the voters did not answer. Whether the order was carried out is not known.
    #[error("more than half of the voters did not answer")]
    NoQuorum,
}

/// A voter at work.
#[derive(Clone)]
pub struct Voter {
    epoch: Epoch,
    own: PublicKey,
    raft: Raft<Kinds>,
    database: Database,
    applied: watch::Receiver<Applied>,
}

impl std::fmt::Debug for Voter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Voter")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl Voter {
    /// Begins, or goes on where it was. `ledger` is an empty one.
    pub async fn open(
        path: &Path,
        epoch: Epoch,
        own: PublicKey,
        ledger: Ledger,
        carrier: Arc<dyn Carrier>,
    ) -> Result<Self, VoterError> {
        let path = path.to_path_buf();
        let opened = tokio::task::spawn_blocking(move || Database::open(&path));
        let database = opened.await.map_err(DatabaseError::from)??;
        let machine = Machine::open(database.clone(), ledger).await?;
        let applied = machine.watch();
        let config = Config {
            cluster_name: epoch.to_string(),
            heartbeat_interval: HEARTBEAT,
            election_timeout_min: ELECTION.0,
            election_timeout_max: ELECTION.1,
            max_payload_entries: AT_A_TIME,
            // The log is kept whole: an order has some hundred bytes, with records some thousand, and people give some in
            // a day. So a voter never gets anything but entries, one behind the other, each of which was durable before
            // it counted.
            snapshot_policy: SnapshotPolicy::Never,
            replication_lag_threshold: u64::MAX,
            max_in_snapshot_log_to_keep: u64::MAX,
            ..Config::default()
        };
        let log = Log::new(database.clone());
        let raft = Raft::new(VoterId(own), Arc::new(config), Lines(carrier), log, machine);
        Ok(Self {
            epoch,
            own,
            raft: raft.await.map_err(|e| VoterError::Engine(e.to_string()))?,
            database,
            applied,
        })
    }

    /// The epoch of which it is a voter.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Begins an epoch, with this host as its only voter and with this ledger.
    pub async fn found(&self, seat: Seat, ledger: Ledger) -> Result<(), VoterError> {
        let members = BTreeMap::from([(VoterId(self.own), seat)]);
        let engine = |e: String| VoterError::Engine(e);
        let done = self.raft.initialize(members).await;
        done.map_err(|e| engine(e.to_string()))?;
        let leads = self.raft.wait(Some(LEARNING));
        let leads = leads.current_leader(VoterId(self.own), "founded").await;
        leads.map_err(|e| engine(e.to_string()))?;
        let written = self.raft.client_write(Step::Begin(ledger)).await;
        written.map(|_| ()).map_err(|e| engine(e.to_string()))
    }

    /// Gives an order.
    pub async fn order(&self, order: Order) -> Result<Verdict, NotNow> {
        let written = timeout(PATIENCE, self.raft.client_write(Step::Order(order))).await;
        match written {
            Ok(Ok(written)) => written.data.ok_or(NotNow::NoQuorum),
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(other)))) => {
                Err(NotNow::OtherLeads(other.leader_id.map(|leader| leader.0)))
            }
            Ok(Err(_)) | Err(_) => Err(NotNow::NoQuorum),
        }
    }

    /// The ledger as more than half of the voters know it now.
    pub async fn ledger(&self) -> Result<Ledger, NotNow> {
        match timeout(PATIENCE, self.raft.ensure_linearizable()).await {
            Ok(Ok(_)) => Ok(self.applied.borrow().ledger.clone()),
            Ok(Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(other)))) => {
                Err(NotNow::OtherLeads(other.leader_id.map(|leader| leader.0)))
            }
            Ok(Err(_)) | Err(_) => Err(NotNow::NoQuorum),
        }
    }

    /// Whether an order would be granted, as far as this voter knows.
    pub fn would_grant(&self, order: &Order) -> bool {
        let mut ledger = self.applied.borrow().ledger.clone();
        ledger.carry_out(order).is_ok()
    }

    /// The ledger as this voter knows it, and as it becomes.
    pub fn applied(&self) -> watch::Receiver<Applied> {
        self.applied.clone()
    }

    /// Who votes, as far as this voter knows.
    pub fn members(&self) -> BTreeMap<PublicKey, Seat> {
        let metrics = self.raft.metrics().borrow().clone();
        let membership = metrics.membership_config.membership();
        // While members change there are two sets, of which the later one is meant.
        let voters = membership.get_joint_config().last().cloned();
        let voters = voters.unwrap_or_default();
        let seats = membership.nodes();
        seats
            .filter(|(id, _)| voters.contains(id))
            .map(|(id, seat)| (id.0, seat.clone()))
            .collect()
    }

    /// Whether a change of the members was begun and not ended.
    pub fn is_changing(&self) -> bool {
        let metrics = self.raft.metrics().borrow().clone();
        metrics
            .membership_config
            .membership()
            .get_joint_config()
            .len()
            > 1
    }

    /// Whether the ledger with which the epoch begins came.
    pub fn has_begun(&self) -> bool {
        self.applied.borrow().has_begun
    }

    /// Why this voter stopped working, if it did: its disk, mostly.
    pub fn trouble(&self) -> Option<String> {
        let metrics = self.raft.metrics().borrow().clone();
        metrics.running_state.err().map(|fatal| fatal.to_string())
    }

    /// Whether this voter leads.
    pub fn leads(&self) -> bool {
        let metrics = self.raft.metrics().borrow().clone();
        metrics.current_leader == Some(VoterId(self.own))
    }

    /// Whether this voter leads, and more than half of the voters answered it so lately that they are there.
    pub fn is_followed(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let is_lately = |millis| millis <= 2 * HEARTBEAT;
        metrics.current_leader == Some(VoterId(self.own))
            && metrics.millis_since_quorum_ack.is_some_and(is_lately)
    }

    /// Has exactly these hosts vote from now on; only the leader can. Their number must be odd.
    pub async fn seat(&self, members: BTreeMap<PublicKey, Seat>) -> Result<(), VoterError> {
        let engine = |e: String| VoterError::Engine(e);
        let now = self.members();
        for (key, seat) in &members {
            if !now.contains_key(key) {
                let learns = self.raft.add_learner(VoterId(*key), seat.clone(), true);
                let learnt = timeout(LEARNING, learns).await;
                let learnt = learnt.map_err(|_| engine("it does not get the ledger".to_owned()))?;
                learnt.map_err(|e| engine(e.to_string()))?;
            }
        }
        let ids: BTreeSet<_> = members.keys().map(|key| VoterId(*key)).collect();
        let change = self
            .raft
            .change_membership(ChangeMembers::ReplaceAllVoters(ids), false);
        let changed = timeout(LEARNING, change).await;
        let changed = changed.map_err(|_| engine("the voters do not answer".to_owned()))?;
        changed.map(|_| ()).map_err(|e| engine(e.to_string()))
    }

    /// Answers the call of another voter; `None` when it is not one that this voter can make.
    pub async fn answer(&self, from: &PublicKey, kind: CallKind, body: &[u8]) -> Option<Vec<u8>> {
        let answer = match kind {
            CallKind::Append => {
                let call: AppendEntriesRequest<Kinds> = serde_json::from_slice(body).ok()?;
                self.is_possible(from, &call.vote).then_some(())?;
                serde_json::to_vec(&self.raft.append_entries(call).await)
            }
            CallKind::Vote => {
                let call: VoteRequest<VoterId> = serde_json::from_slice(body).ok()?;
                self.is_possible(from, &call.vote).then_some(())?;
                serde_json::to_vec(&self.raft.vote(call).await)
            }
        };
        answer.ok()
    }

    /// Whether a voter speaks for itself, and of a term that can be.
    fn is_possible(&self, from: &PublicKey, vote: &Vote<VoterId>) -> bool {
        let leader = vote.leader_id();
        let known = self.raft.metrics().borrow().current_term;
        leader.voted_for() == Some(VoterId(*from))
            && leader.get_term() <= known.saturating_add(MAX_TERMS_AHEAD)
    }

    /// The entries that were checked in and may not be in the journal here yet, in their order.
    pub async fn batches(&self) -> Result<Vec<CheckIn>, DatabaseError> {
        Machine::batches(&self.database).await
    }

    /// Forgets entries that are in the journal here.
    pub async fn appended(&self, batch: &CheckIn) -> Result<(), DatabaseError> {
        Machine::appended(&self.database, batch).await
    }

    /// Stops, and lets go of its file.
    pub async fn stop(self) {
        let _panicked = self.raft.shutdown().await;
    }
}

/// Reads a call of another voter; the bytes that it would be written as.
pub(crate) fn rewritten_call(body: &[u8]) -> Option<Vec<u8>> {
    if let Ok(call) = serde_json::from_slice::<AppendEntriesRequest<Kinds>>(body) {
        return serde_json::to_vec(&call).ok();
    }
    let call: VoteRequest<VoterId> = serde_json::from_slice(body).ok()?;
    serde_json::to_vec(&call).ok()
}

#[cfg(test)]
mod tests;
