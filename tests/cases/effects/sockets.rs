//! Live daemons behind Unix sockets and message buses.

use nix::errno::Errno;

use super::daemon::{Daemon, attempt, machine};

#[test]
fn live_sockets_with_a_path_are_refused_and_their_servers_named() {
    let Some(host) = machine("paths") else {
        return;
    };
    let stream = Daemon::start(&host, "STREAM", "/run/live.sock");
    let datagram = Daemon::start(&host, "DGRAM", "/run/live.dgram");
    let refused = Errno::ECONNREFUSED as i32;
    for (how, path, call) in [
        ("connect", "/run/live.sock", "connect"),
        ("connect-datagram", "/run/live.dgram", "connect"),
        ("sendto", "/run/live.dgram", "sendto"),
        ("sendmsg", "/run/live.dgram", "sendmsg"),
    ] {
        attempt(&host, ["socket", how, path])
            .code(refused)
            .prints(&format!("socket: {call} {path}, of process "))
            .prints("(python3 /root/attempt.py hold ")
            .prints(": ");
    }
    // By another name, and from another root.
    host.sh("ln -s /run/live.sock /srv/link && cp -a /srv/link /srv/link2")
        .code(0);
    attempt(&host, ["socket", "connect", "/srv/link"])
        .code(refused)
        .prints("socket: connect /srv/link, of process ");
    stream.was_left_alone();
    datagram.was_left_alone();
}

#[test]
fn a_live_socket_that_no_overlay_covers_is_refused() {
    let Some(host) = machine("uncovered") else {
        return;
    };
    host.sh(
        "mkdir /srv/live /srv/shown && mount -t tmpfs tmpfs /srv/live && \
         mount --bind -o ro /srv/live /srv/shown && mount -o remount,bind,ro /srv/shown",
    )
    .code(0);
    let daemon = Daemon::start(&host, "STREAM", "/srv/live/sock");
    host.sh("mount -o remount,bind,ro /srv/live").code(0);
    for path in ["/srv/live/sock", "/srv/shown/sock"] {
        attempt(&host, ["socket", "connect", path])
            .code(Errno::ECONNREFUSED as i32)
            .prints(&format!("socket: connect {path}"));
    }
    daemon.was_left_alone();
}

#[test]
fn live_abstract_sockets_are_refused_and_own_ones_work() {
    let Some(host) = machine("abstract") else {
        return;
    };
    let stream = Daemon::start(&host, "STREAM", "@live");
    let datagram = Daemon::start(&host, "DGRAM", "@datagram");
    let refused = Errno::EPERM as i32;
    for (how, name, call) in [
        ("connect", "@live", "connect"),
        ("sendto", "@datagram", "sendto"),
        ("sendmsg", "@datagram", "sendmsg"),
    ] {
        attempt(&host, ["socket", how, name])
            .code(refused)
            .prints(&format!("socket: {call} {name}, of process "))
            .prints("(python3 /root/attempt.py hold ");
    }
    for name in ["@own", "/srv/own.sock"] {
        attempt(&host, ["serve", name, "STREAM"])
            .code(0)
            .does_not_print("effects:");
    }
    attempt(&host, ["socket", "connect", "@nobody"])
        .code(Errno::ECONNREFUSED as i32)
        .does_not_print("effects:");
    stream.was_left_alone();
    datagram.was_left_alone();
}

#[test]
fn message_buses_and_systemd_are_refused_and_told_by_name() {
    let Some(host) = machine("buses") else {
        return;
    };
    host.sh("mkdir -p /run/dbus /run/systemd /run/user/1000/systemd && ln -sfn /run /var/run")
        .code(0);
    let daemons: Vec<Daemon<'_>> = [
        "/run/dbus/system_bus_socket",
        "/run/systemd/private",
        "/run/systemd/io.systemd.Manager",
        "/run/user/1000/bus",
        "@/tmp/dbus-session",
    ]
    .iter()
    .map(|address| Daemon::start(&host, "STREAM", address))
    .collect();
    for (address, named) in [
        (
            "/run/dbus/system_bus_socket",
            "/run/dbus/system_bus_socket (the system bus), of process ",
        ),
        (
            "/var/run/dbus/system_bus_socket",
            "/var/run/dbus/system_bus_socket (the system bus), of process ",
        ),
        (
            "/run/systemd/private",
            "/run/systemd/private (systemd), of process ",
        ),
        (
            "/run/systemd/io.systemd.Manager",
            "/run/systemd/io.systemd.Manager (systemd), of process ",
        ),
        (
            "/run/user/1000/bus",
            "/run/user/1000/bus (the session bus), of process ",
        ),
        (
            "@/tmp/dbus-session",
            "@/tmp/dbus-session (a session bus), of process ",
        ),
    ] {
        attempt(&host, ["socket", "connect", address])
            .fails()
            .prints(&format!("d-bus: connect {named}"));
    }
    for daemon in daemons {
        daemon.was_left_alone();
    }
}

#[test]
fn the_live_log_is_not_written_to() {
    let Some(host) = machine("log") else {
        return;
    };
    let daemon = Daemon::start(&host, "DGRAM", "/dev/log");
    attempt(&host, ["socket", "connect-datagram", "/dev/log"])
        .code(Errno::ENOENT as i32)
        .prints("socket: connect /dev/log, of process ");
    daemon.was_left_alone();
}
