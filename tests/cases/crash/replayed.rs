//! A target takes in and replays what others made, and isconf is stopped meanwhile.

use super::{
    ANNOUNCED, APPLIED, CHANGE, FINISHED, HISTORY, INTENT, JOURNAL, LOOK, PREPARE,
    RECEIPT_ANNOUNCED, REWRITTEN, SETTLED, STORED, SYNCED, Scenario, stops_at,
};
use crate::support::machine::Machine;

/// Two entries are replayed.
pub(super) const UPDATE: Scenario = Scenario {
    stops_at: &[
        ANNOUNCED, INTENT, APPLIED, REWRITTEN, SYNCED, SETTLED, FINISHED, STORED, HISTORY,
    ],
};

#[test]
fn up_stopped_at_any_point_ends_where_it_should() {
    let Some((origin, mut target)) = Machine::pair() else {
        return;
    };
    origin.sh(PREPARE).code(0);
    origin.isconf(["lock", "x"]).code(0);
    origin.isconf(["exec", "sh", "-c", CHANGE]).code(0);
    let second = "echo second >>/srv/new";
    origin.isconf(["exec", "sh", "-c", second]).code(0);
    origin.isconf(["ci"]).code(0);
    origin.bundle_to(&target);
    target.sh("cp -a /var/is /root/is").code(0);
    target.sh(PREPARE).code(0);
    target.sh(&format!("{CHANGE}; {second}")).code(0);
    let new = target.sh(LOOK).out();
    UPDATE.walk(|point| {
        target
            .sh("rm -rf /var/is && cp -a /root/is /var/is")
            .code(0);
        target.sh(PREPARE).code(0);
        let stopped = stops_at(&mut target, point, ["up"]);
        target.isconf(["up"]).code(0);
        assert_eq!(target.sh(LOOK).out(), new, "{point}");
        target.isconf(["up"]).code(0).says("no new updates");
        target.isconf(["history"]).code(0);
        stopped
    });
}

/// What the reboot command leaves: one line a reboot.
const REBOOT_COMMAND: &str = "echo reboot >>/root/reboots";

/// A reboot is replayed.
pub(super) const REBOOT: Scenario = Scenario {
    stops_at: &[
        &[
            "reboot.begun",
            "reboot.receipt.durable",
            "reboot.command.begun",
        ],
        RECEIPT_ANNOUNCED,
        HISTORY,
    ],
};

#[test]
fn reboot_stopped_at_any_point_is_recorded_before_it_happens_and_happens_once() {
    let Some((mut origin, mut target)) = Machine::pair() else {
        return;
    };
    origin.setenv("IS_REBOOT_CMD", "true");
    target.setenv("IS_REBOOT_CMD", REBOOT_COMMAND);
    origin.isconf(["lock", "x"]).code(0);
    origin.isconf(["reboot"]).code(0);
    origin.isconf(["exec", "touch", "/srv/behind"]).code(0);
    origin.isconf(["ci"]).code(0);
    origin.bundle_to(&target);
    target.sh("cp -a /var/is /root/is").code(0);
    REBOOT.walk(|point| {
        target
            .sh("rm -rf /var/is /srv/behind /root/reboots; cp -a /root/is /var/is")
            .code(0);
        let stopped = stops_at(&mut target, point, ["up", "-r"]);
        let rebooted = target.exists("/root/reboots");
        let recorded = target
            .sh("grep -q 'action = .rebooted.' /var/is/conf/history /var/is/conf/history.next")
            .status()
            == 0;
        assert!(recorded || !rebooted, "{point}: rebooted and not recorded");
        // Until the entry behind it is there: at most one more reboot, where none was recorded.
        for _ in 0..2 {
            target.isconf(["up", "-r"]).code(0);
        }
        assert!(target.exists("/srv/behind"), "{point}: it did not go on");
        let reboots = target.sh("cat /root/reboots 2>/dev/null | wc -l").out();
        let expected: &[&str] = if recorded { &["0\n", "1\n"] } else { &["1\n"] };
        assert!(
            expected.contains(&reboots.as_str()),
            "{point}: {reboots} reboots"
        );
        target.isconf(["up", "-r"]).code(0).says("no new updates");
        stopped
    });
}

/// A journal arrives as a file.
pub(super) const IMPORT: Scenario = Scenario {
    stops_at: &[STORED, JOURNAL],
};

#[test]
fn import_stopped_at_any_point_is_whole_or_not_there() {
    let Some((origin, mut target)) = Machine::pair() else {
        return;
    };
    origin.isconf(["lock", "x"]).code(0);
    origin.write("/srv/file", "content\n");
    origin.isconf(["snap", "/srv/file"]).code(0);
    origin.isconf(["ci"]).code(0);
    origin.isconf(["bundle", "export", "/root/b"]).code(0);
    let bundle = origin.host().read("/root/b").expect("the bundle is there");
    target.write("/root/b", bundle);
    target.sh("cp -a /var/is /root/is").code(0);
    IMPORT.walk(|point| {
        target
            .sh("rm -rf /var/is /srv/file; cp -a /root/is /var/is")
            .code(0);
        let stopped = stops_at(&mut target, point, ["bundle", "import", "/root/b"]);
        target.isconf(["up"]).code(0);
        target.isconf(["bundle", "import", "/root/b"]).code(0);
        target.isconf(["up"]).code(0);
        assert_eq!(target.read("/srv/file"), "content\n", "{point}");
        stopped
    });
}
