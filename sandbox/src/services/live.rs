//! Asks the live system: runs a program outside of the scratchpad and takes what it says. For
//! questions, and for what an entry does with the running system in reach. Upholds: what is read is
//! bounded, in length and in time.

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The most that is read of each output.
const MAX_BYTES: usize = 1 << 20;

/// What a program said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Said {
    /// Its exit status, as a shell has it.
    pub status: u8,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// A program and how it is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    /// The program, absolute.
    pub program: &'a Path,
    /// Its arguments, the first of which is its own name.
    pub argv: &'a [OsString],
    /// Its whole environment.
    pub env: &'a [(OsString, OsString)],
    /// Its working directory; `/` is used where it cannot be entered.
    pub cwd: &'a Path,
    /// How long it may take.
    pub time: Duration,
}

/// Runs the program to its end. One that takes too long is ended, which its status shows.
pub(crate) fn ask(call: Call<'_>) -> std::io::Result<Said> {
    let cwd = if call.cwd.is_dir() {
        call.cwd
    } else {
        Path::new("/")
    };
    let mut command = Command::new(call.program);
    if let Some((name, rest)) = call.argv.split_first() {
        use std::os::unix::process::CommandExt;
        command.arg0(name).args(rest);
    }
    let child = command
        .env_clear()
        .envs(call.env.iter().map(|(name, value)| (name, value)))
        .current_dir(cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    listen(child, Instant::now() + call.time)
}

fn listen(mut child: Child, deadline: Instant) -> std::io::Result<Said> {
    let mut out = Stream::of(child.stdout.take());
    let mut err = Stream::of(child.stderr.take());
    while out.is_open() || err.is_open() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // ESRCH cannot be: it is not reaped yet.
            child.kill()?;
            err.bytes.extend_from_slice(b"isconf: no answer in time\n");
            break;
        }
        wait(&out, &err, left)?;
        out.take()?;
        err.take()?;
    }
    let status = child.wait()?;
    use std::os::unix::process::ExitStatusExt;
    let by_signal = || status.signal().map_or(1, |signal| 128 + signal);
    Ok(Said {
        status: status.code().unwrap_or_else(by_signal) as u8,
        out: String::from_utf8_lossy(&out.bytes).into_owned(),
        err: String::from_utf8_lossy(&err.bytes).into_owned(),
    })
}

/// One output, until its end or its bound.
struct Stream<R> {
    pipe: Option<R>,
    bytes: Vec<u8>,
}

impl<R: Read + AsFd> Stream<R> {
    fn of(pipe: Option<R>) -> Self {
        Self {
            pipe,
            bytes: Vec::new(),
        }
    }

    fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    /// Takes what is there, if anything is.
    fn take(&mut self) -> std::io::Result<()> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(());
        };
        let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::ZERO) {
            Ok(0) | Err(Errno::EINTR) => return Ok(()),
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut buffer = [0; 8192];
        match pipe.read(&mut buffer) {
            Ok(0) => self.pipe = None,
            Ok(length) => {
                let room = MAX_BYTES.saturating_sub(self.bytes.len());
                self.bytes.extend_from_slice(&buffer[..length.min(room)]);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn wait<A: AsFd, B: AsFd>(out: &Stream<A>, err: &Stream<B>, left: Duration) -> std::io::Result<()> {
    let both = [
        out.pipe.as_ref().map(AsFd::as_fd),
        err.pipe.as_ref().map(AsFd::as_fd),
    ];
    let mut fds: Vec<PollFd<'_>> = both
        .into_iter()
        .flatten()
        .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
        .collect();
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(line: &str, time: Duration) -> Said {
        let argv = ["sh", "-c", line].map(OsString::from);
        ask(Call {
            program: Path::new("/bin/sh"),
            argv: &argv,
            env: &[("A".into(), "b".into())],
            cwd: Path::new("/no/such/directory"),
            time,
        })
        .unwrap()
    }

    #[test]
    fn what_a_program_says_and_how_it_ends_is_taken() {
        let said = sh("echo $A; pwd; echo c >&2; exit 7", Duration::from_secs(60));
        assert_eq!(said.status, 7);
        assert_eq!((said.out.as_str(), said.err.as_str()), ("b\n/\n", "c\n"));
        let long = sh("head -c 2000000 /dev/zero", Duration::from_secs(60));
        assert_eq!((long.status, long.out.len()), (0, MAX_BYTES));
    }

    #[test]
    fn one_that_does_not_answer_is_ended() {
        let said = sh("exec sleep 1000", Duration::from_millis(50));
        assert_eq!(said.status, 128 + 9);
        assert!(said.err.contains("no answer"));
    }
}
