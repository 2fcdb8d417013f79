//! What it costs that system calls are watched, and starts of programs looked at: the same scratchpad
//! with and without. Not for what a scratchpad costs by itself (`scratchpad`).

use std::time::Duration;

use crate::Error;
use crate::bench_host::{BenchHost, DRIVER, Medium};
use crate::driver::{AGAINST, INSIDE};
use crate::page::Page;
use crate::series::Series;
use crate::support::debian::{DebianHost, DebianRoot, Disk, Init};
use crate::table::{Figure, Target};

/// As many short processes as the demand says.
const PROCESSES: &str = "n=0; while [ $n -lt 2000 ]; do /bin/true; n=$((n+1)); done";

/// A package with about 300 files, with what it depends on.
const PACKAGE: &str = "nginx-light";

/// Fetches it, once, with the network.
const FETCH: &str = r#"export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
apt-get install --yes --no-install-recommends --download-only $package
mkdir "$1/srv/packages" && mv "$1"/var/cache/apt/archives/*.deb "$1/srv/packages""#;

const INSTALL: &str = "DEBIAN_FRONTEND=noninteractive apt-get -qqy install /srv/packages/*.deb";

/// As in any image that is made by a program.
const SET_UP: &str = r"mkdir -p /opt && printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d &&
    chmod 755 /usr/sbin/policy-rc.d";

/// Measures it.
pub fn measure(page: &mut Page) -> Result<(), Error> {
    let host = BenchHost::bare("watched", Medium::Disk)?;
    let mut add = |name: &str, [subject, baseline]: [Series; 2], target| {
        page.figures.add(Figure {
            name: format!("watched: {name}"),
            unit: "ms",
            subject,
            baseline: Some(("the same unwatched".to_owned(), baseline)),
            target,
        });
    };
    let run = |times: &str, command: &[&str]| host.drive::<2>(&pair(times, command));
    add(
        "true",
        run("100", &["true"])?,
        Target::MoreThanBaseline(3.0),
    );
    let short = run("15", &["sh", "-c", PROCESSES])?;
    add("2,000 short processes", short, Target::TimesBaseline(1.1));
    let name = format!("apt-get install {PACKAGE}");
    add(&name, install()?, Target::TimesBaseline(1.1));
    Ok(())
}

/// The words that have the driver clock the command both ways, in turns.
fn pair<'a>(times: &'a str, command: &[&'a str]) -> Vec<&'a str> {
    let [watched, unwatched] =
        ["watched", "unwatched"].map(|how| [&[DRIVER, INSIDE, how], command].concat());
    [&["pair", times], &watched[..], &[AGAINST], &unwatched[..]].concat()
}

/// Installs a package again and again in a Debian host; each time it is dropped.
fn install() -> Result<[Series; 2], Error> {
    let root = DebianRoot::bookworm().filled_by(&format!("package={PACKAGE}\n{FETCH}"));
    let host = DebianHost::start("watched", &root, Disk::Ext4, Init::Plain);
    let host = host.ok_or("no Debian host can be made here")?;
    host.ok(SET_UP);
    host.write(DRIVER, std::fs::read(std::env::current_exe()?)?);
    host.ok(&format!("chmod 755 {DRIVER}"));
    let words = [vec![DRIVER, INSIDE], pair("11", &["sh", "-c", INSTALL])].concat();
    let done = host.command(words).timeout(Duration::from_secs(900)).ok()?;
    let mut columns = [Series::default(), Series::default()];
    for line in done.out().lines() {
        for (column, word) in columns.iter_mut().zip(line.split(' ')) {
            column.push(word.parse()?);
        }
    }
    Ok(columns)
}
