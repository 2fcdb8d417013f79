//! What hosts know of each other's state, and what they do by themselves.

use serde_json::Value;

use super::spread::{change, head, updated};
use super::{connected, status};
use crate::support::machine::Machine;
use crate::support::network::{domain_of, wait_for};

/// What a host knows of all hosts, by their names.
fn hosts_of(machine: &Machine) -> Vec<Value> {
    let done = machine.isconf(["hosts", "--json"]);
    let hosts: Value = serde_json::from_str(&done.out()).expect("the hosts are JSON");
    hosts["hosts"].as_array().expect("a list").clone()
}

/// What a host knows of another one.
fn known(machine: &Machine, host: &str) -> Option<Value> {
    let hosts = hosts_of(machine);
    hosts.into_iter().find(|row| row["host"] == host)
}

#[test]
fn every_host_shows_how_all_of_them_stand() {
    let Some((_network, hosts)) = domain_of(&["h1", "h2", "h3"]) else {
        return;
    };
    change(&hosts[0], "one");
    updated(&hosts[1], "one");
    // One of them cannot apply the second entry.
    hosts[2].sh("mkdir -p /srv/log/in-the-way").code(0);
    hosts[2].isconf(["up"]).fails();
    for host in &hosts {
        wait_for("the cards", || {
            let of = |name| known(host, name);
            let is_well =
                |name| of(name).is_some_and(|row| row["at"]["seq"] == 2 && row["behind"] == 0);
            let has_failed = of("h3").is_some_and(|row| {
                row["at"]["seq"] == 1 && row["behind"] == 1 && row["failed"]["entry"] == 2
            });
            is_well("h1") && is_well("h2") && has_failed
        });
    }
    hosts[0]
        .isconf(["hosts"])
        .code(1)
        .prints("h2  generic  at entry 2  up to date")
        .prints("h3  generic  at entry 1  1 behind  failed at entry 2: ");
    hosts[0]
        .isconf(["up", "--wait"])
        .code(1)
        .says("not every host could apply all entries");
    hosts[2].sh("rmdir /srv/log/in-the-way /srv/log").code(0);
    hosts[2].isconf(["up"]).code(0);
    hosts[0]
        .isconf(["up", "--wait"])
        .code(0)
        .says("every host of generic is at entry 2");
    hosts[1].isconf(["hosts"]).code(0);
    // It is known after a restart, also of those that are not there.
    hosts[2].isconf(["stop"]).code(0);
    hosts[1].isconf(["restart"]).code(0);
    wait_for("the card", || {
        known(&hosts[1], "h3").is_some_and(|row| row["at"]["seq"] == 2)
    });
}

#[test]
fn whoever_watches_sees_locks_entries_and_who_applied_them() {
    let Some((_network, hosts)) = domain_of(&["h1", "h2"]) else {
        return;
    };
    wait_for("the voters", || !status(&hosts[1])["voters"].is_null());
    let watch = "(isconf watch >/root/seen 2>&1 & echo $! >/root/pid)";
    hosts[1].sh(watch).code(0);
    let seen = || hosts[1].sh("cat /root/seen").out();
    wait_for("the watch", || seen().contains("watching"));
    hosts[0].isconf(["lock", "for the test"]).code(0);
    // A lock that is given up at once may never be told of.
    let locked = "generic is locked by root@h1: for the test";
    wait_for("the lock", || seen().contains(locked));
    change(&hosts[0], "one");
    updated(&hosts[1], "one");
    let lines = [
        "generic is not locked by root@h1 any more",
        "generic is at entry 2 now",
        "h1 is at entry 2 of generic",
        "h2 is at entry 2 of generic",
    ];
    wait_for("the events", || {
        let seen = seen();
        lines.iter().all(|line| seen.contains(line))
    });
    hosts[1].sh("kill $(cat /root/pid)").code(0);
}

#[test]
fn a_host_brings_itself_up_to_date_where_that_is_wanted() {
    let Some((network, mut hosts)) = domain_of(&["h1", "h2", "h3"]) else {
        return;
    };
    for (host, mode) in [(1, "on"), (2, "noop")] {
        hosts[host].isconf(["stop"]).code(0);
        hosts[host].setenv("IS_AUTO_UP", mode);
        hosts[host].setenv("IS_UP_JITTER", "0");
        hosts[host].isconf(["start"]).code(0);
        wait_for("a connection", || connected(&hosts[host]) > 0);
    }
    change(&hosts[0], "one");
    let (on, noop) = (&hosts[1], &hosts[2]);
    wait_for("the update", || on.read("/etc/motd") == "one");
    wait_for("its end", || {
        known(on, "h2").is_some_and(|row| row["behind"] == 0)
    });
    wait_for("the preview", || {
        noop.sh("cat /var/is/conf/auto-up.log")
            .out()
            .contains("this was a preview")
    });
    assert_eq!(status(noop)["pending"], 2);
    // Outside of its window it leaves the host alone.
    hosts[1].isconf(["stop"]).code(0);
    let (hour, next) = ("date -u +%H -d '+2 hours'", "date -u +%H -d '+3 hours'");
    let window = hosts[1]
        .sh(&format!("echo $({hour}):00-$({next}):00"))
        .out();
    hosts[1].setenv("IS_UP_WINDOW", window.trim());
    hosts[1].isconf(["start"]).code(0);
    change(&hosts[0], "two");
    wait_for("the entries", || head(&hosts[1]) == 4);
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(status(&hosts[1])["pending"], 2);
    drop(network);
}
