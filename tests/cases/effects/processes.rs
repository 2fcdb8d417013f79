//! Live processes: signals to them, looking into them, their limits and priorities.

use nix::errno::Errno;

use super::daemon::{attempt, machine};
use crate::support::machine::Machine;

/// What is said of a process that is not there.
const ESRCH: i32 = Errno::ESRCH as i32;

/// A live process in a group of its own: its number.
fn napper(host: &Machine) -> String {
    host.sh("cp /usr/bin/sleep /root/napper; setsid /root/napper 1000 >/dev/null 2>&1 & sleep 0")
        .code(0);
    let find = "until pgrep -x napper; do :; done";
    host.sh(find)
        .code(0)
        .out()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// Everything of the process that the calls would change.
fn state(host: &Machine, pid: &str) -> String {
    host.sh(&format!(
        "cat /proc/{pid}/limits; cut -d' ' -f 18,19,40,41 /proc/{pid}/stat; \
         grep -e Tracer -e SigPnd -e ShdPnd -e Cpus_allowed /proc/{pid}/status"
    ))
    .code(0)
    .out()
}

#[test]
fn signals_to_live_processes_are_refused_and_named() {
    let Some(host) = machine("signals") else {
        return;
    };
    let pid = napper(&host);
    let before = state(&host, &pid);
    for (how, call) in [
        ("kill", "kill"),
        ("tkill", "tkill"),
        ("tgkill", "tgkill"),
        ("rt_sigqueueinfo", "rt_sigqueueinfo"),
        ("rt_tgsigqueueinfo", "rt_tgsigqueueinfo"),
    ] {
        attempt(&host, ["process", how, &pid])
            .code(ESRCH)
            .prints(&format!(
                "signal: {call} process {pid} (/root/napper 1000), SIGTERM: "
            ));
    }
    attempt(&host, ["process", "group", &pid])
        .code(ESRCH)
        .prints(&format!(
            "kill process group {pid}, led by process {pid} (/root/napper 1000)"
        ));
    attempt(&host, ["process", "look", &pid])
        .code(ESRCH)
        .prints("(/root/napper 1000), whether it runs");
    attempt(&host, ["process", "pidfd_open", &pid])
        .code(ESRCH)
        .prints(&format!(
            "signal: pidfd_open process {pid} (/root/napper 1000)"
        ));
    attempt(&host, ["process", "all", "1"]).prints("signal: kill every process, whether it runs");
    host.isconf(["try", "sh", "-c", "kill -HUP 1"])
        .prints("signal: kill process 1 (");
    assert_eq!(state(&host, &pid), before);
}

#[test]
fn processes_of_the_scratchpad_are_no_effects() {
    let Some(host) = machine("own") else {
        return;
    };
    host.isconf([
        "try",
        "sh",
        "-c",
        "sleep 100 & kill -0 $!; renice -n 5 -p $!; kill $!; wait $!; kill -TERM $$",
    ])
    .code(143)
    .does_not_print("effects:");
    host.isconf(["try", "setsid", "-w", "sh", "-c", "kill -TERM -$$"])
        .code(143)
        .does_not_print("effects:");
    // A number that nobody has.
    host.isconf(["try", "sh", "-c", "! kill 4194303 2>/dev/null"])
        .code(0)
        .does_not_print("effects:");
}

#[test]
fn live_processes_cannot_be_looked_into_or_changed() {
    let Some(host) = machine("looks") else {
        return;
    };
    let pid = napper(&host);
    let before = state(&host, &pid);
    for (how, call) in [
        ("attach", "ptrace"),
        ("seize", "ptrace"),
        ("process_vm_readv", "process_vm_readv"),
        ("process_vm_writev", "process_vm_writev"),
        ("kcmp", "kcmp"),
        ("prlimit64", "prlimit64"),
        ("setpriority", "setpriority"),
        ("ioprio_set", "ioprio_set"),
        ("sched_setscheduler", "sched_setscheduler"),
        ("sched_setparam", "sched_setparam"),
        ("sched_setaffinity", "sched_setaffinity"),
        ("sched_setattr", "sched_setattr"),
    ] {
        attempt(&host, ["process", how, &pid])
            .fails()
            .prints(&format!(
                "process: {call} process {pid} (/root/napper 1000): "
            ));
    }
    attempt(&host, ["process", "user", "1"]).prints("process: setpriority processes of user 1");
    assert_eq!(state(&host, &pid), before);
}

#[test]
fn processes_left_running_are_ended_and_named() {
    let Some(host) = machine("left") else {
        return;
    };
    host.sh("cp /usr/bin/sleep /root/napper").code(0);
    // One that has left its session, and ignores what asks it to end.
    host.isconf([
        "try",
        "sh",
        "-c",
        "setsid sh -c 'trap \"\" TERM HUP INT; /root/napper 1000' & \
         until pgrep -x napper >/dev/null; do :; done",
    ])
    .code(0)
    .prints("process: left running /root/napper 1000: stayed in the scratchpad");
    host.sh("pgrep -x napper").fails();
}

#[test]
fn what_a_live_entry_has_started_is_not_favoured() {
    let Some(host) = Machine::locked("favours") else {
        return;
    };
    host.sh("mkdir -p /etc/init.d").code(0);
    host.write("/etc/init.d/thing", "#!/bin/sh\nnice >/run/niceness\n");
    host.sh("chmod 755 /etc/init.d/thing").code(0);
    let script = "/etc/init.d/thing start; true";
    host.isconf(["exec", "--live", "sh", "-c", script]).code(0);
    assert_eq!(host.read("/run/niceness"), "0\n");
}

#[test]
fn setuid_programs_work_inside_as_outside() {
    let Some(host) = machine("setuid") else {
        return;
    };
    host.write(
        "/root/raise.c",
        "#include <stdio.h>\n#include <unistd.h>\n\
         int main(void) { printf(\"%d %d\\n\", getuid(), geteuid()); \
         return setuid(0) || access(\"/etc/shadow-of-root\", R_OK); }\n",
    );
    host.sh(
        "cc -o /srv/raise /root/raise.c && chmod 4755 /srv/raise && chmod 755 /srv && \
         echo secret >/etc/shadow-of-root && chmod 600 /etc/shadow-of-root",
    )
    .code(0);
    let as_user = "setpriv --reuid=1000 --regid=1000 --clear-groups /srv/raise";
    host.sh(as_user).code(0).prints("1000 0\n");
    host.sh(&format!("isconf try {as_user}"))
        .code(0)
        .prints("1000 0\n")
        .does_not_print("effects:");
    for command in ["su -s /bin/sh -c 'id -u' daemon", "sudo -u daemon id -u"] {
        let program = command.split(' ').next().unwrap_or_default();
        if host.sh(&format!("command -v {program}")).status() != 0 {
            continue;
        }
        let outside = host.sh(command);
        host.sh(&format!("isconf -q try {command}"))
            .code(outside.status())
            .prints(&outside.out());
    }
}
