//! What is claimed of isconf on real machines, one claim a scenario. Not for how machines are made.

mod host;
mod quick_start;
mod crash;
mod reboots;
mod roots;
mod clock;

use crate::release::Release::{self, Bookworm, Trixie};
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
    pub run: Run,
}

/// One for `--quick`.
const fn quick(name: &'static str, claim: &'static str, release: Release, run: Run) -> Scenario {
    Scenario {
        name,
        claim,
        quick: true,
        release,
        run,
    }
}

/// One for `--all` alone.
const fn long(name: &'static str, claim: &'static str, release: Release, run: Run) -> Scenario {
    Scenario {
        name,
        claim,
        quick: false,
        release,
        run,
    }
}

/// What shows a claim.
type Run = fn(&Rig, Release) -> Result<(), Failure>;

/// The claim of the scenarios that cut the power.
const CUTS: &str = "the quick start works; power cuts in mid-commit leave a change whole or absent";

/// All of them, in the order in which they run.
pub const ALL: &[Scenario] = &[
    quick("crash-6.1", CUTS, Bookworm, crash::two_points),
    quick("crash-6.12", CUTS, Trixie, crash::two_points),
    quick(
        "reboots",
        "three reboots in one journal, each done once",
        Bookworm,
        reboots::three,
    ),
    quick(
        "clock",
        "a clock that jumps loses nothing",
        Bookworm,
        clock::jumps,
    ),
    quick(
        "read-only",
        "read-only mounts stay as they are",
        Bookworm,
        roots::read_only,
    ),
    long(
        "crash-every-point",
        "the same at every point of a commit",
        Bookworm,
        crash::every_point,
    ),
    long("root-xfs", CUTS, Bookworm, roots::xfs),
    long("root-btrfs", CUTS, Bookworm, roots::btrfs),
    long(
        "root-split",
        "changes over /, /usr, /var and /home at once are whole or absent",
        Bookworm,
        roots::split,
    ),
    long("root-overlay", CUTS, Bookworm, roots::overlay),
    long(
        "reboots-6.12",
        "three reboots in one journal, each done once",
        Trixie,
        reboots::three,
    ),
    long(
        "clock-6.12",
        "a clock that jumps loses nothing",
        Trixie,
        clock::jumps,
    ),
];
