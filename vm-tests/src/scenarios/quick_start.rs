//! The manual's quick start. Upholds: what the README says first is true on a stock Debian.

use crate::machine::Machine;
use crate::rig::{Failure, require, require_in};

/// Makes the machine the origin of a branch, with a lock held and no entry yet.
pub fn begin(machine: &mut Machine) -> Result<(), Failure> {
    machine.get("isconf init example.org generic && isconf keys generate")?;
    machine.get("isconf lock 'serve the new site'")?;
    Ok(())
}

/// Walks from `init` to `undo`, as the README does, and leaves a branch without a lock.
pub fn walk(machine: &mut Machine) -> Result<(), Failure> {
    machine.get("test ! -e /var/is")?;
    let tried = machine.get("isconf try sh -c 'echo tried > /etc/tried; cat /etc/tried'")?;
    require_in("try shows what the command wrote", &tried, "tried")?;
    machine.get("test ! -e /etc/tried")?;
    begin(machine)?;
    machine
        .get("mkdir /etc/site && echo port=80 > /etc/site/conf && isconf snap /etc/site/conf")?;
    // Without --root it asks the running systemd, which a command in a scratchpad does not reach.
    machine.get("isconf exec systemctl --root=/ enable systemd-networkd")?;
    machine.get("systemctl is-enabled systemd-networkd")?;
    machine.get("isconf exec sh -c 'mkdir /srv/site; seq 1000 > /srv/site/index; chmod 640 /srv/site/index'")?;
    let failed = machine.run("isconf exec sh -c 'echo half > /srv/site/half; exit 7'")?;
    require(
        "exec has the status of its command",
        &failed.status.to_string(),
        "7",
    )?;
    machine.get("test ! -e /srv/site/half")?;
    machine.get("isconf ci && isconf diff && isconf up --noop && isconf up")?;
    let history = machine.get("isconf history")?;
    require_in("history", &history, "enable systemd-networkd")?;
    require(
        "mode of a committed file",
        &machine.get("stat -c %a /srv/site/index")?,
        "640",
    )?;
    machine.get("cp -a /etc/site/conf /root/conf && echo port=81 > /etc/site/conf")?;
    let drift = machine.run("isconf diff")?;
    require("diff finds drift", &drift.status.to_string(), "1")?;
    machine.get("cp -a /root/conf /etc/site/conf && isconf diff")?;
    machine.get("isconf undo && test ! -e /srv/site")?;
    machine.get("isconf up && test -e /srv/site/index")?;
    Ok(())
}
