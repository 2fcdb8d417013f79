//! A commit that cannot be: each says why and where, and leaves the live tree as it was.

use isconf::tour::{HostSpec, RootKind};

use crate::support;
use crate::support::machine::{Done, Machine};

/// A machine with the branch locked and a volume at `/data`.
fn locked(spec: HostSpec) -> Option<Machine> {
    let host = Machine::with(spec)?;
    host.join_domain();
    host.isconf(["lock", "for the test"]).code(0);
    Some(host)
}

/// Prepares a command that waits after `inside`; gives the listing of the machine before it.
fn waiting(host: &Machine, inside: &str) -> String {
    host.write("/root/inside", format!("{inside}\nread x\n"));
    host.sh("mkfifo /var/is/fifo").code(0);
    host.manifest_of_others()
}

/// Runs that command, and `outside` after it has done its work (told by `made`, a path that it
/// makes last) and before it ends.
fn meanwhile(host: &Machine, made: &str, outside: &str) -> Done {
    let script = format!(
        "isconf exec sh /root/inside </var/is/fifo & pid=$!; exec 9>/var/is/fifo; \
         until ls -d /var/is/scratch/*/v*/upper{made} /data/.isconf/*/v*/upper{made} 2>/dev/null | grep -q .; do :; done; \
         {outside}; echo go >&9; wait $pid"
    );
    host.sh(&script)
}

#[test]
fn a_full_disk_leaves_everything_and_names_the_file() {
    let Some(host) = locked(support::spec("full").root(RootKind::Ext4).size(160 << 20)) else {
        return;
    };
    // Its inode stays, so its old bytes are saved first: room for the new copy, not for the old.
    host.sh("head -c 30M /dev/zero | tr '\\0' x >/srv/big; ln /srv/big /srv/other; \
             free=$(df --output=avail -BM / | tail -1 | tr -dc 0-9); fallocate -l $((free - 40))M /srv/fill")
        .code(0);
    let before = host.manifest_of_others();
    host.isconf([
        "-q",
        "exec",
        "sh",
        "-c",
        "echo more >>/srv/big; mkdir /srv/new",
    ])
    .fails()
    .says("/srv/big")
    .says("No space left on device")
    .says("make room");
    host.is_still(&before);
    host.sh("rm /srv/fill").code(0);
    host.isconf(["-q", "exec", "sh", "-c", "echo more >>/srv/big"])
        .code(0);
    host.sh("test /srv/big -ef /srv/other && tail -c 5 /srv/other | grep -q more")
        .code(0);
}

#[test]
fn a_volume_that_becomes_read_only_is_left_as_it_is() {
    let spec = support::spec("frozen").disk(RootKind::Ext4, "/data");
    let Some(host) = locked(spec) else { return };
    host.sh("mkdir /data/d; echo one >/data/d/one").code(0);
    let before = waiting(
        &host,
        "echo x >/srv/first; echo two >/data/d/one; mkdir /data/made",
    );
    meanwhile(&host, "/made", "mount -o remount,bind,ro /data")
        .fails()
        .says("/data")
        .says("Read-only file system");
    host.sh("mount -o remount,bind,rw /data").code(0);
    // Removes what the one before could not.
    host.isconf(["try", "true"]).code(0);
    host.is_still(&before);
}

#[test]
fn a_directory_made_immutable_meanwhile_is_left_as_it_is() {
    let Some(host) = Machine::locked("immutable") else {
        return;
    };
    host.sh("mkdir /srv/a /srv/d; echo one >/srv/a/one; echo one >/srv/d/one")
        .code(0);
    let before = waiting(
        &host,
        "rm /srv/a/one; echo x >/srv/a/new; echo x >/srv/d/new; mkdir /srv/made",
    );
    meanwhile(&host, "/srv/made", "chattr +i /srv/d")
        .fails()
        .says("/srv/d");
    host.sh("chattr -i /srv/d").code(0);
    host.is_still(&before);
}

/// Runs `/root/inside`, and `outside` when its change set is planned and nothing of it is live.
fn when_planned(host: &Machine, outside: &str) -> Done {
    host.sh(&format!(
        "ISCONF_CRASH_AT=commit.intent.durable:1:pause isconf -q exec sh /root/inside & pid=$!; \
         until grep -q '^State:.T' /proc/$pid/status; do :; done; \
         {outside}; kill -CONT $pid; wait $pid"
    ))
}

#[test]
fn what_is_locked_after_planning_is_named_and_all_is_taken_back() {
    let Some(host) = Machine::locked("flagged") else {
        return;
    };
    host.sh(
        "mkdir /srv/a /srv/z; echo one >/srv/a/one; echo one >/srv/z/one; echo two >/srv/z/two",
    )
    .code(0);
    // What comes before it in order is live already when the flag refuses.
    let inside =
        "echo x >/srv/a/new; echo more >>/srv/a/one; rm /srv/z/two; echo more >>/srv/z/one";
    host.write("/root/inside", inside);
    let before = host.manifest_of_others();
    for (letter, path, flag) in [
        ("i", "/srv/z", "immutable"),
        ("a", "/srv/z", "append-only"),
        ("i", "/srv/z/one", "immutable"),
        ("a", "/srv/z/two", "append-only"),
    ] {
        when_planned(&host, &format!("chattr +{letter} {path}"))
            .fails()
            .says(path)
            .says(flag)
            .says("taken back");
        host.sh(&format!(
            "lsattr -d {path} | cut -c1-20 | grep -q {letter} && chattr -{letter} {path}"
        ))
        .code(0);
        host.is_still(&before);
    }
    host.isconf(["-q", "exec", "sh", "/root/inside"]).code(0);
}

#[test]
fn what_was_never_reached_is_taken_back_though_it_is_locked() {
    let Some(host) = Machine::locked("unreached") else {
        return;
    };
    // Two names: its inode stays and gets new bytes.
    host.sh("mkdir /srv/d; echo one >/srv/d/one; ln /srv/d/one /srv/other")
        .code(0);
    host.write(
        "/root/inside",
        "echo x >/srv/d/new; echo more >>/srv/d/one; chmod 600 /srv/d/one",
    );
    let before = host.manifest_of_others();
    for letter in ["i", "a"] {
        when_planned(&host, &format!("chattr +{letter} /srv/d/one"))
            .fails()
            .says("/srv/d/one")
            .says("taken back");
        host.isconf(["try", "true"]).code(0);
        // Not even the flag, which is somebody else's, is lost.
        host.sh(&format!(
            "lsattr -d /srv/d/one | cut -c1-20 | grep -q {letter} && chattr -{letter} /srv/d/one"
        ))
        .code(0);
        host.is_still(&before);
    }
}

#[test]
fn files_in_locked_directories_change_as_they_do_natively() {
    let Some(mut host) = Machine::locked("lockeddirs") else {
        return;
    };
    host.sh(
        "mkdir /srv/i /srv/a; echo k >/srv/i/k; echo k >/srv/a/k; chattr +i /srv/i; chattr +a /srv/a",
    )
    .code(0);
    let look = "find /srv -printf '%p %y %m %n %s %T@\n' | sort; lsattr -d /srv/i /srv/a";
    let before = host.sh(look).out();
    let change = "echo x >/srv/i/k; echo x >/srv/a/k; echo n >/srv/a/n";
    for point in [
        "",
        "commit.apply.before_setting",
        "commit.apply.after_rewrite",
    ] {
        host.setenv("ISCONF_CRASH_AT", point);
        host.isconf(["-q", "exec", "sh", "-c", change]);
        host.setenv("ISCONF_CRASH_AT", "");
        host.isconf(["try", "true"]).code(0);
        host.sh("grep -q x /srv/i/k && grep -q x /srv/a/k && grep -q n /srv/a/n")
            .code(0);
        host.sh("lsattr -d /srv/i | cut -c1-20 | grep -q i && lsattr -d /srv/a | cut -c1-20 | grep -q a")
            .code(0);
        host.isconf(["-q", "undo"]).code(0);
        assert_eq!(host.sh(look).out(), before, "{point}");
    }
}

#[test]
fn a_mount_point_that_is_busy_is_left_as_it_is() {
    let Some(host) = Machine::locked("busy") else {
        return;
    };
    host.sh("mkdir -p /srv/a /srv/d/point; echo one >/srv/a/one")
        .code(0);
    let before = waiting(&host, "rm -r /srv/a; rm -r /srv/d/point; mkdir /srv/made");
    meanwhile(&host, "/srv/made", "mount -t tmpfs none /srv/d/point")
        .fails()
        .says("/srv/d/point")
        .says("Device or resource busy");
    host.sh("umount /srv/d/point").code(0);
    host.is_still(&before);
}

#[test]
fn a_parent_that_vanished_is_a_conflict() {
    let Some(host) = Machine::locked("vanished") else {
        return;
    };
    host.sh("mkdir -p /srv/a /srv/d/e; echo one >/srv/a/one")
        .code(0);
    waiting(
        &host,
        "rm /srv/a/one; echo x >/srv/d/e/new; mkdir /srv/made",
    );
    meanwhile(&host, "/srv/made", "rm -r /srv/d")
        .code(3)
        .says("/srv/d");
    host.sh("test -e /srv/a/one && test ! -e /srv/made && test ! -e /srv/d")
        .code(0);
}

#[test]
fn a_file_that_vanished_is_a_conflict_and_a_new_neighbour_is_none() {
    let Some(host) = Machine::locked("neighbour") else {
        return;
    };
    host.sh("mkdir /srv/d; echo one >/srv/d/one; echo two >/srv/d/two")
        .code(0);
    waiting(&host, "echo more >>/srv/d/one; mkdir /srv/made");
    meanwhile(&host, "/srv/made", "rm /srv/d/one")
        .code(3)
        .says("/srv/d/one");
    meanwhile(
        &host,
        "/srv/made",
        "mv /srv/d/two /srv/d/one; echo >/srv/d/new",
    )
    .code(3)
    .says("/srv/d/one");
    host.sh("rm /srv/d/one; echo one >/srv/d/one").code(0);
    meanwhile(&host, "/srv/made", "echo x >/srv/d/another; rm /srv/d/new").code(0);
    assert_eq!(host.read("/srv/d/one"), "one\nmore\n");
    host.sh("test -e /srv/d/another && test -d /srv/made")
        .code(0);
}

#[test]
fn undo_sees_a_write_that_keeps_length_and_time() {
    let Some(host) = Machine::locked("content") else {
        return;
    };
    host.isconf([
        "-q",
        "exec",
        "sh",
        "-c",
        "echo aaaa >/srv/file; echo x >/srv/other",
    ])
    .code(0);
    host.sh(
        "touch -r /srv/file /root/time; printf bbbb | dd of=/srv/file conv=notrunc 2>/dev/null; \
             touch -r /root/time /srv/file; chmod 600 /srv/other; chmod 644 /srv/other",
    )
    .code(0);
    host.isconf(["undo"])
        .code(3)
        .says("/srv/file")
        .does_not_say("/srv/other");
    assert_eq!(host.read("/srv/file"), "bbbb\n");
}

#[test]
fn a_disk_without_room_for_the_records_refuses_the_change() {
    for kind in [RootKind::Ext4, RootKind::Xfs, RootKind::Btrfs] {
        let size = if kind == RootKind::Xfs { 320 } else { 160 };
        let spec = support::spec("room").root(kind).size(size << 20);
        let Some(host) = locked(spec) else { return };
        host.sh("mkdir /srv/fill; echo old >/srv/file; for slice in $(seq 30); do \
                 head -c 98304 /dev/zero >/srv/fill/$slice; done; ! cat /dev/zero >/srv/fill/rest; sync; \
                 ! cat /dev/zero >>/srv/fill/rest")
            .code(0);
        let before = host.manifest_of_others();
        let mut refused = 0;
        // Nothing was recorded on this branch, so all files of it have to be made.
        while let done = host.isconf(["-q", "exec", "sh", "-c", "echo new >/srv/file"])
            && done.status() != 0
        {
            // 5 where not even the change set could be stored.
            assert!([1, 5].contains(&done.status()), "{}", done.err());
            done.says("No space left on device");
            host.isconf(["status"]).code(0);
            if refused == 0 {
                host.is_still(&before);
            }
            refused += 1;
            host.sh("grep -qx old /srv/file && set -- /srv/fill/* && rm \"$1\"")
                .code(0);
        }
        assert!(refused > 0, "there was room from the start");
        host.sh("grep -qx new /srv/file").code(0);
        host.isconf(["-q", "ci"]).code(0);
    }
}
