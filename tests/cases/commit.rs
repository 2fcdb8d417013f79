//! Commit, conflict, undo and audit on a whole machine: the live tree ends as the command itself
//! would have left it, or as it was.

use isconf::tour::{HostSpec, RootKind};

use super::commit_commands::{COMMANDS, PREPARE, TOOL, TOOL_PATH};
use crate::support;
use crate::support::machine::{Done, Machine};

/// Runs every command natively and through a scratchpad on a machine of this description, and takes
/// it back: the trees must be equal.
fn same_as_native(spec: HostSpec) {
    let Some(host) = Machine::with(spec) else {
        return;
    };
    host.join_domain();
    host.isconf(["lock", "for the test"]).code(0);
    host.write(TOOL_PATH, TOOL);
    host.sh(&format!("chmod 755 {TOOL_PATH}")).code(0);
    let list = || host.sh(&format!("{TOOL_PATH} listing")).code(0).out();
    // For whoever looks for one mistake: only the commands with this text.
    let only = std::env::var("ISCONF_TEST_COMMAND").unwrap_or_default();
    let mut wrong = Vec::new();
    host.sh(PREPARE).code(0);
    let prepared = list();
    for command in COMMANDS.iter().filter(|c| c.contains(&only)) {
        let script = format!("cd /srv/t && {command}");
        let done = host.isconf(["-q", "exec", "sh", "-c", &script]);
        let committed = list();
        if done.status() == 0 {
            let undone = host.isconf(["undo"]);
            if undone.status() != 0 {
                wrong.push(format!("undo of {command}\n{}", undone.err()));
            }
        } else {
            wrong.push(format!("{command}\n{}", done.err()));
        }
        if let Some(rest) = differences(&format!("undo of {command}"), &prepared, &list()) {
            wrong.push(rest);
            host.sh(PREPARE).code(0);
        }
        // One that fails, fails in the scratchpad too, which was said.
        host.sh(&script);
        if done.status() == 0 {
            wrong.extend(differences(command, &list(), &committed));
        }
        host.sh(PREPARE).code(0);
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
}

/// What two listings do not share, as one text; `None` when they are equal.
fn differences(what: &str, expected: &str, found: &str) -> Option<String> {
    let only = |sign: char, these: &str, those: &str| -> Vec<String> {
        let those: std::collections::BTreeSet<&str> = those.lines().collect();
        let lines = these.lines().filter(|line| !those.contains(line));
        lines.map(|line| format!("{sign}{line}")).collect()
    };
    let lines = [only('-', expected, found), only('+', found, expected)].concat();
    (expected != found).then(|| format!("{what}\n{}", lines.join("\n")))
}

#[test]
fn committed_result_equals_the_native_one_and_undo_restores_all() {
    same_as_native(support::spec("fidelity"));
}

#[test]
fn committed_result_equals_the_native_one_on_xfs() {
    same_as_native(support::spec("fidelity-xfs").root(RootKind::Xfs));
}

#[test]
fn committed_result_equals_the_native_one_on_btrfs() {
    same_as_native(support::spec("fidelity-btrfs").root(RootKind::Btrfs));
}

#[test]
fn inode_stays_where_others_hold_it() {
    let Some(host) = Machine::locked("inode") else {
        return;
    };
    host.sh("echo one >/srv/a; ln /srv/a /root/outside").code(0);
    host.isconf(["exec", "sh", "-c", "echo two >>/srv/a"])
        .code(0);
    assert_eq!(host.read("/root/outside"), "one\ntwo\n");
    host.sh("test /srv/a -ef /root/outside").code(0);
    host.sh("echo log >/srv/log; exec 7>>/srv/log; isconf -q exec sh -c 'echo inside >>/srv/log' >/dev/null || exit 1; echo after >&7").code(0);
    assert_eq!(host.read("/srv/log"), "log\ninside\nafter\n");
}

#[test]
fn a_live_change_meanwhile_is_a_conflict_and_nothing_is_lost() {
    let Some(host) = Machine::locked("conflict") else {
        return;
    };
    host.write("/srv/file", "before\n");
    // The command waits, in the scratchpad, until the live file has been changed outside.
    let script = "isconf exec sh -c 'echo inside >>/srv/file; touch /srv/other; : >/tmp/in; \
                  read x' </root/fifo & pid=$!; exec 9>/root/fifo; \
                  until ls -A /var/is/scratch/*/v0/upper/srv/other >/dev/null 2>&1; do :; done; \
                  echo outside >/srv/file; echo go >&9; wait $pid";
    host.sh("mkfifo /root/fifo; chown 7:8 /srv/file; stat -c %i /srv/file >/root/inode")
        .code(0);
    let inode = host.read("/root/inode");
    let inode = inode.trim_end();
    host.sh(script)
        .code(3)
        .says("/srv/file")
        .says("run the same command again")
        .prints("seen:  as it was at ")
        .prints(&format!(
            ": file, mode 0644, owner 7:8, inode {inode}; not known: size, mtime"
        ))
        .prints(&format!("found: file 0644 7:8, 8 B, inode {inode}, 1 name"));
    assert_eq!(host.read("/srv/file"), "outside\n");
    assert!(!host.exists("/srv/other"));
}

#[test]
fn undo_takes_back_the_last_entry_only_and_refuses_on_conflict() {
    let Some((origin, target)) = Machine::pair() else {
        return;
    };
    origin.isconf(["lock", "x"]).code(0);
    origin
        .isconf(["exec", "sh", "-c", "echo one >/srv/words"])
        .code(0);
    origin
        .isconf(["exec", "sh", "-c", "echo two >>/srv/words"])
        .code(0);
    origin.isconf(["ci"]).code(0);
    origin.bundle_to(&target);
    target.isconf(["up"]).code(0);
    target.isconf(["undo"]).code(0);
    assert_eq!(target.read("/srv/words"), "one\n");
    target.isconf(["up"]).code(0);
    assert_eq!(target.read("/srv/words"), "one\ntwo\n");
    target.write("/srv/words", "by hand\n");
    for args in [vec!["isconf", "undo"], vec!["isconf", "undo", "--noop"]] {
        let args: Vec<_> = args.into_iter().map(Into::into).collect();
        target
            .run(&args)
            .code(3)
            .says("/srv/words")
            .prints("seen:  file 0644 0:0, 8 B, as the entry left it")
            .prints("found: file 0644 0:0, 8 B, inode");
    }
    assert_eq!(target.read("/srv/words"), "by hand\n");
}

#[test]
fn discard_that_meets_a_conflict_says_what_it_took_back() {
    let Some(host) = Machine::locked("half-discard") else {
        return;
    };
    for n in ["1", "2", "3"] {
        host.isconf(["exec", "sh", "-c", &format!("echo {n} >/srv/{n}")])
            .code(0);
    }
    host.write("/srv/2", "by hand\n");
    host.isconf(["unlock", "--discard"])
        .code(3)
        .says("took back the last 1 change not checked in, and not the 2 before")
        .says("/srv/2")
        .prints("as the entry left it");
    assert!(host.exists("/srv/1") && !host.exists("/srv/3"));
    host.isconf(["unlock", "--discard"])
        .code(3)
        .says("nothing was taken back");
    host.write("/srv/2", "2\n");
}

#[test]
fn undo_beyond_what_is_kept_names_the_setting() {
    let Some(mut host) = Machine::locked("undo-keep") else {
        return;
    };
    host.setenv("IS_UNDO_KEEP", "1");
    for n in ["1", "2"] {
        host.isconf(["exec", "touch", &format!("/srv/{n}")]).code(0);
    }
    host.isconf(["ci"]).code(0);
    host.isconf(["undo"]).code(0);
    host.isconf(["undo"])
        .code(1)
        .says("entry 1 cannot be taken back: its undo copies are no longer kept (IS_UNDO_KEEP is 1 entries");
}

#[test]
fn discard_takes_the_machine_back_to_lock_time() {
    let Some(host) = Machine::ready("discard") else {
        return;
    };
    host.write("/srv/file", "before\n");
    host.isconf(["lock", "x"]).code(0);
    let before = host.manifest_of_others();
    host.isconf(["exec", "sh", "-c", "echo one >>/srv/file; mkdir /srv/d"])
        .code(0);
    host.isconf(["exec", "sh", "-c", "echo two >>/srv/file; rm -r /srv/d"])
        .code(0);
    host.isconf(["unlock", "--discard"]).code(0);
    host.is_still(&before);
    host.isconf(["up"]).code(0).says("no new updates");
}

#[test]
fn diff_finds_drift_and_names_the_entry() {
    let Some((origin, target)) = Machine::pair() else {
        return;
    };
    origin.isconf(["lock", "the reason"]).code(0);
    origin.write("/srv/conf", "a\nb\n");
    origin.isconf(["snap", "/srv/conf"]).code(0);
    origin
        .isconf([
            "exec",
            "sh",
            "-c",
            "echo made >/srv/made; rm -f /etc/hosts.not; mkdir /srv/dir",
        ])
        .code(0);
    origin.isconf(["ci"]).code(0);
    origin.bundle_to(&target);
    target.isconf(["up"]).code(0);
    target.isconf(["diff"]).code(0);
    origin.isconf(["diff"]).code(0);
    target.write("/srv/conf", "a\nB\n");
    target.sh("rm /srv/made; chmod 700 /srv/dir").code(0);
    let done = target
        .isconf(["diff"])
        .code(1)
        .prints("/srv/conf")
        .prints("/srv/made")
        .prints("/srv/dir");
    assert!(
        done.out().contains("root@origin") && done.out().contains("the reason"),
        "{}",
        done.out()
    );
    target
        .isconf(["diff", "--diff"])
        .code(1)
        .prints("-b")
        .prints("+B");
    target
        .isconf(["diff", "/srv/dir"])
        .code(1)
        .does_not_print("/srv/conf");
    target.isconf(["diff", "/srv/unmanaged"]).code(0);
    target
        .isconf(["diff", "--json"])
        .code(1)
        .prints("\"version\"");
}

#[test]
fn commands_right_after_one_another_do_not_conflict() {
    let Some(host) = Machine::locked("hurry") else {
        return;
    };
    // The filesystem's clock ticks more slowly than this.
    let line = "for n in 1 2 3 4 5 6 7 8 9 10; do isconf -q exec sh -c \"echo $n >/etc/hurry-$n\" \
        >/dev/null || exit 1; done";
    host.sh(line).code(0);
}

/// Runs the verb, and sends it `SIGTERM` when its commit can no longer be dropped.
fn stopped_in_commit(host: &Machine, verb: &str) -> Done {
    host.sh(&format!(
        "ISCONF_CRASH_AT=commit.intent.durable:1:pause {verb} & pid=$!; \
         until grep -q '^State:.T' /proc/$pid/status; do :; done; \
         kill -TERM $pid; kill -CONT $pid; wait $pid"
    ))
}

const MANY_FILES: &str = "mkdir /srv/many && cd /srv/many && seq 400 | split -l 1 -a 4 -";

#[test]
fn a_signal_in_the_commit_lets_it_be_completed_and_said() {
    let (Some(host), Some(target)) = (Machine::locked("signal"), Machine::ready("signal-target"))
    else {
        return;
    };
    let exec = format!("isconf exec sh -c '{MANY_FILES}'");
    stopped_in_commit(&host, &exec)
        .code(0)
        .prints("SIGTERM came when the changes were being made real: they are complete");
    host.sh("test $(ls /srv/many | wc -l) = 400").code(0);
    host.isconf(["diff"]).code(0);
    host.isconf(["exec", "touch", "/srv/second"]).code(0);
    host.isconf(["ci"]).code(0);
    host.bundle_to(&target);
    stopped_in_commit(&target, "isconf up")
        .code(143)
        .says("the last entry shown is complete, and none behind it was begun");
    target
        .sh("test $(ls /srv/many | wc -l) = 400; test ! -e /srv/second")
        .code(0);
    target.isconf(["up"]).code(0);
    assert!(target.exists("/srv/second"));
}
