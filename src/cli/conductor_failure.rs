//! Failures of the conductors, as a person reads them. A part of `failure`, by where the errors come
//! from. Upholds: one conversion an error enum; the kind chooses hints and code.

use super::advice::TAKE_IN_AGAIN;
use super::failure::Failure;
use crate::check_in::{CheckInError, DraftsError, Hazardous};
use crate::journal::{OthersDrafts, WipFault};
use crate::model::BranchName;
use crate::model::report::Conflict;
use crate::replay::{
    AgainError, DiscardError, InspectError, MakeRealError, MoveError, NoRoom, RecordingError,
    RecoveryError, RehearsalError, ScratchpadError, SettleError, SnapshotError, TakeBackError,
    TrialError, UpdateError, UpkeepError, WorkError,
};
use crate::store::StoreError;
use crate::ui::counted;
use crate::ui::exit::ExitCode;
use crate::ui::hazard_text::{hazard_advice, hazard_words};
use crate::ui::report_text::description_words;
use isconf_sandbox::commit::{RecordError, RecoverError};
use isconf_sandbox::session::PrepareError;
use std::path::Path;

/// What to do when recovery stops.
const LOOK_AT_RECOVERY: &str = "a path of the interrupted commit was changed by somebody else since. Nothing more is done before it is as it was before or after the commit; docs/commit-protocol.md explains.";

/// What to do when what an entry asked of services cannot be seen to its end.
const LOOK_AT_ACTIONS: &str = "conf/actions in IS_HOME says what was to be done; when the services are as they should be, remove it and go on.";

/// What to do when no scratchpad can be made.
const PROBE: &str = "`isconf probe` shows what this machine can do, and what is missing.";

/// What to do when somebody changed what is to be taken back.
const PUT_BACK: &str =
    "put them back as the entry left them (`isconf diff` shows how), then try again.";

impl Failure {
    /// Recording on the origin.
    pub fn of_recording(error: RecordingError, branch: &BranchName) -> Self {
        match error {
            RecordingError::Lock(error) => Self::of_lock(error, branch),
            RecordingError::OutOfDate => Self::out_of_date(),
            RecordingError::Undecided => Self::undecided(),
            RecordingError::Drafts(error) => error.into(),
            RecordingError::Others(others) => Self::of_others_drafts(&others),
            RecordingError::Trial(error)
            | RecordingError::Again(AgainError::Trial(error))
            | RecordingError::Rehearsal(RehearsalError::Trial(error)) => error.into(),
            RecordingError::Rehearsal(RehearsalError::Discard(error))
            | RecordingError::Again(AgainError::Discard(error))
            | RecordingError::MakeReal(error) => error.into(),
            RecordingError::Snapshot(error) => Self::of_snapshot(error),
            RecordingError::Store(error) => error.into(),
            RecordingError::Journal(error) => error.into(),
            RecordingError::History(error) => error.into(),
            RecordingError::Random(_) => Self::of(ExitCode::Trouble, &error),
        }
    }

    /// Drafts that may be checked in already.
    pub fn undecided() -> Self {
        Self::new(
            ExitCode::Retry,
            "it is not known whether the changes made here are checked in: `isconf ci` had no answer",
        )
        .hint("`isconf ci` again finds out, and checks them in if they are not; `isconf unlock --discard` takes them back.")
    }

    /// A snapshot that could not be taken.
    pub fn of_snapshot(error: SnapshotError) -> Self {
        let code = match &error {
            SnapshotError::Missing(_) => ExitCode::NotFound,
            SnapshotError::Kind { .. }
            | SnapshotError::Path { .. }
            | SnapshotError::WholeRoot
            | SnapshotError::Made(_)
            | SnapshotError::OwnFiles { .. } => ExitCode::Usage,
            SnapshotError::Changing(_) => ExitCode::Retry,
            SnapshotError::System { .. }
            | SnapshotError::Durable(_)
            | SnapshotError::Store { .. } => ExitCode::Failure,
        };
        Self::of(code, &error)
    }

    /// A check-in that did not happen.
    pub fn of_check_in(error: CheckInError, branch: &BranchName) -> Self {
        match error {
            CheckInError::Lock(error) => Self::of_lock(error, branch),
            CheckInError::File(error) => error.into(),
            CheckInError::Journal(error) => error.into(),
            CheckInError::History(error) => error.into(),
            CheckInError::JournalChanged { .. } => Self::of(ExitCode::Failure, &error).hint(
                "your wip is kept. `isconf unlock --discard` takes your changes back; after `isconf up`, lock and make them again.",
            ),
            CheckInError::NoVerdict(error) => error.into(),
            CheckInError::Store(error) => error.into(),
            CheckInError::Needs(_) => Self::of(ExitCode::Trouble, &error).hint(
                "nothing was checked in. `isconf cache --verify` says which contents are damaged.",
            ),
            CheckInError::TooMany { .. } => Self::of(ExitCode::Failure, &error).hint(
                "nothing was checked in. `isconf undo` takes back the last changes, to be made after the first ones were checked in.",
            ),
            CheckInError::Drafts(error) => error.into(),
            CheckInError::Others(others) => Self::of_others_drafts(&others),
            CheckInError::Hazards(ref drafts) => of_hazards(Self::of(ExitCode::Failure, &error), drafts),
            CheckInError::NotApplied { ref wip, .. } => {
                Self::of(ExitCode::Failure, &error).hint(set_aside(wip))
            }
        }
    }

    /// Drafts of somebody else that the caller did not take over.
    pub fn of_others_drafts(others: &OthersDrafts) -> Self {
        let names: Vec<_> = others.authors.iter().map(ToString::to_string).collect();
        Self::of(ExitCode::Failure, others)
            .hint(format!(
                "`isconf lock --take-over WHY` goes on with them; they keep their author when they are checked in. `isconf unlock --discard` takes them back. Ask {} first.",
                names.join(" and ")
            ))
    }
}

/// Names the drafts, what was found about them, what to do about it, and how to go on.
fn of_hazards(mut failure: Failure, drafts: &[Hazardous]) -> Failure {
    for draft in drafts {
        let what = description_words(&draft.what);
        let found: Vec<_> = draft.hazards.iter().map(hazard_words).collect();
        let found = found.join("; ");
        failure = failure.hint(format!("wip {} ({what}): {found}.", draft.number));
    }
    let hazards = drafts.iter().flat_map(|draft| &draft.hazards);
    for advice in hazard_advice(hazards) {
        failure = failure.hint(format!("{} {}", advice.warning, advice.remedy));
    }
    failure.hint("nothing was checked in, and the lock is kept. `isconf undo` takes back the last change, `isconf unlock --discard` all of them, to be made otherwise; `isconf ci --no-strict` checks them in as they are.")
}

/// What to do about a wip that is younger than the history.
fn set_aside(wip: &Path) -> String {
    let wip = wip.display();
    format!(
        "the history is older than the changes, as after a restore. Restore the history that belongs to them; or set them aside with `mv {wip} {wip}.old`, then `isconf unlock` and `isconf up`, and make again what is missing."
    )
}

impl From<DraftsError> for Failure {
    fn from(error: DraftsError) -> Self {
        match error {
            DraftsError::Journal(error) => error.into(),
            DraftsError::History(error) => error.into(),
            DraftsError::Fault(ref fault @ WipFault::NotMade { ref wip, .. }) => {
                Self::of(ExitCode::Trouble, fault).hint(set_aside(wip))
            }
            DraftsError::Fault(ref fault @ WipFault::Lost { ref wip, .. }) => {
                let wip = wip.display();
                Self::of(ExitCode::Trouble, fault).hint(format!(
                    "restore {wip} and {wip}.head from a backup of this host; or `isconf unlock --discard` takes back all that is not checked in."
                ))
            }
        }
    }
}

impl From<TrialError> for Failure {
    fn from(error: TrialError) -> Self {
        let failure = Self::of(ExitCode::Failure, &error);
        match &error {
            TrialError::Prepare(PrepareError::Plan(_) | PrepareError::Scratch(_))
            | TrialError::Work(WorkError::Mount(_)) => failure.hint(PROBE),
            TrialError::Prepare(_)
            | TrialError::Work(_)
            | TrialError::Wait(_)
            | TrialError::Collect(_)
            | TrialError::Clock(_) => failure,
        }
    }
}

impl From<MakeRealError> for Failure {
    fn from(error: MakeRealError) -> Self {
        let code = match &error {
            MakeRealError::Interrupted(_)
            | MakeRealError::Finish(_)
            | MakeRealError::Settle(_)
            | MakeRealError::Actions(_) => ExitCode::Recovery,
            MakeRealError::End(_) | MakeRealError::Discard(_) => ExitCode::Trouble,
        };
        Self::of(code, &error)
    }
}

impl From<RecoveryError> for Failure {
    fn from(error: RecoveryError) -> Self {
        match error {
            RecoveryError::History(error) => error.into(),
            RecoveryError::Settle(SettleError::History(error)) => error.into(),
            RecoveryError::Settle(SettleError::Wip(error)) => error.into(),
            RecoveryError::CheckIn(CheckInError::Journal(error)) => error.into(),
            RecoveryError::CheckIn(CheckInError::History(error)) => error.into(),
            RecoveryError::Commit(_) => Self::of(ExitCode::Recovery, &error).hint(LOOK_AT_RECOVERY),
            RecoveryError::Store(error) => error.into(),
            RecoveryError::Actions(_) => Self::of(ExitCode::Recovery, &error).hint(LOOK_AT_ACTIONS),
            RecoveryError::Sweep(_) | RecoveryError::Settle(_) | RecoveryError::CheckIn(_) => {
                Self::of(ExitCode::Recovery, &error)
            }
        }
    }
}

impl From<UpdateError> for Failure {
    fn from(error: UpdateError) -> Self {
        match error {
            UpdateError::Wip => Self::not_checked_in(),
            UpdateError::Drafts(error) => error.into(),
            UpdateError::Journal(error) => error.into(),
            UpdateError::History(error) => error.into(),
            UpdateError::Trial { .. } | UpdateError::Acting { .. } => {
                Self::of(ExitCode::Failure, &error)
            }
            UpdateError::MakeReal { .. } => Self::of(ExitCode::Recovery, &error),
        }
    }
}

impl From<MoveError> for Failure {
    fn from(error: MoveError) -> Self {
        match error {
            MoveError::Wip => Self::not_checked_in(),
            MoveError::Drafts(error) => error.into(),
            MoveError::Journal(error) => error.into(),
            MoveError::History(error) => error.into(),
            MoveError::File(error) => error.into(),
            MoveError::Unknown(_) => Self::of(ExitCode::Failure, &error).hint(
                "`isconf bundle import FILE` brings a branch here; `isconf fork BRANCH` makes one.",
            ),
            MoveError::NotASuperset { .. }
            | MoveError::AlreadyThere { .. }
            | MoveError::Exists(_) => Self::of(ExitCode::Failure, &error),
        }
    }
}

impl From<TakeBackError> for Failure {
    fn from(error: TakeBackError) -> Self {
        match error {
            TakeBackError::Journal(error) => error.into(),
            TakeBackError::History(error) => error.into(),
            TakeBackError::Store(error) => error.into(),
            TakeBackError::Drafts(error) => error.into(),
            TakeBackError::Conflicts(conflicts) => {
                let message = format!("nothing was taken back, because {}", changed(&conflicts));
                Self::new(ExitCode::Conflict, message).hint(PUT_BACK)
            }
            TakeBackError::NotKept { .. } => Self::of(ExitCode::Failure, &error).hint(
                "make the change back by hand as an entry of its own; a larger IS_UNDO_KEEP or IS_UNDO_BYTES keeps more from now on.",
            ),
            TakeBackError::Interrupted(_)
            | TakeBackError::Settle(_)
            | TakeBackError::Forget(_) => Self::of(ExitCode::Recovery, &error),
            TakeBackError::Room(error) => error.into(),
            TakeBackError::Undo(_)
            | TakeBackError::Nothing
            | TakeBackError::Reboot
            | TakeBackError::NotLast => Self::of(ExitCode::Failure, &error),
        }
    }
}

impl From<DiscardError> for Failure {
    fn from(error: DiscardError) -> Self {
        if error.taken_back == 0 {
            return Self::from(*error.source);
        }
        let done = format!(
            "took back the last {} not checked in, and not the {} before",
            counted(error.taken_back, "change"),
            error.left
        );
        if let TakeBackError::Conflicts(conflicts) = &*error.source {
            let message = format!("{done}, because {}", changed(conflicts));
            return Self::new(ExitCode::Conflict, message).hint(PUT_BACK);
        }
        let why = Self::from(*error.source);
        Self {
            message: format!("{done}: {}", why.message),
            ..why
        }
    }
}

/// Where somebody else was at work, as the reason for something.
fn changed(conflicts: &[Conflict]) -> String {
    let paths = conflicts.iter().take(10).map(|c| c.path.to_string());
    let paths: Vec<_> = paths.collect();
    format!("these paths changed since: {}", paths.join(", "))
}

impl From<ScratchpadError> for Failure {
    fn from(error: ScratchpadError) -> Self {
        match error {
            ScratchpadError::Trial(error) => error.into(),
            ScratchpadError::File(error) => error.into(),
            ScratchpadError::Unknown(_) => {
                Self::of(ExitCode::Failure, &error).hint("`isconf try --list` shows what was kept.")
            }
            ScratchpadError::Held(_) => Self::of(ExitCode::Retry, &error),
            ScratchpadError::Taken(_) => Self::of(ExitCode::Failure, &error)
                .hint("choose another name, or remove that one with `isconf try --drop NAME`."),
            ScratchpadError::Interrupted(_) | ScratchpadError::Finish(_) => {
                Self::of(ExitCode::Recovery, &error)
            }
            ScratchpadError::End(_)
            | ScratchpadError::Discard(_)
            | ScratchpadError::Keep(_)
            | ScratchpadError::Volumes(_)
            | ScratchpadError::Malformed(_)
            | ScratchpadError::Capture { .. }
            | ScratchpadError::Sweep(_) => Self::of(ExitCode::Trouble, &error),
        }
    }
}

impl From<NoRoom> for Failure {
    fn from(error: NoRoom) -> Self {
        Self::of(ExitCode::Failure, &error).hint("nothing was changed: make room and try again.")
    }
}

impl From<SettleError> for Failure {
    fn from(error: SettleError) -> Self {
        Self::of(ExitCode::Recovery, &error)
    }
}

impl From<UpkeepError> for Failure {
    fn from(error: UpkeepError) -> Self {
        Self::of(ExitCode::Trouble, &error)
    }
}

impl From<RecoverError> for Failure {
    fn from(error: RecoverError) -> Self {
        Self::of(ExitCode::Recovery, &error).hint(LOOK_AT_RECOVERY)
    }
}

impl From<RecordError> for Failure {
    fn from(error: RecordError) -> Self {
        Self::of(ExitCode::Recovery, &error)
    }
}

impl From<InspectError> for Failure {
    fn from(error: InspectError) -> Self {
        match error {
            InspectError::History(error) => error.into(),
            InspectError::Journal(error) => error.into(),
            InspectError::Store {
                source: StoreError::Missing(_) | StoreError::Corrupt { .. },
                ..
            } => Self::of(ExitCode::Trouble, &error).hint(TAKE_IN_AGAIN),
            InspectError::Store { .. } | InspectError::Damaged { .. } | InspectError::Audit(_) => {
                Self::of(ExitCode::Trouble, &error)
            }
        }
    }
}
