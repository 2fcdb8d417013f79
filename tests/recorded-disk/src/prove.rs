//! Proves the rig: leaves out each sync of isconf in turn and looks whether a state becomes wrong.
//! Not for what a sync is for (that is docs/commit-protocol.md). A sync that is never missed is
//! told as such; the paper says why it is there all the same.

use std::collections::BTreeSet;
use std::path::Path;

use crate::error::RigError;
use crate::explore::{Extent, explore};
use crate::filesystem::Filesystem;
use crate::recording::record;
use crate::workload::Workload;

/// Syncs that make up for each other, so that only without all of them something is missed.
pub const TOGETHER: &[(&str, &str)] = &[(
    "after.directories,after.objects",
    "both: a directory in which names changed is nearly always also an object, for its times",
)];

/// What missed a sync: the filesystem, and what was wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missed {
    /// On which filesystem.
    pub filesystem: Filesystem,
    /// What was wrong, in words.
    pub how: &'static str,
}

/// Leaves out one sync, or several with commas between, on one filesystem, in one workload after another until a state is wrong.
///
/// # Errors
/// If the rig itself fails.
pub fn leave_out(
    name: &str,
    filesystem: Filesystem,
    workloads: &[Workload],
    extent: Extent,
    dir: &Path,
) -> Result<BTreeSet<Missed>, RigError> {
    for workload in workloads {
        let recording = match record(filesystem, *workload, Some(name), dir) {
            Ok(recording) => recording,
            // A step of the workload fails without any power cut: noticed as well.
            Err(RigError::Failed { .. }) => {
                let how = "isconf fails";
                return Ok(BTreeSet::from([Missed { filesystem, how }]));
            }
            Err(other) => return Err(other),
        };
        let summary = explore(&recording, extent, dir)?;
        let found = summary.findings.iter().map(|finding| Missed {
            filesystem,
            how: finding.fault.name(),
        });
        let found: BTreeSet<_> = found.collect();
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(BTreeSet::new())
}
