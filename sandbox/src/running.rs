//! Waits for the command: its end, its notifications, and signals that ask us to end. Not for
//! starting it. Upholds: when waiting is over no process of the scratchpad but its first is left.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};

use crate::child::{
    Arrived, Effect, EffectKind, EffectOutcome, Exceeded, Exit, Foreground, InitError, Started,
    Tally, Watcher,
};
use crate::exited::{Exited, Ran};
use crate::limit_watch::LimitWatch;
use crate::reach::Reach;
use crate::services::{Action, Desk};
use crate::session::Pad;
use crate::sys::clone::send_signal;
use crate::sys::scheduling::Scheduling;

/// How long the command's processes have to end by themselves after we asked them to.
const GRACE: Duration = Duration::from_secs(5);

/// Two presses of Ctrl-C within this time mean: now.
const INSISTENCE: Duration = Duration::from_secs(1);

/// Why waiting failed. The scratchpad is gone then.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// Waiting for several things at once failed.
    #[error("cannot wait for the command")]
    Wait(#[source] Errno),
    /// Reading or answering a notification failed.
    #[error("cannot supervise the command's system calls")]
    Supervise(#[source] Errno),
    /// The first process does not obey.
    #[error(transparent)]
    Init(#[from] InitError),
}

/// A command runs in the scratchpad. Dropping it kills the command and discards the scratchpad.
#[derive(Debug)]
#[must_use = "a running command is to be waited for"]
pub struct Running {
    /// Dropped before the pad, whose first process can only end when the command is reaped.
    command: Command,
    pad: Pad,
    exceeded: Option<Exceeded>,
}

/// The command's process, killed and reaped when dropped.
#[derive(Debug)]
struct Command {
    started: Started,
    foreground: Option<Foreground>,
    exit: Option<Exit>,
    begun: Instant,
}

/// What was asked of us, and what we did about it.
#[derive(Debug, Default)]
struct Interruption {
    signal: Option<i32>,
    /// A signal that went to the whole foreground group; whether it counts is seen at the end.
    from_terminal: Option<(i32, Instant)>,
    kill_at: Option<Instant>,
    is_killed: bool,
}

/// What became ready.
#[derive(Debug, Default)]
struct Ready {
    command: bool,
    call: bool,
    signal: bool,
    has_watched: bool,
}

impl Running {
    pub(crate) fn new(pad: Pad, started: Started, foreground: Option<Foreground>) -> Self {
        Self {
            command: Command {
                started,
                foreground,
                exit: None,
                begun: Instant::now(),
            },
            pad,
            exceeded: None,
        }
    }

    /// The command's process id, as seen from outside.
    pub fn pid(&self) -> i32 {
        self.command.started.process.pid.as_raw()
    }

    /// Waits until the command ends; then ends what it left running.
    ///
    /// A signal that asks us to end is passed on as `SIGTERM` to all processes inside; after 5
    /// seconds, or a second signal, they are killed. Ctrl-C has reached the command already, so the
    /// first one is left to it: an interpreter that takes it as "stop this line" lives on.
    pub fn wait(mut self) -> Result<Exited, WaitError> {
        let mut tally = std::mem::take(&mut self.command.started.tally);
        let mut interruption = Interruption::default();
        let mut watcher = self.command.started.watcher.take();
        let mut desk = None;
        let mut all_are_gone = false;
        let mut limits = self.limit_watch();
        // Each start of a program waits for us; who is woken at once costs it a few microseconds, who
        // takes turns with the command's processes ten times that. And one that forks for ever would
        // keep us from seeing it. Without the right to it all that takes longer.
        // With the running system in reach whoever looks for the command's processes looks at all.
        let is_contained = self.pad.isolation.reach == Reach::Contained;
        let urgent = is_contained.then(Scheduling::urgent);
        self.pass_on_early_signals(&mut interruption)?;
        while self.command.exit.is_none() {
            let ready = self.poll(watcher.as_ref(), interruption.kill_at, limits.next())?;
            if ready.call {
                let served = watcher.as_mut().map(|watcher| watcher.serve(&mut tally));
                served.transpose().map_err(WaitError::Supervise)?;
            } else if ready.has_watched {
                // Every process under the filter is gone, and nobody inside is not under it.
                desk = watcher.take().map(Watcher::into_desk);
                all_are_gone = true;
            }
            if ready.signal {
                self.take_signals(&mut interruption)?;
            }
            self.kill_when_due(&mut interruption)?;
            self.kill_beyond(&mut limits)?;
            if ready.command {
                self.command.reap().map_err(WaitError::Wait)?;
            }
        }
        if !all_are_gone {
            self.end_leftovers(&mut tally)?;
        }
        drop(urgent);
        self.exceeded = self.exceeded.take().or_else(|| limits.look_at_the_end());
        let desk = desk.or(watcher.map(Watcher::into_desk));
        let waits = desk.map(Desk::into_actions);
        let actions = waits.map_or_else(Vec::new, |(actions, expected)| {
            self.pad.expected = expected;
            actions
        });
        self.finish(&interruption, tally, actions)
    }

    fn poll(
        &self,
        watcher: Option<&Watcher>,
        kill_at: Option<Instant>,
        look_at: Instant,
    ) -> Result<Ready, WaitError> {
        let command = self.command.started.process.pidfd.as_fd();
        let signals = self.pad.signals.as_fd();
        let mut fds = [
            PollFd::new(command, PollFlags::POLLIN),
            PollFd::new(signals, PollFlags::POLLIN),
            PollFd::new(watcher.map_or(signals, Watcher::as_fd), PollFlags::POLLIN),
        ];
        let count = if watcher.is_some() { 3 } else { 2 };
        let at = kill_at.map_or(look_at, |at| at.min(look_at));
        let left = at.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds[..count], timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(WaitError::Wait(errno)),
        }
        let is = |index: usize, flag| {
            index < count
                && fds[index]
                    .revents()
                    .is_some_and(|events| events.intersects(flag))
        };
        Ok(Ready {
            command: is(0, PollFlags::POLLIN),
            signal: is(1, PollFlags::POLLIN),
            call: is(2, PollFlags::POLLIN),
            has_watched: is(2, PollFlags::POLLHUP | PollFlags::POLLERR),
        })
    }

    /// Passes on what the terminal sent before the command was there to get it. One that came just
    /// after reaches it twice, which asks for the same.
    fn pass_on_early_signals(&self, interruption: &mut Interruption) -> Result<(), WaitError> {
        while let Some(arrived) = self.pad.signals.take().map_err(WaitError::Wait)? {
            if arrived.signal == libc::SIGCHLD {
                self.command.follow_stop();
                continue;
            }
            interruption.note(arrived, Instant::now());
            if arrived.from_terminal {
                self.command.signal(arrived.signal);
            } else if let Some(init) = &self.pad.init {
                init.terminate()?;
            }
        }
        Ok(())
    }

    fn take_signals(&self, interruption: &mut Interruption) -> Result<(), WaitError> {
        while let Some(arrived) = self.pad.signals.take().map_err(WaitError::Wait)? {
            if arrived.signal == libc::SIGCHLD {
                self.command.follow_stop();
                continue;
            }
            interruption.note(arrived, Instant::now());
            let asked = interruption.kill_at.is_some() && !interruption.is_killed;
            if let (true, Some(init)) = (asked, &self.pad.init) {
                init.terminate()?;
            }
        }
        Ok(())
    }

    fn kill_when_due(&self, interruption: &mut Interruption) -> Result<(), WaitError> {
        let is_due = interruption.kill_at.is_some_and(|at| at <= Instant::now());
        if !is_due || interruption.is_killed {
            return Ok(());
        }
        interruption.is_killed = true;
        interruption.kill_at = None;
        self.command.kill();
        self.pad
            .init
            .as_ref()
            .map_or(Ok(()), |init| Ok(init.kill()?))
    }

    fn limit_watch(&self) -> LimitWatch {
        let limits = self.command.started.limits;
        LimitWatch::begin(limits, &self.pad.layout, self.command.begun)
    }

    /// Ends everything at once when it goes beyond a limit: what goes beyond one is not asked.
    fn kill_beyond(&mut self, limits: &mut LimitWatch) -> Result<(), WaitError> {
        if self.exceeded.is_some() {
            return Ok(());
        }
        if limits.next() > Instant::now() {
            return Ok(());
        }
        let _urgent = Scheduling::urgent();
        let inside = self.pad.init.as_ref().zip(self.pad.root.as_ref());
        self.exceeded = limits.look(Instant::now(), |limit| {
            inside.is_some_and(|(init, root)| init.has_more_tasks(root.as_fd(), limit))
        });
        if self.exceeded.is_none() {
            // This may take a while, in which others want to run.
            let _usual = Scheduling::usual();
            self.exceeded = limits.look_at_disk(Instant::now());
        }
        if self.exceeded.is_none() {
            return Ok(());
        }
        self.command.kill();
        self.pad
            .init
            .as_ref()
            .map_or(Ok(()), |init| Ok(init.kill_urgently()?))
    }

    /// Ends the processes that the command left behind, and notes each.
    fn end_leftovers(&self, tally: &mut Tally) -> Result<(), WaitError> {
        let Some(init) = &self.pad.init else {
            return Ok(());
        };
        if !init.is_busy()? {
            return Ok(());
        }
        let root = self.pad.root.as_ref();
        let names = root.map(|root| init.leftovers(root.as_fd())).transpose()?;
        for process in names.unwrap_or_default() {
            tally.add(Effect {
                kind: EffectKind::Process,
                operation: "left running".to_owned(),
                target: process,
                process: String::new(),
                outcome: EffectOutcome::Contained,
                count: 1,
            });
        }
        Ok(init.kill()?)
    }

    fn finish(
        self,
        interruption: &Interruption,
        tally: Tally,
        actions: Vec<Action>,
    ) -> Result<Exited, WaitError> {
        let exit = self.command.exit;
        let by_terminal = interruption
            .from_terminal
            .map(|(signal, _)| signal)
            .filter(|_| !exit.is_some_and(Exit::is_success));
        let interrupted_by = interruption.signal.or(by_terminal);
        let mut pad = self.pad;
        pad.phases.run = self.command.begun.elapsed();
        let ran = Ran {
            exit,
            interrupted_by,
            exceeded: self.exceeded,
            effects: tally.into_effects(),
            actions,
        };
        Ok(Exited::new(pad, ran))
    }
}

impl Interruption {
    /// Takes note of a signal: decides when the processes are killed at the latest.
    fn note(&mut self, arrived: Arrived, now: Instant) {
        if arrived.from_terminal && self.signal.is_none() {
            let insists = self
                .from_terminal
                .is_some_and(|(_, before)| now.duration_since(before) < INSISTENCE);
            self.from_terminal = Some((arrived.signal, now));
            if insists {
                self.signal = Some(arrived.signal);
                self.kill_at = Some(now);
            }
            return;
        }
        self.kill_at = Some(if self.signal.is_none() {
            now + GRACE
        } else {
            now
        });
        self.signal.get_or_insert(arrived.signal);
    }
}

impl Command {
    fn reap(&mut self) -> Result<(), Errno> {
        self.exit = Some(loop {
            match waitpid(self.started.process.pid, None) {
                Ok(WaitStatus::Exited(_, status)) => break Exit::Status(status as u8),
                Ok(WaitStatus::Signaled(_, signal, _)) => break Exit::Signal(signal as i32),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        });
        if let Some(foreground) = &self.foreground {
            foreground.restore();
        }
        Ok(())
    }

    /// Stops when the command stopped itself (an editor's Ctrl-Z): its signal does not reach us, and
    /// the caller's shell would wait for ever. One that the terminal sent has stopped us already;
    /// then the command is running again.
    fn follow_stop(&self) {
        let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG;
        let stopped = waitid(Id::Pid(self.started.process.pid), flags);
        if let Ok(WaitStatus::Stopped(_, Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU)) =
            stopped
            && let Some(foreground) = &self.foreground
        {
            foreground.stop();
            // ESRCH: it was killed meanwhile, which the next wait shows.
            let _ = send_signal(self.started.process.pidfd.as_fd(), libc::SIGCONT);
        }
    }

    fn signal(&self, signal: i32) {
        // ESRCH: it ended meanwhile, which the next wait shows.
        let _ = send_signal(self.started.process.pidfd.as_fd(), signal);
    }

    fn kill(&self) {
        // ESRCH: it ended by itself, which is what was wanted.
        let _ = crate::child::kill(&self.started.process);
    }
}

impl Drop for Command {
    fn drop(&mut self) {
        if self.exit.is_none() {
            self.kill();
            // Without a child to wait for there is nothing left to do.
            let _ = self.reap();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrived(signal: i32, from_terminal: bool) -> Arrived {
        Arrived {
            signal,
            from_terminal,
        }
    }

    #[test]
    fn a_signal_gives_time_and_a_second_one_none() {
        let now = Instant::now();
        let mut interruption = Interruption::default();
        interruption.note(arrived(libc::SIGTERM, false), now);
        assert_eq!(interruption.kill_at, Some(now + GRACE));
        interruption.note(arrived(libc::SIGTERM, false), now);
        assert_eq!(interruption.kill_at, Some(now));
        assert_eq!(interruption.signal, Some(libc::SIGTERM));
    }

    #[test]
    fn one_ctrl_c_is_the_commands_and_two_at_once_are_ours() {
        let now = Instant::now();
        let mut interruption = Interruption::default();
        interruption.note(arrived(libc::SIGINT, true), now);
        assert_eq!((interruption.kill_at, interruption.signal), (None, None));
        interruption.note(arrived(libc::SIGINT, true), now + 2 * INSISTENCE);
        assert_eq!(interruption.kill_at, None);
        let soon = now + 2 * INSISTENCE + INSISTENCE / 2;
        interruption.note(arrived(libc::SIGINT, true), soon);
        assert_eq!(interruption.kill_at, Some(soon));
    }
}
