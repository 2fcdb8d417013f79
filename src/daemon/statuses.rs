//! How things stand, as the daemon tells verbs. A part of `protocol`. Upholds: what is not known is not there.

use std::net::SocketAddr;

use isconf_sandbox::change::Digest;
use serde::{Deserialize, Serialize};

use crate::model::{BranchName, HostCard, HostName, PublicKey};
use crate::peer::LockNews;

/// How a daemon is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonStatus {
    /// Its process.
    pub pid: u32,
    /// Its version of isconf.
    pub isconf: String,
    /// When it started, in seconds since 1970.
    pub started: u64,
    /// The domain that it serves.
    pub domain: String,
    /// The hosts that it knows.
    pub peers: Vec<PeerStatus>,
    /// Who keeps the locks of the domain, if that is known.
    pub voting: Option<VotingStatus>,
}

/// How a host stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostStatus {
    /// Its key.
    pub key: PublicKey,
    /// Its version of isconf.
    pub isconf: String,
    /// What it said.
    pub card: HostCard,
    /// The last entry of its branch, as far as this host knows.
    pub last: Option<u64>,
    /// When it was heard last, in seconds since 1970, if this host is connected with it now and then.
    pub seen: Option<u64>,
    /// Whether it is this host, or connected.
    pub connected: bool,
}

/// Who keeps the locks of the domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VotingStatus {
    /// The number of the epoch.
    pub epoch: u64,
    /// The hosts that vote.
    pub voters: Vec<VoterStatus>,
    /// The locks that are held.
    pub locks: Vec<LockNews>,
}

/// A host that votes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoterStatus {
    /// Its key.
    pub key: PublicKey,
    /// Its name.
    pub host: String,
    /// Whether it is this host, or connected.
    pub connected: bool,
}

/// How a branch stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// How many hosts of the domain are known, and how many of them could be asked.
    pub known: usize,
    /// How many of them are connected.
    pub connected: usize,
    /// The number of the last entry here.
    pub last: u64,
    /// Up to which entry all contents are here.
    pub complete: u64,
    /// What arrives just now.
    pub arriving: Option<Arriving>,
    /// Why not all contents come, in words.
    pub hindrance: Option<String>,
    /// The connected hosts that have another journal of it, by name.
    pub diverged: Vec<String>,
}

/// What keeps contents beside this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copies {
    /// By which policy this host's daemon keeps contents: what others count on.
    pub policy: String,
    /// Whether nothing that was agreed on is to be appended here still.
    pub settled: bool,
    /// Up to which entry each of the connected hosts has and keeps everything.
    pub complete: Vec<u64>,
}

/// A blob that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arriving {
    /// Which.
    pub blob: Digest,
    /// The entry that needs it.
    pub entry: u64,
    /// How many bytes of it are here.
    pub here: u64,
    /// Its length.
    pub length: u64,
}

/// How another host is, as far as this one knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its key, which is its identity.
    pub key: PublicKey,
    /// Its name, if it was ever heard.
    pub host: Option<HostName>,
    /// Where it is, or was said to be.
    pub address: Option<SocketAddr>,
    /// Its version of isconf.
    pub isconf: Option<String>,
    /// The branch that it follows.
    pub branch: Option<BranchName>,
    /// The last entry that it has of the branch that it follows.
    pub entry: Option<u64>,
    /// When it was heard last, in seconds since 1970.
    pub seen: Option<u64>,
    /// Whether it can be asked now.
    pub connected: bool,
    /// Whether it sent what cannot be, and is ignored for a while.
    pub ignored: bool,
    /// Whether it has another journal of the branch that this host follows.
    pub diverged: bool,
}
