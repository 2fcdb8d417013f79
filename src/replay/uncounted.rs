//! What does not count when two hosts are compared. Not the rules themselves: those are the change
//! set's normal form. Upholds: all hosts with the same journal leave out the same.

use isconf_sandbox::change::{PathPattern, Timestamp};

/// What does not count, whichever entry it is; see
/// [`NormalRules`](isconf_sandbox::change::NormalRules).
#[derive(Debug)]
pub struct Uncounted {
    /// When the journal's first entry was made. Later times of modification may be those of a
    /// clock, in that entry or in an earlier one.
    pub since: Timestamp,
    /// Paths that are left out.
    pub ignore: Vec<PathPattern>,
}
