//! What is claimed of isconf on real machines, one claim a scenario. Not for how machines are made.

mod crash;
mod host;
mod quick_start;

use crate::release::Release;
use crate::rig::{Failure, Rig};

/// One claim.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What `--only` calls it.
    pub name: &'static str,
    /// What it claims.
    pub claim: &'static str,
    /// Whether `--quick` includes it.
    pub quick: bool,
    /// The release of its machines.
    pub release: Release,
    /// Shows that the claim holds.
    pub run: fn(&Rig, Release) -> Result<(), Failure>,
}

/// All of them, in the order in which they run.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "crash-6.1",
        claim: "the quick start works; power cuts in mid-commit leave it wholly live or not at all",
        quick: true,
        release: Release::Bookworm,
        run: crash::two_points,
    },
    Scenario {
        name: "crash-6.12",
        claim: "the same on the kernel of Debian 13",
        quick: true,
        release: Release::Trixie,
        run: crash::two_points,
    },
    Scenario {
        name: "crash-every-point-6.1",
        claim: "a power cut at every point of a commit leaves it wholly live or not at all",
        quick: false,
        release: Release::Bookworm,
        run: crash::every_point,
    },
];
