//! Entries that ask something of a service manager, and isconf is stopped meanwhile: from the commit to
//! the end of what is asked, and while an entry is taken back whose service does not follow.

use super::{
    ANNOUNCED, APPLIED, CHANGE, FINISHED, FORGOTTEN, HISTORY, INTENT, LOOK, PREPARE, REWRITTEN,
    SETTLED, STORED, SYNCED, Scenario, WIP, changed_natively, start_again, stops_at,
};
use crate::support::machine::Machine;

/// A service whose script counts its starts, and one that never starts.
pub(super) const SCRIPTS: &str = "mkdir -p /etc/init.d; cd /etc/init.d; \
    printf '#!/bin/sh\\ncase $1 in start) echo >>/run/starts;; esac\\n' >follows; \
    printf '#!/bin/sh\\ncase $1 in status) exit 3;; start) exit 1;; esac\\n' >fails; \
    chmod 755 follows fails";

/// What is asked behind the change.
pub(super) const ASKS: &str = "; /etc/init.d/follows start";
/// The same, and then something that is not done.
pub(super) const ASKS_IN_VAIN: &str = "; /etc/init.d/follows start; /etc/init.d/fails start";

/// An entry that asks for a service.
pub(super) const FOLLOWED: Scenario = Scenario {
    stops_at: &[
        ANNOUNCED,
        INTENT,
        APPLIED,
        SYNCED,
        REWRITTEN,
        SETTLED,
        &["settle.draft.durable", "settle.pending.durable"],
        FINISHED,
        STORED,
        WIP,
        HISTORY,
        &["actions.begun", "actions.done", "actions.forgotten"],
    ],
};

#[test]
fn a_service_is_started_at_least_once_wherever_isconf_is_stopped() {
    let Some(mut host) = Machine::locked("crashfollowed") else {
        return;
    };
    host.sh(SCRIPTS).code(0);
    let new = changed_natively(&host);
    let entry = format!("{CHANGE}{ASKS}");
    FOLLOWED.walk(|point| {
        host.sh(PREPARE).code(0);
        host.sh("rm -f /run/starts").code(0);
        let old = host.sh(LOOK).out();
        if !stops_at(&mut host, point, ["exec", "sh", "-c", &entry]) {
            return false;
        }
        host.isconf(["status"]).code(0);
        let found = host.sh(LOOK).out();
        let live = host.exists("/srv/new");
        assert_eq!(
            host.exists("/run/starts"),
            live,
            "{point}: live and started disagree"
        );
        let checked_in = host.isconf(["ci"]).code(0).err();
        assert_eq!(live, checked_in.contains("changes checked in"), "{point}");
        assert_eq!(
            &found,
            if live { &new } else { &old },
            "{point}: neither old nor new"
        );
        assert!(!host.exists("/var/is/conf/actions"), "{point}");
        host.isconf(["lock", "again"]).code(0);
        true
    });
}

/// An entry that asks for a service that does not start, so that it is taken back.
pub(super) const NOT_FOLLOWED: Scenario = Scenario {
    stops_at: &[
        ANNOUNCED,
        INTENT,
        APPLIED,
        SYNCED,
        REWRITTEN,
        SETTLED,
        &[
            "settle.draft.durable",
            "settle.pending.durable",
            "settle.draft.forgotten",
        ],
        FINISHED,
        STORED,
        WIP,
        HISTORY,
        &[
            "actions.begun",
            "actions.done",
            "actions.taking_back",
            "commit.undo.checked",
            "actions.taken_back",
            "actions.forgotten",
        ],
        FORGOTTEN,
    ],
};

#[test]
fn an_entry_whose_service_does_not_follow_is_taken_back_wherever_isconf_is_stopped() {
    let Some(mut host) = Machine::locked("crashnotfollowed") else {
        return;
    };
    host.sh(SCRIPTS).code(0);
    let entry = format!("{CHANGE}{ASKS_IN_VAIN}");
    NOT_FOLLOWED.walk(|point| {
        host.sh(PREPARE).code(0);
        let old = host.sh(LOOK).out();
        let stopped = stops_at(&mut host, point, ["exec", "sh", "-c", &entry]);
        host.isconf(["status"]).code(0).prints("nothing");
        assert_eq!(host.sh(LOOK).out(), old, "{point}");
        assert!(!host.exists("/var/is/conf/actions"), "{point}");
        start_again(&host);
        stopped
    });
}
