//! One entry in one scratchpad, up to the judged report. Not for what is done about it. Upholds:
//! `up`, `up --noop`, `exec` and `try` run and judge an entry by the same code.

use std::os::unix::fs::MetadataExt;

use isconf_sandbox::capture::Capture;
use isconf_sandbox::change::{ChangeSet, Digest, NormalRules, Timestamp};
use isconf_sandbox::child::Phases;
use isconf_sandbox::collect::CollectError;
use isconf_sandbox::mounts::{Disguise, Uncovered};
use isconf_sandbox::reach::Reach;
use isconf_sandbox::session::{self, Exited, PrepareError, Prepared, WaitError};
use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};

use super::contents::Contents;
use super::judge::{Evidence, judge};
use super::uncounted::Uncounted;
use super::work::{Scratchpad, Streams, Work, WorkError};
use crate::config::Settings;
use crate::model::report::{
    Conflict, Congruence, Description, Ending, Fate, Place, Report, UncoveredMount, Verdict,
};
use crate::model::{ActionReport, ChangeDigests, Home};
use crate::store::Store;

/// Why an entry could not be tried.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// No scratchpad can be made.
    #[error("no scratchpad can be made")]
    Prepare(#[from] PrepareError),
    /// The entry cannot be done in it.
    #[error(transparent)]
    Work(#[from] WorkError),
    /// The command cannot be waited for.
    #[error("the command cannot be supervised")]
    Wait(#[from] WaitError),
    /// What it changed cannot be read.
    #[error("cannot read what changed")]
    Collect(#[from] CollectError),
    /// The clock cannot be read.
    #[error("cannot read the clock")]
    Clock(#[source] Errno),
}

/// What stays the same for all trials of one verb.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    /// What an entry needs.
    pub store: &'a Store,
    /// What does not count when hosts are compared.
    pub uncounted: &'a Uncounted,
    /// What a site adds to a command's environment.
    pub settings: &'a Settings,
    /// The command's streams.
    pub streams: Streams,
    /// Whether the bytes for unified diffs are to be kept.
    pub keeps_contents: bool,
}

/// An entry that ran, judged.
#[derive(Debug)]
pub struct Trial {
    /// The scratchpad, still there.
    pub exited: Exited,
    /// What it changed.
    pub capture: Capture,
    /// The change set as bytes.
    pub change_set: Vec<u8>,
    /// Its digests.
    pub digests: ChangeDigests,
    /// The report so far: place, author and fate are for the caller.
    pub report: Report,
    /// How its times of modification are told from those it set.
    pub rules: NormalRules,
    /// Why the command could not be started, for people.
    pub not_started: Option<String>,
}

/// Prepares a scratchpad of the host with this home.
pub fn prepare(home: &Home, reach: Reach) -> Result<Scratchpad, TrialError> {
    let settings = session::Settings {
        reach,
        ..session::Settings::new(home.as_path())
    };
    prepare_with(home, &settings)
}

/// Prepares one that contains its command, and tells something else of the host than the truth.
pub fn prepare_disguised(home: &Home, disguise: Disguise) -> Result<Scratchpad, TrialError> {
    let settings = session::Settings {
        disguise: Some(disguise),
        ..session::Settings::new(home.as_path())
    };
    prepare_with(home, &settings)
}

fn prepare_with(home: &Home, settings: &session::Settings) -> Result<Scratchpad, TrialError> {
    let prepared = Prepared::new(settings, last_commit(home))?;
    Ok(Scratchpad::Fresh(Box::new(prepared)))
}

/// When this host last recorded a commit, as the filesystem's clock tells it: everything that was
/// committed here is not younger. `None` when nothing was recorded ever.
///
/// A scratchpad takes what changes from its own first stamp on for somebody else's work. Before
/// Linux 6.13 stamps move in ticks of some milliseconds, and one that begins within the tick of our
/// own last commit has to know of it to wait for the next.
fn last_commit(home: &Home) -> Option<Timestamp> {
    let metadata = std::fs::metadata(home.history()).ok()?;
    Some(Timestamp {
        secs: metadata.mtime(),
        nanos: u32::try_from(metadata.mtime_nsec()).ok()?,
    })
}

/// Whether the scratchpad is needed after an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Afterwards {
    /// It ends; what the entry wrote stays until it is committed or dropped.
    End,
    /// The next entry comes on top.
    Again,
}

/// Does the work in the scratchpad, reads what changed, and judges it.
pub fn attempt(
    bench: Bench<'_>,
    pad: Scratchpad,
    afterwards: Afterwards,
    work: &Work,
    contents: &mut Contents,
) -> Result<Trial, TrialError> {
    let from = now(ClockId::CLOCK_REALTIME_COARSE)?;
    let done = work.perform(pad, bench)?;
    let rules = NormalRules {
        since: bench.uncounted.since,
        run: (from, now(ClockId::CLOCK_REALTIME)?),
        ignore: bench.uncounted.ignore.clone(),
    };
    let mut exited = done.exited;
    if afterwards == Afterwards::End {
        exited.let_go();
    }
    let capture = exited.capture()?;
    if bench.keeps_contents {
        contents.remember(exited.layout(), &capture);
    }
    let mut report = blank(Place::Try { name: None }, work.description());
    let change_set = capture.set.encode();
    let digests = ChangeDigests {
        full: Digest::of(&change_set),
        normal: capture.set.normal_digest(&rules),
    };
    report.digests = Some(digests);
    let interrupted_by = exited.interrupted_by();
    report.verdict = judge(Evidence {
        ending: done.ending,
        interrupted_by,
        exceeded: exited.exceeded(),
        changes: &capture.set,
        findings: &capture.findings,
        conflicts: capture.conflicts.len(),
        effects: exited.effects(),
        handling: work.handling(),
    });
    report.changes = capture.set.clone();
    report.shown_only = capture.shown.clone();
    report.effects = exited.effects().to_vec();
    let actions = exited.actions().iter().cloned();
    report.actions = actions.map(ActionReport::waiting).collect();
    report.uncovered = exited.uncovered().iter().map(uncovered_mount).collect();
    report.conflicts = Conflict::of_capture(&capture);
    report.findings = capture.findings.clone();
    report.ending = done.ending;
    report.phases = *exited.phases();
    Ok(Trial {
        exited,
        capture,
        change_set,
        digests,
        report,
        rules,
        not_started: done.not_started,
    })
}

/// A clock. Inodes are stamped with the coarse one, or, where somebody looks closely, with the fine
/// one (Linux 6.13): what happened in between is not before the coarse nor behind the fine time.
fn now(clock: ClockId) -> Result<Timestamp, TrialError> {
    let now = clock_gettime(clock).map_err(TrialError::Clock)?;
    Ok(Timestamp {
        secs: now.tv_sec(),
        nanos: now.tv_nsec() as u32,
    })
}

/// A report of nothing yet.
pub fn blank(place: Place, description: Description) -> Report {
    Report {
        place,
        description,
        author: None,
        message: String::new(),
        changes: ChangeSet::default(),
        digests: None,
        shown_only: ChangeSet::default(),
        effects: Vec::new(),
        rehearsal: None,
        actions: Vec::new(),
        hazards: Vec::new(),
        uncovered: Vec::new(),
        findings: Vec::new(),
        conflicts: Vec::new(),
        ending: Ending::NoCommand,
        verdict: Verdict::Approved,
        fate: Fate::Dropped,
        congruence: Congruence::Unknown,
        phases: Phases::default(),
        retries: 0,
        stopped_by: None,
    }
}

fn uncovered_mount(uncovered: &Uncovered) -> UncoveredMount {
    UncoveredMount {
        mount_point: uncovered.mount_point.clone(),
        fs_type: uncovered.fs_type.clone(),
        treatment: uncovered.to_string(),
    }
}
