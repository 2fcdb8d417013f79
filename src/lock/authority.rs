//! Whoever keeps the locks of a domain, as a verb asks for them. Not for how that is done. Upholds: without a
//! verdict nothing is taken for granted or refused.

use std::collections::BTreeSet;

use isconf_sandbox::change::Digest;

use super::ledger::{Order, Row, Verdict};
use crate::model::BranchName;

/// Whoever keeps the locks of the domain's branches.
pub trait Authority {
    /// Gives an order.
    fn carry_out(&self, order: Order) -> Result<Verdict, NoVerdict>;

    /// Tells how a branch stands.
    fn row(&self, branch: &BranchName) -> Result<Row, NoVerdict>;

    /// Whether what they agree on is on another host by that alone.
    fn are_several(&self) -> bool;

    /// Has another host keep blobs before an entry needs them there.
    fn keep(&self, blobs: BTreeSet<Digest>) -> Result<Kept, NoVerdict>;
}

/// Where blobs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// On another host, too.
    Elsewhere,
    /// On this host alone, since no other one can be reached.
    HereAlone,
}

/// Why there is no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NoVerdict {
    /// In words.
    pub why: String,
    /// What to do about it.
    pub remedy: String,
    /// Whether the same may work later.
    pub is_passing: bool,
    /// Whether nobody could be asked, since no daemon runs here.
    pub is_down: bool,
}
