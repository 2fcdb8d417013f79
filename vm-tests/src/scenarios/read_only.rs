//! Read-only mounts. Upholds: a command that wants to write to one fails as it would without isconf,
//! and leaves nothing; what is writable beside it can be changed.

use super::quick_start;
use crate::release::Release;
use crate::rig::{Failure, Rig, require_in};

/// A disk and a bound `/usr` that are read-only.
pub fn stays(rig: &Rig, release: Release) -> Result<(), Failure> {
    let mut parts = rig.machine("host", release)?;
    rig.add_disk(&mut parts)?;
    let mut machine = rig.boot(&parts)?;
    machine.get("mkdir /data && mkfs.ext4 -q /dev/nvme0n2 && mount /dev/nvme0n2 /data")?;
    machine.get("echo old > /data/file && mount -o remount,ro /data")?;
    machine.get("mount --bind /usr /usr && mount -o remount,bind,ro /usr")?;
    quick_start::begin(&mut machine)?;
    for place in ["/data/file", "/usr/file"] {
        let answer = machine.run(&format!(
            "isconf exec sh -ec 'echo half > /srv/half; echo new > {place}'"
        ))?;
        let text = String::from_utf8_lossy(&answer.output).into_owned();
        require_in("why the command failed", &text, "Read-only file system")?;
        machine.get(&format!("test ! -e /srv/half && ! grep -q new {place}"))?;
    }
    machine.get("isconf exec sh -ec 'echo whole > /srv/whole' && test -e /srv/whole")?;
    machine.get("mount -o remount,rw /data")?;
    machine.get("isconf exec sh -ec 'echo new > /data/file' && grep -q new /data/file")?;
    machine.get("isconf ci && isconf diff")?;
    Ok(())
}
