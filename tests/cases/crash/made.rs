//! Entries are made on the origin, and isconf is stopped meanwhile.

use super::{
    ANNOUNCED, APPLIED, CHANGE, FINISHED, HISTORY, INTENT, JOURNAL, LOOK, PREPARE,
    RECEIPT_ANNOUNCED, REWRITTEN, SETTLED, STORED, SYNCED, Scenario, WIP, changed_natively,
    start_again, stops_at,
};
use crate::support::machine::Machine;

/// An entry that changes files.
pub(super) const EXEC: Scenario = Scenario {
    stops_at: &[
        ANNOUNCED,
        INTENT,
        APPLIED,
        SYNCED,
        REWRITTEN,
        SETTLED,
        &["settle.draft.durable"],
        FINISHED,
        STORED,
        WIP,
        HISTORY,
    ],
};

#[test]
fn exec_stopped_at_any_point_is_wholly_live_or_not_at_all() {
    let Some(mut host) = Machine::locked("crashexec") else {
        return;
    };
    let new = changed_natively(&host);
    EXEC.walk(|point| {
        host.sh(PREPARE).code(0);
        let old = host.sh(LOOK).out();
        if !stops_at(&mut host, point, ["exec", "sh", "-c", CHANGE]) {
            return false;
        }
        host.isconf(["status"]).code(0);
        let found = host.sh(LOOK).out();
        let live = host.exists("/srv/new");
        let checked_in = host.isconf(["ci"]).code(0).err();
        let recorded = checked_in.contains("changes checked in");
        assert_eq!(live, recorded, "{point}: live and recorded disagree");
        let whole = if live { &new } else { &old };
        assert_eq!(&found, whole, "{point}: neither old nor new");
        host.isconf(["up"]).code(0).says("no new updates");
        host.isconf(["lock", "again"]).code(0);
        true
    });
}

/// An entry with files that are there already.
pub(super) const SNAP: Scenario = Scenario {
    stops_at: &[
        STORED,
        WIP,
        &["record.draft.durable", "record.receipt.durable"],
        RECEIPT_ANNOUNCED,
        HISTORY,
    ],
};

#[test]
fn snap_stopped_at_any_point_is_recorded_once_or_not_at_all() {
    let Some(mut host) = Machine::locked("crashsnap") else {
        return;
    };
    let mut entries = 0;
    SNAP.walk(|point| {
        // Another content each time, or nothing would have to be stored.
        host.write("/srv/file", format!("for {point}\n"));
        let stopped = stops_at(&mut host, point, ["snap", "/srv/file"]);
        host.isconf(["try", "true"]).code(0);
        let drafts = host.isconf(["ci"]).code(0).err();
        let count = usize::from(drafts.contains("checked in: 1"));
        entries += count;
        let history = host.isconf(["history"]).code(0).out();
        assert_eq!(
            history.matches("made").count(),
            entries,
            "{point}: {history}"
        );
        let log = host.isconf(["log"]).code(0).out();
        assert_eq!(
            log.matches("snap /srv/file").count(),
            entries,
            "{point}: {log}"
        );
        host.isconf(["lock", "again"]).code(0);
        stopped
    });
}

/// A reboot that is recorded on the origin.
pub(super) const REBOOT: Scenario = Scenario {
    stops_at: &[
        WIP,
        &["record.draft.durable", "record.receipt.durable"],
        RECEIPT_ANNOUNCED,
        HISTORY,
        &["reboot.command.begun"],
    ],
};

#[test]
fn reboot_of_the_origin_stopped_at_any_point_happens_only_when_it_is_recorded() {
    let Some(mut host) = Machine::locked("crashreboot") else {
        return;
    };
    host.setenv("IS_REBOOT_CMD", "touch /root/rebooted");
    REBOOT.walk(|point| {
        host.sh("rm -f /root/rebooted").code(0);
        let stopped = stops_at(&mut host, point, ["reboot"]);
        let rebooted = host.exists("/root/rebooted");
        assert_eq!(rebooted, !stopped, "{point}");
        host.isconf(["try", "true"]).code(0);
        start_again(&host);
        stopped
    });
}

/// From the wip to the journal.
pub(super) const CHECK_IN: Scenario = Scenario {
    stops_at: &[
        JOURNAL,
        HISTORY,
        &["ci-journal", "ci-receipt", "ci-lock", "ci-wip"],
    ],
};

#[test]
fn ci_stopped_at_any_point_is_checked_in_once_or_not_at_all() {
    let Some(mut host) = Machine::ready("crashci") else {
        return;
    };
    // Nothing beside is dropped meanwhile.
    host.setenv("IS_UNDO_KEEP", "1000");
    let mut entries = 0;
    CHECK_IN.walk(|point| {
        host.isconf(["lock", "x"]).code(0);
        host.isconf(["exec", "sh", "-c", "echo x >>/srv/words"])
            .code(0);
        let stopped = stops_at(&mut host, point, ["ci"]);
        host.isconf(["status"]).code(0);
        let done = host.isconf(["ci"]);
        assert!([0, 221].contains(&done.status()), "{point}: {}", done.err());
        entries += 1;
        let log = host.isconf(["log", "--json"]).code(0).out();
        assert_eq!(log.matches("\"seq\":").count(), entries, "{point}: {log}");
        host.isconf(["up"]).code(0).says("no new updates");
        stopped
    });
}

/// A kept scratchpad is made real where there is no domain, so nothing is recorded.
pub(super) const KEPT: Scenario = Scenario {
    stops_at: &[
        ANNOUNCED,
        INTENT,
        APPLIED,
        SYNCED,
        REWRITTEN,
        &["settle.begun"],
        FINISHED,
    ],
};

#[test]
fn kept_scratchpad_committed_and_stopped_at_any_point_is_wholly_live_or_not_at_all() {
    let Some(mut host) = Machine::bare("crashkept") else {
        return;
    };
    let new = changed_natively(&host);
    KEPT.walk(|point| {
        host.sh(PREPARE).code(0);
        let old = host.sh(LOOK).out();
        host.isconf(["try", "--keep", "one", "sh", "-c", CHANGE])
            .code(0);
        let stopped = stops_at(&mut host, point, ["try", "--commit", "one"]);
        if stopped {
            // Any verb of a host without a domain that may change something recovers.
            host.isconf(["try", "--commit", "none"]).fails();
            host.isconf(["try", "true"]).code(0);
        }
        let found = host.sh(LOOK).out();
        assert!(found == old || found == new, "{point}: half:\n{found}");
        if host.isconf(["try", "--list"]).code(0).out().contains("one") {
            host.isconf(["try", "--drop", "one"]).code(0);
        }
        stopped
    });
}

/// The same on a host of a domain: the history says that it was done outside of the journal.
pub(super) const UNJOURNALED: Scenario = Scenario {
    stops_at: &[
        ANNOUNCED, INTENT, APPLIED, REWRITTEN, SYNCED, SETTLED, FINISHED, STORED, HISTORY,
    ],
};

#[test]
fn change_out_of_band_stopped_at_any_point_is_live_exactly_when_the_history_has_it() {
    let Some(mut host) = Machine::ready("crashband") else {
        return;
    };
    let new = changed_natively(&host);
    let mut known = 0;
    UNJOURNALED.walk(|point| {
        host.sh(PREPARE).code(0);
        let old = host.sh(LOOK).out();
        host.isconf(["try", "--keep", "one", "sh", "-c", CHANGE])
            .code(0);
        let commit = ["try", "--commit", "one", "--unjournaled"];
        let stopped = stops_at(&mut host, point, commit);
        host.isconf(["up"]).code(0);
        let found = host.sh(LOOK).out();
        let history = host.isconf(["history", "--json"]).code(0).out();
        let receipts = history.matches("out-of-band").count();
        let whole = if receipts > known { &new } else { &old };
        assert_eq!(&found, whole, "{point}: {history}");
        known = receipts;
        if host.isconf(["try", "--list"]).code(0).out().contains("one") {
            host.isconf(["try", "--drop", "one"]).code(0);
        }
        stopped
    });
}
