//! `up` and `up --noop`: the pending entries in the order of the journal. Upholds: replay stops at
//! the first entry that does not go through, with the machine as before it, and goes on there next
//! time; a preview runs the same code and commits nothing.
//!
//! ```text
//! up:        for each entry: scratchpad ─> trial ─> judge ─> commit ─> receipt
//! up --noop: one scratchpad: entry ─> trial ─> judge, the next on top, ... dropped
//! ```

use std::thread;
use std::time::Instant;

use isconf_sandbox::change::{ChangeSet, NormalRules};
use isconf_sandbox::commit::crash_point;
use isconf_sandbox::reach::Reach;
use isconf_sandbox::session::{Exited, Hold, Mounted};

use super::acting;
use super::aside::{Aside, Unsettled};
use super::commit::{Candidate, MakeRealError, chain, discard, follow_up, make_real};
use super::congruence::congruence;
use super::contents::Contents;
use super::payload::Payload;
use super::pending::pending;
use super::preview_network::{Outside, of_entry};
use super::rehearsal::{RehearsalError, rehearse, take_as_rehearsal};
use super::this_host::ThisHost;
use super::trial::{Afterwards, Trial, TrialError, attempt, blank, prepare};
use super::uncounted::Uncounted;
use super::upkeep::keep_undo;
use super::work::{Input, Output, Scratchpad, Streams, Work, WorkError, reach};
use crate::check_in::DraftsError;
use crate::durable::FileError;
use crate::history::{History, HistoryError};
use crate::journal::{Journal, JournalError};
use crate::model::progress::Progress;
use crate::model::report::{Congruence, Description, Fate, Place, Refusal, Report, Verdict};
use crate::model::run::{Run, RunMode, RunOutcome};
use crate::model::{Deed, Entry, EntryKind, Handling, Moment, OnFailure, ReceiptBody};

/// After so many entries undo copies are brought within the policy: a long replay is not to need the
/// room of all of them.
const UPKEEP_EVERY: u64 = 64;

/// How often an entry is run again because the live system changed while it ran.
const MAX_RETRIES: u32 = 2;

/// Why `up` could not go on; the machine is as after the last entry that was reported.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// Uncommitted work is in the way.
    #[error("local changes not checked in")]
    Wip,
    /// The drafts of this host cannot be told.
    #[error(transparent)]
    Drafts(#[from] DraftsError),
    /// The journal or the wip cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The history cannot be used.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// An entry could not be tried.
    #[error("entry {seq}")]
    Trial {
        /// Which.
        seq: u64,
        /// Why.
        #[source]
        source: TrialError,
    },
    /// That an entry's command acts on the running system could not be written down.
    #[error("entry {seq}")]
    Acting {
        /// Which.
        seq: u64,
        /// Why.
        #[source]
        source: FileError,
    },
    /// An entry could not be made real or recorded.
    #[error("entry {seq}")]
    MakeReal {
        /// Which.
        seq: u64,
        /// Why.
        #[source]
        source: MakeRealError,
    },
}

/// What `up` is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateRequest {
    /// Whether to commit.
    pub mode: RunMode,
    /// Whether a preview may reach other hosts.
    pub outside: Outside,
    /// Whether a reboot entry may be recorded for the caller to reboot.
    pub may_reboot: bool,
    /// Where the commands' output goes.
    pub output: Output,
    /// Whether the bytes for unified diffs are kept.
    pub keeps_contents: bool,
    /// What becomes of an entry when a service manager does not do what it asks.
    pub on_failure: OnFailure,
}

/// Runs the pending entries. `each` is given every report as soon as there is one, with the bytes
/// for its diffs. After [`RunOutcome::Rebooting`] the caller reboots; the receipt is durable.
pub fn update(
    host: &ThisHost,
    history: &mut History,
    request: UpdateRequest,
    progress: &mut dyn Progress,
    each: &mut dyn FnMut(&Report, &Contents),
) -> Result<Run, UpdateError> {
    let begun = Instant::now();
    if !host.drafts(history)?.is_empty() {
        return Err(UpdateError::Wip);
    }
    let journal = host.journal()?;
    let position = history.position(journal.chain())?;
    let mut run = Run {
        mode: request.mode,
        host: host.settings.host.value.clone(),
        branch: host.branch.clone(),
        entries: 0,
        last: None,
        pending: journal.len() - position,
        outcome: RunOutcome::NothingPending,
        duration: begun.elapsed(),
    };
    if run.pending > 0 {
        let uncounted = host.uncounted(&journal, host.now())?;
        let to_commit = match request.mode {
            RunMode::Commit => run.pending,
            RunMode::Preview => 0,
        };
        thread::scope(|scope| {
            let mut replay = Replay {
                host,
                history,
                journal: &journal,
                uncounted,
                request,
                progress,
                pad: None,
                contents: Contents::new(),
                hold: None,
                aside: Aside::new(scope, &journal, to_commit),
            };
            let replayed = replay.all(position, &mut run, each);
            // The entry before what failed comes first, in the order of things.
            replay.aside.end().map_err(unsettled)?;
            replayed?;
            replay.finish()
        })?;
    }
    run.duration = begun.elapsed();
    Ok(run)
}

struct Replay<'a> {
    host: &'a ThisHost,
    history: &'a mut History,
    journal: &'a Journal,
    uncounted: Uncounted,
    request: UpdateRequest,
    progress: &'a mut dyn Progress,
    /// The one scratchpad of a preview, between entries.
    pad: Option<Mounted>,
    contents: Contents,
    /// Holds signals back until the report of the last entry is shown.
    hold: Option<Hold>,
    aside: Aside<'a>,
}

impl Replay<'_> {
    fn all(
        &mut self,
        position: u64,
        run: &mut Run,
        each: &mut dyn FnMut(&Report, &Contents),
    ) -> Result<(), UpdateError> {
        run.outcome = RunOutcome::Complete;
        for seq in self.journal.pending(position) {
            let entry = self.aside.entry(seq)?;
            if self.request.mode == RunMode::Commit && seq % UPKEEP_EVERY == 0 {
                self.settled()?;
                // What fails here is tried again, and told, at the end.
                let _told_at_the_end = keep_undo(self.host);
            }
            let mut report = self.one(&entry)?;
            each(&report, &self.contents);
            if let Some(hold) = self.hold.take() {
                report.stopped_by = report.stopped_by.or_else(|| hold.asked_to_end());
            }
            let goes_on = report.is_approved();
            run.outcome = match (&report.verdict, &entry.draft.kind) {
                (Verdict::Approved, EntryKind::Reboot) if self.request.mode == RunMode::Commit => {
                    RunOutcome::Rebooting
                }
                (Verdict::Approved, _) => match report.stopped_by {
                    Some(signal) if run.pending > 1 => RunOutcome::Interrupted(signal),
                    Some(_) | None => RunOutcome::Complete,
                },
                (Verdict::RebootNotAllowed, _) => RunOutcome::RebootNeeded,
                (Verdict::Interrupted(signal), _) => RunOutcome::Interrupted(*signal),
                (
                    Verdict::CommandFailed
                    | Verdict::LimitExceeded(_)
                    | Verdict::Conflict
                    | Verdict::Refused(_)
                    | Verdict::OutOfReach
                    | Verdict::ActionFailed,
                    _,
                ) => RunOutcome::Stopped,
            };
            run.entries += 1;
            run.last = Some(report);
            if goes_on && self.request.mode == RunMode::Commit {
                run.pending -= 1;
            }
            if run.outcome != RunOutcome::Complete {
                break;
            }
        }
        Ok(())
    }

    fn one(&mut self, entry: &Entry) -> Result<Report, UpdateError> {
        let trial = |source| UpdateError::Trial {
            seq: entry.at.seq,
            source,
        };
        let work = match Work::of_entry(&entry.draft.kind, &self.host.store) {
            Ok(Some(work)) => work,
            Ok(None) => return self.reboot(entry),
            Err(error) => return self.refused(entry, error).map_err(trial),
        };
        let report = match self.request.mode {
            RunMode::Preview => self.preview(entry, &work).map_err(trial),
            RunMode::Commit => self.commit(entry, &work),
        };
        match report {
            Err(UpdateError::Trial {
                source: TrialError::Work(error),
                ..
            }) => self.refused(entry, error).map_err(trial),
            other => other,
        }
    }

    /// An entry whose content is missing or cannot be installed here is a finding about the entry,
    /// shown like any other; a scratchpad that fails is an error.
    fn refused(&self, entry: &Entry, error: WorkError) -> Result<Report, TrialError> {
        let reason = match &error {
            WorkError::Content { .. } | WorkError::Manifest { .. } | WorkError::Install(_) => {
                chain(&error)
            }
            WorkError::Mount(_)
            | WorkError::Start(_)
            | WorkError::Wait(_)
            | WorkError::Streams(_)
            | WorkError::Root(_) => return Err(error.into()),
        };
        let blank = blank(
            Place::Journal(entry.at),
            Description::from(&entry.draft.kind),
        );
        let mut report = self.named(entry, blank);
        report.verdict = Verdict::Refused(vec![Refusal {
            path: None,
            reason,
            remedy: None,
        }]);
        Ok(report)
    }

    /// Nobody need watch a replay.
    const fn streams(&self) -> Streams {
        Streams {
            input: Input::Nothing,
            output: self.request.output,
        }
    }

    fn preview(&mut self, entry: &Entry, work: &Work) -> Result<Report, TrialError> {
        let work = &work.with_network(of_entry(&entry.draft, self.request.outside));
        let pad = match self.pad.take() {
            Some(pad) => Scratchpad::Used(Box::new(pad)),
            None => prepare(&self.host.home, Reach::Contained)?,
        };
        let (streams, keeps) = (self.streams(), self.request.keeps_contents);
        let bench = self.host.bench(&self.uncounted, streams, keeps);
        let trial = attempt(bench, pad, Afterwards::Again, work, &mut self.contents)?;
        let mut report = self.named(entry, trial.report);
        report.congruence = self.congruence(entry, &report.changes, &trial.rules);
        report.fate = Fate::Previewed;
        if work.handling() == Handling::Live {
            take_as_rehearsal(&mut report);
        }
        self.pad = Some(trial.exited.again());
        Ok(report)
    }

    fn commit(&mut self, entry: &Entry, work: &Work) -> Result<Report, UpdateError> {
        let is_live = work.handling() == Handling::Live;
        // What acted on the running system is not to act twice.
        let most = if is_live { 0 } else { MAX_RETRIES };
        let mut retries = 0;
        loop {
            let mut report = self.commit_once(entry, work)?;
            report.retries = retries;
            if report.verdict != Verdict::Conflict || retries == most {
                if is_live && report.fate == Fate::Committed {
                    // A mark that stays says nothing of other entries.
                    let _ = acting::end(&self.host.home);
                }
                return Ok(report);
            }
            retries += 1;
        }
    }

    fn commit_once(&mut self, entry: &Entry, work: &Work) -> Result<Report, UpdateError> {
        let failed = |source| UpdateError::Trial {
            seq: entry.at.seq,
            source,
        };
        let unreal = |source| UpdateError::MakeReal {
            seq: entry.at.seq,
            source,
        };
        let started = self.host.now();
        self.contents = Contents::new();
        let (streams, keeps) = (self.streams(), self.request.keeps_contents);
        let bench = self.host.bench(&self.uncounted, streams, keeps);
        let rehearsal = match work.handling() {
            Handling::Live => {
                let rehearsed = rehearse(bench, &self.host.home, work);
                let mut report = rehearsed.map_err(|e| unrehearsed(entry, e))?.report;
                if let Some(rehearsal) = &mut report.rehearsal {
                    rehearsal.acted_before = acting::has_acted(&self.host.home, entry.at.id);
                }
                if !report.is_approved() {
                    return Ok(self.named(entry, report));
                }
                report.rehearsal
            }
            Handling::Refuse | Handling::Contain => None,
        };
        let pad = prepare(&self.host.home, reach(work.handling())).map_err(failed)?;
        if rehearsal.is_some() {
            acting::begin(&self.host.home, entry.at.id).map_err(unnoted(entry))?;
        }
        let Trial {
            exited,
            capture,
            change_set,
            report,
            rules,
            ..
        } = attempt(bench, pad, Afterwards::End, work, &mut self.contents).map_err(failed)?;
        let mut report = self.named(entry, report);
        report.rehearsal = rehearsal;
        report.congruence = self.congruence(entry, &report.changes, &rules);
        if !report.is_approved() {
            discard(exited).map_err(unreal)?;
            return Ok(report);
        }
        let payload = self.payload(entry, &exited, &report, started);
        let candidate = Candidate {
            exited,
            capture: &capture,
            change_set: &change_set,
            payload: &payload,
        };
        self.settled()?;
        let made = make_real(
            self.host,
            self.history,
            candidate,
            &mut report,
            self.progress,
        );
        let Some(made) = made.map_err(unreal)? else {
            return Ok(report);
        };
        self.hold = Some(made.hold);
        match payload.pending {
            Some(pending) => {
                let (host, progress) = (self.host, &mut *self.progress);
                let history = &mut *self.history;
                follow_up(host, history, made.remains, pending, &mut report, progress)
                    .map_err(unreal)?;
            }
            None => self.aside.made(entry.at.seq, made.remains),
        }
        Ok(report)
    }

    /// Waits until the entry before is durably at its end, and nothing but undo copies is left of it.
    fn settled(&mut self) -> Result<(), UpdateError> {
        self.aside.settled().map_err(unsettled)
    }

    fn payload(&self, entry: &Entry, exited: &Exited, report: &Report, started: Moment) -> Payload {
        let receipt = ReceiptBody {
            deed: Deed::Applied(entry.at),
            branch: self.host.branch.clone(),
            changes: report.digests,
            tx: Some(exited.layout().tx.clone()),
            started,
            finished: self.host.now(),
            congruent: match report.congruence {
                Congruence::Same => Some(true),
                Congruence::Differs(_) => Some(false),
                Congruence::Unknown => None,
            },
        };
        let tx = exited.layout().tx.clone();
        Payload {
            receipt,
            draft: None,
            pending: pending(tx, exited.actions(), self.request.on_failure),
        }
    }

    /// A reboot: recorded before the caller reboots, so that it happens exactly once.
    fn reboot(&mut self, entry: &Entry) -> Result<Report, UpdateError> {
        let mut report = self.named(entry, blank(Place::Journal(entry.at), Description::Reboot));
        match (self.request.mode, self.request.may_reboot) {
            (RunMode::Preview, _) => report.fate = Fate::Previewed,
            (RunMode::Commit, false) => report.verdict = Verdict::RebootNotAllowed,
            (RunMode::Commit, true) => {
                let now = self.host.now();
                let receipt = ReceiptBody {
                    deed: Deed::Rebooted(entry.at),
                    branch: self.host.branch.clone(),
                    changes: None,
                    tx: None,
                    started: now,
                    finished: now,
                    congruent: None,
                };
                self.settled()?;
                crash_point("reboot.begun");
                self.history
                    .append_announced(&self.host.lock, &self.host.home, &receipt)?;
                crash_point("reboot.receipt.durable");
                report.fate = Fate::Committed;
            }
        }
        Ok(report)
    }

    fn named(&self, entry: &Entry, mut report: Report) -> Report {
        report.place = Place::Journal(entry.at);
        report.description = Description::from(&entry.draft.kind);
        report.author = Some(entry.draft.author.clone());
        report.message.clone_from(&entry.draft.message);
        report
    }

    fn congruence(&self, entry: &Entry, set: &ChangeSet, rules: &NormalRules) -> Congruence {
        congruence(entry, set, rules, &self.host.store)
    }

    /// Drops the preview's scratchpad.
    fn finish(&mut self) -> Result<(), UpdateError> {
        let Some(pad) = self.pad.take() else {
            return Ok(());
        };
        let seq = self.journal.len();
        discard(pad.written()).map_err(|source| UpdateError::MakeReal { seq, source })
    }
}

fn unrehearsed(entry: &Entry, error: RehearsalError) -> UpdateError {
    let seq = entry.at.seq;
    match error {
        RehearsalError::Trial(source) => UpdateError::Trial { seq, source },
        RehearsalError::Discard(source) => UpdateError::MakeReal { seq, source },
    }
}

fn unnoted(entry: &Entry) -> impl Fn(FileError) -> UpdateError {
    let seq = entry.at.seq;
    move |source| UpdateError::Acting { seq, source }
}

fn unsettled(unsettled: Unsettled) -> UpdateError {
    UpdateError::MakeReal {
        seq: unsettled.seq,
        source: MakeRealError::Finish(unsettled.error),
    }
}
