//! What the agreement is about, as types. Upholds: voters of different epochs never take part in one
//! agreement.

use std::cmp::Ordering;
use std::fmt;
use std::io::Cursor;

use serde::{Deserialize, Serialize};

use crate::lock::{Ledger, Order, Verdict};
use crate::model::PublicKey;

openraft::declare_raft_types!(
    /// What the Raft engine needs to know of our types.
    pub Kinds:
        D = Step,
        R = Option<Verdict>,
        NodeId = VoterId,
        Node = Seat,
);

/// What the voters agree on, one behind the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The ledger with which the epoch begins.
    Begin(Ledger),
    /// An order.
    Order(Order),
}

/// A voter: a host, by its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VoterId(pub PublicKey);

impl Default for VoterId {
    fn default() -> Self {
        Self(PublicKey::from_bytes([0; 32]))
    }
}

impl fmt::Display for VoterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", &self.0.to_string()[..8])
    }
}

/// The engine's own tests number their voters.
#[cfg(test)]
impl From<u64> for VoterId {
    fn from(number: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[24..].copy_from_slice(&number.to_be_bytes());
        Self(PublicKey::from_bytes(bytes))
    }
}

/// What is known of a voter beside its key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seat {
    /// Its host's name, for people.
    pub host: String,
}

/// How often a domain can begin anew.
const MAX_EPOCHS: u64 = 1 << 20;

/// A founding of the domain's agreement. Another one follows only when a person says that the voters of
/// the one before are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Epoch {
    /// From 1.
    pub number: u64,
    /// Who founded it.
    pub founder: PublicKey,
}

impl Epoch {
    /// The fence behind which those of this epoch begin, so that no lock of an earlier one is one of this.
    pub const fn first_fence(self) -> u64 {
        self.number.saturating_sub(1).saturating_mul(1 << 32)
    }

    /// Whether there can be so many: one for each time that most voters were lost.
    pub const fn is_sound(self) -> bool {
        0 < self.number && self.number < MAX_EPOCHS
    }
}

impl Ord for Epoch {
    /// The later one is greater. Of two foundings that did not know of each other each host has to
    /// prefer the same one.
    fn cmp(&self, other: &Self) -> Ordering {
        let number = self.number.cmp(&other.number);
        number.then_with(|| other.founder.cmp(&self.founder))
    }
}

impl PartialOrd for Epoch {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.number, &self.founder.to_string()[..8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_epoch_wins_and_of_two_at_once_the_same_for_everybody() {
        let epoch = |number, byte| Epoch {
            number,
            founder: PublicKey::from_bytes([byte; 32]),
        };
        assert!(epoch(2, 9) > epoch(1, 1));
        assert!(epoch(1, 1) > epoch(1, 9));
        assert_eq!(epoch(1, 1).first_fence(), 0);
        assert!(epoch(2, 1).first_fence() > 1_000_000);
        assert!(epoch(MAX_EPOCHS - 1, 1).is_sound());
        assert!(!epoch(MAX_EPOCHS, 1).is_sound() && !epoch(0, 1).is_sound());
    }
}
