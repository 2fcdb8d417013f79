//! From an approved trial to a settled transaction. Not for judging. Upholds: nothing becomes live
//! before its intent is durable, nothing is forgotten before its receipt is.

use std::error::Error;
use std::io;
use std::time::Instant;

use isconf_sandbox::capture::Capture;
use isconf_sandbox::commit::{Caller, CommitError, RecordError};
use isconf_sandbox::session::{DiscardError, EndError, Ended, Exited, Hold};
use nix::errno::Errno;

use super::actions::{ActionsError, carry_out};
use super::aside::Remains;
use super::payload::Payload;
use super::pending::PendingActions;
use super::room::keep_room;
use super::settle::{SettleError, settle_first};
use super::this_host::ThisHost;
use crate::history::History;
use crate::model::progress::{Progress, Unit};
use crate::model::report::{Conflict, Fate, Refusal, Report, Verdict};
use crate::store::Batch;

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
    /// It is live and recorded, and the end of its transaction is not durable.
    #[error("the entry is live and recorded; the next start of isconf makes sure of its end")]
    Finish(#[from] RecordError),
    /// It is live and could not be recorded; the next start records it.
    #[error("the entry is live and not recorded yet; the next start of isconf records it")]
    Settle(#[from] SettleError),
    /// It is live and recorded, and what it asks of service managers is not seen to its end.
    #[error(
        "the entry is live and recorded; the next start of isconf goes on with what it asks of service managers"
    )]
    Actions(#[from] ActionsError),
}

/// What is to become real.
pub struct Candidate<'a> {
    /// The scratchpad.
    pub exited: Exited,
    /// What it holds.
    pub capture: &'a Capture,
    /// Its change set as bytes, which the receipt refers to: a target shows with it where it differs
    /// from the origin, and an audit knows with it what to expect.
    pub change_set: &'a [u8],
    /// What is recorded with it.
    pub payload: &'a Payload,
}

/// Makes everything about a committed entry durable, and then does what it asks of service managers.
pub fn follow_up(
    host: &ThisHost,
    history: &mut History,
    remains: Remains,
    pending: PendingActions,
    report: &mut Report,
    progress: &mut dyn Progress,
) -> Result<(), MakeRealError> {
    remains.done()?;
    carry_out(host, history, pending, progress)?.tell(report);
    Ok(())
}

/// What was made real and recorded.
#[must_use = "see to what remains"]
pub struct Made {
    /// Holds signals back until the caller has told of it.
    pub hold: Hold,
    /// To be done, at the latest before the next entry is made real.
    pub remains: Remains,
}

/// Commits what the trial captured and records it, or drops it and says in the report why.
pub fn make_real(
    host: &ThisHost,
    history: &mut History,
    candidate: Candidate<'_>,
    report: &mut Report,
    progress: &mut dyn Progress,
) -> Result<Option<Made>, MakeRealError> {
    let begun = Instant::now();
    let mut exited = candidate.exited;
    let interrupted_by = exited.interrupted_by();
    let ended = exited.end()?;
    if let Some(signal) = interrupted_by {
        report.verdict = Verdict::Interrupted(signal);
        report.fate = Fate::Dropped;
        ended.discard()?;
        return Ok(None);
    }
    let payload = candidate.payload.to_bytes();
    let mut stored = match begin_to_store(host, candidate.change_set, payload.len()) {
        Ok(stored) => stored,
        Err(error) => {
            refuse(report, &*error);
            ended.discard()?;
            return Ok(None);
        }
    };
    let paths = candidate.capture.set.changes().len() as u64;
    progress.begin("committing", Unit::Paths, Some(paths));
    let mut tell = |done: u64, total: u64| {
        // A path has some steps or none; people count paths.
        progress.done(paths.saturating_mul(done) / total.max(1));
        if done == total {
            // What follows is a sync, and the end of the scratchpad.
            progress.end();
        }
    };
    let approved = ended.into_approved();
    let caller = Caller {
        payload: &payload,
        companion: &mut stored,
        tell: &mut tell,
    };
    let committed = approved.commit(candidate.capture, caller);
    progress.end();
    match committed {
        Ok((landed, hold, unneeded)) => {
            let finished = settle_first(host, history, candidate.payload, landed)?;
            report.stopped_by = hold.asked_to_end();
            report.fate = Fate::Committed;
            report.phases.commit = begun.elapsed();
            let remains = Remains { finished, unneeded };
            Ok(Some(Made { hold, remains }))
        }
        Err((error, ended)) => gave_up(report, error, ended).map(|()| None),
    }
}

/// Drops a scratchpad with what it holds.
pub fn discard(exited: Exited) -> Result<(), MakeRealError> {
    Ok(exited.end()?.discard()?)
}

/// Says in the report why nothing was committed, and drops the scratchpad; `None` in its place when
/// the commit could not be taken back.
fn gave_up(
    report: &mut Report,
    error: CommitError,
    ended: Option<Ended>,
) -> Result<(), MakeRealError> {
    let Some(ended) = ended else {
        return Err(MakeRealError::Interrupted(error));
    };
    not_committed(report, error);
    // Why nothing was committed matters more than a scratchpad that cannot be removed, as when its
    // filesystem became read-only; the next start sweeps it.
    let _swept_later = ended.discard();
    Ok(())
}

/// Keeps room for the records, and writes the change set aside.
fn begin_to_store<'a>(
    host: &'a ThisHost,
    change_set: &[u8],
    payload: usize,
) -> Result<Batch<'a>, Box<dyn Error>> {
    keep_room(host, payload)?;
    let mut batch = host.store.batch()?;
    batch.add_bytes(change_set)?;
    Ok(batch)
}

/// Says in the report why nothing was committed.
pub fn not_committed(report: &mut Report, error: CommitError) {
    match error {
        CommitError::Conflicts(conflicts) => {
            report.fate = Fate::Dropped;
            report.verdict = Verdict::Conflict;
            report.conflicts = conflicts
                .list
                .into_iter()
                .map(|c| Conflict {
                    path: c.path,
                    seen: c.expected.into(),
                    found: c.found,
                })
                .collect();
        }
        other => refuse(report, &other),
    }
}

/// Says in the report why nothing may be committed.
fn refuse(report: &mut Report, error: &(dyn Error + 'static)) {
    report.fate = Fate::Dropped;
    report.verdict = Verdict::Refused(vec![Refusal {
        path: None,
        reason: chain(error),
        remedy: is_out_of_room(error).then_some(MAKE_ROOM),
    }]);
}

/// What to do when a filesystem has no bytes or no inodes left.
const MAKE_ROOM: &str =
    "make room on that filesystem (`df` and `df -i` tell what it lacks), then try again.";

/// Whether an error comes from a filesystem, or a quota, that is full.
fn is_out_of_room(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        let errno = cause.downcast_ref::<Errno>().copied();
        let system = || cause.downcast_ref::<io::Error>()?.raw_os_error();
        if let Some(errno) = errno.or_else(|| system().map(Errno::from_raw)) {
            return matches!(errno, Errno::ENOSPC | Errno::EDQUOT);
        }
        next = cause.source();
    }
    false
}

/// An error with all its causes, from the outside in, as one line without a full stop. A cause that
/// is told already (some errors end with the words of theirs) is not told twice.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = words(error);
    let mut cause = error.source();
    while let Some(source) = cause {
        let words = words(source);
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = source.source();
    }
    text
}

/// A sentence without its end; `.` and `..` at the end are paths.
fn without_full_stop(line: &str) -> &str {
    let sentence = line.strip_suffix('.');
    let sentence = sentence.filter(|sentence| !sentence.ends_with([' ', '/', '.']));
    sentence.unwrap_or(line)
}

/// One error's own words on one line. An errno has the words of strerror(3), without its name or
/// number.
fn words(error: &(dyn Error + 'static)) -> String {
    let text = match error.downcast_ref::<Errno>() {
        Some(errno) => io::Error::from(*errno).to_string(),
        None => error.to_string(),
    };
    let lines = text.lines().map(|line| without_full_stop(line.trim()));
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let text = lines.join("; ");
    // So an `io::Error` ends, and errors that end with the words of one.
    match text.rsplit_once(" (os error ") {
        Some((words, number)) if number.trim_end_matches(')').parse::<u32>().is_ok() => {
            words.to_owned()
        }
        Some(_) | None => text,
    }
}
