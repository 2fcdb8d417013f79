//! Holds back the signals that ask isconf to end, from before the first scratch directory is made
//! until the last is removed. Not for what is done about them (see `session`). Upholds: Ctrl-C and
//! SIGTERM leave nothing behind.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};

use crate::sys::process::ignores;

/// What asks a program to end. Those that the caller was told to ignore (nohup(1), a background
/// job of a script) stay ignored.
const ENDING: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
];

/// What is readable while a signal that asks to end is held back. Nothing is to be read from it, and
/// then nobody misses that signal.
pub(crate) fn end_is_asked() -> Result<SignalFd, Errno> {
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    SignalFd::with_flags(&SigSet::from_iter(ENDING), flags)
}

/// Signals held back in this thread. When it is dropped, those that came and were not read take
/// their effect.
///
/// Other threads of the caller must block them too, or the kernel gives them the signal.
#[derive(Debug)]
pub(crate) struct HeldSignals {
    before: SigSet,
    arriving: SignalFd,
}

/// One signal that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// Its number.
    pub signal: i32,
    /// Whether the terminal sent it, to the whole foreground group at once.
    pub from_terminal: bool,
}

impl HeldSignals {
    /// Begins to hold them back.
    pub(crate) fn hold() -> Result<Self, Errno> {
        let mut watched = SigSet::empty();
        for signal in ENDING {
            if !ignores(signal as i32) {
                watched.add(signal);
            }
        }
        // Tells that the command stopped, as by Ctrl-Z.
        watched.add(Signal::SIGCHLD);
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let arriving = SignalFd::with_flags(&watched, flags)?;
        let before = SigSet::thread_get_mask()?;
        // Giving the terminal back to ourselves must not stop us (tcsetpgrp(3)).
        watched.add(Signal::SIGTTOU);
        watched.thread_block()?;
        Ok(Self { before, arriving })
    }

    /// The mask as it was before.
    pub(crate) fn before(&self) -> SigSet {
        self.before
    }

    /// What becomes readable when a signal comes.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.arriving.as_fd()
    }

    /// A signal that asked to end and came before this call, if any did.
    pub(crate) fn asked_to_end(&self) -> Option<i32> {
        // What cannot be read has not asked; no error but EAGAIN is known for a signalfd.
        while let Ok(Some(arrived)) = self.take() {
            if arrived.signal != libc::SIGCHLD {
                return Some(arrived.signal);
            }
        }
        None
    }

    /// Takes one signal, if one came: one that asks to end, or `SIGCHLD`.
    pub(crate) fn take(&self) -> Result<Option<Arrived>, Errno> {
        let arrived = self.arriving.read_signal()?;
        Ok(arrived.map(|info: siginfo| Arrived {
            signal: info.ssi_signo as i32,
            from_terminal: info.ssi_code == libc::SI_KERNEL,
        }))
    }
}

impl Drop for HeldSignals {
    fn drop(&mut self) {
        // It can only fail for an invalid mask, and this one came from the kernel.
        let _ = self.before.thread_set_mask();
    }
}
