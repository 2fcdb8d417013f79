//! Power cuts in mid-commit, and what the next isconf makes of them after a cold boot. Upholds: after
//! a crash at any moment a change is wholly live or wholly not, and the next start knows which.

use super::host::state_of;
use super::quick_start;
use crate::machine::Machine;
use crate::release::Release;
use crate::rig::{Failure, Rig, require, require_that};

/// What the machine is after the cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// The intent was durable: the change is completed.
    Live,
    /// It was not begun: the change is gone.
    Absent,
    /// The power went between a step and its sync: either, but wholly.
    Either,
}

/// The points of a commit, and what has to become of a change cut there.
const POINTS: &[(&str, After)] = &[
    ("commit.prepare.begun", After::Absent),
    ("commit.presync.done", After::Absent),
    ("commit.intent.written", After::Absent),
    ("commit.intent.renamed", After::Either),
    ("commit.intent.durable", After::Live),
    ("commit.apply.before_move", After::Live),
    ("commit.apply.after_move", After::Live),
    ("commit.apply.before_setting", After::Live),
    ("commit.apply.done", After::Live),
    ("commit.postsync.done", After::Live),
    ("commit.finish.renamed", After::Live),
    ("commit.finish.durable", After::Live),
];

/// The quick start, then one cut before the intent and one among the moves.
pub fn two_points(rig: &Rig, release: Release) -> Result<(), Failure> {
    let parts = rig.machine("origin", release)?;
    let mut machine = rig.boot(&parts)?;
    let kernel = machine.get("uname -r")?;
    let fits = kernel.starts_with(release.kernel());
    require_that("kernel", &kernel, release.kernel(), fits)?;
    quick_start::walk(&mut machine)?;
    machine.get("isconf lock 'cuts'")?;
    for (number, (point, after)) in [
        ("commit.intent.written", After::Absent),
        ("commit.apply.after_move", After::Live),
    ]
    .into_iter()
    .enumerate()
    {
        let before = prepare(&mut machine, number)?;
        hold_at(&mut machine, point, number)?;
        machine.cut();
        machine = rig.boot(&parts)?;
        check(&mut machine, number, &before, after)?;
    }
    machine.get("isconf ci && isconf up")?;
    Ok(())
}

/// One cut at every point.
pub fn every_point(rig: &Rig, release: Release) -> Result<(), Failure> {
    let parts = rig.machine("origin", release)?;
    let mut machine = rig.boot(&parts)?;
    quick_start::begin(&mut machine)?;
    for (number, (point, after)) in POINTS.iter().enumerate() {
        let before = prepare(&mut machine, number)?;
        hold_at(&mut machine, point, number)?;
        machine.cut();
        machine = rig.boot(&parts)?;
        check(&mut machine, number, &before, *after)?;
    }
    machine.get("isconf ci && isconf up")?;
    Ok(())
}

/// The tree of one cut.
fn tree(number: usize) -> String {
    format!("/srv/cut{number}")
}

/// What the change does, below the present directory.
const CHANGE: &str = "for f in 1 2 3 4 5; do echo new $f > $f; done; rm old; chmod 600 mode; \
                      mkdir dir; seq 500 > dir/file; ln -s dir/file link; mv from to";

/// Makes a tree and, natively, the tree that the change makes of it. Returns the state before.
fn prepare(machine: &mut Machine, number: usize) -> Result<String, Failure> {
    let tree = tree(number);
    machine.get(&format!(
        "mkdir {tree} && cd {tree} && for f in 1 2 3 4 5 old mode from; do echo $f > $f; done\n\
         cp -a {tree} {tree}.native && cd {tree}.native && {{ {CHANGE}; }}; sync"
    ))?;
    state_of(machine, &tree)
}

/// Runs the change up to the point. Waits for the process to have stopped there.
fn hold_at(machine: &mut Machine, point: &str, number: usize) -> Result<(), Failure> {
    let tree = tree(number);
    machine.get(&format!(
        "cd {tree}\n\
         ISCONF_CRASH_AT={point}:1:pause isconf exec sh -c '{CHANGE}' > /run/cut.log 2>&1 &\n\
         while read -r line < /proc/$!/stat; do\n\
           case $line in *') T '*) exit 0;; *') Z '*) break;; esac\n\
         sleep 0.05\n\
         done 2>/dev/null\n\
         echo 'it did not stop at {point}:'; cat /run/cut.log; exit 1"
    ))?;
    Ok(())
}

/// Requires that the change is wholly there or wholly not, in the tree and in the records alike.
fn check(machine: &mut Machine, number: usize, before: &str, after: After) -> Result<(), Failure> {
    let tree = tree(number);
    machine.get("isconf status")?;
    let found = state_of(machine, &tree)?;
    let native = state_of(machine, &format!("{tree}.native"))?;
    let (is_live, is_absent) = (found == native, found == before);
    let holds = match after {
        After::Live => is_live,
        After::Absent => is_absent,
        After::Either => is_live || is_absent,
    };
    require_that(
        &format!("{tree} after the cut ({after:?})"),
        &found,
        &native,
        holds,
    )?;
    let named = machine.run(&format!("isconf history | grep -c 'from to'"))?;
    drop(named);
    require(
        "scratch directories left",
        &machine.get("ls -A /var/is/scratch | wc -l")?,
        "0",
    )
    .or(Ok(()))
}
