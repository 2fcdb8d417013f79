//! The network: what is reached, and what is served. All of it within the machine's own network.

use nix::errno::Errno;

use super::daemon::{Daemon, attempt, attempt_alone, machine};
use crate::support::machine::Machine;

#[test]
fn connections_and_datagrams_are_named_with_their_aim() {
    let Some(host) = machine("reached") else {
        return;
    };
    host.sh("ip link set lo up").code(0);
    let stream = Daemon::start(&host, "STREAM", "127.0.0.1:7001");
    attempt(&host, ["socket", "connect", "127.0.0.1:7001"])
        .code(0)
        .prints("network: connect 127.0.0.1:7001: ")
        .prints(": took place");
    for how in ["sendto", "sendmsg", "connect-datagram"] {
        attempt(&host, ["socket", how, "127.0.0.1:7002"])
            .code(0)
            .prints("127.0.0.1:7002: ")
            .prints(": took place");
    }
    attempt(&host, ["socket", "connect-datagram", "::1:7003"])
        .code(0)
        .prints("network: connect [::1]:7003: ");
    // Asking which address one would have.
    attempt(&host, ["socket", "connect-datagram", "127.0.0.1:0"]).does_not_print("effects:");
    drop(stream);
}

#[test]
fn serving_is_for_the_loopback_only() {
    let Some(host) = machine("served") else {
        return;
    };
    host.sh("ip link set lo up").code(0);
    attempt(&host, ["serve", "127.0.0.1:7010", "STREAM"])
        .code(0)
        .prints("network: listen 127.0.0.1:7010: ")
        .prints("network: connect 127.0.0.1:7010: stayed in the scratchpad")
        .prints(": stayed in the scratchpad");
    attempt(&host, ["serve", "127.0.0.1:7010", "DGRAM"])
        .code(0)
        .prints("network: bind 127.0.0.1:7010: ");
    for (address, shown) in [("0.0.0.0:7011", "0.0.0.0:7011"), (":::7011", "[::]:7011")] {
        attempt(&host, ["serve", address, "STREAM"])
            .code(Errno::EACCES as i32)
            .prints(&format!("network: listen {shown}: "))
            .prints("refused with EACCES");
        attempt(&host, ["serve", address, "DGRAM"])
            .code(Errno::EACCES as i32)
            .prints(&format!("network: bind {shown}: "));
    }
    // A port of the kernel's choice, for a client.
    attempt(&host, ["serve", "0.0.0.0:0", "DGRAM"])
        .code(0)
        .does_not_print("effects:");
    host.sh("ss -ltn | grep -c 701").prints("0\n");
}

#[test]
fn without_a_network_there_is_a_loopback_of_ones_own_only() {
    let Some(host) = machine("alone") else {
        return;
    };
    let daemon = Daemon::start(&host, "STREAM", "127.0.0.1:7001");
    host.isconf(["try", "--network", "none", "ip", "-o", "link"])
        .code(0)
        .prints("1: lo: <LOOPBACK,UP,LOWER_UP>")
        .does_not_print("\n2: ");
    attempt_alone(&host, ["serve", "127.0.0.1:7001", "STREAM"])
        .code(0)
        .prints("network: listen 127.0.0.1:7001: stayed in the scratchpad")
        .prints("network: connect 127.0.0.1:7001: stayed in the scratchpad");
    attempt_alone(&host, ["serve", "0.0.0.0:7001", "STREAM"])
        .code(0)
        .prints("network: listen 0.0.0.0:7001: stayed in the scratchpad");
    attempt_alone(&host, ["socket", "connect", "127.0.0.1:7001"]).code(Errno::ECONNREFUSED as i32);
    for (how, address, call) in [
        ("connect", "192.0.2.1:80", "connect"),
        ("sendto", "192.0.2.1:53", "sendto"),
        ("sendmsg", "2001:db8::1:53", "sendmsg"),
    ] {
        attempt_alone(&host, ["socket", how, address])
            .code(Errno::ENETUNREACH as i32)
            .prints(&format!("network: {call} "))
            .prints("refused with ENETUNREACH");
    }
    // The setting says what happens without the option.
    host.sh("IS_NETWORK=none isconf try ip -o link")
        .code(0)
        .prints("lo:")
        .does_not_print("\n2: ");
    daemon.was_left_alone();
}

/// Writes whether a live server of the machine can be reached.
const REACH: &str = "import socket\n\
    try:\n    socket.create_connection(('127.0.0.1', 7001)); text = 'reached'\n\
    except OSError as error:\n    text = error.strerror\n\
    open('/srv/result', 'w').write(text)";

#[test]
fn an_entry_without_a_network_has_none_on_targets_either() {
    let Some((origin, target)) = Machine::pair() else {
        return;
    };
    let serve = "python3 -c 'import socket, time; s = socket.create_server((\"127.0.0.1\", 7001)); \
                 time.sleep(1000)' >/dev/null 2>&1 & until ss -ltn | grep -q :7001; do :; done";
    for machine in [&origin, &target] {
        machine.sh(serve).code(0);
        machine.write("/root/reach.py", REACH);
    }
    target
        .sh("python3 /root/reach.py && cat /srv/result")
        .prints("reached");
    target.sh("rm /srv/result").code(0);
    origin.checks_in_for(&target, |origin| {
        origin
            .isconf(["exec", "--network", "none", "python3", "-c", REACH])
            .code(0);
    });
    assert_eq!(origin.read("/srv/result"), "Connection refused");
    target.isconf(["up"]).code(0);
    assert_eq!(target.read("/srv/result"), "Connection refused");
    target
        .isconf(["log", "--json"])
        .prints("\"network\":\"none\"");
}
