//! What was done is taken back, by the user or since a step failed, and isconf is stopped meanwhile.

use super::{
    ANNOUNCED, APPLIED, CHANGE, FINISHED, FORGOTTEN, HISTORY, INTENT, JOURNAL, LOOK, PREPARE,
    RECEIPT_ANNOUNCED, REWRITTEN, ROLLED_BACK, SETTLED, STORED, SYNCED, Scenario, start_again,
    stops_at,
};
use crate::support::machine::Machine;

/// The last draft is taken back.
pub(super) const UNDO: Scenario = Scenario {
    stops_at: &[
        &["commit.undo.checked"],
        INTENT,
        APPLIED,
        SYNCED,
        REWRITTEN,
        SETTLED,
        &["settle.draft.forgotten"],
        FINISHED,
        FORGOTTEN,
        HISTORY,
    ],
};

#[test]
fn undo_stopped_at_any_point_is_undone_or_not() {
    let Some(mut host) = Machine::locked("crashundo") else {
        return;
    };
    UNDO.walk(|point| {
        host.sh(PREPARE).code(0);
        let old = host.sh(LOOK).out();
        host.isconf(["exec", "sh", "-c", CHANGE]).code(0);
        let new = host.sh(LOOK).out();
        let stopped = stops_at(&mut host, point, ["undo"]);
        host.isconf(["status"]).code(0);
        let found = host.sh(LOOK).out();
        assert!(
            found == old || found == new,
            "{point}: half undone:\n{found}"
        );
        host.isconf(["unlock", "--discard"]).code(0);
        assert_eq!(host.sh(LOOK).out(), old, "{point}");
        host.isconf(["lock", "again"]).code(0);
        stopped
    });
}

/// Entries that are checked in are taken back, the one before the last by a second undo.
pub(super) const UNDO_OF_ENTRIES: Scenario = Scenario {
    stops_at: &[
        &["commit.undo.checked"],
        INTENT,
        APPLIED,
        SYNCED,
        REWRITTEN,
        SETTLED,
        FINISHED,
        FORGOTTEN,
        HISTORY,
    ],
};

#[test]
fn undo_of_one_entry_after_the_other_stopped_at_any_point_takes_back_no_more_and_no_less() {
    let Some(mut host) = Machine::locked("crashundos") else {
        return;
    };
    host.sh(PREPARE).code(0);
    let old = host.sh(LOOK).out();
    host.isconf(["exec", "sh", "-c", CHANGE]).code(0);
    host.isconf(["exec", "touch", "/srv/last"]).code(0);
    host.isconf(["ci"]).code(0);
    let new = host.sh(LOOK).out();
    UNDO_OF_ENTRIES.walk(|point| {
        host.isconf(["undo"]).code(0);
        let one = host.sh(LOOK).out();
        let stopped = stops_at(&mut host, point, ["undo"]);
        host.isconf(["try", "true"]).code(0);
        let found = host.sh(LOOK).out();
        if found == one {
            host.isconf(["undo"]).code(0);
        }
        assert_eq!(host.sh(LOOK).out(), old, "{point}: half undone:\n{found}");
        // The undone entries are replayed again.
        host.isconf(["up"]).code(0);
        assert_eq!(host.sh(LOOK).out(), new, "{point}");
        stopped
    });
}

/// A draft without any file is taken back.
pub(super) const UNDO_OF_NOTHING: Scenario = Scenario {
    stops_at: &[
        RECEIPT_ANNOUNCED,
        HISTORY,
        &["undo.receipt.durable", "undo.draft.dropped"],
    ],
};

#[test]
fn undo_of_what_changed_nothing_stopped_at_any_point_is_undone_or_not() {
    let Some(mut host) = Machine::locked("crashnothing") else {
        return;
    };
    // No file: a reboot.
    host.setenv("IS_REBOOT_CMD", "true");
    UNDO_OF_NOTHING.walk(|point| {
        host.isconf(["reboot"]).code(0);
        let stopped = stops_at(&mut host, point, ["undo"]);
        host.isconf(["try", "true"]).code(0);
        start_again(&host);
        host.isconf(["status"]).code(0).prints("nothing");
        host.isconf(["diff"]).code(0);
        stopped
    });
}

/// All drafts are taken back with the lock.
pub(super) const DISCARD: Scenario = Scenario {
    stops_at: UNDO.stops_at,
};

#[test]
fn unlock_that_discards_two_drafts_stopped_at_any_point_can_be_said_again() {
    let Some(mut host) = Machine::locked("crashdiscard") else {
        return;
    };
    DISCARD.walk(|point| {
        host.sh(PREPARE).code(0);
        let old = host.sh(LOOK).out();
        host.isconf(["exec", "sh", "-c", CHANGE]).code(0);
        let one = host.sh(LOOK).out();
        host.isconf(["exec", "touch", "/srv/last"]).code(0);
        let two = host.sh(LOOK).out();
        let stopped = stops_at(&mut host, point, ["unlock", "--discard"]);
        host.isconf(["try", "true"]).code(0);
        let found = host.sh(LOOK).out();
        assert!([&old, &one, &two].contains(&&found), "{point}: {found}");
        if stopped {
            host.isconf(["unlock", "--discard"]).code(0);
        }
        assert_eq!(host.sh(LOOK).out(), old, "{point}");
        host.isconf(["lock", "again"]).code(0);
        host.isconf(["status"]).code(0).prints("nothing");
        stopped
    });
}

/// A directory of the lower layer of this overlay cannot be moved, which is found when others are
/// moved already.
pub(super) const IMMOVABLE: &str = "mkdir /root/o && mount -t tmpfs none /root/o && cd /root/o && \
    mkdir -p l/dir/sub l/a u w && echo old >l/file && echo gone >l/gone && \
    mount -t overlay none -o lowerdir=l,upperdir=u,workdir=w,redirect_dir=off /srv";

/// A change that fails there in one of its steps.
pub(super) const FAILS: &str =
    "echo new >/srv/a/new; echo more >>/srv/file; rm /srv/gone; mv /srv/dir /srv/moved";

/// An overlay shows a directory that it copied with one name only. Not compared: copies of a commit
/// that did not happen, which lie in isconf's own directory of the volume.
pub(super) fn look_there() -> String {
    LOOK.replace("%n ", "")
        .replace("find .", "find . -name .isconf -prune -o")
}

/// A step fails, and what was done by then is taken back.
pub(super) const FAILING_STEP: Scenario = Scenario {
    stops_at: &[
        STORED,
        ANNOUNCED,
        INTENT,
        APPLIED,
        &["commit.rollback.decided", "commit.rollback.durable"],
        ROLLED_BACK,
    ],
};

#[test]
fn taking_back_stopped_at_any_point_leaves_everything_as_before() {
    let Some(mut host) = Machine::locked("crashback") else {
        return;
    };
    host.sh(IMMOVABLE).code(0);
    let look = &look_there();
    let old = host.sh(look).out();
    host.isconf(["exec", "sh", "-c", FAILS])
        .fails()
        .says("taken back");
    assert_eq!(host.sh(look).out(), old);
    FAILING_STEP.walk(|point| {
        let stopped = stops_at(&mut host, point, ["exec", "sh", "-c", FAILS]);
        // Recovers, and sweeps.
        host.isconf(["try", "true"]).code(0);
        assert_eq!(host.sh(look).out(), old, "{point}");
        host.isconf(["status"]).code(0).prints("nothing");
        stopped
    });
}

/// A check-in drops what was kept to take back older entries.
pub(super) const OLD_UNDO_DATA: Scenario = Scenario {
    stops_at: &[
        JOURNAL,
        HISTORY,
        &["ci-journal", "ci-receipt", "ci-lock", "ci-wip"],
        FORGOTTEN,
    ],
};

#[test]
fn dropping_old_undo_copies_stopped_at_any_point_is_done_by_the_next_check_in_and_costs_no_other() {
    let Some(mut host) = Machine::ready("crashkeep") else {
        return;
    };
    host.setenv("IS_UNDO_KEEP", "1");
    OLD_UNDO_DATA.walk(|point| {
        host.isconf(["lock", "x"]).code(0);
        host.isconf(["exec", "touch", "/srv/a"]).code(0);
        host.isconf(["exec", "touch", "/srv/b"]).code(0);
        let stopped = stops_at(&mut host, point, ["ci"]);
        host.isconf(["try", "true"]).code(0);
        let done = host.isconf(["ci"]);
        assert!([0, 221].contains(&done.status()), "{point}: {}", done.err());
        host.isconf(["lock", "x"]).code(0);
        host.isconf(["exec", "touch", "/srv/c"]).code(0);
        host.isconf(["ci"]).code(0);
        let kept = host.sh("ls -d /var/is/scratch/*/ | wc -l").out();
        assert_eq!(kept, "1\n", "{point}");
        host.isconf(["undo"]).code(0);
        let left = ["/srv/a", "/srv/b", "/srv/c"].map(|path| host.exists(path));
        assert_eq!(left, [true, true, false], "{point}");
        host.isconf(["undo"]).fails().says("no longer kept");
        host.isconf(["up"]).code(0);
        host.sh("rm /srv/*").code(0);
        stopped
    });
}
