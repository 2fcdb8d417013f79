//! The edge, where errors become what a person reads: a message, what to do next, and an exit code.
//! Not for deciding whether something is an error. Upholds: reporting happens once; the kind of an
//! error chooses heading, hints and code; hints are tested as text.

use std::error::Error;
use std::io;

use isconf_sandbox::change::DecodeError;

use crate::chain::{ChainError, Fault};
use crate::config::{GatherError, MainCfError, MissingDomain, SettingsError};
use crate::durable::FileError;
use crate::history::HistoryError;
use crate::identity::{HmacKeysError, HostKeyError};
use crate::journal::JournalError;
use crate::lock::{HostLockError, LockError};
use crate::model::{BranchName, InvalidName};
use crate::store::StoreError;
use crate::tour::{HostError, TourError};
use crate::ui::exit::ExitCode;
use crate::ui::human_time;
use crate::ui::output::{Output, WriteOutput};

/// Why a verb did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How the process ends.
    pub code: ExitCode,
    /// What went wrong, on one line, with its causes.
    pub message: String,
    /// What to do next, one sentence each.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure in words of its own.
    pub fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hints: Vec::new(),
        }
    }

    /// An error with all its causes, and with the hints that its last cause calls for.
    pub fn of(code: ExitCode, error: &(dyn Error + 'static)) -> Self {
        Self {
            code,
            message: with_causes(error),
            hints: hints_of_system(error),
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// An error of a lock, which does not know its branch.
    pub fn of_lock(error: LockError, branch: &BranchName) -> Self {
        match error {
            LockError::NotLocked => Self::new(ExitCode::NotLocked, format!("{branch} is not locked"))
                .hint("`isconf lock WHY` locks it for you."),
            LockError::HeldByOther(held) => Self::new(
                ExitCode::Locked,
                format!(
                    "{branch} is locked by: {}: {} (lock time {})",
                    held.author,
                    held.message,
                    human_time(held.since.to_timestamp())
                ),
            )
            .hint(format!(
                "ask {} to check in or unlock; `isconf unlock` breaks the lock.",
                held.author
            )),
            LockError::Fenced { .. } => Self::new(
                ExitCode::Locked,
                format!("the lock on {branch} was broken: {}", with_causes(&error)),
            )
            .hint("`isconf status` shows who holds it now."),
            LockError::Malformed { .. } => Self::of(ExitCode::Trouble, &error).hint(
                "look at the file; when nobody is at work on the branch, remove it, which unlocks the branch.",
            ),
            LockError::File(error) => error.into(),
        }
    }

    /// `lock` without a message.
    pub fn need_message(branch: &BranchName) -> Self {
        let message = format!("did not lock {branch}: changelog/lock message (-m) required");
        Self::new(ExitCode::NeedMessage, message).hint("say why: `isconf lock adding ntp`.")
    }

    /// A host with entries still to apply.
    pub fn out_of_date() -> Self {
        let message = "local node is out of date -- try 'isconf up' first";
        Self::new(ExitCode::Failure, message)
    }

    /// A host with drafts where there must be none.
    pub fn not_checked_in() -> Self {
        Self::new(ExitCode::Failure, "local changes not checked in")
            .hint("`isconf ci` checks them in; `isconf unlock --discard` takes them back.")
    }

    /// Says it, and gives the code to end with.
    pub fn tell(&self, out: &mut Output) -> ExitCode {
        out.error(self.code, &self.message);
        for hint in &self.hints {
            out.hint(hint);
        }
        self.code
    }
}

/// The error and its causes, from the outside in, joined by ": ". A cause that is told already (some
/// errors end with the text of theirs) is not told twice.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = one_line(&error.to_string());
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = one_line(&cause.to_string());
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// Joins the lines of a list of faults, and drops the number that the standard library adds to the
/// words of an errno.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(|line| line.trim().trim_end_matches('.'));
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let text = lines.join("; ");
    match text.rsplit_once(" (os error ") {
        Some((words, number)) if number.trim_end_matches(')').parse::<u32>().is_ok() => {
            words.to_owned()
        }
        Some(_) | None => text,
    }
}

/// What to do about the system's refusal that an error comes from, if it does.
fn hints_of_system(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(refusal) = cause.downcast_ref::<io::Error>() {
            return hint_of_kind(refusal.kind())
                .map(str::to_owned)
                .into_iter()
                .collect();
        }
        next = cause.source();
    }
    Vec::new()
}

const fn hint_of_kind(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::PermissionDenied => {
            Some("verbs that change this host need root: run it as root, for example with sudo.")
        }
        io::ErrorKind::ReadOnlyFilesystem => Some(
            "inside a scratchpad isconf's own files cannot be changed: run isconf outside of it; anywhere else the filesystem is mounted read-only.",
        ),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("make room on the filesystem, then run the same command again.")
        }
        _ => None,
    }
}

/// What to do about a damaged journal.
const RESTORE_JOURNAL: &str = "nothing was run. Move the branch's directory aside and take the journal anew: `isconf bundle export FILE` on another host of the branch, `isconf bundle import FILE` here.";

/// What to do about a damaged history.
const RESTORE_HISTORY: &str = "nothing was run. Restore the file from a backup of this host; without its history the host would apply every entry again.";

/// What to do about an incomplete last record.
const REPAIR_TAIL: &str =
    "an interrupted isconf left this; the next verb that changes this host repairs it.";

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::of(ExitCode::Trouble, &error)
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        match &error {
            JournalError::BranchExists(branch) => Self::new(
                ExitCode::Failure,
                format!("{branch} already exists -- did you mean 'migrate'?"),
            ),
            JournalError::Chain(ChainError::Broken(_))
            | JournalError::WrongPlace { .. }
            | JournalError::Record { .. }
            | JournalError::Signature { .. } => {
                Self::of(ExitCode::Trouble, &error).hint(RESTORE_JOURNAL)
            }
            JournalError::Chain(_) | JournalError::File(_) => Self::of(ExitCode::Trouble, &error),
        }
    }
}

impl From<HistoryError> for Failure {
    fn from(error: HistoryError) -> Self {
        let failure = Self::of(ExitCode::Trouble, &error);
        match &error {
            HistoryError::Chain(ChainError::Broken(broken)) => match broken.fault {
                Fault::TornTail { .. } => failure.hint(REPAIR_TAIL),
                _ => failure.hint(RESTORE_HISTORY),
            },
            HistoryError::WrongDomain { .. } | HistoryError::Record { .. } => {
                failure.hint(RESTORE_HISTORY)
            }
            HistoryError::NotAPrefix(_) => failure.hint(
                "this host's past is not in the journal of its branch. If the journal is an old one, import a newer bundle; if the host should follow another branch, `isconf migrate BRANCH`.",
            ),
            HistoryError::Chain(_) | HistoryError::File(_) => failure,
        }
    }
}

impl From<HostLockError> for Failure {
    fn from(error: HostLockError) -> Self {
        match &error {
            HostLockError::Held(_) => Self::of(ExitCode::Retry, &error).hint(
                "run the same command again when it is done; `isconf status` works meanwhile.",
            ),
            HostLockError::File(_) => Self::of(ExitCode::Trouble, &error),
        }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        match &error {
            SettingsError::NoMainCf { path } => Self::new(
                ExitCode::NotFound,
                format!("{}: No such file or directory", path.display()),
            )
            .hint("name another file with -c, or leave the flag out."),
            SettingsError::MainCf(MainCfError::Faults { .. }) => Self::of(ExitCode::Usage, &error)
                .hint("correct the file; nothing of it is used before."),
            SettingsError::Faults(_) => Self::of(ExitCode::Usage, &error)
                .hint("`man isconf` and docs/configuration.md list the settings."),
            SettingsError::MainCf(MainCfError::Read(_)) | SettingsError::Read(_) => {
                Self::of(ExitCode::Trouble, &error)
            }
        }
    }
}

impl From<MissingDomain> for Failure {
    fn from(error: MissingDomain) -> Self {
        let message = format!("{} is missing", error.path.display());
        Self::new(ExitCode::Failure, message)
            .hint("`isconf init DOMAIN` makes this host a member of a domain.")
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let failure = Self::of(ExitCode::Trouble, &error);
        match error {
            StoreError::Missing(_) | StoreError::Corrupt { .. } => failure.hint(
                "take it in again: `isconf bundle export FILE` on a host that has it, `isconf bundle import FILE` here.",
            ),
            StoreError::File(_)
            | StoreError::TooLong { .. }
            | StoreError::Source(_)
            | StoreError::Receiver { .. } => failure,
        }
    }
}

impl From<HmacKeysError> for Failure {
    fn from(error: HmacKeysError) -> Self {
        match &error {
            HmacKeysError::TooMany(_) => Self::of(ExitCode::Usage, &error)
                .hint("remove keys that no host of the domain uses any more."),
            HmacKeysError::Random(_) | HmacKeysError::File(_) => {
                Self::of(ExitCode::Trouble, &error)
            }
        }
    }
}

impl From<HostKeyError> for Failure {
    fn from(error: HostKeyError) -> Self {
        let failure = Self::of(ExitCode::Trouble, &error);
        match &error {
            HostKeyError::Exposed { path, .. } => {
                failure.hint(format!("make it private: chmod 600 {}", path.display()))
            }
            HostKeyError::Malformed(_) => failure.hint(
                "restore it from a backup, or remove it: the next `isconf ci` makes a new key.",
            ),
            HostKeyError::File(_) | HostKeyError::Random(_) => failure,
        }
    }
}

impl From<InvalidName> for Failure {
    fn from(error: InvalidName) -> Self {
        Self::of(ExitCode::Usage, &error)
    }
}

impl From<GatherError> for Failure {
    fn from(error: GatherError) -> Self {
        Self::of(ExitCode::Trouble, &error).hint("give the host a name: hostname(1).")
    }
}

impl From<WriteOutput> for Failure {
    fn from(error: WriteOutput) -> Self {
        Self::of(ExitCode::Trouble, &error)
    }
}

/// A change set of the store that is none.
impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        Self::of(ExitCode::Trouble, &error)
    }
}

/// A value that has no JSON: none of ours should exist.
impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::of(ExitCode::Internal, &error)
    }
}

impl From<TourError> for Failure {
    fn from(error: TourError) -> Self {
        let failure = Self::of(ExitCode::Failure, &error);
        match &error {
            TourError::Host(HostError::NotRoot { .. }) => {
                failure.hint("run it as root, for example with sudo.")
            }
            TourError::Host(HostError::MissingTool { package, .. }) => {
                failure.hint(format!("install it: apt-get install {package}"))
            }
            TourError::Host(_)
            | TourError::Write(_)
            | TourError::Unexpected { .. }
            | TourError::Changed { .. }
            | TourError::RealMachine { .. } => failure,
        }
    }
}

#[cfg(test)]
#[path = "failure_tests.rs"]
mod tests;
