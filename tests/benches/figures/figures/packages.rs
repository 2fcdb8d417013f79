//! `apt-get install` as an entry, with its commit, against doing it natively. Both in a Debian root
//! of their own on one disk. Not for whether they do the same: the tests show that.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;
use crate::bench_host::{BenchHost, Medium};
use crate::page::Page;
use crate::series::Series;
use crate::table::{Figure, Target};

/// What is installed, with what it depends on.
const PACKAGES: &str = "man-db nginx-light openssh-server redis-server";

/// Makes the root, once, with the network: packages are fetched and not installed. Arguments: the
/// archive, and the packages.
const MAKE: &str = include_str!("packages.sh");

/// How often it is installed, each time in another copy of the root.
const TURNS: usize = 3;

/// Measures it.
pub fn measure(page: &mut Page) -> Result<(), Error> {
    let archive = match archive() {
        Ok(archive) => archive,
        Err(error) => {
            eprintln!("  no Debian root here, not measured: {error}");
            return Ok(());
        }
    };
    let host = BenchHost::locked("apt", Medium::Disk)?;
    host.host()
        .write("/root/root.tar", std::fs::read(&archive)?)?;
    for turn in 0..TURNS {
        host.sh(&format!(
            "for root in /srv/entry{turn} /srv/native{turn}; do mkdir $root && \
             tar -xpf /root/root.tar -C $root && \
             printf '#!/bin/sh\\nexit 101\\n' >$root/usr/sbin/policy-rc.d && \
             chmod 755 $root/usr/sbin/policy-rc.d; done"
        ))?;
    }
    host.sh("sync")?;
    let (mut entry, mut native) = (Series::default(), Series::default());
    for turn in 0..TURNS {
        let install = |root: &str| {
            format!(
                "DEBIAN_FRONTEND=noninteractive chroot /srv/{root}{turn} \
                 sh -c 'apt-get -qqy install /srv/packages/*.deb'"
            )
        };
        let [one, other] = host.drive(&[
            "pair-once",
            "isconf",
            "-q",
            "exec",
            "--summary",
            "sh",
            "-c",
            &install("entry"),
            "--against",
            "sh",
            "-c",
            &install("native"),
        ])?;
        entry.push(one.median());
        native.push(other.median());
    }
    page.figures.add(Figure {
        name: format!("isconf exec apt-get install {PACKAGES}"),
        unit: "s",
        subject: entry.scaled(1e-3),
        baseline: Some(("the same natively".to_owned(), native.scaled(1e-3))),
        target: Target::Shown,
    });
    Ok(())
}

/// The root as an archive, made once.
fn archive() -> Result<PathBuf, Error> {
    let archive = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian-for-figures.tar");
    if !archive.is_file() {
        let made = Command::new("sh")
            .args(["-c", MAKE, "packages.sh"])
            .arg(&archive)
            .arg(PACKAGES)
            .status()?;
        if !made.success() {
            return Err("mmdebstrap cannot make it".into());
        }
    }
    Ok(archive)
}
