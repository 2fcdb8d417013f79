//! The arguments of verbs that concern the domain: its lock, its hosts, its contents, and being up to date with it.

use std::ffi::OsString;

use clap::Args;

use super::args::ReportArgs;
use super::preview_args::PreviewArgs;

/// Arguments of `lock`.
#[derive(Debug, Args)]
pub struct LockArgs {
    /// Why; joined by spaces
    #[arg(value_name = "MESSAGE", trailing_var_arg = true)]
    pub words: Vec<OsString>,
    /// The same as -m before the verb
    #[arg(short, long, value_name = "MESSAGE", allow_hyphen_values = true)]
    pub message: Option<OsString>,
    /// Go on with what somebody else made here and did not check in
    #[arg(long)]
    pub take_over: bool,
}

/// Arguments of `unlock`.
#[derive(Debug, Args)]
pub struct UnlockArgs {
    /// Also take back everything that was done under the lock
    #[arg(long)]
    pub discard: bool,
}

/// Arguments of `join`.
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// A host of the domain: an address or a name, with a port if that is not IS_PORT
    #[arg(value_name = "ADDRESS")]
    pub address: String,
    /// The branch that this host is to follow [default: generic]
    #[arg(value_name = "BRANCH")]
    pub branch: Option<String>,
}

/// Arguments of `cache`.
#[derive(Debug, Args)]
pub struct CacheArgs {
    /// Read all of it; what is damaged is set aside, and fetched again by a running daemon
    #[arg(long)]
    pub verify: bool,
    /// Remove what nothing refers to, and with IS_CACHE=needed what this host does not need any more and IS_COPIES
    /// other hosts keep
    #[arg(long, conflicts_with = "verify")]
    pub prune: bool,
    /// Only show what would be removed
    #[arg(short, long, requires = "prune")]
    pub noop: bool,
    /// As JSON, for programs; the schemas are in docs/
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Preview or not.
    #[command(flatten)]
    pub preview: PreviewArgs,
    /// Reboot if a reboot is due
    #[arg(short, long, alias = "reboot_ok", conflicts_with = "noop")]
    pub reboot_ok: bool,
    /// Keep an entry even if a service manager then fails to do what it asked, and go on
    #[arg(long, conflicts_with = "noop")]
    pub keep: bool,
    /// Then wait until every host of the branch has done so, or said that it cannot
    #[arg(long, conflicts_with = "noop")]
    pub wait: bool,
    /// How the result is shown.
    #[command(flatten)]
    pub report: ReportArgs,
}
