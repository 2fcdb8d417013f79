//! `apt-get install` as an entry, with its commit, against doing it natively, each in a Debian host of
//! its own. Not for whether they do the same: the tests show that.

use std::time::{Duration, Instant};

use isconf::tour::HostCommand;

use crate::Error;
use crate::page::Page;
use crate::series::Series;
use crate::support::debian::{DebianHost, DebianRoot, Disk, Init};
use crate::table::{Figure, Target};

/// What is installed, with what it depends on.
const PACKAGES: &str = "man-db nginx-light openssh-server redis-server";

/// Fetches it, once, with the network. Nothing is started: there is no init system in the hosts.
const FETCH: &str = r#"export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
apt-get install --yes --no-install-recommends --download-only $packages
mkdir "$1/srv/packages" && mv "$1"/var/cache/apt/archives/*.deb "$1/srv/packages""#;

/// As in any image that is made by a program. mmdebstrap would remove such a file.
const SET_UP: &str = r"printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d &&
    chmod 755 /usr/sbin/policy-rc.d && isconf init example.com && isconf lock figures && sync";

const INSTALL: &str = "DEBIAN_FRONTEND=noninteractive apt-get -qqy install /srv/packages/*.deb";

/// How often it is installed, each time in new hosts.
const TURNS: usize = 3;

/// How long it may take once.
const LIMIT: Duration = Duration::from_secs(600);

/// Measures it.
pub fn measure(page: &mut Page) -> Result<(), Error> {
    let script = format!("packages='{PACKAGES}'\n{FETCH}");
    let root = DebianRoot::bookworm().filled_by(&script);
    let (mut entry, mut native) = (Series::default(), Series::default());
    for _ in 0..TURNS {
        let captured = ["isconf", "-q", "exec", "--summary", "sh", "-c", INSTALL];
        entry.push(seconds(&root, &captured)?);
        native.push(seconds(&root, &["sh", "-c", INSTALL])?);
    }
    page.figures.add(Figure {
        name: format!("isconf exec apt-get install {PACKAGES}"),
        unit: "s",
        subject: entry,
        baseline: Some(("the same natively".to_owned(), native)),
        target: Target::Shown,
    });
    Ok(())
}

/// How long a command takes in a new host.
fn seconds(root: &DebianRoot, words: &[&str]) -> Result<f64, Error> {
    let host = DebianHost::start("figures", root, Disk::Ext4, Init::Plain);
    let host = host.ok_or("no Debian host can be made here")?;
    host.ok(SET_UP);
    let command: HostCommand = host.command(words).timeout(LIMIT);
    let begun = Instant::now();
    command.ok()?;
    Ok(begun.elapsed().as_secs_f64())
}
