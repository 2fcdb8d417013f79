//! Hosts that do not belong to the domain get nothing, and those that do are told why they cannot come in.

use super::connected;
use crate::support::machine::Machine;
use crate::support::network::{Port, PrivateNetwork, domain_of, wait_for};

fn set_keys(machine: &Machine, keys: &str) {
    machine.write("/var/is/conf/hmac_keys", keys);
}

#[test]
fn case_60_other_keys_are_other_domains_and_keys_change_without_a_restart() {
    let Some((_network, hosts)) = domain_of(&["h1", "h2"]) else {
        return;
    };
    let (first, second) = (&hosts[0], &hosts[1]);
    let (old, new) = ("the old key, long enough", "the new key, long enough");
    set_keys(first, old);
    wait_for("the end of the connection", || connected(first) == 0);
    second
        .isconf(["join", &Port(1).address()])
        .code(1)
        .says("has none of this domain's keys, or is in another domain");
    // The first step of a change of keys: the new one is known, and does not sign yet.
    set_keys(second, &format!("{old}\n{new}"));
    wait_for("a connection", || connected(first) == 1);
    // The second step.
    set_keys(first, &format!("{new}\n{old}"));
    set_keys(second, &format!("{new}\n{old}"));
    // The third: the old one is gone.
    set_keys(first, new);
    set_keys(second, new);
    wait_for("a connection", || {
        connected(first) == 1 && connected(second) == 1
    });
    // Whoever has +ANY+ lets everybody in; the other one does not.
    set_keys(first, &format!("{new}\n+ANY+"));
    set_keys(second, old);
    wait_for("the end of the connection", || connected(first) == 0);
    set_keys(second, &format!("{old}\n+ANY+"));
    wait_for("a connection", || connected(first) == 1);
}

#[test]
fn a_key_is_changed_step_by_step_while_hosts_stay_connected() {
    let Some((_network, hosts)) = domain_of(&["h1", "h2"]) else {
        return;
    };
    let (first, second) = (&hosts[0], &hosts[1]);
    let is_one = || connected(first) == 1 && connected(second) == 1;
    wait_for("a connection", is_one);
    first.isconf(["keys", "rotate"]).code(0).says("step 1 of 3");
    set_keys(second, &first.read("/var/is/conf/hmac_keys"));
    for step in ["step 2 of 3", "step 3 of 3"] {
        for host in &hosts {
            host.isconf(["keys", "rotate"]).code(0).says(step);
            // One host is ahead of the other, and comes back from a restart all the same.
            host.isconf(["restart"]).code(0);
            wait_for("a connection", is_one);
        }
    }
    let keys = first.isconf(["keys", "list"]).code(0).out();
    assert_eq!(keys.lines().count(), 1, "{keys}");
    assert_eq!(keys, second.isconf(["keys", "list"]).code(0).out());
}

#[test]
fn case_59_another_domain_is_told_nothing() {
    let Some((mut network, hosts)) = domain_of(&["h1"]) else {
        return;
    };
    let other = Machine::bare("other").expect("hosts can be made");
    other.isconf(["init", "example.org"]).code(0);
    let keys = hosts[0].read("/var/is/conf/hmac_keys");
    set_keys(&other, &keys);
    network.join(&other);
    other
        .isconf(["join", &Port(1).address()])
        .code(1)
        .says("has none of this domain's keys, or is in another domain");
    assert_eq!(connected(&hosts[0]), 0);
}

#[test]
fn who_cannot_come_in_is_told_why() {
    let Some((mut network, hosts)) = domain_of(&["h1"]) else {
        return;
    };
    let host = &hosts[0];
    host.isconf(["join", &Port(9).address()])
        .code(1)
        .says("did not answer in time");
    host.isconf(["join", &Port(1).address()])
        .code(1)
        .says("this host itself");
    host.isconf(["join", "nowhere.invalid"])
        .code(1)
        .says("the name does not resolve");
    host.isconf(["join", "10.77.0"])
        .code(22)
        .says("not an address or a host name");
    let bare = Machine::bare("bare").expect("hosts can be made");
    network.join(&bare);
    let joins = || bare.isconf(["join", &Port(1).address(), "web"]);
    joins()
        .code(1)
        .says("there are no keys in /var/is/conf/hmac_keys")
        .says("scp -p HOST:/var/is/conf/hmac_keys");
    bare.sh(
        "mkdir -m 700 -p /var/is/conf && (umask 077; echo another key >/var/is/conf/hmac_keys)",
    )
    .code(0);
    joins().code(1).says("has none of this domain's keys");
    // With a key of the domain an address is enough.
    set_keys(&bare, &host.read("/var/is/conf/hmac_keys"));
    joins()
        .code(0)
        .says("bare is in domain example.com, on web branch")
        .says("h1 is a host of domain example.com");
    assert_eq!(connected(host), 1);
}

#[test]
fn a_port_that_somebody_has_is_named() {
    if !crate::support::may_make_hosts() {
        return;
    }
    let mut network = PrivateNetwork::new();
    let host = Machine::ready("h1").expect("hosts can be made");
    network.join(&host);
    let occupied = "python3 -c 'import socket,time; s=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM); \
        s.bind((\"::\",65027)); open(\"/root/bound\",\"w\"); time.sleep(1000)' >/dev/null 2>&1 &";
    host.sh(occupied).code(0);
    wait_for("the port", || host.exists("/root/bound"));
    host.isconf(["start"])
        .code(1)
        .says("UDP port 65027 is in use by another program");
}

#[test]
fn a_key_that_may_be_guessed_works_and_is_named() {
    let Some((_network, hosts)) = domain_of(&["h1", "h2"]) else {
        return;
    };
    let weak = "has less than 16 characters and may be guessed";
    for host in &hosts {
        host.isconf(["keys", "list"]).code(0).does_not_say(weak);
        host.isconf(["stop"]).code(0);
        set_keys(host, "secret\n");
        host.isconf(["start"]).code(0).says(weak);
        host.isconf(["keys", "list"])
            .code(0)
            .says(weak)
            .says("`isconf keys rotate`")
            .does_not_say("secret");
    }
    wait_for("a connection", || connected(&hosts[1]) == 1);
    hosts[0].isconf(["stop"]).code(0);
    let log = "timeout 5 isconf start --foreground 2>&1";
    let log = hosts[0].sh(log).out();
    assert!(log.contains(weak) && !log.contains("secret"), "{log}");
}

#[test]
fn keys_that_others_can_write_count_once_that_is_mended() {
    let Some((_network, hosts)) = domain_of(&["h1", "h2"]) else {
        return;
    };
    hosts[1].isconf(["stop"]).code(0);
    hosts[1].sh("chmod 666 /var/is/conf/hmac_keys").code(0);
    hosts[1].isconf(["start"]).code(0);
    assert_eq!(connected(&hosts[1]), 0);
    hosts[1].sh("chmod 600 /var/is/conf/hmac_keys").code(0);
    wait_for("a connection", || connected(&hosts[1]) == 1);
}

#[test]
fn a_host_with_several_addresses_is_met_once() {
    let Some((_network, hosts)) = domain_of(&["h1", "h2"]) else {
        return;
    };
    let (first, second) = (&hosts[0], &hosts[1]);
    first.sh("ip addr add 10.77.0.101/24 dev host0").code(0);
    second
        .sh("printf '10.77.0.101\\n::ffff:10.77.0.1\\nudp 10.77.0.1\\n' >/root/nets && isconf stop")
        .code(0);
    let said = "IS_NETS=/root/nets isconf start --foreground >/root/said 2>&1 & \
        timeout 60 sh -c 'until grep -q \"connected with h1\" /root/said; do sleep 0.1; done'";
    second.sh(said).code(0);
    // Long enough for every address to be dialled, and for a storm to be one.
    second.sh("sleep 10").code(0);
    let met = second.sh("grep -c 'connected with h1' /root/said").out();
    let met: u32 = met.trim().parse().expect("a number");
    assert!(met <= 4, "{}", second.read("/root/said"));
    assert_eq!((connected(first), connected(second)), (1, 1));
}

/// Gives every host a daemon that was told nothing of the others.
fn without_addresses(network: &mut PrivateNetwork, names: &[&str], setting: &str) -> Vec<Machine> {
    let make = |name: &&str| {
        let host = Machine::ready(name).expect("hosts can be made");
        network.join(&host);
        host.sh(&format!("{setting} isconf start")).code(0);
        host
    };
    names.iter().map(make).collect()
}

#[test]
fn hosts_on_the_same_network_find_each_other_by_themselves() {
    if !crate::support::may_make_hosts() {
        return;
    }
    let mut network = PrivateNetwork::new();
    let hosts = without_addresses(&mut network, &["h1", "h2", "h3"], "");
    for host in &hosts {
        wait_for("two peers", || connected(host) == 2);
    }
}

#[test]
fn case_58_only_listed_addresses_are_dialled_where_that_is_wanted() {
    if !crate::support::may_make_hosts() {
        return;
    }
    let mut network = PrivateNetwork::new();
    let mut hosts = without_addresses(&mut network, &["h1", "h2"], "IS_NOBROADCAST=1");
    let listed = Machine::ready("h3").expect("hosts can be made");
    network.join(&listed);
    listed.write("/root/nets", "udp 10.77.0.2\n");
    listed
        .sh("IS_NOBROADCAST=1 IS_NETS=/root/nets isconf start")
        .code(0);
    hosts.push(listed);
    wait_for("the listed one", || connected(&hosts[2]) == 1);
    // The one that was dialled knows the dialler; the third knows nobody, and nobody knows it.
    assert_eq!(connected(&hosts[1]), 1);
    assert_eq!(connected(&hosts[0]), 0);
}
