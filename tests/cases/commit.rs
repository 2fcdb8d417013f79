//! Commit, conflict, undo and audit on a whole machine: the live tree ends as the command itself
//! would have left it, or as it was.

use crate::support::machine::Machine;

/// Prepares the tree that the commands below work on.
const PREPARE: &str = "mkdir -p /srv/t/d/e /srv/t/full/x/y && cd /srv/t && echo one >one && echo two >two && \
    ln one alias && ln -s one sym && mkfifo fifo && echo deep >full/x/y/f && echo g >full/g && \
    truncate -s 64M big && printf tail >>big && chmod 640 two && chown 3:4 two && \
    setfattr -n user.k -v v two && echo in >d/in && echo e >d/e/e && echo imm >imm && \
    touch -d '2001-02-03 04:05:06' one two sym d/in";

/// Commands whose result in the scratchpad, committed, must be what they do natively.
const COMMANDS: &[&str] = &[
    "echo new >new",
    "echo more >>two",
    "echo more >>alias",
    "sed -i s/two/TWO/ two",
    "rm one",
    "rm -rf full",
    "rm -rf full && mkdir full && echo z >full/z",
    "mv d moved",
    "mv d/e d/in full/",
    "mv d moved && echo x >moved/new && rm moved/in && mv moved/e e",
    "mv d tmp && mv full d && mv tmp full",
    "mv two renamed",
    "mv two renamed && echo more >>renamed",
    "mv one one.old && echo fresh >one",
    "ln two hard && echo x >>hard",
    "ln one three && chmod 600 three",
    "chmod 4755 two",
    "chown 7:8 one",
    "chmod 2770 d",
    "setfattr -n user.k -v other two",
    "setfattr -x user.k two",
    "rm sym && ln -s elsewhere sym",
    "rm one && mkdir one && echo x >one/x",
    "rm -rf d && echo file >d",
    "mknod null c 1 3 && mkfifo pipe2",
    "printf X | dd of=big bs=1 seek=30000000 conv=notrunc 2>/dev/null",
    "truncate -s 1G sparse",
    "chmod 600 big",
    "chattr +i imm && chattr +d one",
    "touch -d '1999-09-09' two d",
    "cp -a full copy && cp -al full hardcopy",
    "mkdir -p a/b/c && ln two a/b/link && mv full a/b/c/",
    "rm fifo && echo x >fifo",
    "true",
    "touch one",
    "echo two >two",
    "tar cf - full | (mkdir un && cd un && tar xf -)",
    "install -m 751 -o 9 -g 9 two bin",
    "mkdir '/srv/t/\n' && echo > '/srv/t/\n/ '",
];

/// Lists the tree with everything that must be equal. Times only where they are old, that is set
/// on purpose; a test's own times differ from run to run.
const LIST: &str = "cd /srv/t && find . -print0 | sort -z | while IFS= read -r -d '' f; do \
    stat -c '%N %F %a %u %g %h %t:%T' -- \"$f\"; t=$(stat -c %Y -- \"$f\"); [ \"$t\" -lt 1500000000 ] && echo \"t $t\"; \
    [ -L \"$f\" ] || [ -p \"$f\" ] || [ -c \"$f\" ] || { lsattr -d -- \"$f\" 2>/dev/null | tr -d Ie- | cut -d' ' -f1; }; \
    getfattr -h -d -m - -- \"$f\" 2>/dev/null | grep -v '^#'; \
    [ -f \"$f\" ] && [ ! -L \"$f\" ] && sha256sum <\"$f\"; done; true";

#[test]
fn committed_result_equals_the_native_one_and_undo_restores_all() {
    let Some(host) = Machine::locked("fidelity") else {
        return;
    };
    let clear = "chattr -R -i /srv/t 2>/dev/null; rm -rf /srv/t";
    let mut wrong = Vec::new();
    for command in COMMANDS {
        let list = || {
            host.run(&["/bin/bash".into(), "-c".into(), LIST.into()])
                .code(0)
                .out()
        };
        let script = format!("cd /srv/t && {command}");
        host.sh(&format!("{clear}; {PREPARE}")).code(0);
        let prepared = list();
        host.sh(&script).code(0);
        let native = list();
        host.sh(&format!("{clear}; {PREPARE}")).code(0);
        host.isconf(["-q", "exec", "sh", "-c", &script]).code(0);
        let committed = list();
        if native != committed {
            wrong.push(format!(
                "{command}\n--- native\n{native}\n--- committed\n{committed}"
            ));
        }
        host.isconf(["undo"]).code(0);
        let undone = list();
        if undone != prepared {
            wrong.push(format!(
                "undo of {command}\n--- before\n{prepared}\n--- undone\n{undone}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
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
    host.sh("mkfifo /root/fifo").code(0);
    host.sh(script).code(3).says("/srv/file");
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
    target.isconf(["undo"]).code(3).says("/srv/words");
    assert_eq!(target.read("/srv/words"), "by hand\n");
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
