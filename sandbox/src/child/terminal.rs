//! Gives the terminal back to the caller after a command that took it (an interactive shell makes
//! its own process group the foreground one, and dies with it), or stopped. Not for terminal modes.

use std::os::fd::OwnedFd;

use nix::fcntl::{OFlag, open};
use nix::sys::signal::{Signal, raise};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};

/// The controlling terminal, of which the caller's process group had the foreground.
#[derive(Debug)]
pub(crate) struct Foreground {
    terminal: OwnedFd,
    group: Pid,
}

impl Foreground {
    /// Notes the state; `None` when there is no terminal or the caller is in the background.
    pub(crate) fn note() -> Option<Self> {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let terminal = open(c"/dev/tty", flags, Mode::empty()).ok()?;
        let group = tcgetpgrp(&terminal).ok()?;
        (group == getpgrp()).then_some(Self { terminal, group })
    }

    /// Takes the terminal back. `SIGTTOU` is blocked meanwhile (see `HeldSignals`).
    pub(crate) fn restore(&self) {
        if tcgetpgrp(&self.terminal) != Ok(self.group) {
            // It fails only when the terminal was hung up meanwhile; then there is none to restore.
            let _ = tcsetpgrp(&self.terminal, self.group);
        }
    }

    /// Stops this process, as the command stopped, so that the caller's shell takes over; when the
    /// shell continues us, whoever had the terminal before has it again.
    pub(crate) fn stop(&self) {
        let holder = tcgetpgrp(&self.terminal);
        self.restore();
        // It can only fail for a number that is no signal.
        let _ = raise(Signal::SIGSTOP);
        if let Ok(holder) = holder
            && holder != self.group
        {
            // The group may have ended meanwhile, and then nobody misses the terminal.
            let _ = tcsetpgrp(&self.terminal, holder);
        }
    }
}
