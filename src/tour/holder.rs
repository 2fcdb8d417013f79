//! A process that holds namespaces for as long as its maker lives. Upholds: a host never outlives
//! the process that made it, however that one ends; the kernel closes the pipe the holder reads.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::error::HostError;
use super::script::PATH;

/// A holder that has reported to be ready.
#[derive(Debug)]
pub(super) struct Holder {
    child: Child,
    /// The process in the new namespaces, as numbered here.
    pid: Pid,
    /// Closing this ends the holder.
    _life: Option<ChildStdin>,
}

impl Holder {
    /// Starts a command whose script writes `ready PID` once it holds what it shall.
    ///
    /// # Errors
    /// Returns what the script wrote to standard error if it ended before that.
    pub(super) fn start(
        host: &str,
        phase: &'static str,
        words: &[&OsStr],
    ) -> Result<Self, HostError> {
        let [program, args @ ..] = words else {
            return Err(HostError::SetUp {
                host: host.into(),
                phase,
                said: String::new(),
            });
        };
        let failed = |source| HostError::Process {
            command: program.to_string_lossy().into_owned(),
            source,
        };
        let mut child = Command::new(program)
            .args(args)
            .env_clear()
            .env("PATH", PATH)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let life = child.stdin.take();
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout)
                .read_line(&mut line)
                .map_err(failed)?;
        }
        let ready = line
            .strip_prefix("ready ")
            .and_then(|pid| pid.trim().parse().ok());
        let Some(pid) = ready else {
            let mut said = String::new();
            if let Some(mut stderr) = child.stderr.take() {
                stderr.read_to_string(&mut said).map_err(failed)?;
            }
            child.wait().map_err(failed)?;
            return Err(HostError::SetUp {
                host: host.into(),
                phase,
                said,
            });
        };
        Ok(Self {
            child,
            pid: Pid::from_raw(pid),
            _life: life,
        })
    }

    /// Returns the process that holds the namespaces.
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Gone already is as good. The pid cannot be another's: its parent is not reaped yet.
        let _gone_already = kill(self.pid, Signal::SIGKILL);
        // The mounts go with the last process of the namespace, before this returns.
        let _reaped = self.child.wait();
    }
}
