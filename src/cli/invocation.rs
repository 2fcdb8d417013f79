//! What we will do: the command line, resolved. Data only. Upholds: what cannot be said here cannot
//! be asked of a verb, so no verb checks its options again.

use std::ffi::OsString;
use std::path::PathBuf;

use clap_complete::Shell;

use crate::check_in::Strictness;
use crate::model::{
    BranchName, DomainName, Handling, LockMessage, Network, OnFailure, ScratchName,
};
use crate::replay::{Outside, Repeat};
use crate::ui::output::Volume;

/// One call of isconf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The main.cf named by `-c`; it must exist.
    pub config: Option<PathBuf>,
    /// How much the user wants to hear.
    pub volume: Volume,
    /// What to do.
    pub command: Command,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Take the lock.
    Lock {
        /// Why; without it the lock is refused (exit 222).
        message: Option<LockMessage>,
        /// What becomes of what somebody else left here.
        others_work: OthersWork,
    },
    /// Give up or break the lock.
    Unlock {
        /// What becomes of the work done under it.
        wip: Wip,
    },
    /// Record files.
    Snap {
        /// At least one, as given; relative to the working directory.
        paths: Vec<PathBuf>,
        /// Preview or not.
        run: RunMode,
        /// How the report is shown.
        show: Presentation,
    },
    /// Run and record a command.
    Exec(ExecCommand),
    /// Record a reboot.
    Reboot,
    /// Check in; what becomes of hazards, where the setting does not say it.
    CheckIn(Option<Strictness>),
    /// Apply pending entries.
    Up(UpCommand),
    /// Make a branch of this one and move to it.
    Fork(BranchName),
    /// Move to a branch.
    Migrate(BranchName),
    /// Start the daemon.
    Start(Place),
    /// Stop the daemon.
    Stop,
    /// Stop and start the daemon.
    Restart,
    /// Make this host a member of a domain.
    Init {
        /// The domain.
        domain: DomainName,
        /// The branch.
        branch: BranchName,
    },
    /// Find the hosts of the domain by an address of one.
    Join {
        /// The address.
        address: String,
        /// The branch to follow.
        branch: Option<BranchName>,
    },
    /// Show the state of this host.
    Status(Format),
    /// List the journal.
    Log(Format),
    /// Show an entry.
    Show {
        /// Which.
        entry: EntryName,
        /// How it is shown.
        show: Presentation,
    },
    /// List the history.
    History(Format),
    /// Take back the last entry.
    Undo {
        /// Preview or not.
        run: RunMode,
        /// How the report is shown.
        show: Presentation,
    },
    /// Work with a scratchpad alone.
    Try(TryCommand),
    /// Show drift.
    Diff {
        /// Only these, as given; none: everything managed.
        paths: Vec<PathBuf>,
        /// Which times count.
        times: Times,
        /// How sure to be.
        reading: Reading,
        /// How it is shown.
        show: Presentation,
    },
    /// Write a bundle.
    BundleExport {
        /// The file.
        file: PathBuf,
        /// Only entries with a greater sequence number.
        since: u64,
    },
    /// Take in a bundle.
    BundleImport {
        /// The file.
        file: PathBuf,
        /// Whether a key must vouch for it.
        trust: Trust,
    },
    /// Show isconf at work.
    Tour,
    /// Show the settings.
    Env(EnvFormat),
    /// Show what this machine can do.
    Probe(Format),
    /// Show the domain's contents.
    Cache(Reading, Format),
    /// Remove contents that are dispensable.
    Prune(RunMode, Format),
    /// Show how the hosts of the domain stand.
    Hosts(Format),
    /// Follow what happens in the domain.
    Watch(Format),
    /// Begin the locks of the domain anew.
    DomainRecover(Consent),
    /// Make a key.
    KeysGenerate,
    /// Take a step of changing the key.
    KeysRotate,
    /// List the keys.
    KeysList,
    /// Print completions.
    Completions(Shell),
    /// Write man pages.
    Man {
        /// Where.
        directory: PathBuf,
    },
    /// Be the daemon.
    Daemon,
}

/// A command to run and record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecCommand {
    /// The command and its arguments; at least one.
    pub argv: Vec<OsString>,
    /// The file that is its standard input.
    pub stdin: Option<PathBuf>,
    /// Further variables of the environment to pass and record.
    pub env: Vec<OsString>,
    /// What network it sees; none: as the setting says.
    pub network: Option<Network>,
    /// What becomes of its effects.
    pub effects: Handling,
    /// What becomes of it when a service manager does not do what it asks.
    pub on_failure: OnFailure,
    /// Whether it is run a second time, to see what differs.
    pub repeat: Repeat,
    /// Preview or not.
    pub run: RunMode,
    /// How the report is shown.
    pub show: Presentation,
}

/// How pending entries are applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpCommand {
    /// Preview or not.
    pub run: RunMode,
    /// Whether a preview may reach other hosts.
    pub outside: Outside,
    /// What to do at a reboot.
    pub reboot: RebootPolicy,
    /// What becomes of an entry when a service manager does not do what it asks.
    pub on_failure: OnFailure,
    /// Whether the other hosts are waited for.
    pub others: Others,
    /// How the report is shown.
    pub show: Presentation,
}

/// Whether `up` ends when this host is up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// It does.
    LeftAlone,
    /// It ends when all hosts of the branch are, or said that they cannot (`--wait`).
    Awaited,
}

/// What `try` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TryCommand {
    /// Runs a command.
    Run {
        /// The command and its arguments; at least one.
        argv: Vec<OsString>,
        /// What network it sees; none: as the setting says.
        network: Option<Network>,
        /// Keep the scratchpad under this name.
        keep: Option<ScratchName>,
        /// How the report is shown.
        show: Presentation,
    },
    /// Runs an interactive shell.
    Shell {
        /// What network it sees; none: as the setting says.
        network: Option<Network>,
        /// Keep the scratchpad under this name.
        keep: Option<ScratchName>,
        /// How the report is shown.
        show: Presentation,
    },
    /// Lists what was kept.
    List(Format),
    /// Shows a kept scratchpad.
    Show {
        /// Which.
        name: ScratchName,
        /// How the report is shown.
        show: Presentation,
    },
    /// Drops a kept scratchpad.
    Drop(ScratchName),
    /// Makes a kept scratchpad real.
    Commit {
        /// Which.
        name: ScratchName,
        /// What to do when its command failed.
        failed: FailedCommand,
        /// What to do on a host that has a domain.
        journal: JournalPolicy,
        /// How the report is shown.
        show: Presentation,
    },
}

/// Whether anything becomes real.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunMode {
    /// Nothing does (`--noop`).
    Preview,
    /// What succeeds does.
    Commit,
}

/// What a new holder of the lock does with what somebody else made here and did not check in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OthersWork {
    /// Leaves it alone: the lock is refused while there is any.
    Leave,
    /// Goes on with it (`--take-over`).
    TakeOver,
}

/// What becomes of the work done under a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wip {
    /// It stays as it is.
    Keep,
    /// It is undone (`--discard`).
    Discard,
}

/// What `up` does at a reboot entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RebootPolicy {
    /// It stops there.
    Stop,
    /// It reboots (`-r`).
    Reboot,
}

/// Where the daemon runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Detached from the caller.
    Background,
    /// In the caller's process.
    Foreground,
}

/// For whom a list is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// For whom the settings are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For a POSIX shell.
    Export,
}

/// How a report is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presentation {
    /// Its form.
    pub form: ReportForm,
    /// Whether with the lines that changed in text files.
    pub diffs: Diffs,
}

/// The forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportForm {
    /// One line an entry (`--summary`).
    Summary,
    /// One line a path, as many as people read.
    Paths,
    /// All paths with all attributes (`--all`).
    AllPaths,
    /// JSON.
    Json,
}

/// Whether a report has the lines that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Diffs {
    /// Small ones on a terminal.
    Auto,
    /// All (`--diff`).
    Always,
    /// None (`--no-diff`).
    Never,
}

/// An entry as a user names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryName {
    /// Its sequence number, from 1.
    Seq(u64),
    /// The start of its id: 8 to 64 lower-case hexadecimal digits.
    IdStart(String),
}

/// Which differences `diff` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// Times of modification do not count.
    Ignored,
    /// They do (`--times`).
    Compared,
}

/// Whether a person said that something is to be done that cannot be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// It is only told what would be done.
    Missing,
    /// It is done (`--yes`).
    Given,
}

/// How sure `diff` is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Files whose size and times are as recorded are not read.
    Changed,
    /// Every file is read (`--thorough`).
    Everything,
}

/// Whether a key of the domain must vouch for a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It must.
    Authenticated,
    /// It need not (`--allow-unauthenticated`).
    Anything,
}

/// Whether the scratchpad of a failed command may be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailedCommand {
    /// It may not.
    Refuse,
    /// It may (`--even-failed`).
    Allow,
}

/// Whether a change may be made that other hosts of the domain will not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalPolicy {
    /// Not on a host that has a domain.
    Required,
    /// It may (`--unjournaled`).
    Bypassed,
}
