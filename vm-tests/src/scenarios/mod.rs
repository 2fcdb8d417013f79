//! What is claimed of isconf on real machines, one claim a scenario. Not for how machines are made.

mod host;
mod quick_start;
mod kernels;
mod crash;
mod reboots;
mod roots;
mod read_only;
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

impl Scenario {
    /// One for `--all` alone.
    const fn new(name: &'static str, claim: &'static str, release: Release, run: Run) -> Self {
        Self {
            name,
            claim,
            quick: false,
            release,
            run,
        }
    }

    /// Includes it in `--quick`.
    const fn quick(self) -> Self {
        Self {
            quick: true,
            ..self
        }
    }
}

/// What shows a claim.
type Run = fn(&Rig, Release) -> Result<(), Failure>;

const CUTS: &str = "the quick start works; power cuts in mid-commit leave a change whole or absent";
const SPLIT: &str = "changes over /, /usr, /var and /home at once are whole or absent";
const EVERY: &str = "power cuts at every point of a commit leave a change whole or absent";
const REBOOTS: &str = "three reboots in one journal, each done once";
const CLOCK: &str = "a clock that jumps loses nothing";
const READ_ONLY: &str = "read-only mounts stay as they are";
const NO_LANDLOCK: &str = "the quick start works without Landlock";

/// All of them, in the order in which they begin.
pub const ALL: &[Scenario] = &[
    Scenario::new("crash-6.1", CUTS, Bookworm, crash::two_points).quick(),
    Scenario::new("crash-6.12", CUTS, Trixie, crash::two_points).quick(),
    Scenario::new("reboots", REBOOTS, Bookworm, reboots::three).quick(),
    Scenario::new("clock", CLOCK, Bookworm, clock::jumps).quick(),
    Scenario::new("root-split", SPLIT, Bookworm, roots::split).quick(),
    Scenario::new("root-btrfs", CUTS, Bookworm, roots::btrfs).quick(),
    Scenario::new("root-xfs", CUTS, Bookworm, roots::xfs).quick(),
    Scenario::new("root-overlay", CUTS, Bookworm, roots::overlay).quick(),
    Scenario::new("read-only", READ_ONLY, Bookworm, read_only::stays).quick(),
    Scenario::new("no-landlock", NO_LANDLOCK, Trixie, kernels::no_landlock).quick(),
    Scenario::new("crash-every-point", EVERY, Bookworm, crash::every_point),
    Scenario::new("reboots-6.12", REBOOTS, Trixie, reboots::three),
    Scenario::new("clock-6.12", CLOCK, Trixie, clock::jumps),
];
