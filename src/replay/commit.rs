//! From an approved trial to a settled transaction. Not for judging. Upholds: nothing becomes live
//! before its intent is durable, nothing is forgotten before its receipt is.

use isconf_sandbox::capture::Capture;
use isconf_sandbox::commit::CommitError;
use isconf_sandbox::session::{DiscardError, EndError, Exited};
use std::time::Instant;

use super::payload::Payload;
use super::settle::{SettleError, settle};
use super::this_host::ThisHost;
use crate::history::History;
use crate::model::report::{Conflict, Fate, Refusal, Report, Verdict};

/// Why an approved entry is not settled.
#[derive(Debug, thiserror::Error)]
pub enum MakeRealError {
    /// The scratchpad could not be ended.
    #[error("the scratchpad cannot be ended")]
    End(#[from] EndError),
    /// It could not be removed.
    #[error("the scratchpad cannot be removed")]
    Discard(#[from] DiscardError),
    /// It was begun, failed, and could not be taken back: recovery goes on with it.
    #[error("the commit was interrupted; the next start of isconf goes on with it")]
    Interrupted(#[source] CommitError),
    /// It is live and could not be recorded; the next start records it.
    #[error("the entry is live and not recorded yet; the next start of isconf records it")]
    Settle(#[from] SettleError),
}

/// Commits what the trial captured and records it, or drops it and says in the report why.
pub fn make_real(
    host: &ThisHost,
    history: &mut History,
    exited: Exited,
    capture: &Capture,
    payload: &Payload,
    report: &mut Report,
) -> Result<(), MakeRealError> {
    let begun = Instant::now();
    let ended = exited.end()?;
    match ended.into_approved().commit(capture, &payload.to_bytes()) {
        Ok(landed) => {
            settle(host, history, landed)?;
            report.fate = Fate::Committed;
            report.phases.commit = begun.elapsed();
            Ok(())
        }
        Err((error, None)) => Err(MakeRealError::Interrupted(error)),
        Err((error, Some(ended))) => {
            refuse(report, error);
            // Why nothing was committed matters more than a scratchpad that cannot be removed, as
            // when its filesystem became read-only; the next start sweeps it.
            let _swept_later = ended.discard();
            Ok(())
        }
    }
}

/// Says in the report why nothing was committed.
pub fn refuse(report: &mut Report, error: CommitError) {
    report.fate = Fate::Dropped;
    match error {
        CommitError::Conflicts(conflicts) => {
            report.verdict = Verdict::Conflict;
            report.conflicts = conflicts
                .list
                .into_iter()
                .map(|c| Conflict {
                    path: c.path,
                    seen: c.expected,
                    found: c.found,
                })
                .collect();
        }
        other => {
            report.verdict = Verdict::Refused(vec![Refusal {
                path: None,
                reason: chain(&other),
            }]);
        }
    }
}

/// An error with all its causes, as one line without a full stop.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let words = source.to_string();
        // A transparent error has its source's words already.
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = source.source();
    }
    text
}
