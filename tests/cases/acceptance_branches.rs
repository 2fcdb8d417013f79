//! Acceptance cases 50 to 57: reboot and branches.

use crate::support::machine::Machine;

/// A reboot command that leaves a trace instead.
const REBOOT: &str = "echo reboot >>/root/reboots";

#[test]
fn case_50_reboot_is_recorded_before_it_happens() {
    let Some(mut host) = Machine::locked("case50") else {
        return;
    };
    host.setenv(
        "IS_REBOOT_CMD",
        "cp -r /var/is /root/at-reboot; echo reboot >>/root/reboots",
    );
    host.isconf(["reboot"]).code(0);
    assert_eq!(host.read("/root/reboots"), "reboot\n");
    host.sh("grep -r 'reboot' /root/at-reboot/fs/private")
        .code(0);
    host.sh("grep 'action = .made.' /root/at-reboot/conf/history")
        .code(0);
    host.isconf(["ci"]).code(0).says("changes checked in");
    host.isconf(["up"]).code(0).says("no new updates");
}

/// An origin whose journal is: touch one, reboot, touch two; and a target that has it.
fn with_reboot() -> Option<(Machine, Machine)> {
    let (mut origin, mut target) = Machine::pair()?;
    origin.setenv("IS_REBOOT_CMD", REBOOT);
    target.setenv("IS_REBOOT_CMD", REBOOT);
    origin.checks_in_for(&target, |origin| {
        origin.isconf(["exec", "touch", "/srv/one"]).code(0);
        origin.isconf(["reboot"]).code(0);
        origin.isconf(["exec", "touch", "/srv/two"]).code(0);
    });
    Some((origin, target))
}

#[test]
fn case_51_up_without_r_stops_at_a_reboot() {
    let Some((_origin, target)) = with_reboot() else {
        return;
    };
    target
        .isconf(["up"])
        .code(1)
        .says("reboot needed: rerun update with -r flag");
    assert!(target.exists("/srv/one"));
    assert!(!target.exists("/srv/two") && !target.exists("/root/reboots"));
}

#[test]
fn case_52_reboot_happens_once_and_the_next_up_goes_on() {
    let Some((_origin, target)) = with_reboot() else {
        return;
    };
    target.isconf(["-r", "up"]).code(0);
    assert_eq!(target.read("/root/reboots"), "reboot\n");
    assert!(!target.exists("/srv/two"));
    target.isconf(["up", "-r"]).code(0);
    assert_eq!(target.read("/root/reboots"), "reboot\n");
    assert!(target.exists("/srv/two"));
}

#[test]
fn case_53_r_without_reboot_changes_nothing() {
    let Some((_, target)) = Machine::pair_with(|origin| {
        origin.isconf(["exec", "touch", "/srv/one"]).code(0);
    }) else {
        return;
    };
    target.isconf(["-r", "up"]).code(0).says("update done");
    target.isconf(["-r", "up"]).code(0).says("no new updates");
    assert!(target.exists("/srv/one"));
}

#[test]
fn case_54_fresh_host_is_on_generic() {
    let Some(host) = Machine::ready("case54") else {
        return;
    };
    host.isconf(["up"]).says("case54 is on generic branch");
    host.isconf(["lock", "x"])
        .says("case54 is on generic branch");
}

#[test]
fn case_55_fork_copies_the_journal_and_moves_only_this_host() {
    let Some((origin, target)) = Machine::pair_with(|origin| {
        origin.isconf(["exec", "touch", "/srv/one"]).code(0);
    }) else {
        return;
    };
    origin
        .isconf(["fork", "branch2"])
        .code(0)
        .says("branch2 created")
        .says("migrated to branch2");
    origin
        .isconf(["up"])
        .code(0)
        .says("is on branch2 branch")
        .says("no new updates");
    origin.isconf(["migrate", "generic"]).code(0);
    origin
        .isconf(["fork", "branch2"])
        .code(1)
        .says("did you mean 'migrate'");
    origin.isconf(["fork"]).code(22);
    origin.isconf(["fork", "a/b"]).code(22);
    target.isconf(["up"]).says("is on generic branch");
}

#[test]
fn case_56_migrate_applies_only_the_extra_entries() {
    let Some((origin, target)) = Machine::pair_with(|origin| {
        origin
            .isconf(["exec", "sh", "-c", "echo one >>/srv/words"])
            .code(0);
    }) else {
        return;
    };
    target.isconf(["up"]).code(0);
    origin.isconf(["fork", "branch2"]).code(0);
    origin.checks_in_for(&target, |origin| {
        origin
            .isconf(["exec", "sh", "-c", "echo two >>/srv/words"])
            .code(0);
    });
    target.isconf(["up"]).code(0).says("no new updates");
    assert_eq!(target.read("/srv/words"), "one\n");
    target
        .isconf(["migrate", "branch2"])
        .code(0)
        .says("target migrated to branch2");
    target.isconf(["up"]).code(0);
    assert_eq!(target.read("/srv/words"), "one\ntwo\n");
}

#[test]
fn case_57_migrate_to_a_branch_without_our_past_is_refused() {
    let Some(host) = Machine::ready("case57") else {
        return;
    };
    host.isconf(["fork", "child"]).code(0);
    host.isconf(["migrate", "generic"]).code(0);
    host.isconf(["migrate", "generic"])
        .code(1)
        .says("already on generic branch");
    host.isconf(["lock", "x"]).code(0);
    host.isconf(["exec", "touch", "/srv/one"]).code(0);
    host.isconf(["ci"]).code(0);
    host.isconf(["migrate", "child"]).code(1).says("superset");
    host.isconf(["up"]).says("is on generic branch");
    host.isconf(["migrate", "nowhere"]).fails();
}
