//! Two copies of one Debian host: in one a command runs natively, in the other through isconf.
//! Upholds: after each step their whole disks are compared.

use std::path::Path;
use std::time::{Duration, SystemTime};

use isconf::tour::Manifest;

use super::sameness::{self, Copy};
use super::{LOGIN, PIP, SERVICES, SOURCES};
use crate::support::debian::{DebianHost, DebianRoot, Disk, Init};
use crate::support::machine::DOMAIN;

/// How long one command may take: a few seconds on an idle machine.
const LIMIT: Duration = Duration::from_secs(900);

/// As in any image that is made by a program, nothing is started: there is no init system here, and
/// a scratchpad could not start a daemon of the host either. mmdebstrap would remove such a file.
const SET_UP: &str = r"printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d &&
    chmod 755 /usr/sbin/policy-rc.d && apt-get update";

/// Nobody answers questions, not even sudo's, which does not want to be removed.
const ENVIRONMENT: &str = "export DEBIAN_FRONTEND=noninteractive SUDO_FORCE_REMOVE=yes;";

/// Two hosts that were the same when they started.
pub struct Pair {
    native: DebianHost,
    captured: DebianHost,
    /// Times of change from here on are those of the run.
    since: SystemTime,
    /// The state of the second host before each step that was not taken back.
    before: Vec<(String, Manifest)>,
    /// What was found, told together at the end.
    found: Vec<String>,
}

/// The root of the hosts.
pub fn root() -> DebianRoot {
    let packages = [LOGIN, SERVICES, &[PIP]].concat().join(" ");
    let sources = SOURCES.join(" ");
    let names = format!("packages='{packages}'\nsources='{sources}'\n");
    DebianRoot::bookworm()
        .packages(&["systemd-sysv", "udev", "dbus", "iproute2", "kmod", "make"])
        .filled_by(&(names + include_str!("prepare.sh")))
}

impl Pair {
    /// Starts both. `None` means to skip, as [`crate::support::start`] says.
    pub fn start(name: &str) -> Option<Self> {
        if !crate::support::may_make_hosts() {
            return None;
        }
        let root = root();
        // Made before the clock is looked at: its times are not those of the run.
        root.image(Disk::Ext4);
        let since = SystemTime::now();
        let start = || DebianHost::start(name, &root, Disk::Ext4, Init::Plain);
        let pair = Self {
            native: start()?,
            captured: start()?,
            since,
            before: Vec::new(),
            found: Vec::new(),
        };
        pair.both(SET_UP);
        pair.both(&format!("isconf init {DOMAIN} && isconf lock packages"));
        Some(pair)
    }

    /// Runs a line of shell natively in both, which must succeed.
    #[track_caller]
    pub fn both(&self, line: &str) {
        self.native.ok(line);
        self.captured.ok(line);
    }

    /// Returns what apt-get wants to be told for the older version of a package.
    pub fn older(&self, package: &str) -> String {
        let line = format!("dpkg-deb -f /srv/repository/{package}.old.deb Version");
        format!("{package}={}", self.native.ok(&line).trim())
    }

    /// Runs a line of shell natively in the one host and through isconf in the other, both at once,
    /// and compares their disks.
    #[track_caller]
    pub fn step(&mut self, line: &str) {
        let line = format!("{ENVIRONMENT} {line}");
        let before = self.manifests();
        std::thread::scope(|scope| {
            let natively = scope.spawn(|| run(&self.native, &["sh", "-c", &line]));
            let words = ["isconf", "exec", "--summary", "sh", "-c", &line];
            run(&self.captured, &words);
            natively.join().expect("the command succeeds natively");
        });
        let after = self.manifests();
        let copy = |host, before, after| Copy {
            host,
            before,
            after,
        };
        let native = copy(&self.native, &before.0, &after.0);
        let captured = copy(&self.captured, &before.1, &after.1);
        let differences = sameness::differences(&native, &captured, self.since);
        self.note("natively (-) and through isconf (+)", &line, differences);
        self.before.push((line, before.1));
    }

    /// Takes back every step, the last one first; each time the whole disk is as it was before.
    #[track_caller]
    pub fn take_back(&mut self) {
        while let Some((line, before)) = self.before.pop() {
            run(&self.captured, &["isconf", "undo"]);
            let mut left = before.differences(&self.captured.manifest());
            left.retain(|line| !sameness::is_ours(path_of(line)));
            self.note("before (-) and taken back (+)", &line, left);
        }
    }

    /// Returns what was found so far.
    pub fn found(&self) -> &[String] {
        &self.found
    }

    /// Fails with everything that was found.
    #[track_caller]
    pub fn finish(self) {
        assert!(self.found.is_empty(), "\n{}", self.found.join("\n"));
    }

    /// Lists both disks, both at once.
    fn manifests(&self) -> (Manifest, Manifest) {
        std::thread::scope(|scope| {
            let native = scope.spawn(|| self.native.manifest());
            let captured = self.captured.manifest();
            (native.join().expect("it can be listed"), captured)
        })
    }

    fn note(&mut self, what: &str, line: &str, differences: Vec<String>) {
        if !differences.is_empty() {
            self.found.push(format!("{what}: {line}"));
            self.found.extend(differences);
        }
    }
}

/// Returns the path of a line of [`Manifest::differences`]; those looked for have no space.
fn path_of(line: &str) -> &Path {
    Path::new(line[1..].split(' ').next().unwrap_or_default())
}

/// Runs a command, which must succeed.
#[track_caller]
fn run(host: &DebianHost, words: &[&str]) {
    let done = host.command(words).timeout(LIMIT).run().expect("it ends");
    assert_eq!(done.code(), 0, "{words:?}: {done}");
}
