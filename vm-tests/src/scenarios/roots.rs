//! Machines whose root is not one ext4: xfs, btrfs, several filesystems, an overlay. Upholds: the
//! promise of the commit does not depend on what the root is made of.

use super::crash::{TWO_POINTS, cut_at};
use super::quick_start;
use crate::machine::Machine;
use crate::release::Release;
use crate::rig::{Failure, Rig, require};

/// A root that is not the boot disk.
struct Root {
    /// What the first program of the machine calls it, see the recipe of the image.
    name: &'static str,
    /// How many disks it needs.
    disks: usize,
    /// How to fill them, on a machine with a plain root.
    fill: &'static str,
    /// Its mount points and their types, as findmnt(8) lists them.
    mounts: &'static str,
    /// Where the change that is cut has its trees.
    places: &'static [&'static str],
}

/// The root is one xfs.
pub fn xfs(rig: &Rig, release: Release) -> Result<(), Failure> {
    let root = Root {
        name: "xfs",
        disks: 1,
        fill: "modprobe xfs && mkfs.xfs -q /dev/nvme0n2 && mount /dev/nvme0n2 /mnt && \
               cp -ax /. /mnt && umount /mnt",
        mounts: "/ xfs",
        places: &["/srv"],
    };
    root.walk_and_cut(rig, release)
}

/// The root is one btrfs.
pub fn btrfs(rig: &Rig, release: Release) -> Result<(), Failure> {
    let root = Root {
        name: "btrfs",
        disks: 1,
        fill: "modprobe btrfs && mkfs.btrfs -q /dev/nvme0n2 && mount /dev/nvme0n2 /mnt && \
               cp -ax /. /mnt && umount /mnt",
        mounts: "/ btrfs",
        places: &["/srv"],
    };
    root.walk_and_cut(rig, release)
}

/// `/usr`, `/var` and `/home` are filesystems of their own.
pub fn split(rig: &Rig, release: Release) -> Result<(), Failure> {
    let root = Root {
        name: "split",
        disks: 4,
        fill: "for n in 2 3 4 5; do mkfs.ext4 -q /dev/nvme0n$n; done && \
               mount /dev/nvme0n2 /mnt && mkdir /mnt/usr /mnt/var /mnt/home && \
               mount /dev/nvme0n3 /mnt/usr && mount /dev/nvme0n4 /mnt/var && \
               mount /dev/nvme0n5 /mnt/home && cp -ax /. /mnt && umount -R /mnt",
        mounts: "/ ext4\n/home ext4\n/usr ext4\n/var ext4",
        places: &["/srv", "/usr/local", "/var/lib", "/home"],
    };
    root.walk_and_cut(rig, release)
}

/// The root is an overlay of a read-only ext4 and another one.
pub fn overlay(rig: &Rig, release: Release) -> Result<(), Failure> {
    let root = Root {
        name: "overlay",
        disks: 1,
        fill: "mkfs.ext4 -q /dev/nvme0n2 && sync",
        mounts: "/ overlay",
        places: &["/srv"],
    };
    root.walk_and_cut(rig, release)
}

impl Root {
    /// Moves the root, then the quick start and two power cuts on it.
    fn walk_and_cut(&self, rig: &Rig, release: Release) -> Result<(), Failure> {
        let mut parts = rig.machine("host", release)?;
        for _ in 0..self.disks {
            rig.add_disk(&mut parts)?;
        }
        let mut machine = rig.boot(&parts)?;
        machine.get(self.fill)?;
        machine.cut();
        let init = "/usr/local/lib/vm-tests/stage0";
        parts.append = format!("ro init={init} vmroot={}", self.name);
        let mut machine = rig.boot(&parts)?;
        self.require_mounts(&mut machine)?;
        quick_start::walk(&mut machine)?;
        cut_at(rig, &parts, machine, TWO_POINTS, self.places)?;
        Ok(())
    }

    /// Requires that the machine has the filesystems that it was to have.
    fn require_mounts(&self, machine: &mut Machine) -> Result<(), Failure> {
        let found = machine.get("findmnt -rno TARGET,FSTYPE -t ext4,xfs,btrfs,overlay | sort")?;
        require("mounts", &found, self.mounts)
    }
}
