//! Entries and contents go from host to host, whoever is there to give them.

use super::{connected, status};
use crate::support::machine::Machine;
use crate::support::network::{Port, domain_of, wait_for};

/// The number of the last entry that a host knows.
pub fn head(machine: &Machine) -> u64 {
    status(machine)["journal"]["seq"].as_u64().unwrap_or(0)
}

/// Waits until a host has the first entries, and all that they need.
#[track_caller]
pub fn wait_for_entries(machine: &Machine, entries: u64) {
    // The cache tells by its status whether contents are missing.
    let has_all = || head(machine) == entries && machine.isconf(["cache"]).status() == 0;
    wait_for("the entries with their contents", has_all);
}

/// Makes and checks in an entry with a file, and one with a command.
pub fn change(origin: &Machine, text: &str) {
    origin.isconf(["lock", "for the test"]).code(0);
    origin.write("/etc/motd", text);
    origin.isconf(["snap", "/etc/motd"]).code(0);
    let command = format!("echo {text} >> /srv/log");
    origin.isconf(["exec", "sh", "-c", &command]).code(0);
    origin.isconf(["ci"]).code(0);
}

/// Applies; what is not here yet is waited for.
#[track_caller]
pub fn updated(machine: &Machine, text: &str) {
    machine.isconf(["up"]).code(0);
    assert_eq!(machine.read("/etc/motd"), text);
}

#[test]
fn what_is_checked_in_reaches_every_host() {
    let Some((_network, hosts)) = domain_of(&["h1", "h2", "h3"]) else {
        return;
    };
    for host in &hosts {
        wait_for("two peers", || connected(host) == 2);
    }
    change(&hosts[0], "one");
    for host in &hosts[1..] {
        updated(host, "one");
    }
    // Any of them can be the origin, and what it changes reaches those that were origins before.
    change(&hosts[2], "two");
    for host in &hosts[..2] {
        wait_for("the entries", || head(host) == 4);
        updated(host, "two");
        assert_eq!(host.read("/srv/log"), "one\ntwo\n");
    }
}

#[test]
fn case_47_a_new_host_catches_up_when_the_origin_is_gone_for_ever() {
    let Some((mut network, mut hosts)) = domain_of(&["h1", "h2"]) else {
        return;
    };
    change(&hosts[0], "one");
    // The journal and all that it needs are on the other one before the origin dies.
    wait_for_entries(&hosts[1], 2);
    updated(&hosts[1], "one");
    drop(hosts.remove(0));
    let newer = Machine::ready("h3").expect("hosts can be made");
    network.join(&newer);
    newer
        .isconf(["join", &Port(2).address()])
        .code(0)
        .says("h2 is a host of domain");
    wait_for("the entries", || head(&newer) == 2);
    updated(&newer, "one");
}

#[test]
fn case_49_a_host_that_was_cut_off_catches_up() {
    let Some((network, hosts)) = domain_of(&["h1", "h2", "h3"]) else {
        return;
    };
    change(&hosts[0], "one");
    wait_for_entries(&hosts[2], 2);
    network.cut(Port(3));
    change(&hosts[0], "two");
    wait_for("the entries", || head(&hosts[1]) == 4);
    // Nobody waits for who is not there, and what is here can be done.
    updated(&hosts[2], "one");
    network.heal(Port(3));
    wait_for("the entries", || head(&hosts[2]) == 4);
    updated(&hosts[2], "two");
}

#[test]
fn a_daemon_that_is_killed_loses_nothing() {
    let Some((_network, hosts)) = domain_of(&["h1", "h2"]) else {
        return;
    };
    change(&hosts[0], "one");
    wait_for("the entries", || head(&hosts[1]) == 2);
    hosts[1].sh("kill -9 $(cat /var/is/conf/.pid)").code(0);
    wait_for("its end", || status(&hosts[1])["daemon"].is_null());
    change(&hosts[0], "two");
    hosts[1].isconf(["start"]).code(0);
    // It was never told to join again.
    wait_for("the entries", || head(&hosts[1]) == 4);
    updated(&hosts[1], "two");
}

#[test]
fn a_branch_made_elsewhere_can_be_moved_to() {
    let Some((_network, hosts)) = domain_of(&["h1", "h2"]) else {
        return;
    };
    change(&hosts[0], "one");
    wait_for("the entries", || head(&hosts[1]) == 2);
    updated(&hosts[1], "one");
    hosts[0].isconf(["fork", "web"]).code(0);
    change(&hosts[0], "two");
    wait_for("the branch", || {
        hosts[1].isconf(["migrate", "web"]).status() == 0
    });
    wait_for("the entries", || head(&hosts[1]) == 4);
    updated(&hosts[1], "two");
}

#[test]
fn a_host_that_cannot_ask_says_that_it_may_be_behind() {
    let Some((network, hosts)) = domain_of(&["h1", "h2"]) else {
        return;
    };
    change(&hosts[0], "one");
    updated(&hosts[1], "one");
    network.cut(Port(2));
    wait_for("the end of the connection", || connected(&hosts[1]) == 0);
    let behind = "no other host of the domain can be reached: this host may be behind";
    hosts[1].isconf(["up"]).code(0).says(behind);
    hosts[1].isconf(["lock", "x"]).code(75).says(behind);
}

#[test]
fn case_34_a_blob_that_nobody_has_is_named_with_the_entry_and_who_was_asked() {
    let Some((network, hosts)) = domain_of(&["h1", "h2"]) else {
        return;
    };
    network.cut(Port(2));
    change(&hosts[0], "one");
    let blobs = "/var/is/fs/cache/example.com/blob";
    let motd = format!("find {blobs}/?? -type f -size 3c -delete");
    hosts[0].sh(&motd).code(0);
    network.heal(Port(2));
    wait_for("the entries", || head(&hosts[1]) == 2);
    hosts[1]
        .isconf(["up"])
        .fails()
        .says("entry 1 of branch generic needs blob")
        .says("which nobody has now: asked were h1 (10.77.0.1:65027");
    assert!(
        !hosts[1].exists("/srv/log"),
        "the entry behind it was not run"
    );
}

#[test]
fn a_damaged_blob_is_replaced_by_itself_from_another_host() {
    let Some((_network, hosts)) = domain_of(&["h1", "h2"]) else {
        return;
    };
    change(&hosts[0], "one");
    wait_for("the entries", || head(&hosts[1]) == 2);
    hosts[1].isconf(["up", "--noop"]).code(0);
    let rot = "f=$(find /var/is/fs/cache/example.com/blob/?? -type f -size 3c); printf XXX > $f";
    hosts[1].sh(rot).code(0);
    let found = hosts[1].isconf(["cache", "--verify"]).code(1);
    found
        .prints("damaged, and set aside")
        .prints("contents are missing of 1");
    wait_for("the blob", || hosts[1].isconf(["cache"]).status() == 0);
    hosts[1].sh(rot).code(0);
    hosts[1].isconf(["up"]).fails().says("is damaged");
    wait_for("the blob", || hosts[1].isconf(["up"]).status() == 0);
    assert_eq!(hosts[1].read("/etc/motd"), "one");
}

#[test]
fn what_is_damaged_at_its_origin_comes_from_others_and_the_origin_is_told() {
    let Some((mut network, hosts)) = domain_of(&["h1", "h2"]) else {
        return;
    };
    change(&hosts[0], "one");
    updated(&hosts[1], "one");
    let blob = "find /var/is/fs/cache/example.com/blob/?? -type f -size 3c";
    let path = hosts[0].sh(blob).code(0).out();
    hosts[0].sh(&format!("printf XXX > {path}")).code(0);
    // Nobody but the origin can be asked.
    network.cut(Port(2));
    let newer = Machine::ready("h3").expect("hosts can be made");
    network.join(&newer);
    newer.isconf(["join", &Port(1).address()]).code(0);
    wait_for("that the origin is told", || {
        hosts[0].sh(&format!("grep -qx XXX {path}")).status() != 0
    });
    network.heal(Port(2));
    wait_for("the contents", || newer.isconf(["up"]).status() == 0);
    assert_eq!(newer.read("/etc/motd"), "one");
    // The origin has mended itself.
    wait_for("the blob", || {
        hosts[0].sh(&format!("grep -qx one {path}")).status() == 0
    });
    // Nobody is ignored for it.
    let are_all = || connected(&newer) == 2 && connected(&hosts[0]) == 2;
    wait_for("that all are connected", are_all);
}

#[test]
fn branches_that_share_contents_are_fetched_side_by_side() {
    let Some((mut network, hosts)) = domain_of(&["h1"]) else {
        return;
    };
    let origin = &hosts[0];
    origin.isconf(["lock", "for the test"]).code(0);
    origin
        .sh("head -c 30000000 /dev/urandom >/srv/large && isconf snap /srv/large && isconf ci")
        .code(0);
    origin.isconf(["fork", "web"]).code(0);
    change(origin, "one");
    let newer = Machine::ready("h2").expect("hosts can be made");
    network.join(&newer);
    newer.isconf(["join", &Port(1).address()]).code(0);
    wait_for("the branch", || {
        newer.isconf(["cache"]).out().contains("web: 3 entries")
    });
    wait_for("the contents", || newer.isconf(["cache"]).status() == 0);
    assert_eq!(connected(&newer), 1, "nobody was ignored for it");
    newer.isconf(["cache", "--verify"]).code(0);
}
