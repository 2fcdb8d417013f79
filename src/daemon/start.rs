//! Starting the daemon from a verb. Upholds: `start` returns when the daemon can be asked; a second
//! start leaves the first one alone.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::durable::FileError;
use crate::model::Home;

use super::daemon_lock::running_daemon;
use super::run::{READY_LINE, RUNNING_LINE};

/// How to run the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The program: this one.
    pub program: PathBuf,
    /// Its arguments: the flags that choose the settings, then [`super::DAEMON_VERB`].
    pub args: Vec<OsString>,
    /// How long it may take until it is ready.
    pub patience: Duration,
}

/// What `start` found or did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// The daemon runs now, as this process.
    Now(u32),
    /// It ran already, as this process.
    Already(u32),
}

/// Why no daemon runs.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The lock file cannot be asked.
    #[error(transparent)]
    File(#[from] FileError),
    /// The program could not be run.
    #[error("cannot run {}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The pipe from the daemon broke.
    #[error("cannot hear the daemon")]
    Listen(#[source] io::Error),
    /// It ended before it was ready; it said why on standard error.
    #[error("the daemon did not start ({0})")]
    Ended(ExitStatus),
    /// It did not become ready in time, and was killed.
    #[error("the daemon was not ready after {} s and was killed", .0.as_secs())]
    TooSlow(Duration),
}

/// Starts the daemon, unless one runs, and waits until it is ready. What it says before that goes to
/// the caller's standard error.
pub fn start(home: &Home, launch: &Launch) -> Result<Started, StartError> {
    if let Some(pid) = running_daemon(home)? {
        return Ok(Started::Already(pid));
    }
    let mut child = Command::new(&launch.program)
        .args(&launch.args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|source| StartError::Spawn {
            program: launch.program.clone(),
            source,
        })?;
    match first_line(&mut child, launch.patience).map_err(StartError::Listen)? {
        Heard::Line(line) if line == READY_LINE => Ok(Started::Now(child.id())),
        Heard::Line(line) if line == RUNNING_LINE => {
            // Another `start` was faster; who it is may still change, and 0 says so.
            Ok(Started::Already(running_daemon(home)?.unwrap_or(0)))
        }
        Heard::Line(_) => Err(StartError::Ended(child.wait().map_err(StartError::Listen)?)),
        Heard::Nothing => {
            // Both may fail only because it ended by itself just now.
            let _ended = child.kill();
            let _reaped = child.wait();
            Err(StartError::TooSlow(launch.patience))
        }
    }
}

/// What came through the pipe.
enum Heard {
    /// A line, or what came before the end.
    Line(String),
    /// Nothing in time.
    Nothing,
}

/// Reads the first line of the child's standard output. The lines are shorter than a pipe's atomic
/// write, so that one read gives a whole one.
fn first_line(child: &mut Child, patience: Duration) -> io::Result<Heard> {
    let Some(mut pipe) = child.stdout.take() else {
        return Ok(Heard::Line(String::new()));
    };
    let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
    let mut waited = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut waited, timeout) {
            Ok(0) => return Ok(Heard::Nothing),
            Ok(_) => break,
            Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    let mut line = [0; 64];
    let length = pipe.read(&mut line)?;
    let line = String::from_utf8_lossy(&line[..length]);
    Ok(Heard::Line(line.into_owned()))
}
