//! The options that are about hazards and about the outside world in previews. Not for what they
//! mean (`resolve`). Upholds: as for `args`, each is described where it is declared.

use clap::Args;

use super::preview_args::OfflineArg;

/// Arguments of `ci`.
#[derive(Debug, Clone, Copy, Args)]
pub struct CiArgs {
    /// Refuse when something hazardous was found about one of the changes [default: IS_CI_STRICT]
    #[arg(long)]
    pub strict: bool,
    /// Check in all the same
    #[arg(long, conflicts_with = "strict")]
    pub no_strict: bool,
}

/// How `exec` examines a command.
#[derive(Debug, Clone, Copy, Args)]
pub struct CheckArgs {
    /// Whether a preview may reach other hosts.
    #[command(flatten)]
    pub offline: OfflineArg,
    /// Run the command a second time, at another second and under another host name, machine-id and
    /// network address, and name what differs; the first run is what counts. What it sends over the
    /// network is sent twice
    #[arg(long, conflicts_with = "live")]
    pub check_repeatable: bool,
}
