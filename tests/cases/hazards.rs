//! Hazards: what `exec` finds about an entry, where it is told, and what `ci` makes of it.

use crate::support::machine::{Done, Machine};

/// The names of what `exec` of a shell script finds, with paths; from its JSON.
#[track_caller]
fn found(machine: &Machine, script: &str) -> Vec<String> {
    let done = machine.isconf(["exec", "--json", "sh", "-c", script]);
    names(&done.code(0))
}

fn names(done: &Done) -> Vec<String> {
    let report: serde_json::Value = serde_json::from_str(&done.out()).unwrap();
    let hazards = report["hazards"].as_array().unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    hazards
        .iter()
        .map(|hazard| {
            let name = format!("{} {}", text(&hazard["code"]), text(&hazard["path"]));
            name.trim_end().to_owned()
        })
        .collect()
}

/// A machine named `wombat`, with a machine-id, whose branch is locked.
fn wombat() -> Option<Machine> {
    let machine = Machine::bare("wombat")?;
    machine.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
    machine.join_domain();
    machine.isconf(["lock", "for the test"]).code(0);
    Some(machine)
}

#[test]
fn an_ordinary_entry_has_no_hazard_and_its_record_does_not_speak_of_any() {
    let Some(machine) = wombat() else { return };
    assert_eq!(found(&machine, "echo welcome >/etc/motd"), [""; 0]);
    machine
        .isconf(["exec", "true"])
        .code(0)
        .does_not_print("hazard")
        .does_not_say("hazard");
    machine.isconf(["ci"]).code(0).does_not_say("hazard");
    let journal = "/var/is/fs/cache/example.com/volume/generic/journal";
    assert!(!machine.read(journal).contains("hazards"));
}

#[test]
fn each_kind_of_hazard_is_found() {
    let Some(machine) = wombat() else { return };
    machine.write("/tmp/payload", "x\n");
    for (script, expected) in [
        ("date >/srv/stamp", "clock-in-file /srv/stamp"),
        ("date +%s >/srv/epoch", "clock-in-file /srv/epoch"),
        ("date +%F >/srv/day", "clock-in-file /srv/day"),
        ("hostname >/srv/name", "host-in-file /srv/name"),
        ("cat /etc/machine-id >/srv/id", "host-in-file /srv/id"),
        (
            "echo nameserver 192.0.2.1 >/etc/resolv.conf",
            "environmental-path /etc/resolv.conf",
        ),
        (
            "echo x >/srv/a.key; chmod 644 /srv/a.key",
            "secret-readable /srv/a.key",
        ),
        ("chmod 644 /etc/shadow", "secret-readable /etc/shadow"),
        ("cp /tmp/payload /srv/x", "unknown-input /tmp/payload"),
        ("sleep 1000 & echo x >/srv/left", "processes-left"),
        ("echo line >>/var/log/some", "logs-only"),
    ] {
        assert_eq!(found(&machine, script), [expected], "{script}");
    }
}

#[test]
fn an_entry_that_connected_out_is_told_so() {
    let Some(machine) = wombat() else { return };
    let done = machine.isconf(["exec", "--json", "bash", "-c", CONNECT]);
    assert_eq!(names(&done.code(0)), ["network-used"]);
}

#[test]
fn what_an_entry_wrote_is_no_unknown_input_and_what_a_hand_wrote_is() {
    let Some(machine) = wombat() else { return };
    machine.sh("mkdir /opt/t && echo x >/opt/t/a").code(0);
    let use_it = "cat /opt/t/a >/srv/x";
    assert_eq!(found(&machine, use_it), ["unknown-input /opt/t/a"]);
    machine.isconf(["snap", "/opt/t"]).code(0);
    assert_eq!(found(&machine, "cat /opt/t/a >/srv/y"), [""; 0]);
    // By the program's name, and where no path is written out.
    machine
        .sh("printf '#!/bin/sh\\necho x >/srv/z\\n' >/root/run && chmod +x /root/run")
        .code(0);
    let done = machine.isconf(["exec", "--json", "./run"]).code(0);
    assert_eq!(names(&done), ["unknown-input /root/run"]);
}

#[test]
fn a_snapshot_of_what_belongs_to_one_host_is_told_too() {
    let Some(machine) = wombat() else { return };
    machine
        .sh("mkdir /srv/s && hostname >/srv/s/name && echo x >/srv/s/a.key && date >/srv/s/date")
        .code(0);
    let done = machine.isconf(["snap", "--json", "/srv/s", "/etc/machine-id"]);
    assert_eq!(
        names(&done.code(0)),
        [
            "host-in-file /etc/machine-id",
            "host-in-file /srv/s/name",
            "environmental-path /etc/machine-id",
            "secret-readable /srv/s/a.key"
        ]
    );
    machine
        .isconf(["ci", "--strict"])
        .code(1)
        .says("wip 1 (snap");
}

#[test]
fn what_the_command_line_says_or_the_file_had_before_is_no_finding() {
    let Some(machine) = wombat() else { return };
    assert_eq!(found(&machine, "echo wombat >/srv/said"), [""; 0]);
    machine
        .isconf(["exec", "sh", "-c", "hostname >/srv/name"])
        .code(0);
    assert_eq!(found(&machine, "echo x >>/srv/name"), [""; 0]);
}

#[test]
fn hazards_are_explained_recorded_and_shown_to_everybody() {
    let Some((origin, target)) = Machine::pair() else {
        return;
    };
    let script = "date >/srv/stamp; date >/srv/stamp2";
    origin.isconf(["lock", "stamps"]).code(0);
    origin
        .isconf(["exec", "--noop", "sh", "-c", script])
        .code(0)
        .prints("hazards:\n    clock-in-file /srv/stamp: ")
        .says("hazard clock-in-file (2 findings): A file has the time")
        .says("hint: Leave the time out");
    origin.isconf(["exec", "sh", "-c", script]).code(0);
    origin
        .isconf(["ci"])
        .code(0)
        .says("warning: entry 1 (exec sh -c 'date >/srv/stamp; date >/srv/stamp2'): clock-in-file /srv/stamp: ")
        .says("hint: Leave the time out");
    origin.bundle_to(&target);
    let show = target.isconf(["show", "1", "--json"]).code(0).out();
    let show: serde_json::Value = serde_json::from_str(&show).unwrap();
    let hazards = show["origin"]["hazards"].as_array().unwrap();
    assert_eq!(hazards.len(), 2);
    assert_eq!(hazards[1]["path"], "/srv/stamp2");
    assert!(hazards[1]["remedy"].as_str().unwrap().contains("snap"));
    target
        .isconf(["show", "1", "--all"])
        .code(0)
        .prints("hazard clock-in-file /srv/stamp2: ");
    target.isconf(["up"]).code(0).does_not_print("hazards:");
}

#[test]
fn strict_check_in_refuses_names_all_and_keeps_the_lock() {
    let Some(mut machine) = wombat() else { return };
    machine.isconf(["exec", "touch", "/srv/fine"]).code(0);
    machine
        .isconf(["exec", "sh", "-c", "hostname >/srv/name"])
        .code(0);
    let refused = |done: Done| {
        done.code(1)
            .says("something hazardous was found about 1 of the changes")
            .says("wip 2 (exec sh -c 'hostname >/srv/name'): host-in-file /srv/name: the host name")
            .says("Let the program find out by itself")
            .says("the lock is kept")
    };
    refused(machine.isconf(["ci", "--strict"]));
    machine
        .isconf(["status"])
        .code(0)
        .prints("wip       2 entries");
    machine.setenv("IS_CI_STRICT", "yes");
    refused(machine.isconf(["ci"]));
    machine.isconf(["undo"]).code(0);
    machine.isconf(["ci"]).code(0).says("changes checked in: 1");
    machine.isconf(["lock", "again"]).code(0);
    machine
        .isconf(["exec", "sh", "-c", "hostname >/srv/name"])
        .code(0);
    machine
        .isconf(["ci", "--no-strict"])
        .code(0)
        .says("host-in-file");
    machine.setenv("IS_CI_STRICT", "perhaps");
    machine
        .isconf(["status"])
        .code(22)
        .says("IS_CI_STRICT must be `yes` or `no`");
}

/// The names of what `exec --check-repeatable --noop` of a shell script finds.
#[track_caller]
fn repeated(machine: &Machine, script: &str) -> Vec<String> {
    let words = [
        "exec",
        "--noop",
        "--json",
        "--check-repeatable",
        "sh",
        "-c",
        script,
    ];
    names(&machine.isconf(words).code(0))
}

#[test]
fn what_differs_in_a_second_run_is_named_with_the_cause() {
    let Some(machine) = wombat() else { return };
    for (script, expected) in [
        ("echo the same >/srv/x", ""),
        ("date >/srv/x", "clock-in-file /srv/x"),
        ("date +%T >/srv/x", "clock-in-file /srv/x"),
        ("head -c 99 /dev/urandom >/srv/x", "random-in-file /srv/x"),
        (
            "head -c 9 /dev/urandom | base64 >/srv/x",
            "random-in-file /srv/x",
        ),
        ("hostname >/srv/x", "host-in-file /srv/x"),
        ("cat /etc/machine-id >/srv/x", "host-in-file /srv/x"),
        ("ln -s /srv/$(hostname) /srv/x", "host-in-file /srv/x"),
        ("test $(hostname) = wombat", "ends-differently"),
        // Two quick runs are never in the same second.
        ("date +%s | sha256sum >/srv/x", "random-in-file /srv/x"),
    ] {
        let found = repeated(&machine, script);
        let expected: Vec<_> = [expected].into_iter().filter(|e| !e.is_empty()).collect();
        assert_eq!(found, expected, "{script}");
    }
}

#[test]
fn what_is_committed_is_the_first_run_and_of_the_second_nothing_stays() {
    let Some(machine) = wombat() else { return };
    machine
        .isconf([
            "exec",
            "--check-repeatable",
            "sh",
            "-c",
            "echo seen; hostname >/srv/name; cat /etc/machine-id >>/srv/name",
        ])
        .code(0)
        .prints("hazards:\n    host-in-file /srv/name: the host name, the machine-id\n")
        .says("hint: Let the program find out");
    assert_eq!(
        machine.read("/srv/name"),
        "wombat\n0123456789abcdef0123456789abcdef\n"
    );
    assert_eq!(machine.sh("hostname").out(), "wombat\n");
    machine.sh("test -z \"$(ls /var/is/scratch)\"").fails();
    machine.isconf(["diff"]).code(0);
    machine.isconf(["undo"]).code(0);
    assert!(!machine.exists("/srv/name"));
    let count = machine.sh("ls /var/is/scratch | wc -l").code(0).out();
    assert_eq!(count.trim(), "0");
}

#[test]
fn the_output_of_a_repeated_command_is_shown_once() {
    let Some(machine) = wombat() else { return };
    let script = "echo out; echo err >&2";
    let done = machine.isconf(["exec", "--noop", "--check-repeatable", "sh", "-c", script]);
    let done = done.code(0);
    assert_eq!(done.out().lines().filter(|line| *line == "out").count(), 1);
    assert_eq!(done.err().lines().filter(|line| *line == "err").count(), 1);
}

/// Connects to a port at which nobody listens, and goes on.
const CONNECT: &str = "(exec 3<>/dev/tcp/127.0.0.1/9) 2>/dev/null; echo x >/srv/x";

#[test]
fn a_preview_that_connected_out_says_so_first() {
    let Some((origin, target)) = Machine::pair() else {
        return;
    };
    origin.isconf(["lock", "x"]).code(0);
    let noop = ["exec", "--noop", "--network", "host", "bash", "-c", CONNECT];
    let starts = |done: Done, start: &str| {
        let out = done.code(0).out();
        assert!(out.starts_with(start), "{out}");
    };
    let first = "This preview connected out: 1 connection.\n";
    starts(origin.isconf(noop), &format!("{first}wip 1"));
    starts(origin.isconf(["try", "bash", "-c", CONNECT]), first);
    origin
        .isconf(["exec", "bash", "-c", CONNECT])
        .code(0)
        .does_not_print("This preview");
    origin.isconf(["ci"]).code(0);
    origin.bundle_to(&target);
    starts(target.isconf(["up", "--noop"]), &format!("{first}entry 1"));
    target
        .isconf(["up", "--noop", "--summary"])
        .code(0)
        .prints(", connected out: 1 connection,");
    target
        .isconf(["up", "--noop", "--json"])
        .code(0)
        .prints("\"connections\":1");
}

#[test]
fn a_preview_has_the_network_only_where_it_is_known_to_be_needed() {
    let Some((origin, target)) = Machine::pair() else {
        return;
    };
    let stayed = |done: Done| {
        done.code(0)
            .prints("network: connect 127.0.0.1:9: stayed in the scratchpad")
            .does_not_print("This preview connected out")
    };
    origin.isconf(["lock", "x"]).code(0);
    stayed(origin.isconf(["exec", "--noop", "bash", "-c", CONNECT]))
        .says("hint: this preview had no network, and the command tried to connect to 127.0.0.1:9. `isconf exec --noop --network host` lets it");
    stayed(origin.isconf(["exec", "--noop", "--offline", "bash", "-c", CONNECT]));
    stayed(origin.isconf(["try", "--offline", "bash", "-c", CONNECT]));
    let connect_only = [
        "exec",
        "--noop",
        "bash",
        "-c",
        "exec 3<>/dev/tcp/127.0.0.1/9",
    ];
    origin
        .isconf(connect_only)
        .code(1)
        .says("the command failed")
        .says("hint: this preview had no network");
    // What is recorded is what was asked for, not what a preview has.
    origin.isconf(["exec", "bash", "-c", CONNECT]).code(0);
    let elsewhere = format!("if test $(hostname) = target; then {CONNECT}; fi; echo y >/srv/y");
    origin.isconf(["exec", "bash", "-c", &elsewhere]).code(0);
    origin.isconf(["ci"]).code(0);
    origin.bundle_to(&target);
    let shown = target.isconf(["up", "--noop"]).code(0).out();
    assert_eq!(
        shown.matches("connect 127.0.0.1:9: took place").count(),
        1,
        "{shown}"
    );
    assert_eq!(
        shown.matches("connect 127.0.0.1:9: stayed").count(),
        1,
        "{shown}"
    );
    stayed(target.isconf(["up", "--noop", "--offline"]));
    target
        .isconf(["up", "--offline"])
        .code(22)
        .says("--offline is of use with --noop only");
    let shown = target.isconf(["up"]).code(0).out();
    assert_eq!(
        shown.matches("connect 127.0.0.1:9: took place").count(),
        2,
        "{shown}"
    );
}

#[test]
fn an_entry_that_fails_in_a_preview_for_want_of_a_network_is_explained() {
    let needs_it_elsewhere = "test $(hostname) = origin || exec 3<>/dev/tcp/127.0.0.1/9";
    let Some((_origin, target)) = Machine::pair_with(|origin| {
        let words = ["exec", "bash", "-c", needs_it_elsewhere];
        origin.isconf(words).code(0);
    }) else {
        return;
    };
    let hint =
        "hint: in this preview the entry had no network, and it tried to connect to 127.0.0.1:9;";
    target.isconf(["up", "--noop"]).code(1).says(hint);
    target.isconf(["up"]).code(1).does_not_say("had no network");
}

#[test]
fn an_interruption_of_the_second_run_leaves_nothing_behind() {
    let Some(machine) = wombat() else { return };
    let before = machine.manifest_of_others();
    let script = "echo x >/srv/x; test $(hostname) = wombat || sleep 1000";
    let line = format!(
        "isconf exec --check-repeatable sh -c '{script}' & \
         until pgrep -x sleep >/dev/null; do :; done; kill -TERM $!; wait $!"
    );
    machine
        .sh(&line)
        .code(128 + 15)
        .says("interrupted; nothing was changed");
    machine.is_still(&before);
}
