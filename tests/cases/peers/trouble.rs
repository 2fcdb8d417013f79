//! What can be wrong with a host, its daemon or its neighbours: each has its words and its exit status, nothing is
//! lost, and it goes on when that is mended.

use serde_json::Value;

use super::spread::{change, head, updated, wait_for_entries};
use super::{connected, status};
use crate::support::machine::{DOMAIN, Machine};
use crate::support::network::{Port, domain_of, wait_for};

/// Gives a host a small disk of its own for all that isconf keeps.
fn small_home(host: &Machine, mib: u32) {
    let mount = format!(
        "mkdir /tmp/is && cp -a /var/is/. /tmp/is && mount -t tmpfs -o size={mib}m small /var/is && \
         cp -a /tmp/is/. /var/is"
    );
    host.sh(&mount).code(0);
}

/// What a host's daemon and verbs know of the others.
fn hosts_of(host: &Machine) -> Value {
    let line = host.isconf(["hosts", "--json"]).out();
    serde_json::from_str(&line).unwrap_or(Value::Null)
}

#[test]
fn verbs_that_need_the_daemon_say_how_to_start_it() {
    let Some(host) = Machine::ready("h1") else {
        return;
    };
    for words in ["hosts", "watch", "domain recover --yes"] {
        let done = host.sh(&format!("isconf {words}"));
        done.fails().says("isconf start");
    }
    host.isconf(["stop"]).fails().says("no pid file found");
}

#[test]
fn a_daemon_of_another_version_is_named() {
    let Some(host) = Machine::ready("h1") else {
        return;
    };
    // It listens where the daemon would, and speaks the next version.
    let newer = "python3 -c 'import socket
s = socket.socket(socket.AF_UNIX); s.bind(\"/var/is/conf/.ctl\"); s.listen(9)
while True:
    c, _ = s.accept(); c.recv(4096); c.sendall(b\"{\\\"version\\\":2,\\\"pong\\\":null}\\n\"); c.close()' >/dev/null 2>&1 &
        echo $!";
    let pid = host.sh(newer).code(0).out();
    wait_for("the socket", || host.exists("/var/is/conf/.ctl"));
    let words = "the daemon speaks version 2, this isconf version 1. Restart it";
    host.isconf(["hosts"]).fails().says(words);
    host.isconf(["up"]).code(0).says(words);
    host.sh(&format!("kill {pid}")).code(0);
}

#[test]
fn a_host_without_room_for_entries_says_so_and_goes_on_when_there_is() {
    let Some((mut network, hosts)) = domain_of(&["h1"]) else {
        return;
    };
    let origin = &hosts[0];
    let small = Machine::ready("h2").expect("hosts can be made");
    small_home(&small, 6);
    network.join(&small);
    small.isconf(["start"]).code(0);
    small.isconf(["join", &Port(1).address()]).code(0);
    wait_for("a connection", || connected(&small) == 1);
    small
        .sh("dd if=/dev/zero of=/var/is/fill bs=4k 2>/dev/null; test -s /var/is/fill")
        .code(0);
    origin.isconf(["lock", "x"]).code(0);
    origin
        .isconf(["exec", "sh", "-c", "echo one > /etc/motd"])
        .code(0);
    // Nobody else could keep it.
    let done = origin.isconf(["ci"]);
    assert!(matches!(done.status(), 0 | 75), "{done:?}");
    small.isconf(["up"]).fails().says("No space left on device");
    small.sh("rm /var/is/fill").code(0);
    wait_for("the check-in", || {
        status(origin)["wip"] == 0 || origin.isconf(["ci"]).status() == 0
    });
    wait_for("the entry", || head(&small) == 1);
    wait_for("the update", || small.isconf(["up"]).status() == 0);
    assert_eq!(small.read("/etc/motd"), "one\n");
}

#[test]
fn a_home_that_cannot_be_written_is_named() {
    let Some((_network, hosts)) = domain_of(&["h1", "h2"]) else {
        return;
    };
    change(&hosts[0], "one");
    wait_for_entries(&hosts[1], 2);
    let host = &hosts[1];
    host.isconf(["stop"]).code(0);
    small_home(host, 60);
    host.sh("mount -o remount,ro /var/is").code(0);
    for words in ["start", "up", "lock x"] {
        host.sh(&format!("isconf {words}"))
            .fails()
            .says("Read-only file system");
    }
    // What can be read is shown.
    host.isconf(["log"]).code(0).prints("etc/motd");
    host.sh("mount -o remount,rw /var/is").code(0);
    host.isconf(["start"]).code(0);
    change(&hosts[0], "two");
    wait_for_entries(host, 4);
    updated(host, "two");
}

#[test]
fn a_journal_that_does_not_chain_is_named_and_comes_again_from_others() {
    let Some((_network, hosts)) = domain_of(&["h1", "h2"]) else {
        return;
    };
    change(&hosts[0], "one");
    wait_for_entries(&hosts[1], 2);
    let host = &hosts[1];
    let journal = format!("/var/is/fs/cache/{DOMAIN}/volume/generic/journal");
    host.sh(&format!("sed -i s/motd/mote/ {journal}")).code(0);
    for words in ["up", "log", "lock x"] {
        host.sh(&format!("isconf {words}")).fails().says(&journal);
    }
    // The others do not mind.
    change(&hosts[0], "two");
    assert_eq!(head(&hosts[0]), 4);
    host.sh(&format!(
        "rm {journal} {journal}.head $(dirname {journal})/head; true"
    ))
    .code(0);
    wait_for("the entries", || head(host) == 4);
    updated(host, "two");
}

#[test]
fn addresses_where_nobody_is_are_named() {
    let Some((_network, hosts)) = domain_of(&["h1"]) else {
        return;
    };
    let host = &hosts[0];
    host.isconf(["join", "nosuch.invalid"])
        .fails()
        .says("nosuch.invalid");
    host.isconf(["join", "10.77.0.99"])
        .fails()
        .says("10.77.0.99:65027")
        .says("the address is remembered and tried again");
    host.isconf(["join", "10.77.0.1:0"])
        .code(22)
        .says("10.77.0.1:0");
}

#[test]
fn daemons_are_restarted_one_after_the_other_while_people_work() {
    let Some((_network, hosts)) = domain_of(&["h1", "h2", "h3"]) else {
        return;
    };
    change(&hosts[0], "0");
    for host in &hosts {
        wait_for("two peers", || connected(host) == 2);
        wait_for_entries(host, 2);
        updated(host, "0");
    }
    for (turn, host) in hosts.iter().enumerate() {
        host.isconf(["restart"]).code(0);
        // At once, where it was not.
        let origin = &hosts[(turn + 1) % hosts.len()];
        change(origin, &format!("{}", turn + 1));
        let entries = 4 + 2 * turn as u64;
        for host in &hosts {
            wait_for_entries(host, entries);
            updated(host, &format!("{}", turn + 1));
        }
    }
}

/// Has a host's programs see another time of day, so many hours later.
fn set_clock(host: &mut Machine, hours: i32) {
    let source = format!(
        "#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *at) {{
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, \"clock_gettime\");
    int result = real(id, at);
    if (id == CLOCK_REALTIME) at->tv_sec += {hours} * 3600;
    return result;
}}
"
    );
    host.write("/srv/clock.c", &source);
    host.sh("cc -shared -fPIC -o /srv/clock.so /srv/clock.c")
        .code(0);
    host.setenv("LD_PRELOAD", "/srv/clock.so");
    host.isconf(["restart"]).code(0);
}

#[test]
fn a_clock_that_is_hours_off_keeps_nobody_from_anything() {
    let Some((_network, mut hosts)) = domain_of(&["h1", "h2", "h3"]) else {
        return;
    };
    set_clock(&mut hosts[1], 7);
    set_clock(&mut hosts[2], -7);
    for host in &hosts {
        wait_for("two peers", || connected(host) == 2);
    }
    for (turn, origin) in hosts.iter().enumerate() {
        change(origin, &format!("{turn}"));
        for host in &hosts {
            wait_for_entries(host, 2 + 2 * turn as u64);
            updated(host, &format!("{turn}"));
        }
    }
    let is_known = |host: &Machine, at: u64| {
        let all = hosts_of(host);
        let rows = all["hosts"].as_array().cloned().unwrap_or_default();
        rows.len() == 3 && rows.iter().all(|row| row["at"]["seq"] == at)
    };
    for host in &hosts {
        wait_for("all cards", || is_known(host, 6));
    }
    // What a host says after its clock was set back is news all the same.
    hosts[1].setenv("LD_PRELOAD", "");
    hosts[1].isconf(["restart"]).code(0);
    for host in &hosts {
        wait_for("two peers", || connected(host) == 2);
    }
    change(&hosts[1], "mended");
    for host in &hosts {
        wait_for_entries(host, 8);
        updated(host, "mended");
    }
    for host in &hosts {
        wait_for("all cards", || is_known(host, 8));
    }
}

#[test]
fn two_domains_of_one_name_that_meet_are_not_mixed() {
    let Some((mut network, first)) = domain_of(&["h1", "h2"]) else {
        return;
    };
    change(&first[0], "first");
    wait_for_entries(&first[1], 2);
    updated(&first[1], "first");
    let second: Vec<_> = ["h3", "h4"]
        .iter()
        .map(|name| Machine::ready(name).expect("hosts can be made"))
        .collect();
    // Two hosts that began by themselves.
    second[0].isconf(["lock", "x"]).code(0);
    second[0]
        .isconf(["exec", "sh", "-c", "echo second > /srv/log"])
        .code(0);
    second[0].isconf(["ci"]).code(0);
    for host in &second {
        network.join(host);
    }
    second[0].isconf(["start"]).code(0);
    second[0].isconf(["join", &Port(1).address()]).code(0);
    wait_for("they meet", || connected(&second[0]) > 0);
    let journals = |hosts: &[Machine]| -> Vec<String> {
        let file = format!("cat /var/is/fs/cache/{DOMAIN}/volume/generic/journal");
        hosts.iter().map(|host| host.sh(&file).out()).collect()
    };
    let before = (journals(&first), second[0].sh("cat /srv/log").out());
    second[0].isconf(["up"]);
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(journals(&first), before.0, "what was there is not touched");
    assert_eq!(head(&second[0]), 1);
    // The first ones work on.
    change(&first[1], "more");
    assert_eq!(head(&first[1]), 4);
    // And it is told.
    second[0]
        .isconf(["up"])
        .says("another journal of branch generic than here is on h");
    second[0]
        .isconf(["status"])
        .code(0)
        .prints("another journal than here");
    let is_told = || {
        let told = first[0].isconf(["status"]).code(0).out();
        told.contains("another journal than here")
    };
    wait_for("the other side", is_told);
}
