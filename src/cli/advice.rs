//! Which code and hints each kind of error gets: one conversion for every error that can reach the
//! edge. Not for the chain of causes (`failure`). Upholds: hints tell the user what to do next, are
//! written here and nowhere else, and are tested as text.

use isconf_sandbox::change::DecodeError;

use super::failure::Failure;
use crate::bundle::{BundleFault, ExportError, ImportError};
use crate::chain::{ChainError, Fault};
use crate::config::{GatherError, MainCfError, MissingDomain, SettingsError};
use crate::daemon::client::ClientError;
use crate::daemon::{DaemonError, StartError, StopError};
use crate::durable::FileError;
use crate::history::HistoryError;
use crate::identity::{HmacKeysError, HostKeyError};
use crate::journal::JournalError;
use crate::lock::HostLockError;
use crate::model::{InvalidName, WIP_FILE};
use crate::store::StoreError;
use crate::tour::{HostError, TourError};
use crate::ui::exit::ExitCode;
use crate::ui::output::WriteOutput;

/// What to do about a damaged journal.
const RESTORE_JOURNAL: &str = "nothing was run. Move the branch's directory aside and take the journal anew: `isconf bundle export FILE` on another host of the branch, `isconf bundle import FILE` here.";

/// What to do about a file of another version.
const OTHER_VERSION: &str =
    "nothing was run, and the file is left as it is. Use the isconf that made it, or a newer one.";

/// What to do about a damaged history.
const RESTORE_HISTORY: &str = "nothing was run. Restore the file from a backup of this host; without its history the host would apply every entry again.";

/// What to do about an incomplete last record.
const REPAIR_TAIL: &str = "nothing was run. If an interrupted isconf left this, the next verb that changes this host repairs it; if it stays, restore the file from a backup of this host.";

/// What to do about a content that is not at hand.
pub(super) const TAKE_IN_AGAIN: &str = "take it in again: `isconf bundle export FILE` on a host that has it (one with IS_CACHE=full), `isconf bundle import FILE` here.";

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
            JournalError::Chain(ChainError::Broken(broken)) if broken.fault.is_version() => {
                Self::of(ExitCode::Trouble, &error).hint(OTHER_VERSION)
            }
            JournalError::Chain(ChainError::Broken(broken)) if broken.path.ends_with(WIP_FILE) => {
                let wip = broken.path.display();
                Self::of(ExitCode::Trouble, &error).hint(format!(
                    "nothing was run. Restore the file and {wip}.head from a backup of this host; or remove both, and `isconf unlock --discard` takes back all that is not checked in."
                ))
            }
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
                Fault::Version { .. } => failure.hint(OTHER_VERSION),
                _ => failure.hint(RESTORE_HISTORY),
            },
            HistoryError::WrongDomain { .. }
            | HistoryError::Record { .. }
            | HistoryError::Announced { .. } => {
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
            StoreError::Missing(_) | StoreError::Corrupt { .. } | StoreError::NotTheBlob { .. } => {
                failure.hint(TAKE_IN_AGAIN)
            }
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
            HmacKeysError::Exposed(_)
            | HmacKeysError::NotText(_)
            | HmacKeysError::Random(_)
            | HmacKeysError::File(_) => Self::of(ExitCode::Trouble, &error),
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

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Journal(error) => error.into(),
            ExportError::Store(error) => error.into(),
            ExportError::NotThatLong { .. } => Self::of(ExitCode::Usage, &error),
            ExportError::Write(_) | ExportError::References { .. } => {
                Self::of(ExitCode::Trouble, &error)
            }
        }
    }
}

/// What to do about a bundle that was damaged on the way.
const CARRY_AGAIN: &str = "nothing was taken in. Export the bundle again, and carry it again.";

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Bundle(ref bundle) => match bundle.fault {
                BundleFault::Unauthenticated => Self::of(ExitCode::Failure, &error).hint(
                    "nothing was taken in. Copy the key file of the exporting host here; or, if you trust the file, say --allow-unauthenticated.",
                ),
                _ => Self::of(ExitCode::Trouble, &error).hint(CARRY_AGAIN),
            },
            // A record that is not in the journal yet has no line there: it is one of the bundle.
            ImportError::Journal(
                JournalError::Record { line: 0, .. } | JournalError::Signature { line: 0, .. },
            ) => Self::of(ExitCode::Trouble, &error).hint(CARRY_AGAIN),
            ImportError::Journal(error) => error.into(),
            ImportError::Store(error) => error.into(),
            // Whoever gave no leave said why.
            ImportError::NoLeave => Self::of(ExitCode::Failure, &error),
            ImportError::WrongDomain { .. } => Self::of(ExitCode::Failure, &error)
                .hint("domains never mix; take a bundle of this host's domain."),
            ImportError::Gap { last, .. } => Self::of(ExitCode::Failure, &error).hint(format!(
                "export it with `--since {last}`, or without --since."
            )),
            ImportError::Diverged { .. } => Self::of(ExitCode::Failure, &error).hint(
                "one of the two journals is not that of the branch: compare `isconf log` here and on the exporting host.",
            ),
            ImportError::Incomplete { .. } | ImportError::References { .. } => {
                Self::of(ExitCode::Trouble, &error).hint(CARRY_AGAIN)
            }
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let failure = Self::of(ExitCode::Failure, &error);
        match error {
            StartError::Ended(_) | StartError::TooSlow(_) => {
                failure.hint("`isconf start --foreground` shows what it does.")
            }
            StartError::File(_) | StartError::Spawn { .. } | StartError::Listen(_) => failure,
        }
    }
}

impl From<StopError> for Failure {
    fn from(error: StopError) -> Self {
        Self::of(ExitCode::Failure, &error)
    }
}

impl From<DaemonError> for Failure {
    fn from(error: DaemonError) -> Self {
        Self::of(ExitCode::Failure, &error)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let code = match error {
            ClientError::TimedOut(_) | ClientError::Closed => ExitCode::Retry,
            ClientError::NotRunning
            | ClientError::Socket { .. }
            | ClientError::Answer(_)
            | ClientError::Refused(_)
            | ClientError::Unexpected => ExitCode::Failure,
        };
        Self::of(code, &error)
    }
}
