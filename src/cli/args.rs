//! The command line as the user types it: verbs, flags and their help, as data for clap. Not for
//! what it means (see `resolve`). Upholds: flags before the verb are isconf's, flags after it are
//! the verb's, as in the original; help, completions and man pages are made from this alone.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

pub use super::domain_args::{CacheArgs, JoinArgs, LockArgs, UnlockArgs, UpArgs};
use super::hazard_args::{CheckArgs, CiArgs};
pub use super::nested_verbs::{BundleVerb, DomainVerb, KeysVerb};
use super::preview_args::{NoopArg, OfflineArg};

/// Keeps machines the same by replaying one ordered journal of changes on all of them.
///
/// A change is made once, under a lock, on one host (the origin), and is recorded in the journal of
/// its branch. Every other host of the branch replays the journal in order with `up`. Each change
/// first runs in a scratchpad over the live system; what it did is shown, and becomes real only if
/// it succeeded.
#[derive(Debug, Parser)]
#[command(
    name = "isconf",
    bin_name = "isconf",
    version,
    infer_long_args = true,
    disable_help_subcommand = true,
    subcommand_value_name = "VERB",
    subcommand_help_heading = "Verbs",
    after_help = TYPICAL_USE
)]
pub struct CommandLine {
    /// Top-level configuration file [default: /etc/is/main.cf]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Show debugging output, the settings among it
    #[arg(short = 'D', long)]
    pub debug: bool,
    /// Lock message, for `lock` only
    #[arg(short, long, value_name = "MESSAGE", allow_hyphen_values = true)]
    pub message: Option<OsString>,
    /// Don't show information, only errors and the output of commands
    #[arg(short, long)]
    pub quiet: bool,
    /// Reboot during `up` if a reboot is due
    #[arg(short, long, alias = "reboot_ok")]
    pub reboot_ok: bool,
    /// What to do
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

const TYPICAL_USE: &str = "\
Typical use, on the host where the change is made:
  isconf lock adding ntp          take the lock of the branch
  isconf exec apt-get -y install ntp
  isconf snap /etc/ntp.conf
  isconf ci                       check in and unlock

and on the others:
  isconf up --noop                show what would change
  isconf up                       change it

`isconf VERB -h` explains a verb. Exit codes are listed in docs/exit-codes.md.";

/// The definition for clap, for help, completions and man pages.
pub fn definition() -> clap::Command {
    CommandLine::command()
}

/// The verbs; those of the original first, in its order.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Take the lock of the branch
    ///
    /// Only the holder can change the branch. The message says why, and becomes part of each entry made under
    /// the lock. The words after the verb are joined. A host with entries still to apply cannot
    /// lock. Where somebody else made changes that are not checked in, --take-over is needed to go on with
    /// them; each keeps its author.
    #[command(after_help = "Example:\n  isconf lock upgrade openssl")]
    Lock(LockArgs),
    /// Give up the lock, or break somebody else's
    ///
    /// Without --discard, changes made under the lock stay on this host and are not checked in; locking again
    /// goes on with them. A lock of somebody else is broken, and you are told whom to tell.
    #[command(
        after_help = "Examples:\n  isconf unlock             give the lock up, keep the work\n  isconf unlock --discard   take the work back, too"
    )]
    Unlock(UnlockArgs),
    /// Record files as they are, for all hosts of the branch
    ///
    /// Takes files, symbolic links and whole directories with all their attributes. They are not changed
    /// here; on the other hosts `up` makes them as they are now. Nothing is removed there: a file that
    /// is gone from a directory since it was last recorded stays on the other hosts, until an entry
    /// such as `exec rm FILE` removes it. Needs the lock.
    #[command(
        override_usage = "isconf snap [OPTIONS] PATH...",
        after_help = "Example:\n  isconf snap /etc/ntp.conf /usr/local/share/site"
    )]
    Snap(SnapArgs),
    /// Run a command here, and record it for all hosts of the branch
    ///
    /// The command first runs in a scratchpad. If it succeeds, what it changed is shown and made
    /// real, and the command is recorded; if it fails, nothing has happened. No shell is involved
    /// unless you name one. Options of isconf come before the command, all after it is the
    /// command's. Needs the lock. Ends with the status of the command.
    #[command(
        override_usage = "isconf exec [OPTIONS] COMMAND [ARGUMENT]...",
        after_help = "Examples:\n  isconf exec apt-get -y install ntp\n  isconf exec --noop make install\n  isconf exec sh -c 'echo 1 > /etc/one'"
    )]
    Exec(ExecArgs),
    /// Record a reboot for all hosts of the branch, and reboot this one
    ///
    /// Needs the lock. Runs IS_REBOOT_CMD. After the boot, go on with `exec`, `snap` or `ci`. On the
    /// other hosts `up` stops at this entry, and `up -r` reboots there.
    #[command(after_help = "Example:\n  isconf reboot")]
    Reboot,
    /// Check in what was done under the lock, and unlock
    ///
    /// Moves the entries of the wip to the journal, all or none, signed with this host's key. From then
    /// on the other hosts get them.
    #[command(
        after_help = "Examples:\n  isconf ci\n  isconf ci --strict   not when a hazard was found"
    )]
    Ci(CiArgs),
    /// Apply the entries of the branch that this host does not have yet
    ///
    /// Runs each entry in a scratchpad, in the order of the journal, and makes it real if it
    /// succeeds. Stops at the first that fails, with the machine as it was before that entry; the
    /// next `up` starts there.
    #[command(
        after_help = "Examples:\n  isconf up --noop --diff   show what would change, to the line\n  isconf up -r              reboot where the journal says so"
    )]
    Up(UpArgs),
    /// Make a new branch that begins as this one, and move this host to it
    ///
    /// Nothing may wait to be checked in. Other hosts follow with `migrate`.
    #[command(after_help = "Example:\n  isconf fork web-test")]
    Fork(BranchArg),
    /// Move this host to a branch that contains all that was done here
    ///
    /// The branch's journal must begin with every entry that this host has applied; `up` then applies
    /// the others. Nothing may wait to be checked in.
    #[command(after_help = "Example:\n  isconf migrate web-test")]
    Migrate(BranchArg),
    /// Start the daemon
    ///
    /// Returns when it is ready. One that runs already is left alone.
    #[command(after_help = "Example:\n  isconf start --foreground   as a service manager wants it")]
    Start(StartArgs),
    /// Stop the daemon
    ///
    /// Returns when it is gone.
    #[command(after_help = "Example:\n  isconf stop")]
    Stop,
    /// Stop the daemon and start it again
    #[command(after_help = "Example:\n  isconf restart")]
    Restart,
    /// Make this host a member of a domain
    ///
    /// Makes the directories below IS_HOME with conf/domain and conf/branch. Does not change a host that is in
    /// that domain already, and refuses one that is in another.
    #[command(after_help = "Example:\n  isconf init example.com web")]
    Init(InitArgs),
    /// Find the domain and its hosts by the address of one
    ///
    /// The file of keys has to be copied from a host of the domain before. Makes this host a member if it
    /// is none, starts the daemon if it does not run, and remembers the address.
    #[command(after_help = "Example:\n  isconf join web1.example.com")]
    Join(JoinArgs),
    /// Show the branch, the lock, what is pending, the daemon and the other hosts
    ///
    /// Waits for nobody: it answers while another isconf is at work.
    #[command(after_help = "Example:\n  isconf status --json")]
    Status(JsonArg),
    /// List the entries of the branch's journal
    ///
    /// Says of each who made it, when and why, and whether it is applied here, pending, or wip (made
    /// here and not checked in).
    #[command(after_help = "Example:\n  isconf log")]
    Log(JsonArg),
    /// Show one entry with all that it did where it was made
    ///
    /// Names are those that `log` shows.
    #[command(after_help = "Examples:\n  isconf show 12\n  isconf show 923fe53966c6 --all")]
    Show(ShowArgs),
    /// List what was done on this host: applied, made, checked in, discarded, undone
    ///
    /// One receipt each, the first one first, with who made the change, why, and what it is.
    #[command(after_help = "Example:\n  isconf history")]
    History(JsonArg),
    /// Take back the last entry that was applied here
    ///
    /// Restores every path to the bit. Refuses when one of them was changed since. An entry of the journal
    /// is pending again then; one of the wip is dropped.
    #[command(after_help = "Examples:\n  isconf undo --noop\n  isconf undo")]
    Undo(UndoArgs),
    /// Run a command in a scratchpad, show what it would change, and drop it
    ///
    /// Needs no configuration and leaves no trace in the journal. Ends with the status of the
    /// command. With --keep the scratchpad stays, to be shown, committed or dropped later.
    #[command(
        override_usage = "isconf try [OPTIONS] COMMAND [ARGUMENT]...\n       isconf try [OPTIONS] --shell\n       isconf try --list | --show NAME | --drop NAME | --commit NAME",
        after_help = "Examples:\n  isconf try make install\n  isconf try --keep new-gcc sh build.sh\n  isconf try --commit new-gcc\n  isconf try --shell"
    )]
    Try(TryArgs),
    /// Show where the live files differ from what the history says
    ///
    /// Looks at every path that an entry wrote, or at those below the paths given. Exit status 0: no
    /// difference; 1: differences; 5: something could not be read.
    #[command(after_help = "Examples:\n  isconf diff\n  isconf diff --thorough /etc")]
    Diff(DiffArgs),
    /// Carry a branch to a host without a network, as one file
    #[command(
        subcommand,
        subcommand_value_name = "VERB",
        subcommand_help_heading = "Verbs",
        after_help = "Examples:\n  isconf bundle export web.bundle   on one host\n  isconf bundle import web.bundle   on the other"
    )]
    Bundle(BundleVerb),
    /// Show isconf at work on two throwaway hosts; this machine is not touched
    ///
    /// Needs root, no configuration and no network, and some seconds.
    #[command(after_help = "Example:\n  isconf tour")]
    Tour,
    /// Show all settings of this host, and where each comes from
    #[command(after_help = "Examples:\n  isconf env\n  eval \"$(isconf env --export)\"")]
    Env(EnvArgs),
    /// Show what this machine can do, what is missing, and the remedy
    ///
    /// Without root only a part can be found out. Exit status 0: isconf can work here; 1: something that
    /// it needs is missing; 5: only root can tell.
    #[command(after_help = "Example:\n  isconf probe")]
    Probe(JsonArg),
    /// Show what is here of the domain's contents, and what is missing
    ///
    /// Exit status 1 when contents that an entry needs are missing.
    #[command(after_help = "Examples:\n  isconf cache --verify\n  isconf cache --prune --noop")]
    Cache(CacheArgs),
    /// Show how the hosts of the domain stand, as each of them said
    ///
    /// Exit status 1 when one of them stopped at an entry, or is otherwise than where its last entry was made.
    #[command(after_help = "Example:\n  isconf hosts")]
    Hosts(JsonArg),
    /// Follow what happens in the domain: entries, locks, who applied what and who failed
    #[command(after_help = "Example:\n  isconf watch")]
    Watch(JsonArg),
    /// Look after the domain as a whole
    #[command(
        subcommand,
        subcommand_value_name = "VERB",
        subcommand_help_heading = "Verbs",
        after_help = "Example:\n  isconf domain recover --yes"
    )]
    Domain(DomainVerb),
    /// Make, change or list the keys of the domain
    ///
    /// Hosts of a domain know each other's bundles by these keys. All have the same file.
    #[command(
        subcommand,
        subcommand_value_name = "VERB",
        subcommand_help_heading = "Verbs",
        after_help = "Example:\n  isconf keys generate"
    )]
    Keys(KeysVerb),
    /// Print the completions for a shell
    #[command(after_help = "Example:\n  isconf completions bash > /etc/bash_completion.d/isconf")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the man pages into a directory
    ///
    /// One of isconf, and one of each verb.
    #[command(after_help = "Example:\n  isconf man /usr/local/share/man/man1")]
    Man {
        /// The directory, which must exist
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// The daemon itself, as `start` runs it
    #[command(hide = true, name = crate::daemon::DAEMON_VERB)]
    Daemon,
}

/// How a report is shown.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// As JSON, for programs; the schemas are in docs/
    #[arg(long)]
    pub json: bool,
    /// One line an entry
    #[arg(long, conflicts_with = "json")]
    pub summary: bool,
    /// With the lines that changed in text files; only for up, exec and try [default: for small
    /// changes on a terminal]
    #[arg(long, conflicts_with_all = ["no_diff", "summary"])]
    pub diff: bool,
    /// Without them
    #[arg(long)]
    pub no_diff: bool,
    /// All paths with all attributes, however many
    #[arg(long, conflicts_with = "summary")]
    pub all: bool,
}

/// Arguments of `snap`.
#[derive(Debug, Args)]
pub struct SnapArgs {
    /// Preview or not.
    #[command(flatten)]
    pub noop: NoopArg,
    /// How the result is shown.
    #[command(flatten)]
    pub report: ReportArgs,
    /// Files, symbolic links and directories
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// Arguments of `exec`.
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// Preview or not.
    #[command(flatten)]
    pub noop: NoopArg,
    /// How the result is shown.
    #[command(flatten)]
    pub report: ReportArgs,
    /// Give the command this file as standard input, here and on every host; without it the command
    /// reads isconf's own here, which is not recorded, and nothing (/dev/null) on other hosts
    #[arg(long, value_name = "FILE")]
    pub stdin: Option<PathBuf>,
    /// What network the command sees, here and on every host: the host's, or none but a loopback of its
    /// own [default: IS_NETWORK]
    #[arg(long, value_name = "host|none")]
    pub network: Option<String>,
    /// Let the command act on the running system, after a rehearsal in the scratchpad; for signals,
    /// mounts, kernel settings and the like. What it changes in files is still made real as one
    #[arg(long, conflicts_with = "contained")]
    pub live: bool,
    /// Go through without what the command tried on the running system and was kept from
    #[arg(long)]
    pub contained: bool,
    /// Keep what the command changed even if a service manager then fails to do what it asked
    #[arg(long)]
    pub keep: bool,
    /// How it is examined.
    #[command(flatten)]
    pub check: CheckArgs,
    /// Also pass and record this environment variable, which must be set; may be repeated
    #[arg(long, value_name = "NAME")]
    pub env: Vec<OsString>,
    /// The command and its arguments
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    pub command: Vec<OsString>,
}

/// The argument of `fork` and `migrate`.
#[derive(Debug, Args)]
pub struct BranchArg {
    /// The branch: at least two of A-Z a-z 0-9 _ . -
    #[arg(value_name = "BRANCH")]
    pub branch: String,
}

/// Arguments of `start`.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// Stay in the foreground and log to standard error
    #[arg(short, long)]
    pub foreground: bool,
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The domain, by custom like a DNS domain
    #[arg(value_name = "DOMAIN")]
    pub domain: String,
    /// The branch [default: generic]
    #[arg(value_name = "BRANCH")]
    pub branch: Option<String>,
}

/// The only option of many verbs.
#[derive(Debug, Args)]
pub struct JsonArg {
    /// As JSON, for programs; the schemas are in docs/
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The sequence number of an entry, or the start of its id (at least 8 digits)
    #[arg(value_name = "SEQ|ID")]
    pub entry: String,
    /// How the result is shown.
    #[command(flatten)]
    pub report: ReportArgs,
}

/// Arguments of `undo`.
#[derive(Debug, Args)]
pub struct UndoArgs {
    /// Preview or not.
    #[command(flatten)]
    pub noop: NoopArg,
    /// How the result is shown.
    #[command(flatten)]
    pub report: ReportArgs,
}

/// Arguments of `try`.
#[derive(Debug, Args)]
pub struct TryArgs {
    /// Whether it may reach other hosts.
    #[command(flatten)]
    pub offline: OfflineArg,
    /// Keep the scratchpad under this name
    #[arg(long, value_name = "NAME")]
    pub keep: Option<String>,
    /// Start an interactive shell inside
    #[arg(long)]
    pub shell: bool,
    /// What network the command sees: the host's, or none but a loopback of its own [default:
    /// IS_NETWORK]
    #[arg(long, value_name = "host|none", conflicts_with = "of_kept")]
    pub network: Option<String>,
    /// List the scratchpads that were kept
    #[arg(long, group = "of_kept")]
    pub list: bool,
    /// Show what a kept scratchpad changed
    #[arg(long, value_name = "NAME", group = "of_kept")]
    pub show: Option<String>,
    /// Drop a kept scratchpad
    #[arg(long, value_name = "NAME", group = "of_kept")]
    pub drop: Option<String>,
    /// Make a kept scratchpad real
    #[arg(long, value_name = "NAME", group = "of_kept")]
    pub commit: Option<String>,
    /// With --commit: even if its command failed
    #[arg(long, requires = "commit")]
    pub even_failed: bool,
    /// With --commit: although this host has a domain; other hosts will not have the change
    #[arg(long, requires = "commit")]
    pub unjournaled: bool,
    /// How the result is shown.
    #[command(flatten)]
    pub report: ReportArgs,
    /// The command and its arguments
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        conflicts_with_all = ["of_kept", "shell"]
    )]
    pub command: Vec<OsString>,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// Also compare times of modification
    #[arg(long)]
    pub times: bool,
    /// Read every file, also those whose size and times are as they were
    #[arg(long)]
    pub thorough: bool,
    /// How the result is shown.
    #[command(flatten)]
    pub report: ReportArgs,
    /// Only these paths and what is below them
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// Arguments of `env`.
#[derive(Debug, Args)]
pub struct EnvArgs {
    /// As lines for a POSIX shell
    #[arg(long, conflicts_with = "json")]
    pub export: bool,
    /// As JSON, for programs; the schemas are in docs/
    #[arg(long)]
    pub json: bool,
}
