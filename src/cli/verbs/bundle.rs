//! `bundle`: carries a branch as one file. Upholds: nothing comes in unchecked.

use std::path::Path;

use crate::cli::invocation::Trust;
use crate::cli::{Failure, Session};
use crate::ui::exit::ExitCode;

fn not_connected(verb: &str) -> Result<ExitCode, Failure> {
    let message = format!("{verb} is not connected yet");
    Err(Failure::new(ExitCode::Internal, message))
}

/// Writes the journal of the branch, with all that it needs, into a file.
pub fn bundle_export(
    session: &mut Session,
    _file: &Path,
    _since: u64,
) -> Result<ExitCode, Failure> {
    session.on_branch()?;
    not_connected("bundle export")
}

/// Takes a bundle in.
pub fn bundle_import(
    session: &mut Session,
    _file: &Path,
    _trust: Trust,
) -> Result<ExitCode, Failure> {
    session.on_branch()?;
    not_connected("bundle import")
}
