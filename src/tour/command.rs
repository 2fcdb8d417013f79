//! Runs commands in a throwaway host: arguments, environment, input, time limit, output. The
//! environment is built from nothing. Not for deciding what a result means.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::error::HostError;
use super::script::PATH;

/// How long a command may take unless told otherwise.
const LIMIT: Duration = Duration::from_secs(60);

/// How a command ended and what it wrote.
#[derive(Debug, Clone)]
pub struct Output {
    /// The wait status, as of the command itself.
    pub status: ExitStatus,
    /// Its standard output; with [`HostCommand::merged`] its standard error too, in order.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Returns the exit status, or 128 + the signal that ended it, as a shell does.
    pub fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    /// Returns standard output as text, with what is not UTF-8 replaced.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Returns standard error as text, with what is not UTF-8 replaced.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}\nstdout:\n{}\nstderr:\n{}",
            self.status,
            self.out(),
            self.err()
        )
    }
}

/// A command to be run in a host.
#[derive(Debug, Clone)]
#[must_use = "nothing runs before `run` or `spawn`"]
pub struct HostCommand {
    host: String,
    init: Pid,
    words: Vec<OsString>,
    vars: Vec<(OsString, OsString)>,
    cwd: OsString,
    stdin: Vec<u8>,
    limit: Duration,
    merged: bool,
}

impl HostCommand {
    /// Prepares a command; `init` is the PID 1 of the host as numbered here. For rigs that make
    /// their hosts by other means than [`super::Host`] as well.
    pub fn new<W: AsRef<OsStr>>(host: &str, init: Pid, words: impl IntoIterator<Item = W>) -> Self {
        let vars = [
            ("PATH", PATH),
            ("HOME", "/root"),
            ("LOGNAME", "root"),
            ("LC_ALL", "C.UTF-8"),
        ];
        Self {
            host: host.to_owned(),
            init,
            words: words
                .into_iter()
                .map(|word| word.as_ref().to_owned())
                .collect(),
            vars: vars.map(|(name, value)| (name.into(), value.into())).into(),
            cwd: "/root".into(),
            stdin: Vec::new(),
            limit: LIMIT,
            merged: false,
        }
    }

    /// Sets an environment variable; the later of two with one name counts.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.vars
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the working directory, a path in the host.
    pub fn cwd(mut self, path: impl AsRef<OsStr>) -> Self {
        path.as_ref().clone_into(&mut self.cwd);
        self
    }

    /// Sets what standard input holds; it is empty otherwise.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Sets the time after which the command is killed.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sends standard error where standard output goes, so that their order is kept.
    pub fn merged(mut self) -> Self {
        self.merged = true;
        self
    }

    /// Runs the command to its end.
    ///
    /// # Errors
    /// If it cannot be started or does not end in time. A failing command is no error.
    pub fn run(self) -> Result<Output, HostError> {
        self.spawn()?.wait()
    }

    /// Runs the command and demands exit status 0.
    ///
    /// # Errors
    /// As [`HostCommand::run`]; and [`HostError::Failed`] with what the command said.
    pub fn ok(self) -> Result<Output, HostError> {
        let (host, command) = (self.host.clone(), self.shown());
        let output = self.run()?;
        if output.status.success() {
            return Ok(output);
        }
        let said = format!("{}{}", output.out(), output.err());
        Err(HostError::Failed {
            host,
            command,
            status: output.status.to_string(),
            said,
        })
    }

    /// Starts the command and leaves it running.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn spawn(self) -> Result<Process, HostError> {
        let failed = |command: &Self, source| HostError::Process {
            command: command.shown(),
            source,
        };
        let (sender, events) = channel();
        let mut child = self.entering();
        let started = self
            .start(&mut child, &sender)
            .map_err(|source| failed(&self, source))?;
        Ok(Process {
            command: self.shown(),
            host: self.host,
            limit: self.limit,
            outer: started,
            events,
        })
    }

    /// Returns the command line as a person would type it, roughly.
    fn shown(&self) -> String {
        let words: Vec<_> = self
            .words
            .iter()
            .map(|word| word.to_string_lossy())
            .collect();
        words.join(" ")
    }

    /// Builds the command that enters the host's namespaces: `nsenter` passes on the status and
    /// the signal of its child, by giving itself the same one; the second `env` changes the
    /// directory after the root has changed.
    fn entering(&self) -> Command {
        let mut command = Command::new("env");
        // Whoever runs us in the background of a script, or under nohup(1), has these ignored.
        command.args(["--default-signal=INT,QUIT,HUP", "nsenter"]);
        command.arg("-t").arg(self.init.to_string());
        command.args(["-m", "-u", "-i", "-n", "-p", "--", "env", "-C"]);
        command.arg(&self.cwd).args(&self.words);
        command
            .env_clear()
            .envs(self.vars.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts it with a thread per stream, so that no pipe can fill up and block.
    fn start(&self, command: &mut Command, sender: &Sender<Event>) -> io::Result<u32> {
        let (out, into) = io::pipe()?;
        let err = if self.merged {
            command.stderr(into.try_clone()?);
            None
        } else {
            let (err, into) = io::pipe()?;
            command.stderr(into);
            Some(err)
        };
        command.stdout(into);
        command.stdin(if self.stdin.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        });
        let mut child = command.spawn()?;
        // The command still holds the writing ends, and the readers would wait for them.
        *command = Command::new("true");
        if let Some(mut stdin) = child.stdin.take() {
            let bytes = self.stdin.clone();
            // A command that does not read its input is no failure.
            std::thread::spawn(move || stdin.write_all(&bytes));
        }
        read_to_end(out, sender, Event::Stdout);
        match err {
            Some(err) => read_to_end(err, sender, Event::Stderr),
            None => read_to_end(io::empty(), sender, Event::Stderr),
        }
        let outer = child.id();
        let sender = sender.clone();
        std::thread::spawn(move || sender.send(Event::Ended(child.wait())));
        Ok(outer)
    }
}

/// What the threads of a running command report, once each.
#[derive(Debug)]
enum Event {
    Stdout(io::Result<Vec<u8>>),
    Stderr(io::Result<Vec<u8>>),
    Ended(io::Result<ExitStatus>),
}

/// Reads a stream in a thread of its own and reports it when it ends.
fn read_to_end(
    mut stream: impl Read + Send + 'static,
    sender: &Sender<Event>,
    event: impl FnOnce(io::Result<Vec<u8>>) -> Event + Send + 'static,
) {
    let sender = sender.clone();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let result = stream.read_to_end(&mut bytes).map(|_| bytes);
        // Nobody listens once the wait has timed out.
        let _nobody_listens = sender.send(event(result));
    });
}

/// A command that was started in a host. Dropping it does not end the command; the end of the host
/// does.
#[derive(Debug)]
pub struct Process {
    command: String,
    host: String,
    limit: Duration,
    /// The `nsenter` that waits for the command.
    outer: u32,
    events: Receiver<Event>,
}

impl Process {
    /// Sends a signal to the command itself.
    ///
    /// # Errors
    /// If the command cannot be found or signalled, for instance because it ended.
    pub fn signal(&self, signal: Signal) -> Result<(), HostError> {
        let failed = |source| HostError::Process {
            command: self.command.clone(),
            source,
        };
        let pid = self.pid()?;
        kill(pid, signal).map_err(|errno| failed(errno.into()))
    }

    /// Ends the command as a crash would: at once, without a chance to clean up.
    ///
    /// # Errors
    /// As [`Process::signal`].
    pub fn crash(&self) -> Result<(), HostError> {
        self.signal(Signal::SIGKILL)
    }

    /// Returns the pid of the command, as numbered outside the host.
    ///
    /// # Errors
    /// If the command ended, or did not start within its time limit.
    pub fn pid(&self) -> Result<Pid, HostError> {
        let path = format!("/proc/{0}/task/{0}/children", self.outer);
        let deadline = Instant::now() + self.limit;
        loop {
            let children =
                std::fs::read_to_string(&path).map_err(|source| HostError::file(&path, source))?;
            if let Some(pid) = children.split_ascii_whitespace().next() {
                let pid = pid.parse().map_err(|_| {
                    HostError::file(&path, io::Error::from(io::ErrorKind::InvalidData))
                })?;
                return Ok(Pid::from_raw(pid));
            }
            if Instant::now() > deadline {
                return Err(self.timed_out());
            }
            std::thread::yield_now();
        }
    }

    /// Waits for the end of the command and of its output. A process that it left behind with its
    /// output open counts as not ended.
    ///
    /// # Errors
    /// If it does not end in time; it is killed then.
    pub fn wait(self) -> Result<Output, HostError> {
        let failed = |source| HostError::Process {
            command: self.command.clone(),
            source,
        };
        let deadline = Instant::now() + self.limit;
        let (mut stdout, mut stderr, mut status) = (None, None, None);
        loop {
            if let (Some(stdout), Some(stderr), Some(status)) = (&mut stdout, &mut stderr, status) {
                let (stdout, stderr) = (std::mem::take(stdout), std::mem::take(stderr));
                return Ok(Output {
                    status,
                    stdout,
                    stderr,
                });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(Event::Stdout(bytes)) => stdout = Some(bytes.map_err(failed)?),
                Ok(Event::Stderr(bytes)) => stderr = Some(bytes.map_err(failed)?),
                Ok(Event::Ended(ended)) => status = Some(ended.map_err(failed)?),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    if status.is_none() {
                        // It may end at this very moment.
                        let _ended_meanwhile = self.crash();
                    }
                    return Err(self.timed_out());
                }
            }
        }
    }

    fn timed_out(&self) -> HostError {
        HostError::TimedOut {
            host: self.host.clone(),
            command: self.command.clone(),
            limit: self.limit,
        }
    }
}
