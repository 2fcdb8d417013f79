//! Sequences by which an entry could be skipped, applied twice or mislabelled, and objects that are
//! hard to take and install. Each ends where it should, or is refused and says what to do.

use crate::support::machine::Machine;

/// Makes one entry on a locked machine and checks it in.
fn entry(host: &Machine, command: &str) {
    host.isconf(["lock", "x"]).code(0);
    host.isconf(["exec", "sh", "-c", command]).code(0);
    host.isconf(["ci"]).code(0);
}

#[test]
fn an_entry_undone_under_the_lock_is_not_skipped() {
    let Some(host) = Machine::ready("undounderlock") else {
        return;
    };
    entry(&host, "echo one >>/srv/one");
    host.isconf(["lock", "x"]).code(0);
    host.isconf(["undo"]).code(0);
    host.isconf(["exec", "touch", "/srv/two"])
        .code(1)
        .says("try 'isconf up' first");
    host.isconf(["snap", "/etc/hostname"]).code(1);
    host.isconf(["reboot"]).code(1);
    host.isconf(["up"]).code(0);
    host.isconf(["exec", "touch", "/srv/two"]).code(0);
    host.isconf(["ci"]).code(0);
    host.isconf(["up"]).code(0).says("no new updates");
    assert_eq!(host.read("/srv/one"), "one\n");
}

#[test]
fn entries_imported_under_the_lock_are_not_skipped() {
    let Some((origin, other)) = Machine::pair() else {
        return;
    };
    entry(&origin, "echo one >>/srv/one");
    origin.bundle_to(&other);
    other.isconf(["up"]).code(0);
    other.isconf(["lock", "mine"]).code(0);
    entry(&origin, "echo two >>/srv/two");
    origin.bundle_to(&other);
    other.isconf(["exec", "touch", "/srv/three"]).code(1);
    other.isconf(["up"]).code(0);
    other.isconf(["exec", "touch", "/srv/three"]).code(0);
    entry(&origin, "echo four >>/srv/four");
    origin.bundle_to(&other);
    other.isconf(["ci"]).fails().says("unlock --discard");
    other.isconf(["exec", "touch", "/srv/five"]).code(1);
    other.isconf(["up"]).fails().says("not checked in");
    other.isconf(["unlock", "--discard"]).code(0);
    other.isconf(["up"]).code(0);
    assert!(!other.exists("/srv/three") && other.exists("/srv/four"));
    assert_eq!(other.read("/srv/two"), "two\n");
}

#[test]
fn undo_and_up_of_what_was_made_here_ends_where_it_began() {
    let Some(host) = Machine::locked("undoup") else {
        return;
    };
    for number in ["1", "2", "3"] {
        host.isconf(["exec", "sh", "-c", &format!("echo {number} >>/srv/words")])
            .code(0);
        if number == "2" {
            host.isconf(["exec", "touch", "/srv/dropped"]).code(0);
            host.isconf(["undo"]).code(0);
        }
    }
    host.isconf(["ci"]).code(0);
    for _ in 0..2 {
        host.isconf(["undo"]).code(0).says("entry 3");
        host.isconf(["undo"]).code(0).says("entry 2");
        assert_eq!(host.read("/srv/words"), "1\n");
        host.isconf(["fork", "stays"]).status();
        host.isconf(["up"]).code(0);
        assert_eq!(host.read("/srv/words"), "1\n2\n3\n");
    }
    host.isconf(["migrate", "generic"]).code(0);
    host.isconf(["up"]).code(0).says("no new updates");
    entry(&host, "echo 4 >>/srv/words");
    assert_eq!(host.read("/srv/words"), "1\n2\n3\n4\n");
    assert!(!host.exists("/srv/dropped"));
    host.isconf(["undo"]).code(0).says("entry 4");
}

#[test]
fn a_snapshot_interrupted_before_its_receipt_keeps_the_numbers_right() {
    let Some(mut host) = Machine::locked("tornsnap") else {
        return;
    };
    host.isconf(["exec", "sh", "-c", "echo one >>/srv/one"])
        .code(0);
    host.setenv("ISCONF_CRASH_AT", "record.draft.durable");
    host.isconf(["snap", "/etc/hostname"]).fails();
    host.setenv("ISCONF_CRASH_AT", "");
    host.isconf(["ci"]).code(0).says("finished recording");
    host.isconf(["undo"]).code(0).says("entry 2");
    host.isconf(["undo"]).code(0).says("entry 1");
    assert!(!host.exists("/srv/one"));
    host.isconf(["up"]).code(0);
    assert_eq!(host.read("/srv/one"), "one\n");
}

#[test]
fn an_older_history_neither_checks_in_nor_replays_over_a_wip() {
    let Some(host) = Machine::locked("oldhistory") else {
        return;
    };
    host.isconf(["exec", "touch", "/srv/one"]).code(0);
    host.sh("cp /var/is/conf/history /root/history").code(0);
    host.isconf(["ci"]).code(0);
    host.isconf(["lock", "x"]).code(0);
    host.isconf(["exec", "touch", "/srv/two"]).code(0);
    host.sh("cp /root/history /var/is/conf/history").code(0);
    let aside = "mv /var/is/fs/private/example.com/volume/generic/journal.wip ";
    for verb in ["up", "ci", "undo"] {
        host.isconf([verb]).fails().says(aside);
    }
    host.isconf(["unlock", "--discard"]).fails().says(aside);
    assert!(host.exists("/srv/one") && host.exists("/srv/two"));
    host.sh(&format!("cd /var/is; {aside} old.wip")).code(0);
    // The first one's check-in is not in the old history, so it counts as made and lost.
    host.isconf(["up"]).fails().says("lacks 1 of the 1");
    host.isconf(["unlock", "--discard"]).code(0);
    assert!(!host.exists("/srv/one"));
    host.isconf(["up"]).code(0);
    assert!(host.exists("/srv/one"));
}

#[test]
fn a_lock_broken_by_somebody_else_keeps_the_wip() {
    let Some(mut host) = Machine::locked("broken") else {
        return;
    };
    host.isconf(["exec", "touch", "/srv/one"]).code(0);
    host.setenv("LOGNAME", "other").setenv("USER", "other");
    host.isconf(["unlock"]).code(0).says("still here");
    host.setenv("LOGNAME", "").setenv("USER", "");
    host.isconf(["exec", "touch", "/srv/two"]).fails();
    host.isconf(["ci"]).fails();
    host.isconf(["up"]).fails().says("not checked in");
    host.isconf(["lock", "again"]).code(0);
    host.isconf(["ci"]).code(0).says("1");
}

#[test]
fn isconfs_own_files_and_the_whole_root_are_not_snapped() {
    let Some(host) = Machine::locked("snapown") else {
        return;
    };
    host.sh("ln -s /var/is /srv/is").code(0);
    for path in [
        "/",
        "/var/is",
        "/var",
        "/var/is/conf/history",
        "/srv/is/conf",
        "/srv/..",
    ] {
        host.isconf(["snap", path])
            .code(22)
            .says("cannot be snapped");
    }
    host.isconf(["snap", "/srv/is"]).code(0);
}

/// What was left of scratchpads on a machine.
const LEFT: &str = "ls -A /var/is/scratch/ /.isconf/ 2>/dev/null | grep -v : ; grep -c isconf /proc/self/mountinfo";

#[test]
fn odd_trees_are_installed_as_they_are() {
    let Some((origin, target)) = Machine::pair() else {
        return;
    };
    origin
        .sh("mkdir -p /srv/t/d; cd /srv/t; truncate -s 64M sparse; printf x | dd of=sparse bs=1 seek=32M conv=notrunc; \
             echo a >a; ln a b; ln a d/c; mkfifo p; mknod n c 1 3; ln -s nowhere l; \
             printf n >\"$(printf 'new\\nline\\377')\"; printf long >$(printf '%0255d' 7); \
             printf acl >acl; setfattr -n user.x -v y acl; echo i >i; echo j >ap; chmod 4751 a")
        .code(0);
    origin
        .sh("cd /srv/t && chattr +i i && chattr +a ap")
        .status();
    origin.isconf(["lock", "x"]).code(0);
    origin.isconf(["snap", "/srv/t"]).code(0);
    origin.isconf(["ci"]).code(0);
    origin.bundle_to(&target);
    target.isconf(["up"]).code(0);
    let look = "cd /srv/t; ls -lAsR --time-style=full-iso; lsattr -d i ap a | grep -v ' $'; \
                getfattr -d acl; find . -type f -links +1 | sort";
    let wanted = origin.sh(look).out();
    assert_eq!(target.sh(look).out(), wanted);
    // Over what is there already, locked files and all.
    entry_of_snap(&origin);
    origin.bundle_to(&target);
    target.isconf(["up"]).code(0);
    assert_eq!(target.sh(look).out(), wanted);
    target.isconf(["undo"]).code(0);
    target.isconf(["undo"]).code(0);
    assert!(!target.exists("/srv/t"));
}

/// Snaps the tree once more.
fn entry_of_snap(host: &Machine) {
    host.isconf(["lock", "x"]).code(0);
    host.isconf(["snap", "/srv/t"]).code(0);
    host.isconf(["ci"]).code(0);
}

#[test]
fn a_home_that_others_may_write_is_refused() {
    let Some(host) = Machine::locked("exposed") else {
        return;
    };
    for directory in ["/var/is", "/var/is/conf"] {
        host.sh(&format!("chmod o+w {directory}")).code(0);
        host.isconf(["up"]).code(1).says("chmod go-w");
        host.sh(&format!("chmod go-w {directory}")).code(0);
    }
    host.isconf(["ci"]).code(0);
    host.isconf(["bundle", "export", "/root/b"]).code(0);
    host.sh("chmod g+w /var/is/conf/hmac_keys").code(0);
    host.isconf(["bundle", "import", "/root/b"])
        .fails()
        .says("chmod go-w");
    host.sh("chown 12 /var/is").code(0);
    host.isconf(["up"]).code(1).says("chown root");
    host.sh("chown 0 /var/is").code(0);
    host.isconf(["up"]).code(0);
}

#[test]
fn a_refused_bundle_leaves_no_trace_and_no_warning() {
    let Some((origin, target)) = Machine::pair() else {
        return;
    };
    origin.sh("head -c 100000 /dev/urandom >/srv/big").code(0);
    origin.isconf(["lock", "x"]).code(0);
    origin.isconf(["snap", "/srv/big"]).code(0);
    origin.isconf(["ci"]).code(0);
    origin.isconf(["bundle", "export", "/root/b"]).code(0);
    let good = origin.host().read("/root/b").expect("the bundle is there");
    target.isconf(["up"]).code(0);
    let journal = "/var/is/fs/cache/example.com/volume/generic/journal";
    let before = target.read(journal);
    for length in (0..good.len()).step_by(10_007) {
        target.write("/root/b", &good[..length]);
        target
            .isconf(["bundle", "import", "/root/b"])
            .fails()
            .says("/root/b, byte");
    }
    // Whole and wrong: the digest is that of the bytes, so that the parser gets to see them.
    for at in (16..good.len() - 65).step_by(9_973) {
        let mut bad = good[..good.len() - 65].to_vec();
        bad[at] ^= 0x41;
        let digest = isconf_sandbox::change::Digest::of(&bad);
        bad.extend_from_slice(digest.as_bytes());
        bad.extend_from_slice(&[0; 33]);
        target.write("/root/b", &bad);
        target
            .isconf(["bundle", "import", "--allow-unauthenticated", "/root/b"])
            .fails();
    }
    assert_eq!(target.read(journal), before);
    target.isconf(["up"]).code(0).does_not_say("ignored");
    target.write("/root/b", &good);
    target.isconf(["bundle", "import", "/root/b"]).code(0);
    target.isconf(["up"]).code(0);
}

#[test]
fn a_link_above_a_snapped_path_is_not_followed() {
    let Some((origin, target)) = Machine::pair() else {
        return;
    };
    origin.sh("mkdir -p /srv/d && echo x >/srv/d/file").code(0);
    origin.isconf(["lock", "x"]).code(0);
    origin.isconf(["snap", "/srv/d/file"]).code(0);
    origin.isconf(["ci"]).code(0);
    origin.bundle_to(&target);
    target.sh("mkdir /srv/real && ln -s real /srv/d").code(0);
    let before = target.sh(LEFT).out();
    target.isconf(["up"]).fails().says("srv/d").says("entry 1");
    assert!(!target.exists("/srv/real/file"));
    assert_eq!(target.sh(LEFT).out(), before);
    target.sh("rm /srv/d").code(0);
    target.isconf(["up"]).code(0);
    assert_eq!(target.read("/srv/d/file"), "x\n");
}

#[test]
fn verbs_at_once_and_killed_ones_leave_whole_records() {
    let Some(host) = Machine::locked("atonce") else {
        return;
    };
    host.sh("for i in 1 2 3; do isconf exec sh -c 'echo x >>/srv/words' >/dev/null 2>&1 & isconf try true >/dev/null 2>&1 & isconf snap /etc/hostname >/dev/null 2>&1 & done; \
             (isconf exec sh -c 'echo never >/srv/never; sleep 60' & echo $! >/root/pid; wait) >/dev/null 2>&1 & \
             while ! [ -s /root/pid ]; do :; done; isconf unlock >/dev/null 2>&1; kill -9 $(cat /root/pid); wait")
        .code(0);
    host.isconf(["lock", "again"]).code(0);
    host.isconf(["ci"]).code(0);
    assert!(!host.exists("/srv/never"));
    let words = host.sh("cat /srv/words 2>/dev/null | wc -l").out();
    let logged = host
        .sh("grep -c 'echo x' /var/is/fs/cache/example.com/volume/generic/journal")
        .out();
    assert_eq!(words, logged);
    host.isconf(["up"]).code(0).says("no new updates");
}

#[test]
fn a_command_with_megabytes_of_arguments_is_recorded_and_recovered() {
    let Some(mut host) = Machine::locked("longargs") else {
        return;
    };
    let script = "isconf exec sh -c 'echo x >>/srv/words' $(for i in $(seq 15); do printf '%0100000d ' $i; done)";
    host.sh(script).code(0);
    host.setenv("ISCONF_CRASH_AT", "settle.begun");
    host.sh(script).fails();
    host.setenv("ISCONF_CRASH_AT", "");
    host.isconf(["ci"]).code(0).says("changes checked in: 2");
    assert_eq!(host.read("/srv/words"), "x\nx\n");
}

#[test]
fn an_interrupted_change_is_not_recorded_on_another_branch() {
    let Some(mut host) = Machine::locked("otherbranch") else {
        return;
    };
    host.setenv("ISCONF_CRASH_AT", "settle.begun");
    host.isconf(["exec", "touch", "/srv/one"]).fails();
    host.setenv("ISCONF_CRASH_AT", "");
    host.write("/var/is/conf/branch", "other\n");
    host.isconf(["up"]).fails().says("put generic back");
    host.write("/var/is/conf/branch", "generic\n");
    host.isconf(["ci"]).code(0).says("changes checked in: 1");
}
