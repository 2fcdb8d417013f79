//! The report: everything that is to be said about one entry after it ran in a scratchpad, as one
//! value. Not for making text of it (`ui`) or for deciding the verdict (`replay`). Upholds: `up`
//! and `up --noop`, people and programs, all get the same facts.

use std::time::Duration;

use isconf_sandbox::capture::{Capture, Finding, Glimpse, LiveIdentity, Meanwhile};
use isconf_sandbox::change::{Change, ChangeSet, DifferenceKind, Node, RelPath, Timestamp};
use isconf_sandbox::child::{Effect, Exceeded, Exit, Phases, Weight, weight};

use super::{ActionReport, Author, Bytes, ChangeDigests, DraftId, EntryKind, EntryRef, Hazard};

/// The contained run of an entry that acts on the running system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsal {
    /// How the command ended.
    pub ending: Ending,
    /// What it did or tried outside of the filesystem.
    pub effects: Vec<Effect>,
    /// Whether the entry has been let at the running system before, on this host.
    pub acted_before: bool,
}

/// What one entry did in its scratchpad, what was judged, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Where the entry stands.
    pub place: Place,
    /// What the entry does.
    pub description: Description,
    /// Who made it; `None` when nobody is recorded (`try`).
    pub author: Option<Author>,
    /// The lock message; empty when there is none.
    pub message: String,
    /// What it changed and what a commit makes real.
    pub changes: ChangeSet,
    /// The digests of `changes`; `None` when they were not computed (nothing ran).
    pub digests: Option<ChangeDigests>,
    /// What it changed on volumes that are shown and never committed (`/run`).
    pub shown_only: ChangeSet,
    /// What it did or tried to do outside the filesystem.
    pub effects: Vec<Effect>,
    /// How its rehearsal went, where it acts on the running system.
    pub rehearsal: Option<Rehearsal>,
    /// What it asked of service managers that is, or would be, done after the commit, in order.
    pub actions: Vec<ActionReport>,
    /// What is hazardous about recording it; looked for on its origin only.
    pub hazards: Vec<Hazard>,
    /// Mounts that no overlay covers.
    pub uncovered: Vec<UncoveredMount>,
    /// What was seen and is not part of the commit.
    pub findings: Vec<Finding>,
    /// Live paths that are no longer what the scratchpad saw.
    pub conflicts: Vec<Conflict>,
    /// How the command ended.
    pub ending: Ending,
    /// What was judged.
    pub verdict: Verdict,
    /// What became of the changes.
    pub fate: Fate,
    /// Whether the change set equals the origin's.
    pub congruence: Congruence,
    /// The time of each phase.
    pub phases: Phases,
    /// How often the entry was run again because the live system had changed meanwhile.
    pub retries: u32,
    /// The signal that asked isconf to end when the changes were already being made real: this entry
    /// was completed, and nothing was begun after it.
    pub stopped_by: Option<i32>,
}

/// Where an entry stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the journal.
    Journal(EntryRef),
    /// In the wip, or about to be.
    Wip {
        /// Its number within the wip, from 1.
        number: u64,
        /// Its name.
        draft: DraftId,
    },
    /// Outside of any journal (`try`).
    Try {
        /// The name of a kept scratchpad.
        name: Option<String>,
    },
}

/// What an entry does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Description {
    /// Runs a command.
    Exec {
        /// Program and arguments.
        argv: Vec<Bytes>,
        /// The working directory, absolute.
        cwd: Bytes,
    },
    /// Installs recorded files.
    Snap {
        /// The paths it installs.
        paths: Vec<RelPath>,
    },
    /// Reboots the host.
    Reboot,
    /// Opens an interactive shell (`try --shell`).
    Shell,
    /// Takes back a change; `None` when the change is in no journal.
    Undo(Option<Box<Description>>),
}

impl From<&EntryKind> for Description {
    fn from(kind: &EntryKind) -> Self {
        match kind {
            EntryKind::Exec(exec) => Self::Exec {
                argv: exec.argv.clone(),
                cwd: exec.cwd.clone(),
            },
            EntryKind::Snap(snap) => Self::Snap {
                paths: snap.paths.clone(),
            },
            EntryKind::Reboot => Self::Reboot,
        }
    }
}

/// A mount of the live root that no overlay covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UncoveredMount {
    /// Where it is mounted.
    pub mount_point: RelPath,
    /// The filesystem's type, as in mountinfo.
    pub fs_type: String,
    /// What the command sees in its place, and why.
    pub treatment: String,
}

/// A live path that is no longer what the scratchpad saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Where.
    pub path: RelPath,
    /// What was expected there.
    pub seen: Seen,
    /// What is there now; `None` when nothing is.
    pub found: Option<LiveIdentity>,
}

/// What was expected at a live path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Nothing.
    Nothing,
    /// The object that the scratchpad was built on.
    Live(LiveIdentity),
    /// The object that was there when the scratchpad was made. It changed before it was looked at, so
    /// that only this is known of it.
    At(Timestamp, Glimpse),
    /// The object that the entry left, which is to be taken back.
    Left(Box<Node>),
    /// What the entry left, which its change set does not describe: something of a tree that it
    /// moved.
    AsLeft,
}

impl From<Option<LiveIdentity>> for Seen {
    fn from(live: Option<LiveIdentity>) -> Self {
        live.map_or(Self::Nothing, Self::Live)
    }
}

impl Conflict {
    /// Those that were found when the changes were collected.
    pub fn of_capture(capture: &Capture) -> Vec<Self> {
        let conflict = |found: &Meanwhile| Self {
            path: found.path.clone(),
            seen: Seen::At(capture.since, found.seen),
            found: found.found,
        };
        capture.conflicts.iter().map(conflict).collect()
    }
}

/// How the command of an entry ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself or by a signal.
    Exited(Exit),
    /// It could not be started, with this errno.
    CouldNotStart(i32),
    /// The entry runs no command, or it was not reached.
    NoCommand,
}

/// What was judged about an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Its changes may be committed.
    Approved,
    /// Its command failed or could not be started.
    CommandFailed,
    /// The live system changed meanwhile (see [`Report::conflicts`]).
    Conflict,
    /// Its changes cannot be committed on this host.
    Refused(Vec<Refusal>),
    /// It went beyond a limit, and was ended.
    LimitExceeded(Exceeded),
    /// Somebody stopped it with this signal.
    Interrupted(i32),
    /// A reboot that this run may not do.
    RebootNotAllowed,
    /// It acts on the running system, which a scratchpad keeps from it (see
    /// [`Report::out_of_reach`]).
    OutOfReach,
    /// After its commit a service manager did not do what was asked (see [`Report::actions`]).
    ActionFailed,
}

/// One reason why changes cannot be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The path it is about; `None` when it is about the whole entry.
    pub path: Option<RelPath>,
    /// The reason, a sentence without its full stop.
    pub reason: String,
    /// What to do about it, a sentence, where that does not follow from the reason.
    pub remedy: Option<&'static str>,
}

/// What became of the changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// They are live, and the receipt is durable.
    Committed,
    /// They were live and are taken back; the history has both.
    TakenBack,
    /// This was a preview: nothing was to be committed.
    Previewed,
    /// They were dropped; the live system is as before.
    Dropped,
    /// The scratchpad is kept under its name (`try --keep`).
    Kept,
}

/// How this host's change set compares with the origin's, over the normal form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Congruence {
    /// Equal.
    Same,
    /// Not equal; the paths that differ, none when the origin's change set is not at hand.
    Differs(Vec<Divergence>),
    /// There is nothing to compare with (this is the origin, or it recorded no result).
    Unknown,
}

/// One path at which a target changed otherwise than the origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// Where.
    pub path: RelPath,
    /// The change on the origin; `None` when the path did not change there.
    pub origin: Option<Change>,
    /// The change here; `None` when the path did not change here.
    pub here: Option<Change>,
    /// In what the two differ; at least one.
    pub aspects: Vec<DifferenceKind>,
}

impl Report {
    /// What it tried on the running system and was kept from, as far as something is lost by that.
    pub fn out_of_reach(&self) -> impl Iterator<Item = &Effect> {
        let effects = self.effects.iter();
        effects.filter(|effect| weight(effect) == Weight::Matters)
    }

    /// The time from the beginning of the set-up to the end of the commit.
    pub fn duration(&self) -> Duration {
        let phases = &self.phases;
        phases.set_up + phases.run + phases.collect + phases.commit
    }

    /// Whether the entry is as it should be: approved, whatever became of it.
    pub fn is_approved(&self) -> bool {
        self.verdict == Verdict::Approved
    }
}
