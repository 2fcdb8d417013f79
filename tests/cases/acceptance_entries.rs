//! Acceptance cases 27 to 49: snap, exec, check in and update.

use crate::support::machine::Machine;

#[test]
fn case_27_target_gets_the_content_at_snap_time() {
    let Some((_, target)) = Machine::pair_with(|origin| {
        origin.write("/etc/motd", "first\n");
        origin.write("/etc/gone", "first\n");
        origin.isconf(["snap", "/etc/motd"]).code(0);
        origin.isconf(["snap", "/etc/gone"]).code(0);
        origin.write("/etc/motd", "second\n");
        origin.sh("rm /etc/gone").code(0);
    }) else {
        return;
    };
    target.isconf(["up"]).code(0);
    assert_eq!(target.read("/etc/motd"), "first\n");
    assert_eq!(target.read("/etc/gone"), "first\n");
}

#[test]
fn case_28_snap_keeps_mode_owner_setuid_and_time() {
    let Some((origin, target)) = Machine::pair_with(|origin| {
        origin.sh("printf '#!/bin/sh\n' >/srv/tool; chown 12:34 /srv/tool; chmod 6755 /srv/tool; touch -d '2001-02-03 04:05:06.789012345' /srv/tool; setfattr -n user.why -v because /srv/tool").code(0);
        origin.isconf(["snap", "/srv/tool"]).code(0);
    }) else {
        return;
    };
    target.isconf(["up"]).code(0);
    let look = "stat -c '%a %u %g %y %s' /srv/tool; getfattr --absolute-names -d /srv/tool; sha256sum /srv/tool";
    assert_eq!(target.sh(look).code(0).out(), origin.sh(look).code(0).out());
    target.sh("stat -c %a /srv/tool").prints("6755");
}

#[test]
fn case_29_missing_parents_are_made_as_on_the_origin() {
    let Some((_, target)) = Machine::pair_with(|origin| {
        origin.sh("mkdir -p /srv/a/b; chmod 2751 /srv/a; chown 5:6 /srv/a; chmod 1777 /srv/a/b; echo x >/srv/a/b/f").code(0);
        origin.isconf(["snap", "/srv/a/b/f"]).code(0);
    }) else {
        return;
    };
    target.isconf(["up"]).code(0);
    target
        .sh("stat -c '%a %u %g' /srv/a /srv/a/b")
        .code(0)
        .prints("2751 5 6\n1777 0 0\n");
}

/// The original took one regular file only; directories and several paths are entries of ours.
#[test]
fn case_30_bad_snap_arguments_win_over_the_lock() {
    let Some(host) = Machine::ready("case30") else {
        return;
    };
    host.isconf(["snap"])
        .code(22)
        .says("missing snapshot pathname");
    host.isconf(["snap", "/missing"])
        .code(2)
        .says("/missing: No such file or directory");
    host.sh("mkfifo /srv/pipe").code(0);
    host.isconf(["snap", "/srv/pipe"])
        .code(22)
        .says("/srv/pipe");
    host.isconf(["snap", "/etc/passwd"]).code(221);
}

#[test]
fn case_31_relative_path_is_that_of_the_caller() {
    let Some((_, target)) = Machine::pair_with(|origin| {
        origin.sh("mkdir -p /srv/here && cd /srv/here && echo hi >file && isconf snap file && isconf snap ../here/./file").code(0);
    }) else {
        return;
    };
    target.isconf(["up"]).code(0);
    assert_eq!(target.read("/srv/here/file"), "hi\n");
}

/// A file on another filesystem, and a directory that is a mount point, are snapped as any other.
#[test]
fn snap_crosses_mount_points() {
    let Some((origin, target)) = Machine::pair() else {
        return;
    };
    for host in [&origin, &target] {
        host.sh("mkdir -p /srv/volume && mount -t tmpfs none /srv/volume && mkdir /srv/volume/sub")
            .code(0);
    }
    origin.write("/srv/volume/sub/file", "one\n");
    origin.checks_in_for(&target, |origin| {
        origin.isconf(["snap", "/srv/volume/sub/file"]).code(0);
        origin.sh("chmod 2750 /srv/volume/sub").code(0);
        origin.isconf(["snap", "/srv/volume"]).code(0);
    });
    target.isconf(["up"]).code(0);
    assert_eq!(target.read("/srv/volume/sub/file"), "one\n");
    target
        .sh("stat -c %a /srv/volume/sub")
        .code(0)
        .prints("2750");
}

#[test]
fn case_32_large_file_arrives_whole() {
    let Some((origin, target)) = Machine::pair_with(|origin| {
        origin
            .sh("head -c 50000000 /dev/urandom >/srv/large")
            .code(0);
        origin.isconf(["snap", "/srv/large"]).code(0);
    }) else {
        return;
    };
    target.isconf(["up"]).code(0);
    assert_eq!(
        target.sh("sha256sum /srv/large").out(),
        origin.sh("sha256sum /srv/large").out()
    );
}

#[test]
fn case_33_running_process_keeps_the_old_file() {
    let Some((_, target)) = Machine::pair_with(|origin| {
        origin.write("/srv/file", "new\n");
        origin.isconf(["snap", "/srv/file"]).code(0);
    }) else {
        return;
    };
    target.write("/srv/file", "old\n");
    target
        .sh("exec 5</srv/file; isconf -q up --summary || exit 9; cat <&5")
        .code(0)
        .prints("old");
    assert_eq!(target.read("/srv/file"), "new\n");
}

#[test]
fn case_34_damaged_content_is_never_installed() {
    let Some((_, target)) = Machine::pair_with(|origin| {
        origin.write("/etc/motd", "the very content that will be damaged\n");
        origin.isconf(["snap", "/etc/motd"]).code(0);
    }) else {
        return;
    };
    target.sh("f=$(grep -rl 'very content that' /var/is/fs) && chmod u+w $f && sed -i s/very/evil/ $f").code(0);
    let before = target.manifest_of_others();
    target.isconf(["up"]).fails().says("motd");
    target.is_still(&before);
}

#[test]
fn case_35_exec_runs_now_in_the_callers_directory() {
    let Some(host) = Machine::locked("case35") else {
        return;
    };
    let done = host
        .sh("mkdir -p /srv/w && cd /srv/w && isconf exec sh -c 'pwd; echo err >&2; echo x >made'")
        .code(0)
        .prints("/srv/w\n")
        .says("err");
    assert!(!done.out().contains("err\n"));
    assert_eq!(host.read("/srv/w/made"), "x\n");
}

#[test]
fn case_36_arguments_arrive_unchanged_everywhere() {
    let Some((origin, target)) = Machine::pair() else {
        return;
    };
    let script = "#!/bin/sh\nprintf '<%s>' \"$@\" >/srv/out\n";
    for host in [&origin, &target] {
        host.write("/srv/f", script);
        host.sh("chmod 755 /srv/f").code(0);
    }
    origin.checks_in_for(&target, |origin| {
        origin
            .isconf([
                "exec",
                "/srv/f",
                "hey there world!",
                "",
                "two\nlines",
                " 'q\" ",
                "",
                "%41",
                "",
            ])
            .code(0);
    });
    target.isconf(["up"]).code(0);
    let expected = "<hey there world!><><two\nlines>< 'q\" ><><%41><>";
    assert_eq!(origin.read("/srv/out"), expected);
    assert_eq!(target.read("/srv/out"), expected);
}

#[test]
fn case_37_failing_command_leaves_nothing() {
    let Some(host) = Machine::locked("case37") else {
        return;
    };
    let before = host.manifest_of_others();
    host.isconf([
        "exec",
        "sh",
        "-c",
        "echo x >/srv/half; rm /etc/passwd; exit 7",
    ])
    .code(7);
    host.isconf(["exec", "sh", "-c", "touch /srv/half; kill -9 $$"])
        .code(137);
    host.isconf(["exec", "no-such-command"])
        .code(127)
        .says("no-such-command");
    host.is_still(&before);
    host.isconf(["ci"]).code(0).says("no outstanding updates");
}

#[test]
fn case_38_no_shell_is_applied() {
    let Some(host) = Machine::locked("case38") else {
        return;
    };
    host.isconf(["exec", "echo", "$HOME", "*", ";", "|", ">x"])
        .code(0)
        .prints("$HOME * ; | >x");
}

#[test]
fn case_39_megabytes_of_output_arrive() {
    let Some(host) = Machine::locked("case39") else {
        return;
    };
    let out = host
        .isconf(["-q", "exec", "seq", "1", "700000"])
        .code(0)
        .out();
    assert!(out.len() > 4_000_000, "{} bytes arrived", out.len());
    assert!(out.contains("\n700000\n"));
}

#[test]
fn case_40_uncommitted_work_stays_at_home() {
    let Some((origin, target)) = Machine::pair() else {
        return;
    };
    origin.isconf(["lock", "x"]).code(0);
    origin.isconf(["exec", "touch", "/srv/made"]).code(0);
    origin.bundle_to(&target);
    target.isconf(["up"]).code(0).says("no new updates");
    assert!(!target.exists("/srv/made"));
}

#[test]
fn case_41_ci_appends_in_order_with_the_message_and_unlocks() {
    let Some(host) = Machine::ready("case41") else {
        return;
    };
    host.isconf(["lock", "the reason"]).code(0);
    host.isconf(["exec", "touch", "/srv/one"]).code(0);
    host.isconf(["exec", "touch", "/srv/two"]).code(0);
    host.isconf(["ci"]).code(0).says("changes checked in");
    let log = host.isconf(["log"]).code(0).out();
    let (one, two) = (log.find("/srv/one").unwrap(), log.find("/srv/two").unwrap());
    assert!(one < two, "{log}");
    assert_eq!(log.matches("the reason").count(), 2, "{log}");
    host.isconf(["exec", "true"]).code(221);
    host.isconf(["up"]).code(0).says("no new updates");
}

#[test]
fn case_42_entries_run_in_order_once() {
    let Some((_, target)) = Machine::pair_with(|origin| {
        for word in ["one", "two", "three"] {
            let script = format!("echo {word} >>/srv/words");
            origin.isconf(["exec", "sh", "-c", &script]).code(0);
        }
    }) else {
        return;
    };
    target.isconf(["up"]).code(0).says("update done");
    assert_eq!(target.read("/srv/words"), "one\ntwo\nthree\n");
    target.isconf(["up"]).code(0).says("no new updates");
    assert_eq!(target.read("/srv/words"), "one\ntwo\nthree\n");
}

#[test]
fn case_43_nothing_new_runs_nothing() {
    let Some(host) = Machine::ready("case43") else {
        return;
    };
    host.isconf(["up"]).code(0).says("no new updates");
}

#[test]
fn case_44_outstanding_wip_refuses_up_fork_and_migrate() {
    let Some(host) = Machine::locked("case44") else {
        return;
    };
    host.isconf(["exec", "touch", "/srv/made"]).code(0);
    host.isconf(["up"])
        .code(1)
        .says("local changes not checked in");
    host.isconf(["fork", "other"])
        .code(1)
        .says("local changes not checked in");
    host.isconf(["migrate", "other"])
        .code(1)
        .says("local changes not checked in");
}

#[test]
fn case_45_up_stops_at_a_failing_entry_and_resumes_there() {
    let Some((_, target)) = Machine::pair_with(|origin| {
        origin.isconf(["exec", "touch", "/srv/one"]).code(0);
        origin.sh("touch /srv/needed").code(0);
        origin
            .isconf(["exec", "sh", "-c", "echo half >/srv/half; cat /srv/needed"])
            .code(0);
        origin.isconf(["exec", "touch", "/srv/three"]).code(0);
    }) else {
        return;
    };
    target.isconf(["up"]).code(1);
    assert!(target.exists("/srv/one"));
    assert!(!target.exists("/srv/half") && !target.exists("/srv/three"));
    target.isconf(["up"]).code(1);
    target.sh("touch /srv/needed").code(0);
    target.isconf(["up"]).code(0);
    assert!(target.exists("/srv/half") && target.exists("/srv/three"));
}

#[test]
fn case_46_ci_after_the_journal_moved_on_keeps_the_wip() {
    let Some((origin, target)) = Machine::pair() else {
        return;
    };
    origin.isconf(["lock", "x"]).code(0);
    origin.isconf(["exec", "touch", "/srv/theirs"]).code(0);
    origin.isconf(["ci"]).code(0);
    target.isconf(["lock", "x"]).code(0);
    target.isconf(["exec", "touch", "/srv/mine"]).code(0);
    origin.bundle_to(&target);
    target.isconf(["ci"]).code(1).says("wip");
    target.isconf(["status"]).code(0).prints("1");
    assert!(target.exists("/srv/mine"));
    target.isconf(["unlock", "--discard"]).code(0);
    assert!(!target.exists("/srv/mine"));
    target.isconf(["up"]).code(0);
    assert!(target.exists("/srv/theirs"));
}

#[test]
fn case_48_wiped_host_replays_all_and_an_image_only_the_rest() {
    let Some((origin, target)) = Machine::pair_with(|origin| {
        origin
            .isconf(["exec", "sh", "-c", "echo one >>/srv/words"])
            .code(0);
    }) else {
        return;
    };
    target.isconf(["up"]).code(0);
    target
        .sh("cp -a /var/is/conf/history /root/history; cp -a /srv/words /root/words")
        .code(0);
    origin.checks_in_for(&target, |origin| {
        origin
            .isconf(["exec", "sh", "-c", "echo two >>/srv/words"])
            .code(0);
    });
    target.isconf(["up"]).code(0);
    target
        .sh("cp -a /root/history /var/is/conf/history; cp -a /root/words /srv/words")
        .code(0);
    target.isconf(["up"]).code(0);
    assert_eq!(target.read("/srv/words"), "one\ntwo\n");
    target.sh("rm -rf /var/is /srv/words").code(0);
    target.join_domain();
    origin.bundle_to(&target);
    target.isconf(["up"]).code(0);
    assert_eq!(target.read("/srv/words"), "one\ntwo\n");
}

#[test]
fn case_49_host_that_was_away_catches_up() {
    let Some((origin, target)) = Machine::pair() else {
        return;
    };
    for word in ["one", "two"] {
        origin.isconf(["lock", "x"]).code(0);
        let script = format!("echo {word} >>/srv/words");
        origin.isconf(["exec", "sh", "-c", &script]).code(0);
        origin.isconf(["ci"]).code(0);
    }
    origin.bundle_to(&target);
    target.isconf(["up"]).code(0);
    assert_eq!(target.read("/srv/words"), "one\ntwo\n");
}

#[test]
fn input_that_no_target_gets_is_told() {
    let Some(host) = Machine::locked("input") else {
        return;
    };
    host.sh("echo x | isconf exec tee /srv/f")
        .code(0)
        .says("standard input is not recorded")
        .says("--stdin FILE");
    host.sh("isconf exec tee /srv/f </dev/null; echo y >/root/y; isconf exec --stdin /root/y tee /srv/f </root/y")
        .code(0)
        .does_not_say("standard input is not recorded");
}

#[test]
fn a_snap_of_an_unchanged_tree_with_hard_links_changes_nothing_on_a_target() {
    let Some((origin, target)) = Machine::pair() else {
        return;
    };
    let make = "mkdir -p /srv/sd/x/y && echo 1 >/srv/sd/x/h && ln /srv/sd/x/h /srv/sd/x/y/1 \
                && echo 2 >/srv/sd/x/y/2";
    origin.sh(make).code(0);
    let snap = |origin: &Machine| {
        origin.isconf(["snap", "/srv/sd"]).code(0);
    };
    origin.checks_in_for(&target, snap);
    target.isconf(["up"]).code(0);
    origin.checks_in_for(&target, snap);
    let before = target.sh("ls -liR /srv/sd").code(0).out();
    target
        .isconf(["up", "--noop"])
        .code(0)
        .prints("no path changed");
    target.isconf(["up"]).code(0).prints("no path changed");
    assert_eq!(target.sh("ls -liR /srv/sd").code(0).out(), before);

    // Content is not all: a link that was torn is put right.
    target
        .sh("cp -a /srv/sd/x/y/1 /srv/t && mv /srv/t /srv/sd/x/y/1")
        .code(0);
    origin.checks_in_for(&target, snap);
    target.isconf(["up"]).code(0);
    target.sh("test /srv/sd/x/h -ef /srv/sd/x/y/1").code(0);
}

#[test]
fn what_the_kernel_makes_when_it_is_read_cannot_be_snapped() {
    let Some(host) = Machine::locked("made") else {
        return;
    };
    host.isconf(["snap", "/proc/1/status"])
        .code(22)
        .says("/proc/1/status cannot be snapped: the kernel makes it anew");
}

#[test]
fn a_file_that_is_gone_from_a_snapped_directory_stays_on_targets() {
    let Some((origin, target)) = Machine::pair() else {
        return;
    };
    origin.sh("mkdir /srv/d; touch /srv/d/a /srv/d/b").code(0);
    let snap = |origin: &Machine| {
        origin.isconf(["snap", "/srv/d"]).code(0);
    };
    origin.checks_in_for(&target, snap);
    target.isconf(["up"]).code(0);
    origin.sh("rm /srv/d/b").code(0);
    origin.checks_in_for(&target, snap);
    target.isconf(["up"]).code(0);
    assert!(target.exists("/srv/d/b"), "as `isconf help snap` says");
}
