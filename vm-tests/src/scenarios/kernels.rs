//! What kernels differ in: Linux 6.1 takes the layers of an overlay by mount(2) alone and has no
//! Landlock scopes; both came by 6.12. Upholds: isconf says which it found, and works with either.

use super::quick_start;
use crate::machine::Machine;
use crate::release::Release;
use crate::rig::{Failure, Rig, require, require_that};

/// How `isconf probe` names the layers.
const LAYERS: &str = "overlay layers can be given one by one";
/// How it names the scopes.
const SCOPES: &str = "Landlock keeps commands from sockets and processes outside";

/// Requires the kernel of the release, and that isconf finds in it what it has.
pub fn require_abilities(machine: &mut Machine, release: Release) -> Result<(), Failure> {
    let kernel = machine.get("uname -r")?;
    let fits = kernel.starts_with(release.kernel());
    require_that("kernel", &kernel, release.kernel(), fits)?;
    let new = match release {
        Release::Bookworm => "no",
        Release::Trixie => "yes",
    };
    require_answer(machine, LAYERS, new)?;
    require_answer(machine, SCOPES, new)
}

/// A kernel whose Landlock is switched off.
pub fn no_landlock(rig: &Rig, release: Release) -> Result<(), Failure> {
    let mut parts = rig.machine("host", release)?;
    parts.append.push_str(" lsm=yama");
    let mut machine = rig.boot(&parts)?;
    require_answer(&mut machine, LAYERS, "yes")?;
    require_answer(&mut machine, SCOPES, "no")?;
    quick_start::walk(&mut machine)
}

/// Requires what `isconf probe` says of one ability, and that it can work here.
fn require_answer(machine: &mut Machine, ability: &str, expected: &str) -> Result<(), Failure> {
    let find = format!("isconf probe > /run/probe && grep -F '{ability}' /run/probe");
    let line = machine.get(&find)?;
    let found = line.split_whitespace().next().unwrap_or_default();
    require(ability, found, expected)
}
