//! What hosts keep of the domain's contents: all, or what they need; and what is removed when others have it.

use super::spread::{change, updated, wait_for_entries};
use super::{connected, status};
use crate::support::machine::{DOMAIN, Machine};
use crate::support::network::{Port, domain_of, wait_for};

/// Has a host keep only what it needs from now on.
fn keeps_what_it_needs(host: &mut Machine) {
    host.setenv("IS_CACHE", "needed");
    host.isconf(["restart"]).code(0);
}

/// The blobs of a host that are no lists but what files hold: here, of three bytes.
fn contents(host: &Machine) -> usize {
    let find = format!("find /var/is/fs/cache/{DOMAIN}/blob/?? -type f -size 3c | wc -l");
    host.sh(&find)
        .code(0)
        .out()
        .trim()
        .parse()
        .expect("a number")
}

#[test]
fn what_is_not_needed_goes_when_enough_other_hosts_keep_it() {
    let Some((network, mut hosts)) = domain_of(&["h1", "h2", "h3"]) else {
        return;
    };
    keeps_what_it_needs(&mut hosts[2]);
    let [origin, keeper, small] = &hosts[..] else {
        unreachable!("there are three");
    };
    wait_for("two peers", || connected(small) == 2);
    change(origin, "one");
    wait_for_entries(keeper, 2);
    // It is needed until it is applied.
    wait_for_entries(small, 2);
    small
        .isconf(["cache", "--prune"])
        .code(0)
        .prints("removed: 0 blobs, 0 B, that at least 2 connected hosts keep");
    // One of them is not heard when it could go.
    network.cut(Port(2));
    wait_for("one peer", || connected(small) == 1);
    updated(small, "one");
    assert_eq!(contents(small), 1);
    network.heal(Port(2));
    wait_for("two peers", || connected(small) == 2);
    let preview = small.isconf(["cache", "--prune", "--noop"]).code(0);
    preview.prints("would be removed: 1 blob, 3 B, that at least 2 connected hosts keep");
    assert_eq!(contents(small), 1);
    small
        .isconf(["cache", "--prune"])
        .code(0)
        .prints("removed: 1 blob, 3 B, that at least 2 connected hosts keep");
    assert_eq!(contents(small), 0);
    // It is not missed, and does not come again by itself.
    small
        .isconf(["cache"])
        .code(0)
        .prints("all contents are here");
    small.isconf(["diff"]).code(0);
    small.isconf(["show", "1"]).code(0);
    // What is taken back is needed again.
    small.isconf(["undo"]).code(0);
    small.isconf(["undo"]).code(0);
    assert_ne!(small.read("/etc/motd"), "one");
    let removed = "removed 1 blob (3 B) that this host does not need any more";
    small.isconf(["up"]).code(0).says(removed);
    assert_eq!(
        (small.read("/etc/motd").as_str(), contents(small)),
        ("one", 0)
    );
    // Too few keep the next one.
    network.cut(Port(2));
    wait_for("one peer", || connected(small) == 1);
    wait_for("a lock", || origin.isconf(["lock", "x"]).status() == 0);
    origin.write("/etc/motd", "two");
    origin.isconf(["snap", "/etc/motd"]).code(0);
    origin.isconf(["ci"]).code(0);
    wait_for("the entry", || status(small)["journal"]["seq"] == 3);
    updated(small, "two");
    small
        .isconf(["cache", "--prune"])
        .code(0)
        .prints("stay: 1 blob, 3 B, that fewer than 2 connected hosts keep");
    assert_eq!(contents(small), 1);
}

#[test]
fn hosts_that_keep_what_they_need_do_not_count_on_each_other() {
    let Some((_network, mut hosts)) = domain_of(&["h1", "h2", "h3"]) else {
        return;
    };
    change(&hosts[0], "one");
    for host in &hosts[1..] {
        wait_for_entries(host, 2);
        updated(host, "one");
    }
    // The daemon told the others otherwise.
    hosts[2].setenv("IS_CACHE", "needed");
    hosts[2]
        .isconf(["cache", "--prune"])
        .code(1)
        .says("the daemon still runs with IS_CACHE=full, and other hosts count on it");
    keeps_what_it_needs(&mut hosts[1]);
    keeps_what_it_needs(&mut hosts[2]);
    for host in &hosts[1..] {
        wait_for("two peers", || connected(host) == 2);
        host.isconf(["cache", "--prune"])
            .code(0)
            .prints("stay: 1 blob, 3 B, that fewer than 2 connected hosts keep");
        assert_eq!(contents(host), 1);
    }
    hosts[2].isconf(["stop"]).code(0);
    hosts[2]
        .isconf(["cache", "--prune"])
        .code(0)
        .says("no daemon runs, so nobody can be asked");
    assert_eq!(contents(&hosts[2]), 1);
}

#[test]
fn what_nothing_refers_to_goes_after_a_day() {
    let Some((mut network, hosts)) = domain_of(&["h1", "h2"]) else {
        return;
    };
    let origin = &hosts[0];
    change(origin, "one");
    wait_for_entries(&hosts[1], 2);
    // A change that was taken back, and the records of the check-in.
    origin.isconf(["lock", "x"]).code(0);
    origin.write("/srv/other", "no!");
    origin.isconf(["snap", "/srv/other"]).code(0);
    origin.isconf(["unlock", "--discard"]).code(0);
    assert_eq!(contents(origin), 2);
    let nothing = "removed: 0 blobs, 0 B, that nothing refers to";
    origin.isconf(["cache", "--prune"]).code(0).prints(nothing);
    let age =
        format!("find /var/is/fs/cache/{DOMAIN}/blob -type f -exec touch -d '2 days ago' {{}} +");
    origin.sh(&age).code(0);
    let removed = origin.isconf(["cache", "--prune"]).code(0).out();
    assert!(!removed.contains(nothing), "{removed}");
    assert_eq!(contents(origin), 1);
    origin.isconf(["cache", "--prune"]).code(0).prints(nothing);
    // All that anybody needs is there still.
    origin.isconf(["cache", "--verify"]).code(0);
    origin.isconf(["diff"]).code(0);
    origin.isconf(["history"]).code(0);
    network.cut(Port(2));
    let newer = Machine::ready("h3").expect("hosts can be made");
    network.join(&newer);
    newer.isconf(["join", &Port(1).address()]).code(0);
    wait_for_entries(&newer, 2);
    updated(&newer, "one");
}
