//! Real packages with daemons and maintainer scripts: installed, upgraded, removed and purged through
//! isconf they leave the same files and the same running services as natively.

use crate::cases::packages;
use crate::support::debian::{DebianHost, Disk, Init};
use crate::support::machine::DOMAIN;

/// Packages whose maintainer scripts enable, start, restart and stop a daemon.
const DAEMONS: [&str; 3] = ["cron", "nginx-light", "redis-server"];

/// Their services.
const UNITS: &str = "cron nginx redis-server";

/// What is compared after each step.
const STATE: &str = "dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\\n'; dpkg --audit;
    systemctl is-active cron nginx redis-server; systemctl is-enabled cron nginx redis-server 2>&1;
    systemctl list-units --plain --no-legend --type=service --state=running | cut -d' ' -f1 |
        grep -v -e systemd- -e getty -e user@;
    systemctl --failed --plain --no-legend";

#[test]
fn daemons_live_and_die_as_they_do_natively() {
    if !crate::support::may_make_hosts() {
        return;
    }
    let root = packages::root();
    let start = |name| DebianHost::start(name, &root, Disk::Ext4, Init::Systemd);
    let native = start("native").expect("hosts can be made");
    let captured = start("captured").expect("hosts can be made");
    for host in [&native, &captured] {
        host.ok("apt-get update");
    }
    captured.ok(&format!("isconf init {DOMAIN} && isconf lock daemons"));
    let old: Vec<String> = DAEMONS
        .iter()
        .map(|package| {
            let line = format!("dpkg-deb -f /srv/repository/{package}.old.deb Version");
            format!("{package}={}", native.ok(&line).trim())
        })
        .collect();
    let old = old.join(" ");
    let all = DAEMONS.join(" ");
    for step in [
        format!("apt-get -y install {old}"),
        "apt-get -y upgrade".to_owned(),
        format!("service nginx reload && systemctl restart {UNITS}"),
        format!("apt-get -y remove {all}"),
        format!("apt-get -y --autoremove purge {all}"),
    ] {
        let line = format!("export DEBIAN_FRONTEND=noninteractive; {step}");
        native.ok(&line);
        let preview = captured.run(&format!("isconf -q exec --noop --summary sh -c '{line}'"));
        assert_eq!(preview.code(), 0, "{step}: {preview}");
        let done = captured.run(&format!("isconf exec sh -c '{line}'"));
        assert_eq!(done.code(), 0, "{step}: {done}");
        let state = |host: &DebianHost| host.run(STATE).out();
        assert_eq!(state(&captured), state(&native), "{step}: {done}");
    }
}
