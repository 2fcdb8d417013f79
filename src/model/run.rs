//! The result of one `up` or `up --noop`: how many entries ran, and how the whole ended. The reports
//! are shown one by one and not kept: there can be thousands. Not for text (`ui`). Upholds: both
//! kinds of run give the same value.

use std::time::Duration;

use super::report::Report;
use super::{BranchName, HostName};

/// One run of pending entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Whether the changes were to be made real.
    pub mode: RunMode,
    /// This host.
    pub host: HostName,
    /// Its branch.
    pub branch: BranchName,
    /// How many entries were run; the last may have failed.
    pub entries: u64,
    /// The report of the last one.
    pub last: Option<Report>,
    /// Entries that are still pending after this run.
    pub pending: u64,
    /// How it ended.
    pub outcome: RunOutcome,
    /// How long it took.
    pub duration: Duration,
}

/// Whether the changes of a run were to be made real.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunMode {
    /// `up`.
    Commit,
    /// `up --noop`: one entry on top of the other in one scratchpad, nothing committed.
    Preview,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunOutcome {
    /// There was nothing to do.
    NothingPending,
    /// Every pending entry went through.
    Complete,
    /// The last report's entry did not go through; replay goes on there next time.
    Stopped,
    /// The next entry is a reboot, which this run may not do.
    RebootNeeded,
    /// The reboot command was given; replay goes on behind it after the boot.
    Rebooting,
    /// Somebody stopped it with this signal.
    Interrupted(i32),
}
