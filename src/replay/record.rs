//! The origin: runs an entry under the lock, commits it here, and adds it to the wip. Not for
//! checking in. Upholds: a failing entry leaves nothing live and nothing in the wip.

use std::time::Duration;

use isconf_sandbox::change::{ChangeSet, encode_nodes};
use isconf_sandbox::child::Exit;
use isconf_sandbox::commit::crash_point;
use isconf_sandbox::layout::TxId;
use isconf_sandbox::session::Hold;

use super::again::{AgainError, Repeat, Second, run_again};
use super::commit::{Candidate, MakeRealError, discard, follow_up, make_real};
use super::contents::Contents;
use super::lint::{Looked, lint, lint_snapshot};
use super::payload::Payload;
use super::pending::pending;
use super::rehearsal::{RehearsalError, Rehearsed, rehearse};
use super::settle::record_draft;
use super::snapshot::{Snapshot, SnapshotError};
use super::this_host::ThisHost;
use super::trial::{Afterwards, Trial, TrialError, attempt, blank, prepare};
use super::work::{Streams, Work, reach};
use crate::check_in::{DraftsError, is_undecided};
use crate::hazards::limited;
use crate::history::{History, HistoryError};
use crate::journal::{JournalError, OthersDrafts, WipDraft, check_holder};
use crate::lock::{BranchLock, LockError};
use crate::model::progress::Progress;
use crate::model::report::{Description, Ending, Fate, Place, Report, Verdict};
use crate::model::{
    ChangeDigests, Deed, Draft, DraftId, EffectSummary, EntryKind, Exec, Handling, Hazard, Moment,
    OnFailure, Outcome, ReceiptBody, Snap,
};
use crate::store::StoreError;

/// Why nothing could be tried or recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The lock is not the caller's.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Entries of the journal are not applied here: what is made now would come before them on
    /// this host, and behind them on every other.
    #[error("this host has not applied all entries of the branch")]
    OutOfDate,
    /// The drafts may be checked in already.
    #[error("it is not known whether the changes made here are checked in")]
    Undecided,
    /// The drafts of this host cannot be told.
    #[error(transparent)]
    Drafts(#[from] DraftsError),
    /// Somebody else's drafts are here, and the holder of the lock did not take them over.
    #[error(transparent)]
    Others(#[from] OthersDrafts),
    /// The entry could not be tried.
    #[error(transparent)]
    Trial(#[from] TrialError),
    /// The entry could not be rehearsed.
    #[error(transparent)]
    Rehearsal(#[from] RehearsalError),
    /// It could not be tried a second time.
    #[error(transparent)]
    Again(#[from] AgainError),
    /// It could not be made real or recorded.
    #[error(transparent)]
    MakeReal(#[from] MakeRealError),
    /// The snapshot could not be taken.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Something could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The wip cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The history cannot be used.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// No random bytes for the draft's name.
    #[error("cannot get random bytes")]
    Random(#[source] getrandom::Error),
}

/// What to do with a successful entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intention {
    /// Show it and drop it.
    Preview,
    /// Make it real and record it.
    Record,
}

/// How a command is run and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    /// What to do with a successful one.
    pub intention: Intention,
    /// Where its streams lead.
    pub streams: Streams,
    /// Whether the bytes for unified diffs are kept.
    pub keeps_contents: bool,
    /// What becomes of it when a service manager does not do what it asks.
    pub on_failure: OnFailure,
    /// Whether it is run a second time, to see what differs.
    pub repeat: Repeat,
}

/// What came of it.
pub struct Recorded {
    /// The report.
    pub report: Report,
    /// The bytes for its unified diffs.
    pub contents: Contents,
    /// Why the command could not be started, for people.
    pub not_started: Option<String>,
    /// Holds signals back until the report is shown.
    pub hold: Option<Hold>,
}

impl Recorded {
    /// A rehearsal behind which nothing comes.
    fn without_commit(rehearsed: Rehearsed, intention: Intention) -> Self {
        let mut report = rehearsed.report;
        report.fate = intention.fate_without_commit();
        Self {
            report,
            contents: rehearsed.contents,
            not_started: rehearsed.not_started,
            hold: None,
        }
    }
}

impl Intention {
    const fn fate_without_commit(self) -> Fate {
        match self {
            Self::Preview => Fate::Previewed,
            Self::Record => Fate::Dropped,
        }
    }
}

/// The right to record one change, which only the check gives.
#[derive(Debug)]
pub struct Permit {
    /// Why the branch is locked, which is the message of what is recorded.
    message: String,
}

/// Checks that the caller may change the branch, that this host has applied all that it has, and
/// that nobody else's drafts would be gone on with.
pub fn check_lock(host: &ThisHost, history: &History) -> Result<Permit, RecordingError> {
    if is_undecided(host.site()) {
        return Err(RecordingError::Undecided);
    }
    let lock = BranchLock::load(&host.branch_lock())?;
    let held = lock.check(&host.author, &host.key)?;
    let journal = host.journal()?;
    if history.position(journal.chain())? < journal.len() {
        return Err(RecordingError::OutOfDate);
    }
    host.take_back(journal);
    check_holder(&host.drafts(history)?, held)?;
    let message = held.message.to_string();
    Ok(Permit { message })
}

/// Runs a command in a scratchpad; makes it real and records it if it succeeds.
pub fn exec(
    host: &ThisHost,
    history: &mut History,
    permit: Permit,
    exec: Exec,
    manner: Manner,
    progress: &mut dyn Progress,
) -> Result<Recorded, RecordingError> {
    let message = permit.message;
    let started = host.now();
    let work = Work::Command(exec.clone());
    let journal = host.journal()?;
    let uncounted = host.uncounted(&journal, started)?;
    host.take_back(journal);
    let bench = host.bench(&uncounted, manner.streams, manner.keeps_contents);
    let mut rehearsal = None;
    if exec.effects == Handling::Live {
        let mut rehearsed = rehearse(bench, &host.home, &work)?;
        name(host, &mut rehearsed.report, &message)?;
        if manner.intention == Intention::Preview || !rehearsed.report.is_approved() {
            return Ok(Recorded::without_commit(rehearsed, manner.intention));
        }
        rehearsal = rehearsed.report.rehearsal;
    }
    let mut contents = Contents::new();
    let pad = prepare(&host.home, reach(exec.effects))?;
    let Trial {
        exited,
        capture,
        change_set,
        digests,
        mut report,
        rules,
        not_started,
    } = attempt(bench, pad, Afterwards::End, &work, &mut contents)?;
    name(host, &mut report, &message)?;
    report.rehearsal = rehearsal;
    if report.is_approved() {
        let looked = Looked {
            exec: &exec,
            layout: exited.layout(),
            capture: &capture,
            report: &report,
            rules: &rules,
        };
        let found = lint(host, history, looked);
        let (found, interrupted_by) = match manner.repeat {
            Repeat::No => (found, None),
            Repeat::Check => repeated(found, run_again(&host.home, bench, &work, looked)?),
        };
        report.hazards = limited(found);
        if let Some(signal) = interrupted_by {
            report.verdict = Verdict::Interrupted(signal);
        }
    }
    let mut recorded = Recorded {
        report,
        contents,
        not_started,
        hold: None,
    };
    if manner.intention == Intention::Preview || !recorded.report.is_approved() {
        recorded.report.fate = manner.intention.fate_without_commit();
        discard(exited)?;
        return Ok(recorded);
    }
    let kind = EntryKind::Exec(exec);
    let report = &mut recorded.report;
    let outcome = outcome(report, digests);
    let draft = draft(host, report.message.clone(), kind, outcome, started)?;
    let tx = exited.layout().tx.clone();
    let mut payload = payload(host, tx.clone(), draft, report);
    payload.pending = pending(tx, exited.actions(), manner.on_failure);
    let candidate = Candidate {
        exited,
        capture: &capture,
        change_set: &change_set,
        payload: &payload,
    };
    if let Some(made) = make_real(host, history, candidate, report, progress)? {
        match payload.pending {
            Some(pending) => follow_up(host, history, made.remains, pending, report, progress)?,
            None => made.remains.done().map_err(MakeRealError::Finish)?,
        }
        recorded.hold = Some(made.hold);
    }
    Ok(recorded)
}

/// What was found in one run, with what the second one shows; and the signal that ended that.
fn repeated(mut found: Vec<Hazard>, second: Second) -> (Vec<Hazard>, Option<i32>) {
    match second {
        Second::Compared(differences) => {
            found.extend(differences);
            (found, None)
        }
        Second::Interrupted(signal) => (found, Some(signal)),
    }
}

/// What is recorded with an approved trial; gives the report its draft.
fn payload(host: &ThisHost, tx: TxId, draft: Draft, report: &mut Report) -> Payload {
    let receipt = ReceiptBody {
        deed: Deed::Made(draft.id),
        branch: host.branch.clone(),
        changes: Some(draft.outcome.changes),
        tx: Some(tx.clone()),
        started: draft.time,
        finished: host.now(),
        congruent: None,
    };
    report.place = match report.place {
        Place::Wip { number, .. } => Place::Wip {
            number,
            draft: draft.id,
        },
        ref other => other.clone(),
    };
    Payload {
        receipt,
        draft: Some(WipDraft {
            draft,
            tx: Some(tx),
        }),
        pending: None,
    }
}

/// Takes a snapshot of files that are live on this origin, and records it.
pub fn snap(
    host: &ThisHost,
    history: &mut History,
    permit: Permit,
    snapshot: Snapshot,
    intention: Intention,
) -> Result<Recorded, RecordingError> {
    let message = permit.message;
    let started = host.now();
    let nodes = snapshot.nodes.iter().cloned().collect();
    let mut report = blank(
        Place::Try { name: None },
        Description::Snap {
            paths: snapshot.paths.clone(),
        },
    );
    name(host, &mut report, &message)?;
    report.hazards = lint_snapshot(host, &snapshot);
    report.fate = Fate::Previewed;
    let mut recorded = Recorded {
        report,
        contents: Contents::new(),
        not_started: None,
        hold: None,
    };
    if intention == Intention::Preview {
        return Ok(recorded);
    }
    let manifest = host.store.put_bytes(&encode_nodes(&nodes))?;
    let snap: Snap = snapshot.into_record(manifest);
    let empty = ChangeSet::default();
    let full = host.store.put_bytes(&empty.encode())?;
    let digests = ChangeDigests { full, normal: full };
    let outcome = outcome(&recorded.report, digests);
    let draft = draft(host, message, EntryKind::Snap(snap), outcome, started)?;
    made_without_change(host, history, draft)?;
    recorded.report.fate = Fate::Committed;
    Ok(recorded)
}

/// Records a reboot; durable before the caller reboots.
pub fn reboot(
    host: &ThisHost,
    history: &mut History,
    permit: Permit,
) -> Result<(), RecordingError> {
    let message = permit.message;
    let started = host.now();
    let empty = ChangeSet::default();
    let full = host.store.put_bytes(&empty.encode())?;
    let digests = ChangeDigests { full, normal: full };
    let report = blank(Place::Try { name: None }, Description::Reboot);
    let draft = draft(
        host,
        message,
        EntryKind::Reboot,
        outcome(&report, digests),
        started,
    )?;
    made_without_change(host, history, draft)
}

/// Records a draft that changed no live file. The draft comes first: a receipt of a draft that is
/// not in the wip would say that something was made which nobody can check in.
fn made_without_change(
    host: &ThisHost,
    history: &mut History,
    draft: Draft,
) -> Result<(), RecordingError> {
    let body = receipt_of(host, &draft);
    record_draft(host, &WipDraft { draft, tx: None })?;
    crash_point("record.draft.durable");
    history.append_announced(&host.lock, &host.home, &body)?;
    crash_point("record.receipt.durable");
    Ok(())
}

/// The receipt of a draft that changed no live file.
pub fn receipt_of(host: &ThisHost, draft: &Draft) -> ReceiptBody {
    ReceiptBody {
        deed: Deed::Made(draft.id),
        branch: host.branch.clone(),
        changes: match draft.kind {
            EntryKind::Reboot => None,
            EntryKind::Snap(_) | EntryKind::Exec(_) => Some(draft.outcome.changes),
        },
        tx: None,
        started: draft.time,
        finished: host.now(),
        congruent: None,
    }
}

/// Gives the report its place in the wip, its author and its message.
fn name(host: &ThisHost, report: &mut Report, message: &str) -> Result<(), RecordingError> {
    let number = host.wip()?.map_or(0, |wip| wip.len()) + 1;
    report.place = Place::Wip {
        number,
        draft: DraftId::from_bytes([0; 16]),
    };
    report.author = Some(host.author.clone());
    message.clone_into(&mut report.message);
    Ok(())
}

fn draft(
    host: &ThisHost,
    message: String,
    kind: EntryKind,
    outcome: Outcome,
    time: Moment,
) -> Result<Draft, RecordingError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(RecordingError::Random)?;
    let (id, author) = (DraftId::from_bytes(bytes), host.author.clone());
    Ok(Draft {
        id,
        author,
        time,
        message,
        kind,
        outcome,
    })
}

fn outcome(report: &Report, changes: ChangeDigests) -> Outcome {
    let exit = match report.ending {
        Ending::Exited(exit) => exit,
        Ending::NoCommand | Ending::CouldNotStart(_) => Exit::Status(0),
    };
    Outcome {
        exit,
        changes,
        effects: report.effects.iter().map(EffectSummary::of).collect(),
        hazards: report.hazards.clone(),
        duration_ms: milliseconds(report.phases.run),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
