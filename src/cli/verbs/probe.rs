//! `probe`: what this machine can do, what is missing, and the remedy.

use crate::cli::invocation::Format;
use crate::cli::{Failure, Session};
use crate::ui::exit::ExitCode;

/// Shows what this machine can do.
pub fn probe(_session: &mut Session, _format: Format) -> Result<ExitCode, Failure> {
    Err(Failure::new(
        ExitCode::Internal,
        "probe is not connected yet",
    ))
}
