//! Acceptance cases 1 to 16: command line, configuration, daemon. The numbers are those of the
//! behavioural specification of ISconf 4; docs/acceptance.md lists them all.

use crate::support::machine::Machine;

const VERBS: [&str; 12] = [
    "lock", "unlock", "snap", "exec", "reboot", "ci", "up", "fork", "migrate", "start", "stop",
    "restart",
];

#[test]
fn case_01_no_arguments_show_missing_verb_and_usage() {
    let Some(host) = Machine::bare("case01") else {
        return;
    };
    let done = host.isconf::<&str, 0>([]).code(22).says("missing verb");
    let usage = done.err();
    for flag in ["-c", "-D", "-h", "-m", "-q", "-r", "-V"] {
        assert!(usage.contains(flag), "usage lacks {flag}:\n{usage}");
    }
    for verb in VERBS {
        assert!(usage.contains(verb), "usage lacks {verb}:\n{usage}");
    }
}

#[test]
fn case_02_unknown_verb_shows_usage() {
    let Some(host) = Machine::bare("case02") else {
        return;
    };
    host.isconf(["frobnicate"])
        .code(22)
        .says("unknown verb")
        .says("usage: isconf");
}

#[test]
fn case_03_version_needs_no_configuration() {
    let Some(host) = Machine::bare("case03") else {
        return;
    };
    host.isconf(["-V"])
        .code(0)
        .prints(env!("CARGO_PKG_VERSION"));
    host.isconf(["--ver"])
        .code(0)
        .prints(env!("CARGO_PKG_VERSION"));
}

#[test]
fn case_04_no_domain_names_the_missing_file() {
    let Some(host) = Machine::bare("case04") else {
        return;
    };
    host.isconf(["up"]).code(1).says("/var/is/conf/domain");
    host.isconf(["lock", "x"]).code(1).says("isconf init");
}

#[test]
fn case_05_domain_file_beats_environment_and_main_cf() {
    let Some(mut host) = Machine::ready("case05") else {
        return;
    };
    host.sh("mkdir -p /etc/is").code(0);
    host.write("/etc/is/main.cf", "DEFAULT:\n\tIS_DOMAIN = of.main.cf\n");
    host.setenv("IS_DOMAIN", "of.environment");
    host.isconf(["env"])
        .code(0)
        .prints("example.com")
        .does_not_print("of.main.cf");
}

#[test]
fn case_06_main_cf_beats_environment_beats_default() {
    let Some(mut host) = Machine::ready("case06") else {
        return;
    };
    host.isconf(["env"]).code(0).prints("shutdown -r now");
    host.setenv("IS_REBOOT_CMD", "from-environment");
    host.isconf(["env"]).code(0).prints("from-environment");
    host.sh("mkdir -p /etc/is").code(0);
    host.write(
        "/etc/is/main.cf",
        "DEFAULT:\n\tIS_REBOOT_CMD = from-main-cf\n",
    );
    host.isconf(["env"])
        .code(0)
        .prints("from-main-cf")
        .does_not_print("from-environment");
}

#[test]
fn case_10_undefined_include_names_file_and_line_and_nothing_runs() {
    let Some(host) = Machine::locked("case10") else {
        return;
    };
    host.sh("mkdir -p /etc/is").code(0);
    host.write("/etc/is/main.cf", "DEFAULT:\n\ta = 1\n\nweb: NOWHERE\n");
    host.isconf(["exec", "touch", "/ran"])
        .code(22)
        .says("/etc/is/main.cf")
        .says("4")
        .says("NOWHERE");
    assert!(!host.exists("/ran"));
}

#[test]
fn case_11_quiet_hides_info_but_not_errors_or_output() {
    let Some(host) = Machine::locked("case11") else {
        return;
    };
    host.isconf(["-q", "exec", "echo", "hello"])
        .code(0)
        .prints("hello")
        .does_not_say("isconf: info:");
    host.isconf(["exec", "true"]).code(0).says("isconf: info:");
    host.isconf(["-q", "snap", "/missing"])
        .code(2)
        .says("isconf: error:");
}

#[test]
fn case_12_flags_after_the_verb_belong_to_the_command() {
    let Some(host) = Machine::locked("case12") else {
        return;
    };
    host.isconf(["exec", "echo", "-q", "-V", "--noop"])
        .code(0)
        .prints("-q -V --noop");
}

#[test]
fn case_13_daemon_starts_stops_and_keeps_state() {
    let Some(host) = Machine::locked("case13") else {
        return;
    };
    host.isconf(["exec", "touch", "/made"]).code(0);
    host.isconf(["start"]).code(0);
    host.isconf(["start"]).code(0).says("already running");
    host.isconf(["status"]).code(0).prints("running");
    host.isconf(["stop"]).code(0);
    host.isconf(["start"]).code(0);
    host.isconf(["restart"]).code(0);
    host.isconf(["ci"]).code(0).says("changes checked in");
    host.isconf(["stop"]).code(0);
}

#[test]
fn case_14_stop_without_daemon_says_so_and_restart_starts() {
    let Some(host) = Machine::ready("case14") else {
        return;
    };
    host.isconf(["stop"]).code(1).says("no pid file found");
    host.isconf(["start"]).code(0);
    host.isconf(["stop"]).code(0);
    host.isconf(["stop"]).says("already stopped");
    host.isconf(["restart"]).code(0);
    host.isconf(["stop"]).code(0);
}

/// The original needed the daemon for every verb; ours needs it only for peers, so the case is
/// that verbs work without one and that `status` says that none runs.
#[test]
fn case_15_verbs_work_without_daemon_and_status_says_so() {
    let Some(host) = Machine::locked("case15") else {
        return;
    };
    host.isconf(["exec", "true"]).code(0);
    host.isconf(["status"]).code(0).prints("not running");
}
