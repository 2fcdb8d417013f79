//! The process is stopped at every named point of every durable step; the next start must find
//! each entry wholly live or not at all, whole records, and a way on. Here: which points there are,
//! and how a scenario is walked through them. The scenarios are beside. Upholds: no point is
//! without a scenario in which the process really died there.

mod made;
mod followed;
mod replayed;
mod taken_back;
mod recovered;
mod disk;
mod power;
mod faults;
mod read_only;

use std::collections::BTreeSet;
use std::path::Path;

use walkdir::WalkDir;

use crate::support::machine::Machine;

/// Points that always come together, in their order.
type Group = &'static [&'static str];

/// Everything before the first visible step.
const ANNOUNCED: Group = &[
    "commit.prepare.begun",
    "commit.prepare.done",
    "commit.presync.done",
];
/// The record of what will happen, or of taking it back.
const INTENT: Group = &[
    "commit.intent.written",
    "commit.intent.synced",
    "commit.intent.renamed",
    "commit.intent.durable",
];
/// The visible steps, forward or backward, of a change without files that have to stay in place.
const APPLIED: Group = &[
    "commit.apply.unlocked",
    "commit.apply.before_move",
    "commit.apply.after_move",
    "commit.apply.before_setting",
    "commit.apply.after_setting",
    "commit.apply.done",
];
/// All of that is durable; recovery says so itself.
const SYNCED: Group = &["commit.postsync.done"];
/// Bytes that go into a file that has to stay.
const REWRITTEN: Group = &["commit.apply.before_rewrite", "commit.apply.after_rewrite"];
const FINISHED: Group = &["commit.finish.renamed", "commit.finish.durable"];
const ROLLED_BACK: Group = &[
    "commit.rollback.applied",
    "commit.rollback.synced",
    "commit.rollback.removed",
];
const FORGOTTEN: Group = &[
    "commit.forget.renamed",
    "commit.forget.volume_removed",
    "commit.forget.removed",
];
const SETTLED: Group = &["settle.begun", "settle.receipt.durable"];
const STORED: Group = &["store-written", "store-synced", "store-renamed"];
const RECEIPT_ANNOUNCED: Group = &["history.announced", "history.announcement.removed"];
const WIP: Group = &[
    "wip-append-begin",
    "wip-append-written",
    "wip-append-synced",
    "wip-append-acknowledged",
];
const JOURNAL: Group = &[
    "journal-append-begin",
    "journal-append-written",
    "journal-append-synced",
    "journal-append-acknowledged",
];
const HISTORY: Group = &[
    "history-append-begin",
    "history-append-written",
    "history-append-synced",
    "history-append-acknowledged",
];

/// A verb or a sequence of verbs, and exactly the points at which it can be stopped.
struct Scenario {
    stops_at: &'static [Group],
}

impl Scenario {
    fn stops_at(&self) -> BTreeSet<&'static str> {
        self.stops_at.iter().copied().flatten().copied().collect()
    }

    /// Runs `visit` once for each of its points, and once for all others together. It has to run
    /// the scenario so that it stops there, to check what comes of it, and to say whether it
    /// stopped; it may save the checks when it did not.
    #[track_caller]
    fn walk(&self, mut visit: impl FnMut(&str) -> bool) {
        let (declared, all) = (self.stops_at(), points());
        for point in &declared {
            assert!(visit(point), "never stopped at {point}");
        }
        let others: Vec<String> = all
            .into_iter()
            .filter(|point| !declared.contains(point.as_str()))
            .collect();
        assert!(
            !visit(&others.join(",")),
            "stopped at a point that it does not name, one of {others:?}"
        );
    }
}

/// Every scenario; each is walked by one test.
const SCENARIOS: &[&Scenario] = &[
    &made::EXEC,
    &followed::FOLLOWED,
    &followed::NOT_FOLLOWED,
    &made::SNAP,
    &made::REBOOT,
    &made::CHECK_IN,
    &made::KEPT,
    &made::UNJOURNALED,
    &replayed::UPDATE,
    &replayed::REBOOT,
    &replayed::IMPORT,
    &taken_back::UNDO,
    &taken_back::UNDO_OF_ENTRIES,
    &taken_back::UNDO_OF_NOTHING,
    &taken_back::DISCARD,
    &taken_back::FAILING_STEP,
    &taken_back::OLD_UNDO_DATA,
    &recovered::COMMIT,
    &recovered::ROLLBACK,
    &recovered::UNDO,
    &recovered::CHECK_IN,
    &recovered::RECEIPT,
];

/// The points at which several hosts are needed: `cases::peers::locks` stops there.
const AMONG_HOSTS: [&str; 2] = ["ci-kept", "ci-agreed"];

#[test]
fn every_point_of_the_sources_is_one_at_which_a_scenario_is_stopped() {
    let walked: BTreeSet<&str> = SCENARIOS.iter().flat_map(|s| s.stops_at()).collect();
    let points = points();
    let all: BTreeSet<&str> = points.iter().map(String::as_str).collect();
    let missed: Vec<_> = all.difference(&walked).collect();
    assert!(missed.is_empty(), "no scenario is stopped at {missed:?}");
    assert!(isconf_sandbox::commit::ALL.iter().all(|p| all.contains(p)));
}

/// Every named point of isconf itself and of the sandbox, read from the sources, so that a new step
/// cannot be forgotten here.
fn points() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut points = BTreeSet::new();
    for top in ["src", "sandbox/src"] {
        for file in WalkDir::new(root.join(top)) {
            let path = file.expect("the sources can be listed").into_path();
            if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source can be read");
                points.extend(named_in(&text));
            }
        }
    }
    assert!(points.len() > 40, "only {points:?}");
    points.retain(|point| !AMONG_HOSTS.contains(&point.as_str()));
    points
}

/// The names in `crash_point("NAME")`, and those that chains make of their kind.
fn named_in(text: &str) -> Vec<String> {
    let direct = text
        .split("crash_point(\"")
        .skip(1)
        .filter_map(|rest| rest.split_once('"'));
    let mut names: Vec<String> = direct.map(|(name, _)| name.to_owned()).collect();
    let listed = text.split('"').filter(|word| {
        word.contains("-append-") && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
    });
    names.extend(listed.map(str::to_owned));
    names
}

/// Changes of every kind: new, appended, removed, moved, attributes, and a file that has to stay
/// since it has a name elsewhere.
const CHANGE: &str = "echo new >/srv/new; echo more >>/srv/file; rm /srv/gone; mkdir -p /srv/d/e; \
                      mv /srv/dir /srv/moved; chmod 700 /srv/mode; echo x >>/srv/linked";
const PREPARE: &str = "rm -rf /srv/*; echo old >/srv/file; echo gone >/srv/gone; mkdir -p /srv/dir/sub; \
                       mkdir /srv/mode; echo l >/srv/linked; rm -f /root/l; ln /srv/linked /root/l";
const LOOK: &str = "cd /srv; find . -printf '%p %y %m %n ' -exec sh -c '[ -f \"$1\" ] && tr \"\\n\" , <\"$1\"; echo' - {} ';' | sort";

/// What the change makes of the prepared tree when nothing stops it and isconf is not there.
fn changed_natively(host: &Machine) -> String {
    host.sh(PREPARE).code(0);
    host.sh(CHANGE).code(0);
    host.sh(LOOK).out()
}

/// Runs isconf so that it stops at a point, and tells whether it came there. The kernel says so: it
/// was killed.
fn stops_at<const N: usize>(host: &mut Machine, point: &str, args: [&str; N]) -> bool {
    host.setenv("ISCONF_CRASH_AT", point);
    let done = host.isconf(args);
    host.setenv("ISCONF_CRASH_AT", "");
    done.status() == 137
}

/// Whether this is the long run, for a machine with an hour to spare: `ISCONF_LONG=1`.
fn is_long() -> bool {
    std::env::var_os("ISCONF_LONG").is_some()
}

/// Begins the next round with nothing in the wip, whatever was in it.
fn start_again(host: &Machine) {
    host.isconf(["unlock", "--discard"]).code(0);
    host.isconf(["lock", "again"]).code(0);
}
