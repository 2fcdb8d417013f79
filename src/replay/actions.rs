//! Does what a committed entry asks of service managers, and takes the entry back when one does not do
//! it. Not for finding out what is asked (see the sandbox's `services`). Upholds: each request is done
//! at least once, in order, also over a crash; an entry whose services do not follow is not half there.
//!
//! ```text
//! doing ──all done──→ nothing pending
//!   └─one fails─→ taking back: stop what was started, undo the files ─→ taken back: put services
//!                 right, with the old files ─→ nothing pending
//! ```

use std::ffi::OsString;
use std::time::Duration;

use isconf_sandbox::commit::crash_point;
use isconf_sandbox::services::{Action, Call, Reverse, Running, Said, Verb, ask};

use super::commit::chain;
use super::pending::{PendingActions, PendingError, Stage};
use super::this_host::ThisHost;
use super::undo::{LastChange, TakeBackError, check_take_back, last_change, take_back};
use crate::durable::FileError;
use crate::history::History;
use crate::model::progress::{Progress, Unit};
use crate::model::report::{Fate, Report, Verdict};
use crate::model::{ActionFate, ActionReport, OnFailure, Times};

/// How long a manager may take: systemd gives a unit 90 seconds to stop and as long to start
/// (systemd-system.conf(5)), and one request may be about several.
const REQUEST: Duration = Duration::from_secs(900);

/// How long a question may take.
const QUESTION: Duration = Duration::from_secs(30);

/// How often one request is made at most: one that ends isconf, or the machine, would do so for ever.
const MAX_TRIES: u32 = 2;

/// How much of what a failed request said is kept, in bytes.
const SAID_BYTES: usize = 2000;

/// Why requests could not be seen to their end. The next start goes on with them.
#[derive(Debug, thiserror::Error)]
pub enum ActionsError {
    /// How far they are cannot be read.
    #[error(transparent)]
    Pending(#[from] PendingError),
    /// How far they are cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The entry cannot be taken back for a reason that is none of its own.
    #[error("the entry cannot be taken back")]
    TakeBack(#[source] Box<TakeBackError>),
}

impl From<TakeBackError> for ActionsError {
    fn from(error: TakeBackError) -> Self {
        Self::TakeBack(Box::new(error))
    }
}

/// What became of the requests of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// Each of them.
    pub actions: Vec<ActionReport>,
    /// What became of the entry.
    pub entry: EntryFate,
}

/// What became of an entry whose requests were done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryFate {
    /// It stays: all went well, or it was to be kept.
    Stays,
    /// It is not the last one of this host's history, and nothing was done.
    Gone,
    /// A request failed, and it was taken back.
    TakenBack,
    /// A request failed, and it could not be taken back; why.
    CannotBeTakenBack(String),
}

impl Carried {
    /// Says it in the entry's report.
    pub fn tell(self, report: &mut Report) {
        report.actions = self.actions;
        match self.entry {
            EntryFate::Stays | EntryFate::Gone => {}
            EntryFate::TakenBack => {
                report.verdict = Verdict::ActionFailed;
                report.fate = Fate::TakenBack;
            }
            EntryFate::CannotBeTakenBack(_) => report.verdict = Verdict::ActionFailed,
        }
    }
}

/// Whether this process began with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    First,
    /// One that was interrupted did.
    Again,
}

/// Does what the entry asks that was committed last.
pub fn carry_out(
    host: &ThisHost,
    history: &mut History,
    pending: PendingActions,
    progress: &mut dyn Progress,
) -> Result<Carried, ActionsError> {
    Carrier::new(host, pending, Turn::First).all(history, progress)
}

/// Goes on with what was interrupted; `None` when nothing was.
pub fn resume(
    host: &ThisHost,
    history: &mut History,
    progress: &mut dyn Progress,
) -> Result<Option<Carried>, ActionsError> {
    let Some(pending) = PendingActions::load(&host.home)? else {
        return Ok(None);
    };
    let carrier = Carrier::new(host, pending, Turn::Again);
    if carrier.pending.stage == Stage::Doing && !carrier.is_last(history)? {
        // As when an older history was put in place: nobody wants it done.
        return carrier.ended(EntryFate::Gone).map(Some);
    }
    carrier.all(history, progress).map(Some)
}

/// Requests on their way.
struct Carrier<'a> {
    host: &'a ThisHost,
    pending: PendingActions,
    turn: Turn,
    fates: Vec<ActionFate>,
}

impl<'a> Carrier<'a> {
    fn new(host: &'a ThisHost, pending: PendingActions, turn: Turn) -> Self {
        let done = pending.begun.saturating_sub(1);
        let mut fates = vec![ActionFate::Done(Times::Once); done];
        fates.resize(pending.actions.len(), ActionFate::Waits);
        for (index, status) in &pending.failed {
            // What it said is not written down.
            fates[*index] = ActionFate::Failed {
                status: *status,
                said: String::new(),
                times: Times::Once,
            };
        }
        Self {
            host,
            pending,
            turn,
            fates,
        }
    }

    fn all(
        mut self,
        history: &mut History,
        progress: &mut dyn Progress,
    ) -> Result<Carried, ActionsError> {
        let is_done = self.pending.stage == Stage::Doing && self.do_each(progress)?;
        let entry = match is_done {
            true => EntryFate::Stays,
            false => self.take_back(history)?,
        };
        self.ended(entry)
    }

    /// Nothing is pending any more.
    fn ended(self, entry: EntryFate) -> Result<Carried, ActionsError> {
        PendingActions::remove(&self.host.home)?;
        crash_point("actions.forgotten");
        let actions = self.pending.actions.into_iter().zip(self.fates);
        let actions = actions.map(|(action, fate)| ActionReport { action, fate });
        Ok(Carried {
            actions: actions.collect(),
            entry,
        })
    }

    /// Does one after the other; whether the entry stays.
    fn do_each(&mut self, progress: &mut dyn Progress) -> Result<bool, ActionsError> {
        let total = self.pending.actions.len();
        // One that was begun and interrupted is done again: nobody knows how far it came.
        let first = self
            .pending
            .begun
            .saturating_sub(usize::from(self.turn == Turn::Again));
        for index in first..total {
            let is_again = self.turn == Turn::Again && index < self.pending.begun;
            if is_again && self.pending.tries >= MAX_TRIES {
                self.fates[index] = ActionFate::NotKnown;
                continue;
            }
            let action = self.pending.actions[index].clone();
            self.begin(index, &action, is_again)?;
            crash_point("actions.begun");
            progress.begin(&action.words(), Unit::Actions, Some(total as u64));
            progress.done(index as u64);
            let said = call(&action, &action.argv, REQUEST);
            progress.end();
            crash_point("actions.done");
            let times = if is_again {
                Times::OnceOrTwice
            } else {
                Times::Once
            };
            self.fates[index] = fate(&said, times);
            if said.status != 0 {
                self.pending.failed.insert(index, said.status);
            }
            if said.status != 0 && self.pending.on_failure == OnFailure::TakeBack {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes down that a request is being made, before it is.
    fn begin(&mut self, index: usize, action: &Action, is_again: bool) -> Result<(), ActionsError> {
        if is_again {
            self.pending.tries += 1;
        } else {
            self.pending.before.push(services_that_run(action));
            self.pending.begun = index + 1;
            self.pending.tries = 1;
        }
        Ok(self.pending.store(&self.host.home)?)
    }

    /// Takes the entry back, and with it what its services did.
    fn take_back(&mut self, history: &mut History) -> Result<EntryFate, ActionsError> {
        let done = self.pending.actions.iter().zip(&self.pending.before);
        let reverses: Vec<Reverse> = done
            .map(|(action, before)| action.reverse(before))
            .collect();
        let mut trouble = vec![Vec::new(); reverses.len()];
        if self.pending.stage == Stage::Doing {
            // From here on the request that failed is not made again.
            self.pending.stage = Stage::TakingBack;
            self.pending.store(&self.host.home)?;
            crash_point("actions.taking_back");
        }
        if self.pending.stage == Stage::TakingBack {
            if let Some(why) = self.cannot_be_taken_back(history)? {
                return Ok(EntryFate::CannotBeTakenBack(why));
            }
            if self.is_last(history)? {
                self.put_right(&reverses, |reverse| reverse.before.clone(), &mut trouble);
            }
            if let Some(why) = self.undo(history)? {
                self.start_again();
                return Ok(EntryFate::CannotBeTakenBack(why));
            }
            self.pending.stage = Stage::TakenBack;
            self.pending.store(&self.host.home)?;
            crash_point("actions.taken_back");
        }
        // The manager knows the old files before anything is started from them.
        let (reloads, others) = (after_undo(true), after_undo(false));
        self.put_right(&reverses, reloads, &mut trouble);
        self.put_right(&reverses, others, &mut trouble);
        self.tell_taken_back(&reverses, &trouble);
        Ok(EntryFate::TakenBack)
    }

    fn tell_taken_back(&mut self, reverses: &[Reverse], trouble: &[Vec<String>]) {
        for (index, (reverse, trouble)) in reverses.iter().zip(trouble).enumerate() {
            self.fates[index] = match (&self.fates[index], trouble.first()) {
                (failed @ ActionFate::Failed { .. }, _) => failed.clone(),
                (_, Some(why)) => ActionFate::NotTakenBack(why.clone()),
                (_, None) if reverse.is_partial => {
                    ActionFate::NotTakenBack("it has no reverse".to_owned())
                }
                (_, None) => ActionFate::TakenBack,
            };
        }
    }

    /// Starts again what was stopped for taking the entry back, which then stays.
    fn start_again(&self) {
        for (action, before) in self.pending.actions.iter().zip(&self.pending.before) {
            for (service, ran) in action.services.iter().zip(before) {
                let reverse = ran.and_then(|ran| action.verb.reverse(ran));
                let start = action.call(&Verb::Start, service);
                if let (Some(Verb::Stop), Some(argv)) = (reverse, start) {
                    // That the entry stays is told; what its services do is for their manager to tell.
                    let _said = call(action, &argv, REQUEST);
                }
            }
        }
    }

    /// Whether the entry is the last one whose files are live here: an interrupted isconf may have taken
    /// it back.
    fn is_last(&self, history: &History) -> Result<bool, ActionsError> {
        let last = history.effective_backwards().next().transpose();
        let last = last.map_err(TakeBackError::from)?;
        Ok(last.is_some_and(|last| last.receipt.body.tx.as_ref() == Some(&self.pending.tx)))
    }

    /// The entry's change, if it is still there.
    fn change(&self, history: &History) -> Result<Option<LastChange>, ActionsError> {
        match self.is_last(history)? {
            true => Ok(Some(last_change(self.host, history)?)),
            false => Ok(None),
        }
    }

    /// Why the entry cannot be taken back, if it is still there and something stands against that: a
    /// service that ran meanwhile may have changed what the entry wrote.
    fn cannot_be_taken_back(&self, history: &History) -> Result<Option<String>, ActionsError> {
        let Some(last) = self.change(history)? else {
            return Ok(None);
        };
        match check_take_back(self.host, &last) {
            Ok(()) => Ok(None),
            Err(error) => Ok(Some(chain(&error))),
        }
    }

    /// Takes the files back, unless an interrupted isconf did so already; says why if a service changed
    /// them when it was stopped.
    fn undo(&self, history: &mut History) -> Result<Option<String>, ActionsError> {
        let Some(last) = self.change(history)? else {
            return Ok(None);
        };
        match take_back(self.host, history, &last) {
            Ok(()) => Ok(None),
            Err(error @ TakeBackError::Conflicts(_)) => Ok(Some(chain(&error))),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the calls that take requests back, the last request's first; the same call twice in a row
    /// is made once.
    fn put_right(
        &self,
        reverses: &[Reverse],
        calls: impl Fn(&Reverse) -> Vec<Vec<OsString>>,
        trouble: &mut [Vec<String>],
    ) {
        let mut last = None;
        for (index, reverse) in reverses.iter().enumerate().rev() {
            for argv in calls(reverse) {
                if last.as_ref() == Some(&argv) {
                    continue;
                }
                let said = call(&self.pending.actions[index], &argv, REQUEST);
                if said.status != 0 {
                    let words = argv.join(" ".as_ref()).to_string_lossy().into_owned();
                    trouble[index].push(format!("{words} ended with status {}", said.status));
                }
                last = Some(argv);
            }
        }
    }
}

/// The calls for when the files are as they were, of reloads of a manager or of all others.
fn after_undo(reload: bool) -> impl Fn(&Reverse) -> Vec<Vec<OsString>> {
    move |reverse| match reverse.is_manager_reload == reload {
        true => reverse.after.clone(),
        false => Vec::new(),
    }
}

/// Which of its services run; `None` for one of which that cannot be told.
fn services_that_run(action: &Action) -> Vec<Option<Running>> {
    let services = action.services.iter();
    let ran = services.map(|service| {
        let argv = action.question(service)?;
        action.runs(&call(action, &argv, QUESTION))
    });
    ran.collect()
}

fn call(action: &Action, argv: &[OsString], time: Duration) -> Said {
    let said = ask(Call {
        program: &action.program,
        argv,
        env: &action.env,
        cwd: &action.cwd,
        time,
        // What was begun is seen to its end.
        grace: None,
    });
    said.unwrap_or_else(|error| Said {
        // What a shell answers for what cannot be run.
        status: 126,
        out: String::new(),
        err: format!("{}: {}", action.program.display(), chain(&error)),
    })
}

fn fate(said: &Said, times: Times) -> ActionFate {
    if said.status == 0 {
        return ActionFate::Done(times);
    }
    let mut text = format!("{}{}", said.out, said.err);
    let mut cut = text.len().saturating_sub(SAID_BYTES);
    while !text.is_char_boundary(cut) {
        cut += 1;
    }
    ActionFate::Failed {
        status: said.status,
        said: text.split_off(cut).trim_end().to_owned(),
        times,
    }
}
