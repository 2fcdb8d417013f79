//! The options of what only shows what it would do. Not for what they mean (`resolve`). Upholds: as
//! for `args`, each is described where it is declared.

use clap::Args;

/// Whether anything becomes real.
#[derive(Debug, Args)]
pub struct NoopArg {
    /// Only show what would change
    #[arg(short, long)]
    pub noop: bool,
}

/// Whether a preview may reach other hosts.
#[derive(Debug, Clone, Copy, Args)]
pub struct OfflineArg {
    /// Keep commands from the network, whatever they or their entries say; only where nothing becomes
    /// real
    #[arg(long)]
    pub offline: bool,
}

/// Whether anything becomes real, and whether a preview may reach other hosts.
#[derive(Debug, Args)]
pub struct PreviewArgs {
    /// Preview or not.
    #[command(flatten)]
    pub noop: NoopArg,
    /// Whether it may reach other hosts.
    #[command(flatten)]
    pub offline: OfflineArg,
}
