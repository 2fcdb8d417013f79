//! This host among the others of its domain: who is met, told and asked, and when. Upholds: every task may
//! fail without the others; what a peer says is a hint until it was checked.
//!
//! ```text
//! accept ─┐                      ┌─> serve: answers what a peer asks
//! dial  ──┴─> link ─> hello ─────┤
//! look (files here changed) ─────┘   heard: a longer journal ─> catch_up ─> contents ─> look
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use isconf_sandbox::change::Digest;

use super::accepting;
use super::cards::{self, Published};
use super::contents;
use super::dialling;
use super::discovery;
use super::endpoint::{BindError, MeetError};
use super::keys;
use super::messages::Hello;
use super::nets::{InvalidPlace, Place};
use super::table::Peer;
use super::telling;
use super::this_host::Shared;
use super::voting::{self, Charter, KeptBy, LedgerAnswer, LedgerAsk, RecoverError};
use crate::durable::FileError;
use crate::identity::HostKey;
use crate::model::{BranchName, CachePolicy, DomainName, Home, HostName, Numbered, PublicKey};
use crate::quorum::Epoch;

/// What a network is made of.
#[derive(Debug, Clone)]
pub struct NetworkFacts {
    /// Where everything lies.
    pub home: Home,
    /// The domain.
    pub domain: DomainName,
    /// This host's name.
    pub host: HostName,
    /// The branch that this host follows when its file says nothing.
    pub branch: BranchName,
    /// The UDP port.
    pub port: u16,
    /// The file with the domain's keys.
    pub hmac_keys: PathBuf,
    /// The file with addresses.
    pub nets: Option<PathBuf>,
    /// Whether hosts on the same network are looked for, and are told of this one.
    pub discovers: bool,
    /// Which contents this host keeps.
    pub cache: CachePolicy,
    /// How long a voter may be gone before another host votes in its place.
    pub voter_patience: Duration,
}

/// How another host is, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerView {
    /// Who.
    pub key: PublicKey,
    /// Where.
    pub address: Option<SocketAddr>,
    /// What it said of itself last.
    pub hello: Option<Hello>,
    /// When it was heard last.
    pub last_seen: Option<SystemTime>,
    /// Whether it is connected.
    pub is_connected: bool,
    /// Whether it sent what cannot be, and is ignored.
    pub is_ignored: bool,
    /// Whether it has another journal of the branch that this host follows.
    pub is_diverged: bool,
}

impl PeerView {
    pub(super) fn of(shared: &Shared, key: PublicKey, peer: &Peer) -> Self {
        let branch = shared.own().branch.clone();
        Self {
            key,
            address: peer.address,
            hello: peer.hello.clone(),
            last_seen: peer.last_seen,
            is_connected: peer.link().is_some(),
            is_ignored: peer.is_ignored(Instant::now()),
            is_diverged: shared.diverged.has(&branch, &key),
        }
    }
}

/// Why an address is none of a host of the domain.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// It is not an address.
    #[error(transparent)]
    Place(#[from] InvalidPlace),
    /// There are no keys to prove anything with.
    #[error("there are no keys in {}: copy the file from a host of the domain", .0.display())]
    NoKeys(PathBuf),
    /// The name has no address.
    #[error("the name does not resolve: {0}")]
    Name(std::io::Error),
    /// The address could not be written down.
    #[error("the address cannot be written down: {0}")]
    Remember(#[from] FileError),
    /// Nobody is there, or a stranger.
    #[error("{address}: {source}")]
    Meet {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: MeetError,
    },
    /// It was met and went again.
    #[error("the host went away at once")]
    Gone,
}

/// A network that runs as long as its tokio runtime.
#[derive(Debug, Clone)]
pub struct Network(Arc<Shared>);

impl Network {
    /// Opens the port and begins. Needs a tokio runtime.
    pub fn start(facts: NetworkFacts, key: &Arc<HostKey>) -> Result<Self, BindError> {
        let shared = Arc::new(Shared::open(facts, key)?);
        keys::begin(&shared);
        keep_up("keys", &shared, keys::watch);
        keep_up("accepting", &shared, accepting::accept);
        keep_up("dialling", &shared, dialling::dial);
        keep_up("looking", &shared, telling::look);
        keep_up("announcing", &shared, telling::announce);
        keep_up("telling", &shared, telling::tell);
        keep_up("resolving", &shared, dialling::resolve);
        keep_up("discovery", &shared, discovery::discover);
        keep_up("contents", &shared, contents::fetch);
        keep_up("voters", &shared, voting::attend);
        keep_up("seats", &shared, voting::seat_now_and_then);
        keep_up("cards", &shared, cards::compare_now_and_then);
        keep_up("batches", &shared, voting::append);
        Ok(Self(shared))
    }

    pub(super) const fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// Looks at files of this host that changed. From then on whoever asks is told.
    pub async fn look(&self) {
        self.0.read_heads().await;
    }

    /// Dials an address, and remembers it whoever is there now.
    pub async fn join(&self, address: &str) -> Result<PeerView, JoinError> {
        let shared = &self.0;
        let place = Place::parse(address, shared.facts.port)?;
        if shared.member.keys_now().is_empty() {
            return Err(JoinError::NoKeys(shared.facts.hmac_keys.clone()));
        }
        dialling::join(shared, place).await
    }

    /// The other hosts.
    pub fn peers(&self) -> Vec<PeerView> {
        let table = self.0.table();
        table
            .peers()
            .map(|(key, peer)| PeerView::of(&self.0, *key, peer))
            .collect()
    }

    /// Brings something to whoever keeps the locks of the domain; what came of it.
    pub async fn ledger(&self, ask: LedgerAsk) -> LedgerAnswer {
        voting::place(&self.0, ask).await
    }

    /// Has another host keep contents that are here.
    pub async fn keep_elsewhere(&self, blobs: &[Digest]) -> KeptBy {
        voting::keep_elsewhere(&self.0, blobs).await
    }

    /// Up to which entry of a branch other hosts have and keep all contents: a number for each of the connected ones
    /// whose journal is not known to be another one. A host that may remove contents says 0.
    pub fn copies(&self, branch: &BranchName) -> Vec<u64> {
        let table = self.0.table();
        let peers = table
            .peers()
            .filter(|(key, peer)| peer.link().is_some() && !self.0.diverged.has(branch, key));
        peers
            .filter_map(|(_, peer)| peer.head(branch))
            .map(|head| head.complete)
            .collect()
    }

    /// Whether this host, as a voter, has all entries in its journals that were agreed on.
    pub async fn is_settled(&self) -> bool {
        voting::is_settled(&self.0).await
    }

    /// Looks anew at what is here: contents were removed.
    pub fn were_pruned(&self) {
        self.0.local.forget_complete();
        self.0.want.send_replace(());
    }

    /// Which contents this host keeps.
    pub fn cache_policy(&self) -> CachePolicy {
        self.0.facts.cache
    }

    /// Begins a new epoch of the domain's locks, with this host as its only voter.
    pub async fn recover(&self) -> Result<Epoch, RecoverError> {
        voting::recover(&self.0).await
    }

    /// This host and those that are connected.
    pub fn connected(&self) -> BTreeSet<PublicKey> {
        let table = self.0.table();
        let links = table.links().map(|link| link.peer);
        links.chain([self.0.member.own]).collect()
    }

    /// The branch that this host follows.
    pub fn followed(&self) -> BranchName {
        self.0.own().branch.clone()
    }

    /// The last entry of each branch here.
    pub fn heads(&self) -> BTreeMap<BranchName, u64> {
        let own = self.0.own();
        let heads = own.heads.iter();
        heads.map(|head| (head.branch.clone(), head.seq)).collect()
    }

    /// How all hosts stand, as each of them said.
    pub fn cards(&self) -> Vec<(PublicKey, Arc<Published>)> {
        self.0.cards.all()
    }

    /// What happened since an event, or from now on; the number of the last one.
    pub fn events(&self, after: Option<u64>) -> (u64, Vec<Numbered>) {
        let events = &self.0.events;
        match after {
            None => (events.last(), Vec::new()),
            Some(number) => {
                let told = events.after(number);
                (told.last().map_or(number, |last| last.number), told)
            }
        }
    }

    /// What is known of the voters.
    pub fn charter(&self) -> Option<Arc<Charter>> {
        self.0.voting.charter()
    }

    /// Waits until nothing can be heard or said any more.
    pub async fn deaf(&self) {
        self.0.deaf.notified().await;
    }

    /// Ends it; the other hosts hear of it if they can.
    pub async fn stop(&self) {
        self.0.port.close().await;
    }
}

/// Runs a task that is to run as long as the network, and begins it again when it failed.
fn keep_up<F>(name: &'static str, shared: &Arc<Shared>, task: fn(Arc<Shared>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        loop {
            match tokio::spawn(task(Arc::clone(&shared))).await {
                Ok(()) => return,
                Err(error) if error.is_cancelled() => return,
                Err(error) => {
                    tracing::error!("{name} failed and begins again: {error}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    });
}
