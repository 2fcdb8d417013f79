//! Power cuts in mid-commit, and what the next isconf makes of them after a cold boot. Upholds: after
//! a crash at any moment a change is wholly live or wholly not, and the next start knows which.

use super::{host, kernels, quick_start};
use crate::machine::{Machine, Parts};
use crate::release::Release;
use crate::rig::{Failure, Rig, require, require_that};

/// What the machine is after the cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The intent was durable: the change is completed.
    Live,
    /// It was not begun: the change is gone.
    Absent,
    /// The power went between a step and its sync: either, but wholly.
    Either,
}

/// A point of the commit, and what has to become of a change that is cut there.
pub type Cut = (&'static str, After);

/// One before the intent, one among the moves.
pub const TWO_POINTS: &[Cut] = &[
    ("commit.intent.written", After::Absent),
    ("commit.apply.after_move", After::Live),
];

/// The points that a commit without rewrites and without errors passes.
const EVERY_POINT: &[Cut] = &[
    ("commit.prepare.begun", After::Absent),
    ("commit.prepare.done", After::Absent),
    ("commit.presync.done", After::Absent),
    ("commit.intent.written", After::Absent),
    ("commit.intent.synced", After::Absent),
    ("commit.intent.renamed", After::Either),
    ("commit.intent.durable", After::Live),
    ("commit.apply.before_move", After::Live),
    ("commit.apply.after_move", After::Live),
    ("commit.apply.before_setting", After::Live),
    ("commit.apply.after_setting", After::Live),
    ("commit.apply.done", After::Live),
    ("commit.postsync.done", After::Live),
    ("commit.finish.renamed", After::Live),
    ("commit.finish.durable", After::Live),
];

/// What the change does, below the present directory.
const CHANGE: &str = "for f in 1 2 3 4 5; do echo new $f > $f; done; rm old; chmod 600 mode; \
                      mkdir dir; seq 500 > dir/file; ln -s dir/file link; mv from to";

/// The quick start, then two cuts.
pub fn two_points(rig: &Rig, release: Release) -> Result<(), Failure> {
    let parts = rig.machine("origin", release)?;
    let mut machine = rig.boot(&parts)?;
    kernels::require_abilities(&mut machine, release)?;
    quick_start::walk(&mut machine)?;
    cut_at(rig, &parts, machine, TWO_POINTS, &["/srv"])?;
    Ok(())
}

/// One cut at every point.
pub fn every_point(rig: &Rig, release: Release) -> Result<(), Failure> {
    let parts = rig.machine("origin", release)?;
    let mut machine = rig.boot(&parts)?;
    quick_start::begin(&mut machine)?;
    machine.get("isconf exec true && isconf ci")?;
    cut_at(rig, &parts, machine, EVERY_POINT, &["/srv"])?;
    Ok(())
}

/// Cuts the power once at each point, boots and checks. The change touches all `places` at once.
/// The machine has a branch without a lock before and after.
pub fn cut_at(
    rig: &Rig,
    parts: &Parts,
    mut machine: Machine,
    cuts: &[Cut],
    places: &[&str],
) -> Result<Machine, Failure> {
    machine.get("isconf lock 'cuts'")?;
    for (number, (point, after)) in cuts.iter().enumerate() {
        let trees: Vec<String> = places.iter().map(|p| format!("{p}/cut{number}")).collect();
        let before = prepare(&mut machine, &trees)?;
        hold_at(&mut machine, point, &trees)?;
        machine.cut();
        machine = rig.boot(parts)?;
        let is_live = check(&mut machine, &trees, &before, *after)?;
        // What was cut away can be done again, and then stays.
        if !is_live {
            machine.get(&format!("isconf exec sh -c '{}'", change_of(&trees)))?;
            check(&mut machine, &trees, &before, After::Live)?;
        }
    }
    machine.get("isconf ci && isconf up && isconf diff")?;
    let entries = machine.get("isconf -q log | grep -c 'mv from to'")?;
    require("entries of the cuts", &entries, &cuts.len().to_string())?;
    Ok(machine)
}

/// The change in all trees.
fn change_of(trees: &[String]) -> String {
    let each = |tree: &String| format!("cd {tree}; {CHANGE}");
    let all: Vec<String> = trees.iter().map(each).collect();
    all.join("; ")
}

/// The name of the tree as the change has to make it.
fn native(tree: &str) -> String {
    format!("{tree}.native")
}

/// Makes trees and, natively, what the change makes of them. Returns the state before.
fn prepare(machine: &mut Machine, trees: &[String]) -> Result<String, Failure> {
    for tree in trees {
        let native = native(tree);
        machine.get(&format!(
            "mkdir {tree} && cd {tree} && for f in 1 2 3 4 5 old mode from; do echo $f > $f; done\n\
             cp -a {tree} {native} && cd {native} && {{ {CHANGE}; }}; sync"
        ))?;
    }
    states(machine, trees.iter().cloned())
}

/// The states of several trees, one after another.
fn states(machine: &mut Machine, trees: impl Iterator<Item = String>) -> Result<String, Failure> {
    let states: Result<Vec<_>, _> = trees.map(|tree| host::state_of(machine, &tree)).collect();
    Ok(states?.join("\n"))
}

/// Runs the change up to the point. Waits for the process to have stopped there.
fn hold_at(machine: &mut Machine, point: &str, trees: &[String]) -> Result<(), Failure> {
    let change = change_of(trees);
    host::hold(machine, point, &format!("isconf exec sh -c '{change}'"))
}

/// Requires that the change is wholly there or wholly not, in trees and records alike. Tells whether
/// it is there.
fn check(
    machine: &mut Machine,
    trees: &[String],
    before: &str,
    after: After,
) -> Result<bool, Failure> {
    // Any verb recovers.
    let said = machine.get("isconf status; test $? -le 1")?;
    let found = states(machine, trees.iter().cloned())?;
    let wanted = states(machine, trees.iter().map(|tree| native(tree)))?;
    let (is_live, is_absent) = (found == wanted, found == before);
    let holds = match after {
        After::Live => is_live,
        After::Absent => is_absent,
        After::Either => is_live || is_absent,
    };
    require_that(
        &format!("after the cut ({after:?}); status said: {said}"),
        &found,
        &wanted,
        holds,
    )?;
    let tree = trees.first().map_or("", String::as_str);
    let receipts = machine.get(&format!("isconf -q history | grep -c 'cd {tree};' || true"))?;
    require(
        "receipts of the change",
        &receipts,
        if is_live { "1" } else { "0" },
    )?;
    Ok(is_live)
}
