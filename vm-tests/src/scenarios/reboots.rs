//! `reboot` entries on a machine that really reboots. Upholds: each is done exactly once, also when
//! the power goes between its receipt and its command.

use super::{host, quick_start};
use crate::machine::Machine;
use crate::release::Release;
use crate::rig::{Failure, Rig, require, require_that};

/// Reboots in the journal.
const REBOOTS: usize = 3;

/// Three reboots in one journal, the second one by a power cut.
pub fn three(rig: &Rig, release: Release) -> Result<(), Failure> {
    let (keys, bundle) = journal(rig, release)?;
    let parts = rig.machine("target", release)?;
    let mut machine = rig.boot(&parts)?;
    machine.get(&format!(
        "isconf init example.org generic && echo {keys} | base64 -d > /var/is/conf/hmac_keys &&\n\
         chmod 600 /var/is/conf/hmac_keys && echo {bundle} | base64 -d > /root/bundle &&\n\
         isconf bundle import /root/bundle"
    ))?;
    let mut boots = vec![boot_id(&mut machine)?];
    for reboot in 1..=REBOOTS {
        let refused = machine.run("isconf up")?;
        require("up stops at a reboot", &refused.status.to_string(), "1")?;
        require(
            "steps before a reboot",
            &steps(&mut machine)?,
            &reboot.to_string(),
        )?;
        host::settle(&mut machine)?;
        if reboot == 2 {
            host::hold(&mut machine, "reboot.command.begun", "isconf up -r")?;
            machine.cut();
        } else {
            machine.run_to_the_end("isconf up -r")?;
        }
        machine = rig.boot(&parts)?;
        let boot = boot_id(&mut machine)?;
        require_that(
            "a boot of its own",
            &boot,
            "a new id",
            !boots.contains(&boot),
        )?;
        boots.push(boot);
    }
    machine.get("isconf up -r && isconf up -r && isconf diff")?;
    let steps = steps(&mut machine)?;
    require("steps after all", &steps, &(REBOOTS + 1).to_string())?;
    let same = boot_id(&mut machine)?;
    require("no reboot more than asked for", &same, &boots[REBOOTS])?;
    let receipts = machine.get("isconf -q history | grep -c 'rebooted'")?;
    require("receipts of reboots", &receipts, &REBOOTS.to_string())
}

/// Makes the journal on a machine of its own, which only pretends to reboot. Returns the domain's
/// keys and the bundle, in base64.
fn journal(rig: &Rig, release: Release) -> Result<(String, String), Failure> {
    let mut machine = rig.boot(&rig.machine("origin", release)?)?;
    quick_start::begin(&mut machine)?;
    for step in 1..=REBOOTS {
        machine.get(&format!("isconf exec sh -c 'echo {step} >> /srv/steps'"))?;
        machine.get("IS_REBOOT_CMD=true isconf reboot")?;
    }
    machine.get("isconf exec sh -c 'echo last >> /srv/steps' && isconf ci")?;
    machine.get("isconf bundle export /root/bundle")?;
    let keys = machine.get("base64 -w0 /var/is/conf/hmac_keys")?;
    let bundle = machine.get("base64 -w0 /root/bundle")?;
    Ok((keys, bundle))
}

/// How many steps of the journal were made.
fn steps(machine: &mut Machine) -> Result<String, Failure> {
    Ok(machine.get("cat /srv/steps 2>/dev/null | wc -l")?)
}

/// What the kernel calls this boot.
fn boot_id(machine: &mut Machine) -> Result<String, Failure> {
    Ok(machine.get("cat /proc/sys/kernel/random/boot_id")?)
}
