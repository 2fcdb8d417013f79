//! The hosts of the domain that this one knows. Upholds: what one host can make this one remember is
//! bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use super::endpoint::{CloseCode, Link};
use super::messages::{BranchHead, Hello, Introduction, MAX_INTRODUCED};
use crate::model::{BranchName, PublicKey};

/// How many hosts are remembered.
pub const MAX_PEERS: usize = 20_000;

/// How many connections with one host are kept: both may dial at the same moment.
const MAX_LINKS: usize = 2;

/// How long a host that sent what cannot be is ignored.
pub const IGNORED_FOR: Duration = Duration::from_secs(600);

/// The other hosts.
#[derive(Debug, Default)]
pub struct Table {
    peers: BTreeMap<PublicKey, Peer>,
}

/// Another host.
#[derive(Debug, Default)]
pub struct Peer {
    /// The connections with it that live.
    links: Vec<Link>,
    /// What it said of itself last.
    pub hello: Option<Hello>,
    /// Where it was reached last, or is said to be.
    pub address: Option<SocketAddr>,
    /// When it was heard last.
    pub last_seen: Option<SystemTime>,
    /// Until when it is ignored.
    ignored_until: Option<Instant>,
}

impl Peer {
    /// A connection that lives.
    pub fn link(&self) -> Option<&Link> {
        self.links.iter().rev().find(|link| link.is_alive())
    }

    /// What it has of a branch.
    pub fn head(&self, branch: &BranchName) -> Option<&BranchHead> {
        let heads = &self.hello.as_ref()?.heads;
        heads.iter().find(|head| head.branch == *branch)
    }

    /// Whether it is to be ignored now.
    pub fn is_ignored(&self, now: Instant) -> bool {
        self.ignored_until.is_some_and(|until| now < until)
    }
}

impl Table {
    /// All hosts.
    pub fn peers(&self) -> impl Iterator<Item = (&PublicKey, &Peer)> {
        self.peers.iter()
    }

    /// One host.
    pub fn peer(&self, key: &PublicKey) -> Option<&Peer> {
        self.peers.get(key)
    }

    /// One connection with each connected host.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.peers.values().filter_map(Peer::link)
    }

    /// All connections that live.
    pub fn all_links(&self) -> impl Iterator<Item = &Link> {
        let links = self.peers.values().flat_map(|peer| &peer.links);
        links.filter(|link| link.is_alive())
    }

    /// Notes a new connection; `false`, and it is closed, when the host is ignored or there is no room.
    pub fn add(&mut self, link: Link, now: (Instant, SystemTime)) -> bool {
        let Some(peer) = self.entry(link.peer) else {
            link.close(CloseCode::Enough);
            return false;
        };
        if peer.is_ignored(now.0) {
            link.close(CloseCode::Nonsense);
            return false;
        }
        peer.address = Some(link.address());
        peer.last_seen = Some(now.1);
        peer.links.retain(Link::is_alive);
        if peer.links.len() >= MAX_LINKS {
            peer.links.remove(0).close(CloseCode::Enough);
        }
        peer.links.push(link);
        true
    }

    /// Forgets connections with a host that ended, and what it had of branches when none is left.
    pub fn sweep(&mut self, key: &PublicKey) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.links.retain(Link::is_alive);
            if peer.links.is_empty()
                && let Some(hello) = &mut peer.hello
            {
                let own = hello.branch.clone();
                hello.heads.retain(|head| head.branch == own);
                hello.heads.shrink_to_fit();
                // When it comes back, what it has is news.
                hello.heads.iter_mut().for_each(|head| head.complete = 0);
            }
        }
    }

    /// Notes what a host said of itself; whether it has more contents than before.
    pub fn heard(&mut self, key: PublicKey, hello: Hello, now: SystemTime) -> bool {
        let Some(peer) = self.entry(key) else {
            return false;
        };
        let complete = |hello: &Hello| -> u64 {
            hello
                .heads
                .iter()
                .fold(0, |sum, head| sum.saturating_add(head.complete))
        };
        let before = peer.hello.as_ref().map_or(0, complete);
        let has_more = complete(&hello) > before;
        peer.hello = Some(hello);
        peer.last_seen = Some(now);
        has_more
    }

    /// Notes that a host exists, somewhere. Whom this host met itself it need not be told of.
    pub fn introduce(&mut self, key: PublicKey, address: SocketAddr) {
        if let Some(peer) = self.entry(key)
            && (peer.address.is_none() || peer.last_seen.is_none())
        {
            peer.address = Some(address);
        }
    }

    /// Ignores a host for a while, and closes its connections.
    pub fn ignore(&mut self, key: &PublicKey, now: Instant) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.ignored_until = Some(now + IGNORED_FOR);
            for link in peer.links.drain(..) {
                link.close(CloseCode::Nonsense);
            }
        }
    }

    /// Some of the connected hosts, for `other`, which is not told of itself: the `wanted` ones, and those that
    /// `choose` leaves of so many.
    pub fn introductions(
        &self,
        other: &PublicKey,
        wanted: &BTreeSet<PublicKey>,
        mut choose: impl FnMut(usize) -> usize,
    ) -> Vec<Introduction> {
        let known = self
            .peers
            .iter()
            .filter(|(key, peer)| *key != other && peer.link().is_some());
        let mut known: Vec<_> = known
            .filter_map(|(key, peer)| {
                let (key, address) = (*key, peer.address?);
                Some(Introduction { key, address })
            })
            .collect();
        // Of those who are wanted there are few.
        let (mut first, mut known): (Vec<_>, Vec<_>) = known
            .drain(..)
            .partition(|introduction: &Introduction| wanted.contains(&introduction.key));
        first.truncate(MAX_INTRODUCED);
        while first.len() + known.len() > MAX_INTRODUCED {
            known.swap_remove(choose(known.len()));
        }
        first.extend(known);
        first
    }

    /// The place of a host, made if there is room.
    fn entry(&mut self, key: PublicKey) -> Option<&mut Peer> {
        if self.peers.len() >= MAX_PEERS && !self.peers.contains_key(&key) {
            // Somebody of whom was only ever told goes for it.
            let told = self.peers.iter().find(|(_, peer)| peer.last_seen.is_none());
            let told = told.map(|(key, _)| *key)?;
            self.peers.remove(&told);
        }
        Some(self.peers.entry(key).or_default())
    }
}
