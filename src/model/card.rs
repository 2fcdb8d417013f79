//! How a host stands, in the few words that it tells the whole domain. Upholds: what is shown of another host is
//! what that host said itself, and when.

use serde::{Deserialize, Serialize};

use super::{BranchName, EntryRef, HostName, Moment};

/// The line that names the format of the file in which a host keeps its own, and its version. JSON follows.
pub const CARD_FIRST_LINE: &str = "# isconf card 1\n";

/// The longest reason, in bytes.
const MAX_WHY: usize = 400;

/// How a host stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCard {
    /// Its name.
    pub host: HostName,
    /// The branch that it follows.
    pub branch: BranchName,
    /// The last entry that it applied, or made.
    pub at: Option<EntryRef>,
    /// Whether that entry changed the same here as where it was made; `None` where that cannot be told.
    pub congruent: Option<bool>,
    /// The entry at which its last `up` stopped.
    pub failed: Option<CardFailure>,
    /// Since when it is so, by its own clock.
    pub noted: Moment,
}

/// An entry that did not go through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardFailure {
    /// Its number.
    pub entry: u64,
    /// Why, in a line.
    pub why: String,
}

impl CardFailure {
    /// Takes a reason; line ends and other control characters become spaces, what is too long is cut.
    pub fn new(entry: u64, why: &str) -> Self {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let mut why: String = why.chars().map(plain).collect();
        why.truncate(why.floor_char_boundary(MAX_WHY));
        Self { entry, why }
    }
}

impl HostCard {
    /// Whether it is as a host can have written it.
    pub fn is_sound(&self) -> bool {
        self.failed.as_ref().is_none_or(|failed| {
            failed.why.len() <= MAX_WHY && !failed.why.contains(char::is_control)
        })
    }

    /// Whether it says the same as another one, whenever that was.
    pub fn says_as(&self, other: &Self) -> bool {
        let noted = other.noted;
        *other
            == Self {
                noted,
                ..self.clone()
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_short_line() {
        let failed = CardFailure::new(3, &format!("one\ntwo {}", "é".repeat(400)));
        assert!(failed.why.starts_with("one two"));
        let card = HostCard {
            host: "h1".parse().unwrap(),
            branch: BranchName::generic(),
            at: None,
            congruent: None,
            failed: Some(failed),
            noted: Moment::EPOCH,
        };
        assert!(card.is_sound());
        let long = CardFailure {
            entry: 3,
            why: "x".repeat(MAX_WHY + 1),
        };
        let failed = Some(long);
        assert!(!HostCard { failed, ..card }.is_sound());
    }
}
