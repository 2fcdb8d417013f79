//! The rehearsal of an entry that acts on the running system: it first runs contained, for the report,
//! and only what fails for nothing but that is let at the running system. Not for the run that
//! follows. Upholds: what fails in its rehearsal has happened nowhere.

use super::commit::{MakeRealError, discard};
use super::contents::Contents;
use super::trial::{Afterwards, Bench, Trial, TrialError, attempt, prepare};
use super::work::{Input, Output, Streams, Work};
use crate::model::Home;
use crate::model::report::{Rehearsal, Report, Verdict};
use isconf_sandbox::reach::Reach;

/// Why an entry could not be rehearsed.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// It could not be tried.
    #[error(transparent)]
    Trial(#[from] TrialError),
    /// Its scratchpad could not be dropped.
    #[error(transparent)]
    Discard(#[from] MakeRealError),
}

/// A rehearsal that is over.
pub struct Rehearsed {
    /// What it did, with its verdict: approved where the running system may follow.
    pub report: Report,
    /// The bytes for its unified diffs.
    pub contents: Contents,
    /// Why the command could not be started, for people.
    pub not_started: Option<String>,
}

/// Runs the work contained, and drops what it did.
pub fn rehearse(bench: Bench<'_>, home: &Home, work: &Work) -> Result<Rehearsed, RehearsalError> {
    let bench = Bench {
        // What the caller has on its standard input is for the run that counts.
        streams: Streams {
            input: Input::Nothing,
            output: Output::Aside,
        },
        ..bench
    };
    let mut contents = Contents::new();
    let pad = prepare(home, Reach::Contained)?;
    let trial = attempt(bench, pad, Afterwards::End, work, &mut contents)?;
    let Trial {
        exited,
        mut report,
        not_started,
        ..
    } = trial;
    discard(exited)?;
    take_as_rehearsal(&mut report);
    Ok(Rehearsed {
        report,
        contents,
        not_started,
    })
}

/// Judges a contained run of an entry that acts on the running system.
pub fn take_as_rehearsal(report: &mut Report) {
    report.rehearsal = Some(Rehearsal {
        ending: report.ending,
        effects: report.effects.clone(),
        acted_before: false,
    });
    let lacked = report.out_of_reach().next().is_some();
    if report.verdict == Verdict::CommandFailed && lacked {
        report.verdict = Verdict::Approved;
    }
}
