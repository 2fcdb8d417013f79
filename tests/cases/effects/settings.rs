//! Settings of the kernel: network interfaces, routes, firewall, sysctl.

use nix::errno::Errno;

use super::daemon::{attempt, machine};
use crate::support::machine::Machine;

fn network(host: &Machine) -> String {
    host.sh("ip link; ip addr; ip route show table all; ip rule")
        .code(0)
        .out()
}

#[test]
fn changes_of_the_network_settings_are_refused_and_named() {
    let Some(host) = machine("netlink") else {
        return;
    };
    host.sh("ip link set lo up").code(0);
    let before = network(&host);
    for (script, named) in [
        ("ip link add isconf0 type dummy", "add link"),
        ("ip link set lo mtu 1400", "add link"),
        ("ip addr add 127.0.0.9/8 dev lo", "add address"),
        ("ip addr del 127.0.0.1/8 dev lo", "delete address"),
        ("ip route add 10.9.0.0/16 dev lo", "add route"),
        ("ip rule add from 10.9.0.1 table 7", "add rule"),
        (
            "ip neigh add 127.0.0.8 lladdr 00:11:22:33:44:55 dev lo",
            "add neighbour",
        ),
    ] {
        host.isconf(["try", "sh", "-c", script])
            .fails()
            .prints(&format!("network settings: sendmsg {named}: "))
            .prints("refused with EPERM");
    }
    for how in ["sendto", "sendmsg", "unnamed"] {
        attempt(&host, ["netlink", "0", "24", how])
            .code(Errno::EPERM as i32)
            .prints("add route: ");
    }
    for (protocol, kind, named) in [
        ("12", "0xa00", "add firewall table"),
        ("12", "0xa06", "add firewall rule"),
        ("6", "16", "change IPsec settings"),
    ] {
        attempt(&host, ["netlink", protocol, kind, "sendto"])
            .fails()
            .prints(&format!("network settings: sendto {named}: "));
    }
    assert_eq!(network(&host), before);
}

#[test]
fn reading_the_network_settings_is_no_effect() {
    let Some(host) = machine("netlinkread") else {
        return;
    };
    host.sh("ip link set lo up").code(0);
    host.isconf(["try", "sh", "-c", "ip link; ip addr; ip route; ip rule"])
        .code(0)
        .prints("127.0.0.1")
        .does_not_print("effects:");
}

#[test]
fn the_older_ways_to_set_the_network_are_refused_and_named() {
    let Some(host) = machine("ioctls") else {
        return;
    };
    let before = network(&host);
    for (request, named) in [
        ("0x8914", "set link"),
        ("0x8916", "set address"),
        ("0x890b", "add route"),
        ("0x89a0", "change bridge"),
    ] {
        attempt(&host, ["interface", request])
            .code(Errno::EPERM as i32)
            .prints(&format!("network settings: ioctl {named}: "));
    }
    attempt(&host, ["raw"])
        .code(Errno::EPERM as i32)
        .prints("network: socket raw packets: ");
    assert_eq!(network(&host), before);
}

#[test]
fn kernel_settings_are_refused_and_named() {
    let Some(host) = machine("sysctls") else {
        return;
    };
    let look = "cat /proc/sys/vm/swappiness /proc/sys/net/ipv4/ip_forward \
                /proc/irq/default_smp_affinity";
    let before = host.sh(look).out();
    for (script, named) in [
        ("echo 1 >/proc/sys/vm/swappiness", "vm.swappiness"),
        (
            "sysctl -w vm.swappiness=1 2>&1 | grep -q . && exit 1",
            "vm.swappiness",
        ),
        (
            "echo 1 >/proc/sys/net/ipv4/ip_forward",
            "net.ipv4.ip_forward",
        ),
        (
            "cd /proc/sys && echo 1 >./../sys/vm/swappiness",
            "vm.swappiness",
        ),
        (
            "ln -s /proc/sys /srv/link && echo 1 >/srv/link/vm/swappiness",
            "vm.swappiness",
        ),
    ] {
        host.isconf(["try", "sh", "-c", script])
            .fails()
            .prints(&format!("sysctl: openat {named}: "))
            .prints("refused with EROFS");
    }
    attempt(&host, ["open2", "/proc/sys/vm/swappiness"])
        .code(Errno::EROFS as i32)
        .prints("sysctl: openat2 vm.swappiness: ");
    if host.exists("/proc/irq/default_smp_affinity") {
        attempt(&host, ["write", "/proc/irq/default_smp_affinity"])
            .fails()
            .prints("sysctl: openat /proc/irq/default_smp_affinity");
    }
    let size = "/sys/kernel/mm/transparent_hugepage/enabled";
    if host.exists(size) {
        attempt(&host, ["write", size])
            .fails()
            .prints(&format!("sysctl: openat {size}"));
    }
    // What nobody could have changed.
    host.isconf([
        "try",
        "sh",
        "-c",
        "! echo 1 2>/dev/null >/proc/sys/vm/nothing",
    ])
    .does_not_print("effects:");
    assert_eq!(host.sh(look).out(), before);
}
