//! Stopping the daemon from a verb. Upholds: only the process that holds the daemon's lock at that
//! moment is signalled, never one that a file names.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::durable::FileError;
use crate::model::Home;

use super::daemon_lock::{running_daemon, wait_for_end};

/// How long the daemon may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the kernel may take to end it; a process in an uninterruptible wait stays longer.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// What `stop` found or did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The daemon, which was this process, has ended.
    Now(u32),
    /// None ran, but one did before.
    Already,
    /// None ran, and there is no pid file of an earlier one.
    NoPidFile,
}

/// Why the daemon still runs.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// The lock file cannot be asked.
    #[error(transparent)]
    File(#[from] FileError),
    /// It runs in another pid namespace.
    #[error("the daemon runs in a container or another pid namespace. Stop it there")]
    OutOfSight,
    /// It could not be signalled.
    #[error("cannot signal the daemon, process {pid}")]
    Signal {
        /// The process.
        pid: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It did not even end by SIGKILL.
    #[error("the daemon, process {pid}, does not end")]
    Stuck {
        /// The process.
        pid: u32,
    },
}

/// Stops the daemon, by SIGTERM and then SIGKILL, and waits for its end.
pub fn stop(home: &Home) -> Result<Stopped, StopError> {
    let Some(pid) = running_daemon(home)? else {
        return Ok(if home.pid_file().exists() {
            Stopped::Already
        } else {
            Stopped::NoPidFile
        });
    };
    if pid == 0 {
        return Err(StopError::OutOfSight);
    }
    for (signal, patience) in [
        (Signal::SIGTERM, PATIENCE),
        (Signal::SIGKILL, KILL_PATIENCE),
    ] {
        send(pid, signal)?;
        if has_ended_within(home, patience)? {
            return Ok(Stopped::Now(pid));
        }
    }
    Err(StopError::Stuck { pid })
}

/// Signals the process that held the lock a moment ago.
fn send(pid: u32, signal: Signal) -> Result<(), StopError> {
    let target = Pid::from_raw(i32::try_from(pid).map_err(|_| StopError::OutOfSight)?);
    match kill(target, signal) {
        // It ended meanwhile.
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(StopError::Signal {
            pid,
            source: errno.into(),
        }),
    }
}

/// Waits for the lock in a thread of its own, since fcntl(2) knows no time limit. The thread outlives a
/// failed wait, and ends with the process or the daemon.
fn has_ended_within(home: &Home, patience: Duration) -> Result<bool, StopError> {
    let (sender, receiver) = mpsc::channel();
    let home = home.clone();
    thread::spawn(move || {
        // Nobody listens any more after the time limit.
        let _unheard = sender.send(wait_for_end(&home));
    });
    match receiver.recv_timeout(patience) {
        Ok(result) => result.map(|()| true).map_err(StopError::from),
        Err(mpsc::RecvTimeoutError::Timeout | mpsc::RecvTimeoutError::Disconnected) => Ok(false),
    }
}
