//! One entry in one scratchpad, up to the judged report. Not for what is done about it. Upholds:
//! `up`, `up --noop`, `exec` and `try` run and judge an entry by the same code.

use isconf_sandbox::capture::Capture;
use isconf_sandbox::change::{NormalRules, Timestamp};
use isconf_sandbox::collect::CollectError;
use isconf_sandbox::layout::Layout;
use isconf_sandbox::session::{Exited, MountError, Mounted, PrepareError, Prepared, Settings};

use super::contents::Contents;
use super::judge::{Evidence, judge};
use super::work::{Terminal, Work, WorkError};
use crate::model::report::{
    ChangeSetDigests, Congruence, Description, Ending, Outcome, Place, Report, UncoveredMount,
    Verdict,
};
use crate::store::Store;

/// Why an entry could not be tried.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// No scratchpad can be made.
    #[error("no scratchpad can be made")]
    Prepare(#[from] PrepareError),
    /// It cannot be mounted.
    #[error("the scratchpad cannot be mounted")]
    Mount(#[from] MountError),
    /// The entry cannot be done in it.
    #[error(transparent)]
    Work(#[from] WorkError),
    /// What it changed cannot be read.
    #[error("cannot read what changed")]
    Collect(#[from] CollectError),
}

/// What stays the same for all trials of one verb.
#[derive(Debug, Clone, Copy)]
pub struct Bench<'a> {
    /// What an entry needs.
    pub store: &'a Store,
    /// Which differences between hosts do not count.
    pub rules: &'a NormalRules,
    /// The command's streams.
    pub terminal: Terminal,
    /// Whether the bytes for unified diffs are to be kept.
    pub contents: bool,
}

/// An entry that ran, judged.
#[derive(Debug)]
pub struct Trial {
    /// The scratchpad, still there.
    pub exited: Exited,
    /// What it changed.
    pub capture: Capture,
    /// The report so far: place, author and outcome are for the caller.
    pub report: Report,
}

/// Makes a scratchpad.
pub fn mount(
    settings: &Settings,
    not_before: Option<Timestamp>,
) -> Result<(Mounted, Vec<UncoveredMount>), TrialError> {
    let prepared = Prepared::new(settings, not_before)?;
    let uncovered = prepared.uncovered().iter().map(uncovered_mount).collect();
    Ok((prepared.mount()?, uncovered))
}

/// Does the work in the scratchpad, reads what changed, and judges it. `contents` remembers bytes
/// across the entries of one scratchpad.
pub fn attempt(
    bench: Bench<'_>,
    mounted: Mounted,
    work: &Work,
    contents: &mut Contents,
) -> Result<Trial, TrialError> {
    let (mut exited, ending) = work.perform(mounted, bench.store, bench.terminal)?;
    let capture = exited.capture()?;
    if bench.contents {
        contents.remember(exited.layout(), &capture);
    }
    let report = report(bench, work.description(), &exited, &capture, ending);
    Ok(Trial { exited, capture, report })
}

fn report(
    bench: Bench<'_>,
    description: Description,
    exited: &Exited,
    capture: &Capture,
    ending: Ending,
) -> Report {
    let verdict = judge(Evidence {
        ending,
        interrupted_by: exited.interrupted_by(),
        findings: &capture.findings,
    });
    let rules = bench.rules.within(exited.window());
    Report {
        digests: Some(ChangeSetDigests {
            canonical: capture.set.digest(),
            normal: capture.set.normal_digest(&rules),
        }),
        changes: capture.set.clone(),
        shown_only: capture.shown.clone(),
        effects: exited.effects().to_vec(),
        findings: capture.findings.clone(),
        ending,
        verdict,
        phases: *exited.phases(),
        ..blank(Place::Try { name: None }, description)
    }
}

/// A report of nothing yet.
pub fn blank(place: Place, description: Description) -> Report {
    Report {
        place,
        description,
        author: String::new(),
        message: String::new(),
        changes: isconf_sandbox::change::ChangeSet::default(),
        digests: None,
        shown_only: isconf_sandbox::change::ChangeSet::default(),
        effects: Vec::new(),
        uncovered: Vec::new(),
        findings: Vec::new(),
        conflicts: Vec::new(),
        ending: Ending::NoCommand,
        verdict: Verdict::Approved,
        outcome: Outcome::Dropped,
        congruence: Congruence::Unknown,
        phases: isconf_sandbox::child::Phases::default(),
        retries: 0,
    }
}

fn uncovered_mount(uncovered: &isconf_sandbox::mounts::Uncovered) -> UncoveredMount {
    UncoveredMount {
        mount_point: uncovered.mount_point.clone(),
        fs_type: uncovered.fs_type.clone(),
        treatment: uncovered.to_string(),
    }
}

/// The absolute path of a change's new content in an upper layer.
pub fn upper_path(
    layout: &Layout,
    volume: usize,
    path: &isconf_sandbox::change::RelPath,
) -> Option<std::path::PathBuf> {
    layout.volumes.get(volume).map(|v| path.to_path_under(&v.upper()))
}
