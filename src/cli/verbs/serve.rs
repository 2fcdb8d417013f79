//! `start`, `stop`, `restart` and the daemon itself. Upholds: verbs work without it.

use crate::cli::invocation::Place;
use crate::cli::{Failure, Member, Session};
use crate::ui::exit::ExitCode;

fn not_connected(verb: &str) -> Result<ExitCode, Failure> {
    let message = format!("{verb} is not connected yet");
    Err(Failure::new(ExitCode::Internal, message))
}

/// Starts the daemon.
pub fn start(session: &mut Session, _place: Place) -> Result<ExitCode, Failure> {
    session.member()?;
    not_connected("start")
}

/// Stops the daemon.
pub fn stop(session: &mut Session) -> Result<ExitCode, Failure> {
    session.member()?;
    not_connected("stop")
}

/// Stops the daemon, if it runs, and starts it.
pub fn restart(session: &mut Session) -> Result<ExitCode, Failure> {
    session.member()?;
    not_connected("restart")
}

/// Is the daemon.
pub fn daemon(session: &mut Session) -> Result<ExitCode, Failure> {
    session.member()?;
    not_connected("daemon")
}

/// The daemon's process, if it runs.
pub(super) fn daemon_pid(_member: &Member) -> Result<Option<u32>, Failure> {
    Ok(None)
}
