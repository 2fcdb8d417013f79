//! Long files: a new version moves what is new in it, many hosts that fetch the same give it to each other, and what
//! stops in the middle goes on from there.

use std::time::Duration;

use super::spread::head;
use crate::support::cluster::Cluster;
use crate::support::machine::{DOMAIN, Machine};
use crate::support::network::{Port, PrivateNetwork, domain_of, wait_at_most, wait_for};
use crate::support::spec;

/// Several minutes of a slow machine.
const LONG: Duration = Duration::from_secs(240);

/// Checks in a file.
fn snap(origin: &Machine, path: &str) {
    origin.isconf(["lock", "a long file"]).code(0);
    origin.isconf(["snap", path]).code(0);
    origin.isconf(["ci"]).code(0);
}

/// Records a file of so many random MiB on the first host.
fn snap_on_first(cluster: &Cluster, mib: u64) {
    let make = format!("head -c {mib}M /dev/urandom > /srv/image");
    cluster.sh(&make).code(0);
    cluster.isconf(0, "lock 'a long file'").code(0);
    cluster.isconf(0, "snap /srv/image").code(0);
}

/// How many bytes came to a host by its network.
fn received(host: &Machine) -> u64 {
    let devices = host.sh("cat /proc/net/dev").code(0).out();
    let bytes = devices.lines().filter(|line| !line.contains("lo:"));
    let bytes = bytes.filter_map(|line| line.split_once(':')?.1.split_whitespace().next());
    bytes.filter_map(|bytes| bytes.parse::<u64>().ok()).sum()
}

/// Waits until a host has so many entries with all that they need.
fn wait_for_contents(host: &Machine, entries: u64) {
    wait_at_most(LONG, "the contents", || {
        head(host) == entries && host.isconf(["cache"]).status() == 0
    });
}

#[test]
fn a_new_version_of_a_long_file_moves_what_is_new() {
    let Some((_network, hosts)) = domain_of(&["h1", "h2"]) else {
        return;
    };
    const MIB: u64 = 48;
    let (origin, target) = (&hosts[0], &hosts[1]);
    origin
        .sh(&format!("head -c {MIB}M /dev/urandom > /srv/image"))
        .code(0);
    snap(origin, "/srv/image");
    wait_for_contents(target, 1);
    // One page of a hundred, all over the file, and a little in front of all.
    let pages = MIB * 1024 * 1024 / 4096 / 100;
    let change = format!(
        "for i in $(seq {pages}); do dd if=/dev/urandom of=/srv/image bs=4096 count=1 conv=notrunc \
         seek=$((i * 97)) 2>/dev/null; done; (echo front; cat /srv/image) > /srv/new; mv /srv/new /srv/image"
    );
    origin.sh(&change).code(0);
    let before = received(target);
    snap(origin, "/srv/image");
    wait_for_contents(target, 2);
    let moved = (received(target) - before) * 1000 / (MIB << 20);
    assert!(moved <= 50, "{moved} thousandths of it were moved");
    target.isconf(["up"]).code(0);
    let sum = |host: &Machine| host.sh("sha256sum < /srv/image").code(0).out();
    assert_eq!(sum(target), sum(origin));
}

#[test]
fn a_version_that_is_damaged_here_is_not_built_upon() {
    let Some((_network, hosts)) = domain_of(&["h1", "h2"]) else {
        return;
    };
    let (origin, target) = (&hosts[0], &hosts[1]);
    origin.sh("head -c 8M /dev/urandom > /srv/image").code(0);
    snap(origin, "/srv/image");
    wait_for_contents(target, 1);
    // What its pieces are was found while it was sound.
    origin.sh("echo 2 >> /srv/image").code(0);
    snap(origin, "/srv/image");
    wait_for_contents(target, 2);
    let rot = format!(
        "for f in $(find /var/is/fs/cache/{DOMAIN}/blob/?? -type f -size +5M); do \
         printf rot | dd of=$f bs=1 seek=5000000 conv=notrunc; done"
    );
    target.sh(&rot).code(0);
    origin.sh("echo 3 >> /srv/image").code(0);
    snap(origin, "/srv/image");
    // Those that are found damaged are replaced, too.
    wait_at_most(LONG, "sound contents", || {
        target.isconf(["up"]).status() == 0
    });
    let sum = |host: &Machine| host.sh("sha256sum < /srv/image").code(0).out();
    assert_eq!(sum(target), sum(origin));
    target.isconf(["cache", "--verify"]).code(0);
}

#[test]
fn many_hosts_that_fetch_the_same_get_it_from_each_other() {
    const MIB: u64 = 32;
    const HOSTS: usize = 11;
    let Some(cluster) = Cluster::of(HOSTS) else {
        return;
    };
    snap_on_first(&cluster, MIB);
    cluster.count(0);
    cluster.isconf(0, "ci").code(0);
    wait_at_most(LONG, "the contents on all hosts", || {
        (1..HOSTS).all(|host| {
            cluster.isconf(host, "cache").status() == 0
                && cluster.journal(host) == cluster.journal(0)
        })
    });
    // One before the check-in counts, and three places after it.
    let copies = cluster.counted() * 10 / (MIB << 20);
    assert!(copies <= 44, "the origin sent {copies} tenths of it");
}

#[test]
fn what_was_killed_while_it_fetched_goes_on_from_there() {
    const MIB: u64 = 24;
    let Some(mut cluster) = Cluster::of(2) else {
        return;
    };
    snap_on_first(&cluster, MIB);
    cluster.isconf(0, "ci").code(0);
    cluster.kill(1);
    cluster.count(0);
    // Slow enough to be stopped in the middle.
    cluster
        .sh("nft add rule inet cut input udp sport 65001 limit rate over 12 mbytes/second drop")
        .code(0);
    cluster.add(1);
    let partial = format!(
        "ls /srv/home2/fs/cache/{DOMAIN}/blob/partial | wc -l; du -cm /srv/home2/fs/cache/{DOMAIN}/blob/partial | tail -1"
    );
    let here = || {
        let listed = cluster.sh(&format!("({partial}) 2>/dev/null")).out();
        let total = listed.lines().last().unwrap_or_default();
        let total = total.split_whitespace().next();
        total.and_then(|mib| mib.parse::<u64>().ok()).unwrap_or(0)
    };
    let is_whole = || cluster.isconf(2, "cache").status() == 0 && !cluster.journal(2).is_empty();
    for step in 1..=4 {
        wait_at_most(LONG, "a part of it", || here() > 4 * step || is_whole());
        cluster.kill(2);
        cluster.isconf(2, "start").code(0);
    }
    wait_at_most(LONG, "all of it", is_whole);
    cluster.isconf(2, "cache --verify").code(0);
    let copies = cluster.counted() * 10 / (MIB << 20);
    assert!(copies <= 18, "the origin sent {copies} tenths of it");
}

#[test]
fn a_full_disk_is_named_and_what_is_missing_comes_when_there_is_room() {
    let Some((mut network, hosts)) = domain_of(&["h1"]) else {
        return;
    };
    let origin = &hosts[0];
    origin.sh("head -c 24M /dev/urandom > /srv/image").code(0);
    snap(origin, "/srv/image");
    let target = Machine::ready("h2").expect("hosts can be made");
    let small = "mkdir /tmp/is && cp -a /var/is/. /tmp/is && \
                 mount -t tmpfs -o size=12m small /var/is && cp -a /tmp/is/. /var/is";
    target.sh(small).code(0);
    network.join(&target);
    target.isconf(["start"]).code(0);
    target.isconf(["join", &Port(1).address()]).code(0);
    wait_for("the entry", || head(&target) == 1);
    target
        .isconf(["up"])
        .code(1)
        .says("contents cannot be stored: there is no room for 25165824 bytes");
    assert!(!target.exists("/srv/image"));
    target.sh("mount -o remount,size=120m /var/is").code(0);
    wait_for_contents(&target, 1);
    target.isconf(["up"]).code(0);
    assert!(target.exists("/srv/image"));
}

#[test]
#[ignore = "takes 12 GiB of disk: cargo test -p isconf --test suite five_gib -- --ignored"]
fn a_file_of_five_gib_goes_from_origin_to_target() {
    const BYTES: u64 = 5 << 30;
    let mut network = PrivateNetwork::new();
    let hosts: Vec<_> = ["h1", "h2"]
        .iter()
        .map(|name| Machine::with(spec(name).size(14 << 30)).expect("hosts can be made"))
        .collect();
    for host in &hosts {
        host.join_domain();
        network.join(host);
        host.isconf(["start"]).code(0);
    }
    let (origin, target) = (&hosts[0], &hosts[1]);
    target.isconf(["join", &Port(1).address()]).code(0);
    // Mostly holes, which take no room; what is between them is not the same everywhere.
    let make = format!(
        "truncate -s {BYTES} /srv/image; for i in $(seq 0 16); do head -c 1M /dev/urandom | \
         dd of=/srv/image bs=1M seek=$((i * 300 + 7)) conv=notrunc 2>/dev/null; done"
    );
    origin.sh(&make).code(0);
    snap(origin, "/srv/image");
    wait_for_contents(target, 1);
    target.isconf(["up"]).code(0);
    let sum = |host: &Machine| host.sh("sha256sum < /srv/image").code(0).out();
    assert_eq!(sum(target), sum(origin));
    for host in &hosts {
        let peak = host.sh("awk '/VmHWM/ {print $2}' /proc/$(cat /var/is/conf/.pid)/status");
        let kib: u64 = peak.code(0).out().trim().parse().expect("a number");
        assert!(kib < 64 * 1024, "{kib} KiB of memory");
    }
}
