//! A filesystem becomes read-only in the middle of a commit whose records lie on another one.
//! Upholds: what cannot be taken back at once is taken back by the next start that can write.

use isconf::tour::RootKind;

use super::disk::on_data;
use super::{APPLIED, CHANGE, LOOK, PREPARE, REWRITTEN, SETTLED, SYNCED};
use crate::support;
use crate::support::machine::{Done, Machine};

/// Runs the change, with the filesystem read-only from a point on and for as long as it runs.
fn read_only_from(host: &mut Machine, point: &str) -> Done {
    host.setenv("ISCONF_CRASH_AT", &format!("{point}:1:pause"));
    let done = host.sh("isconf -q exec sh /root/change >/dev/null & pid=$!; \
         until grep -q '^State:.T' /proc/$pid/status; do :; done; \
         mount -o remount,ro /data || exit 99; kill -CONT $pid; wait $pid");
    host.setenv("ISCONF_CRASH_AT", "");
    host.sh("mount -o remount,rw /data").code(0);
    done
}

fn becomes_read_only(kind: RootKind) {
    let Some(mut host) = Machine::with(support::spec("readonly").disk(kind, "/data")) else {
        return;
    };
    host.join_domain();
    host.isconf(["lock", "x"]).code(0);
    host.sh("mkdir /data/srv").code(0);
    let [prepare, look] = [PREPARE, LOOK].map(on_data);
    host.write("/root/change", on_data(CHANGE));
    host.sh(&prepare).code(0);
    host.sh("sh /root/change").code(0);
    let new = host.sh(&look).out();
    let points = [
        &["commit.intent.durable"],
        APPLIED,
        REWRITTEN,
        SYNCED,
        SETTLED,
    ]
    .concat();
    for point in points {
        host.sh(&prepare).code(0);
        let old = host.sh(&look).out();
        let done = read_only_from(&mut host, point);
        // All that was left to do on that filesystem was done when it was synced, if not before.
        let status = done.status();
        let whole = match status {
            0 => &new,
            224 => {
                done.says("Read-only file system; and")
                    .says("the next start of isconf goes on");
                &old
            }
            other => panic!("{point}: {other}"),
        };
        host.isconf(["try", "true"]).code(0);
        assert_eq!(&host.sh(&look).out(), whole, "{point}");
        let recorded = host.isconf(["ci"]).code(0).err();
        let is_recorded = recorded.contains("changes checked in");
        assert_eq!(is_recorded, status == 0, "{point}: {recorded}");
        host.isconf(["lock", "x"]).code(0);
    }
}

#[test]
fn an_ext4_that_becomes_read_only_in_a_commit_is_as_before_when_it_can_be_written_again() {
    becomes_read_only(RootKind::Ext4);
}

#[test]
fn an_xfs_that_becomes_read_only_in_a_commit_is_as_before_when_it_can_be_written_again() {
    becomes_read_only(RootKind::Xfs);
}

#[test]
fn a_btrfs_that_becomes_read_only_in_a_commit_is_as_before_when_it_can_be_written_again() {
    becomes_read_only(RootKind::Btrfs);
}
