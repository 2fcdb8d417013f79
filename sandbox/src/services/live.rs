//! Runs a program on the live system, outside of the scratchpad, and takes what it says. For
//! questions to service managers, and for what waited for the commit. Upholds: what is read is bounded,
//! in length and in time; a daemon that a program leaves behind holds nothing up, and does not miss
//! where it writes to.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;

use crate::child::end_is_asked;
use crate::sys::clone::{open_process, send_signal};
use crate::sys::process::start_with_signals;

/// The most that is taken of each output.
const MAX_BYTES: usize = 1 << 20;

/// What a program said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// Its exit status, as a shell has it.
    pub status: u8,
    /// Its standard output, up to 1 MiB.
    pub out: String,
    /// Its standard error, up to 1 MiB.
    pub err: String,
}

impl Said {
    /// A failure with nothing but this on standard error.
    pub(super) fn failing(status: u8, err: String) -> Self {
        Self {
            status,
            out: String::new(),
            err,
        }
    }
}

/// A program and how it is run.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
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
    /// How long it has to end by itself when a signal comes that is held back and asks isconf to end;
    /// `None`: it is seen to its end.
    pub grace: Option<Duration>,
}

/// Runs the program to its end, and no longer: what it leaves running goes on. One that takes too long
/// is ended, which its status shows.
pub fn ask(call: Call<'_>) -> io::Result<Said> {
    let cwd = match call.cwd.is_dir() {
        true => call.cwd,
        false => Path::new("/"),
    };
    let (out, err) = (Output::new()?, Output::new()?);
    let asked = call.grace.map(|_| end_is_asked()).transpose()?;
    let heeded = asked.as_ref().zip(call.grace);
    let mut command = Command::new(call.program);
    if let Some((name, rest)) = call.argv.split_first() {
        command.arg0(name).args(rest);
    }
    // We hold signals back; what it starts would do so for good.
    start_with_signals(&mut command);
    let child = command
        .env_clear()
        .envs(call.env.iter().map(|(name, value)| (name, value)))
        .current_dir(cwd)
        .stdin(Stdio::null())
        .stdout(out.writer()?)
        .stderr(err.writer()?)
        .spawn()?;
    let (status, ended) = wait(child, Instant::now() + call.time, heeded)?;
    let mut said = Said {
        status,
        out: out.text()?,
        err: err.text()?,
    };
    match ended {
        Ended::ByItself => {}
        Ended::Late => {
            let seconds = call.time.as_secs_f32();
            said.err
                .push_str(&format!("isconf: no answer after {seconds} s\n"));
        }
        Ended::AskedTo => said.err.push_str("isconf: interrupted\n"),
    }
    Ok(said)
}

/// Why a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    ByItself,
    /// It was ended, as its time was over.
    Late,
    /// It was ended, as isconf is to end.
    AskedTo,
}

/// Waits for the end, and makes it where it has to be. `heeded` is what becomes readable when isconf is
/// to end, and the time that is left then.
fn wait(
    mut child: Child,
    deadline: Instant,
    heeded: Option<(&SignalFd, Duration)>,
) -> io::Result<(u8, Ended)> {
    let process = open_process(Pid::from_raw(child.id() as i32))?;
    let ended = ending(&process, deadline, heeded.map(|(asked, _)| asked))?;
    let mut runs = ended != Ended::ByItself;
    if let (Ended::AskedTo, Some((_, grace))) = (ended, heeded)
        && !grace.is_zero()
    {
        // ESRCH: it ended meanwhile, which is what is wanted.
        let _ = send_signal(process.as_fd(), libc::SIGTERM);
        runs = ending(&process, Instant::now() + grace, None)? != Ended::ByItself;
    }
    if runs {
        // It cannot be gone: it is not reaped yet.
        child.kill()?;
    }
    let status = child.wait()?;
    let by_signal = || status.signal().map_or(1, |signal| 128 + signal);
    Ok((status.code().unwrap_or_else(by_signal) as u8, ended))
}

fn ending(process: &OwnedFd, deadline: Instant, asked: Option<&SignalFd>) -> io::Result<Ended> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut fds = vec![PollFd::new(process.as_fd(), PollFlags::POLLIN)];
        fds.extend(asked.map(|asked| PollFd::new(asked.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, timeout) {
            Ok(0) if left.is_zero() => return Ok(Ended::Late),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) if fds[0].any() == Some(true) => return Ok(Ended::ByItself),
            Ok(_) => return Ok(Ended::AskedTo),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Where a program writes to: memory, which does not grow any more when the program has ended. A pipe
/// would have to be read until the last daemon closes it, and would kill one that writes later.
struct Output(File);

impl Output {
    fn new() -> io::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        Ok(Self(memfd_create(c"output", flags)?.into()))
    }

    /// The place, with a position in common with this one.
    fn writer(&self) -> io::Result<Stdio> {
        Ok(self.0.try_clone()?.into())
    }

    /// What was written.
    fn text(self) -> io::Result<String> {
        let length = self.0.metadata()?.len().min(MAX_BYTES as u64);
        // A daemon that still has it open fills no memory. It is no error if somebody has it mapped.
        let seals = SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_WRITE;
        let _ = fcntl(&self.0, FcntlArg::F_ADD_SEALS(seals));
        let mut bytes = vec![0; length as usize];
        self.0.read_exact_at(&mut bytes, 0)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::pthread::{pthread_kill, pthread_self};
    use nix::sys::signal::{SigSet, Signal};

    use super::*;

    fn sh(line: &str, time: Duration) -> Said {
        sh_with(line, time, Duration::ZERO)
    }

    fn sh_with(line: &str, time: Duration, grace: Duration) -> Said {
        let argv = ["sh", "-c", line].map(OsString::from);
        ask(Call {
            program: Path::new("/bin/sh"),
            argv: &argv,
            env: &[("A".into(), "b".into())],
            cwd: Path::new("/no/such/directory"),
            time,
            grace: Some(grace),
        })
        .unwrap()
    }

    #[test]
    fn what_a_program_says_and_how_it_ends_is_taken() {
        let said = sh("echo $A; pwd; echo c >&2; exit 7", Duration::from_secs(60));
        assert_eq!(said.status, 7);
        assert_eq!((said.out.as_str(), said.err.as_str()), ("b\n/\n", "c\n"));
        let long = sh("head -c 2000000 /dev/zero", Duration::from_secs(60));
        assert_eq!(long.out.len(), MAX_BYTES);
    }

    #[test]
    fn what_it_leaves_running_holds_nothing_up() {
        let said = sh("sleep 100 & echo $!", Duration::from_secs(60));
        let pid = said.out.trim().parse().unwrap();
        // It is still there: ended only here.
        nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }

    #[test]
    fn it_may_open_its_output_again_and_has_its_signals() {
        let line = "echo a >/dev/stderr; grep SigBlk /proc/self/status";
        let mut held = SigSet::empty();
        held.add(Signal::SIGTERM);
        held.thread_block().unwrap();
        let said = sh(line, Duration::from_secs(60));
        held.thread_unblock().unwrap();
        assert_eq!((said.status, said.err.as_str()), (0, "a\n"));
        assert_eq!(said.out.trim(), "SigBlk:\t0000000000000000");
    }

    #[test]
    fn one_that_is_waited_for_ends_with_us() {
        let mut held = SigSet::empty();
        held.add(Signal::SIGHUP);
        held.thread_block().unwrap();
        pthread_kill(pthread_self(), Signal::SIGHUP).unwrap();
        let said = sh("exec sleep 1000", Duration::from_secs(500));
        assert_eq!(said.status, 128 + 9);
        assert!(said.err.contains("interrupted"));
        // It is still there for whom it concerns.
        assert_eq!(held.wait(), Ok(Signal::SIGHUP));
        held.thread_unblock().unwrap();
    }

    #[test]
    fn one_that_is_given_time_ends_as_it_wants() {
        let mut held = SigSet::empty();
        held.add(Signal::SIGHUP);
        held.thread_block().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let ready = directory.path().join("ready");
        let line = format!(
            "trap 'echo ended; exit 3' TERM; >{}; while :; do sleep 0.01; done",
            ready.display()
        );
        let this = pthread_self();
        let other = std::thread::spawn(move || {
            while !ready.exists() {
                std::thread::yield_now();
            }
            pthread_kill(this, Signal::SIGHUP).unwrap();
        });
        let said = sh_with(&line, Duration::from_secs(500), Duration::from_secs(400));
        assert_eq!((said.status, said.out.as_str()), (3, "ended\n"));
        other.join().unwrap();
        assert_eq!(held.wait(), Ok(Signal::SIGHUP));
        held.thread_unblock().unwrap();
    }

    #[test]
    fn one_that_does_not_answer_is_ended() {
        let said = sh("exec sleep 1000", Duration::from_millis(50));
        assert_eq!(said.status, 128 + 9);
        assert!(said.err.contains("no answer"));
    }
}
