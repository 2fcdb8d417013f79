//! Machines whose root is not one ext4: xfs, btrfs, several filesystems, an overlay; and read-only
//! mounts. Upholds: the promise of the commit does not depend on what the root is made of.

use super::crash::{TWO_POINTS, cut_at};
use super::quick_start;
use crate::machine::{Machine, Parts};
use crate::release::Release;
use crate::rig::{Failure, Rig, require, require_in};

/// The root is one xfs.
pub fn xfs(rig: &Rig, release: Release) -> Result<(), Failure> {
    let copy = "modprobe xfs && mkfs.xfs -q /dev/nvme0n2 && mount /dev/nvme0n2 /mnt && \
                cp -ax /. /mnt && umount /mnt";
    walk_and_cut(
        rig,
        release,
        &Other {
            name: "xfs",
            disks: 1,
            copy,
            places: &["/srv"],
        },
    )
}

/// The root is one btrfs.
pub fn btrfs(rig: &Rig, release: Release) -> Result<(), Failure> {
    let copy = "modprobe btrfs && mkfs.btrfs -q /dev/nvme0n2 && mount /dev/nvme0n2 /mnt && \
                cp -ax /. /mnt && umount /mnt";
    walk_and_cut(
        rig,
        release,
        &Other {
            name: "btrfs",
            disks: 1,
            copy,
            places: &["/srv"],
        },
    )
}

/// `/usr`, `/var` and `/home` are filesystems of their own.
pub fn split(rig: &Rig, release: Release) -> Result<(), Failure> {
    let copy = "for n in 2 3 4 5; do mkfs.ext4 -q /dev/nvme0n$n; done && \
                mount /dev/nvme0n2 /mnt && mkdir /mnt/usr /mnt/var /mnt/home && \
                mount /dev/nvme0n3 /mnt/usr && mount /dev/nvme0n4 /mnt/var && \
                mount /dev/nvme0n5 /mnt/home && cp -ax /. /mnt && umount -R /mnt";
    let places = &["/srv", "/usr/local", "/var/lib", "/home"];
    walk_and_cut(
        rig,
        release,
        &Other {
            name: "split",
            disks: 4,
            copy,
            places,
        },
    )
}

/// The root is an overlay of a read-only ext4 and another one.
pub fn overlay(rig: &Rig, release: Release) -> Result<(), Failure> {
    let copy = "mkfs.ext4 -q /dev/nvme0n2 && sync";
    walk_and_cut(
        rig,
        release,
        &Other {
            name: "overlay",
            disks: 1,
            copy,
            places: &["/srv"],
        },
    )
}

/// A root that is not the boot disk.
struct Other<'a> {
    /// What the first program of the machine calls it, see the recipe of the image.
    name: &'a str,
    /// How many disks it needs.
    disks: usize,
    /// How to fill them, on a machine with a plain root.
    copy: &'a str,
    /// Where the change that is cut has its trees.
    places: &'a [&'a str],
}

/// Moves the root, then the quick start and two power cuts on it.
fn walk_and_cut(rig: &Rig, release: Release, other: &Other) -> Result<(), Failure> {
    let mut parts = rig.machine("host", release)?;
    for _ in 0..other.disks {
        rig.add_disk(&mut parts)?;
    }
    let mut machine = rig.boot(&parts)?;
    machine.get(other.copy)?;
    machine.cut();
    let init = "/usr/local/lib/vm-tests/stage0";
    let parts = Parts {
        append: format!("ro init={init} vmroot={}", other.name),
        ..parts
    };
    let mut machine = rig.boot(&parts)?;
    require_root(&mut machine, other.name)?;
    quick_start::walk(&mut machine)?;
    cut_at(rig, &parts, machine, TWO_POINTS, other.places)?;
    Ok(())
}

/// Requires that the machine has the root that it was to have.
fn require_root(machine: &mut Machine, name: &str) -> Result<(), Failure> {
    let kind = machine.get("findmnt -no FSTYPE /")?;
    match name {
        "split" => {
            let mounts = machine.get("findmnt -no TARGET /usr /var /home; findmnt -lno TARGET")?;
            require_in("filesystems of its own", &mounts, "/usr\n")?;
            require_in("filesystems of its own", &mounts, "/home\n")
        }
        _ => require("type of the root", &kind, name),
    }
}

/// A command that wants to write to a read-only mount fails as it would without isconf, and leaves
/// nothing; what is writable beside it can be changed.
pub fn read_only(rig: &Rig, release: Release) -> Result<(), Failure> {
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
