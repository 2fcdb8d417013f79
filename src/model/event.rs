//! What happens in a domain, as a person who watches is told. Not for keeping it (see `peer`). Upholds: what it says is
//! bounded.

use serde::{Deserialize, Serialize};

use super::{Author, BranchName, HostName, LockMessage};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The journal of a branch got longer here.
    Entries {
        /// Which.
        branch: BranchName,
        /// Its last entry.
        last: u64,
    },
    /// Somebody locked a branch.
    Locked {
        /// Which.
        branch: BranchName,
        /// Who.
        by: Author,
        /// Why.
        message: LockMessage,
    },
    /// A branch is free.
    Freed {
        /// Which.
        branch: BranchName,
        /// Who had it.
        by: Author,
    },
    /// A host said how it stands.
    Stands {
        /// Which.
        host: HostName,
        /// The branch that it follows.
        branch: BranchName,
        /// The last entry that it applied; 0 for none.
        entry: u64,
        /// Whether that changed the same as where it was made.
        congruent: Option<bool>,
    },
    /// A host could not apply an entry.
    Failed {
        /// Which.
        host: HostName,
        /// The branch that it follows.
        branch: BranchName,
        /// The entry.
        entry: u64,
        /// Why.
        why: String,
    },
    /// A host is connected with this one.
    Connected {
        /// Which, as it is named.
        host: String,
    },
    /// It is no more.
    Lost {
        /// Which, as it is named.
        host: String,
    },
    /// Other hosts keep the locks.
    Voters {
        /// Since which epoch.
        epoch: u64,
        /// Which.
        hosts: Vec<String>,
    },
}

/// An event with its number and its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered {
    /// From 1, since the daemon started.
    pub number: u64,
    /// When, in seconds since 1970.
    pub at: u64,
    /// What.
    pub event: Event,
}
