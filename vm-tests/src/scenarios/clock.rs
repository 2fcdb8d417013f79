//! Clocks that jump. Upholds: a wrong clock may cost a refusal, never a lost or half-made change.

use super::{host, quick_start};
use crate::machine::Machine;
use crate::release::Release;
use crate::rig::{Failure, Rig, require};

/// Jumps between commits, while a command runs, and in mid-commit, in both directions.
pub fn jumps(rig: &Rig, release: Release) -> Result<(), Failure> {
    let mut machine = rig.boot(&rig.machine("host", release)?)?;
    host::settle(&mut machine)?;
    quick_start::begin(&mut machine)?;
    for (number, jump) in ["+1 hour", "-2 days", "+400 days", "-1 year"]
        .iter()
        .enumerate()
    {
        set_clock(&mut machine, jump)?;
        machine.get(&format!("isconf exec sh -c 'echo {number} > /srv/between'"))?;
        require(
            "content",
            &machine.get("cat /srv/between")?,
            &number.to_string(),
        )?;
        machine.get("isconf exec sh -c 'rm /srv/between' && isconf undo && isconf diff")?;
        in_the_middle(&mut machine, jump, number)?;
        while_it_runs(&mut machine, jump, number)?;
    }
    machine.get("isconf ci && isconf up && isconf diff")?;
    Ok(())
}

/// Moves the clock of the machine.
fn set_clock(machine: &mut Machine, jump: &str) -> Result<(), Failure> {
    machine.get(&format!("date -s '{jump}'"))?;
    Ok(())
}

/// The clock jumps between the guard and the moves: nobody changed anything, so the change is whole.
fn in_the_middle(machine: &mut Machine, jump: &str, number: usize) -> Result<(), Failure> {
    let file = format!("/srv/middle{number}");
    machine.get(&format!("echo old > {file}; echo old > {file}.twin"))?;
    let verb = format!("isconf exec sh -c 'echo new > {file}; echo new > {file}.twin'");
    host::hold(machine, "commit.intent.durable", &verb)?;
    set_clock(machine, jump)?;
    machine.get(
        "pid=$(cat /run/held); kill -CONT $pid\n\
         while [ -d /proc/$pid ]; do sleep 0.05; done; isconf status; test $? -le 1",
    )?;
    let found = machine.get(&format!("cat {file} {file}.twin"))?;
    require("a commit in which the clock jumped", &found, "new\nnew")
}

/// The clock jumps while the command runs, and then somebody else writes the same file: nothing that
/// somebody else wrote is lost, though its time may be before that of the scratchpad.
fn while_it_runs(machine: &mut Machine, jump: &str, number: usize) -> Result<(), Failure> {
    let file = format!("/srv/during{number}");
    // No other process waits for just so long: the command is found by its number.
    let wait = format!("{}.25", 100_000 + number);
    machine.get(&format!(
        "echo old > {file}; isconf exec sh -c 'echo inside > {file}; sleep {wait}; true' \
         > /run/during.log 2>&1 &\n\
         pid=$!; waiting=\n\
         while [ -z \"$waiting\" ] && [ -d /proc/$pid ]; do\n\
         for p in /proc/[0-9]*; do\n\
         [ \"$(tr '\\0' ' ' < $p/cmdline 2>/dev/null)\" = 'sleep {wait} ' ] && waiting=${{p#/proc/}}\n\
         done; sleep 0.05; done\n\
         date -s '{jump}'; echo live > {file}; kill $waiting\n\
         wait $pid; status=$?; cat /run/during.log; test $status = 3"
    ))?;
    require(
        "what somebody else wrote",
        &machine.get(&format!("cat {file}"))?,
        "live",
    )
}
