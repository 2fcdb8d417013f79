//! The next start after a crash is stopped itself, while it recovers.

use super::taken_back::{FAILS, IMMOVABLE, look_there};
use super::{
    APPLIED, CHANGE, FINISHED, HISTORY, LOOK, PREPARE, REWRITTEN, ROLLED_BACK, SETTLED, Scenario,
    WIP, changed_natively, start_again, stops_at,
};
use crate::support::machine::Machine;

/// A verb that recovers and else writes nothing.
const RECOVERS: [&str; 2] = ["try", "true"];

/// A commit is completed.
pub(super) const COMMIT: Scenario = Scenario {
    stops_at: &[
        &["commit.recover.begun", "commit.recover.applied"],
        APPLIED,
        REWRITTEN,
        SETTLED,
        &["settle.draft.durable"],
        FINISHED,
        WIP,
        HISTORY,
    ],
};

#[test]
fn recovery_stopped_at_any_point_completes_the_commit_and_records_it_once() {
    let Some(mut host) = Machine::locked("crashagain") else {
        return;
    };
    let new = changed_natively(&host);
    COMMIT.walk(|point| {
        host.sh(PREPARE).code(0);
        let exec = ["exec", "sh", "-c", CHANGE];
        assert!(stops_at(&mut host, "commit.apply.after_move", exec));
        let stopped = stops_at(&mut host, point, RECOVERS);
        host.isconf(RECOVERS).code(0);
        assert_eq!(host.sh(LOOK).out(), new, "{point}");
        host.isconf(["ci"]).code(0).says("changes checked in: 1,");
        host.isconf(["up"]).code(0).says("no new updates");
        host.isconf(["lock", "again"]).code(0);
        stopped
    });
}

/// A failed commit is taken back: the process that had begun with it is gone.
pub(super) const ROLLBACK: Scenario = Scenario {
    stops_at: &[&["commit.recover.begun"], APPLIED, ROLLED_BACK],
};

#[test]
fn recovery_that_takes_back_stopped_at_any_point_leaves_everything_as_before() {
    let Some(mut host) = Machine::locked("crashbackagain") else {
        return;
    };
    host.sh(IMMOVABLE).code(0);
    let look = &look_there();
    let old = host.sh(look).out();
    ROLLBACK.walk(|point| {
        let exec = ["exec", "sh", "-c", FAILS];
        assert!(stops_at(&mut host, "commit.rollback.durable", exec));
        let stopped = stops_at(&mut host, point, RECOVERS);
        host.isconf(RECOVERS).code(0);
        assert_eq!(host.sh(look).out(), old, "{point}");
        host.isconf(["status"]).code(0).prints("nothing");
        stopped
    });
}

/// Taking back a draft is completed.
pub(super) const UNDO: Scenario = Scenario {
    stops_at: &[
        &["commit.recover.begun", "commit.recover.applied"],
        APPLIED,
        REWRITTEN,
        SETTLED,
        &["settle.draft.forgotten"],
        FINISHED,
        HISTORY,
    ],
};

#[test]
fn recovery_of_an_undo_stopped_at_any_point_completes_it_and_records_it_once() {
    let Some(mut host) = Machine::locked("crashundoagain") else {
        return;
    };
    UNDO.walk(|point| {
        host.sh(PREPARE).code(0);
        let old = host.sh(LOOK).out();
        host.isconf(["exec", "sh", "-c", CHANGE]).code(0);
        assert!(stops_at(&mut host, "commit.apply.after_move", ["undo"]));
        let stopped = stops_at(&mut host, point, RECOVERS);
        host.isconf(RECOVERS).code(0);
        assert_eq!(host.sh(LOOK).out(), old, "{point}");
        host.isconf(["status"]).code(0).prints("nothing");
        let history = host.isconf(["history"]).code(0).out();
        let (made, gone) = (history.matches("made"), history.matches("discarded"));
        assert_eq!(made.count(), gone.count(), "{point}: {history}");
        start_again(&host);
        stopped
    });
}

/// A check-in behind its point of no return is completed.
pub(super) const CHECK_IN: Scenario = Scenario {
    stops_at: &[HISTORY, &["ci-receipt", "ci-lock", "ci-wip"]],
};

#[test]
fn recovery_of_a_check_in_stopped_at_any_point_completes_it_once() {
    let Some(mut host) = Machine::ready("crashciagain") else {
        return;
    };
    let mut entries = 0;
    CHECK_IN.walk(|point| {
        host.isconf(["lock", "x"]).code(0);
        host.isconf(["exec", "sh", "-c", "echo x >>/srv/words"])
            .code(0);
        assert!(stops_at(&mut host, "ci-journal", ["ci"]));
        let stopped = stops_at(&mut host, point, RECOVERS);
        host.isconf(RECOVERS).code(0);
        entries += 1;
        let log = host.isconf(["log", "--json"]).code(0).out();
        assert_eq!(log.matches("\"seq\":").count(), entries, "{point}: {log}");
        host.isconf(["up"]).code(0).says("no new updates");
        stopped
    });
}

/// A receipt that was only announced is written.
pub(super) const RECEIPT: Scenario = Scenario {
    stops_at: &[HISTORY],
};

#[test]
fn recovery_of_a_receipt_stopped_at_any_point_writes_it_once() {
    let Some(mut host) = Machine::locked("crashreceipt") else {
        return;
    };
    host.setenv("IS_REBOOT_CMD", "true");
    RECEIPT.walk(|point| {
        let receipts = |host: &Machine| {
            let history = host.isconf(["history"]).code(0).out();
            history
                .lines()
                .filter(|l| l.starts_with("receipt "))
                .count()
        };
        let before = receipts(&host);
        assert!(stops_at(&mut host, "history.announced", ["reboot"]));
        let stopped = stops_at(&mut host, point, RECOVERS);
        host.isconf(RECOVERS).code(0);
        assert_eq!(receipts(&host), before + 1, "{point}");
        host.isconf(["status"]).code(0).prints("1");
        start_again(&host);
        stopped
    });
}

#[test]
fn whoever_checks_in_again_after_a_crash_is_told_that_it_is_done() {
    let Some(mut host) = Machine::locked("crashagaindone") else {
        return;
    };
    host.isconf(["exec", "touch", "/srv/one"]).code(0);
    assert!(stops_at(&mut host, "ci-journal", ["ci"]));
    host.isconf(["ci"])
        .code(0)
        .says("finished an interrupted check-in");
    host.isconf(["ci"]).code(221);
}

#[test]
fn a_torn_receipt_of_a_check_in_is_written_again_and_any_other_is_damage() {
    let Some(mut host) = Machine::locked("crashtorn") else {
        return;
    };
    let tear = "truncate -s -20 /var/is/conf/history";
    host.isconf(["exec", "touch", "/srv/one"]).code(0);
    // Its sync is left out by a power cut.
    assert!(stops_at(&mut host, "history-append-written", ["ci"]));
    host.sh(tear).code(0);
    host.isconf(["up"])
        .code(0)
        .says("cut off an incomplete receipt")
        .says("finished an interrupted check-in");
    host.isconf(["up"]).code(0).says("no new updates");
    assert_eq!(checked_in(&host), 1);
    host.sh(tear).code(0);
    host.isconf(["up"]).fails().says("/var/is/conf/history");
}

#[test]
fn a_wip_that_is_back_after_a_power_cut_changes_nothing() {
    let Some(host) = Machine::locked("crashback") else {
        return;
    };
    host.isconf(["exec", "sh", "-c", "echo x >>/srv/words"])
        .code(0);
    // It was removed and that is not durable.
    let wip = "/var/is/fs/private/example.com/volume/generic";
    host.sh(&format!("cp -a {wip} /root/wip")).code(0);
    host.isconf(["ci"]).code(0);
    let back = format!("cp -a /root/wip/. {wip}/; touch {wip}/undecided");
    host.sh(&back).code(0);
    host.isconf(["up"])
        .code(0)
        .says("finished an interrupted check-in")
        .says("no new updates");
    assert_eq!(checked_in(&host), 1);
    // Nor when the host stands elsewhere since.
    host.isconf(["undo"]).code(0).says("entry 1");
    host.sh(&back).code(0);
    host.isconf(["status"]).code(0);
    assert_eq!(checked_in(&host), 1);
    host.isconf(["up"]).code(0);
    assert_eq!(host.read("/srv/words"), "x\n");
    // A lock that was taken since is somebody's.
    host.isconf(["lock", "next"]).code(0);
    host.sh(&back).code(0);
    host.isconf(["exec", "touch", "/srv/two"]).code(0);
    host.isconf(["ci"]).code(0);
    assert_eq!(checked_in(&host), 2);
}

/// How many receipts of check-ins there are.
fn checked_in(host: &Machine) -> usize {
    let history = host.sh("cat /var/is/conf/history").code(0).out();
    history.matches("action = \"checked-in\"").count()
}
