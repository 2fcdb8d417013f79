//! The scheduling policy of the calling thread, raised for a moment. Not for deciding when.

use nix::errno::Errno;
use nix::unistd::Pid;

use super::checked;

/// As long as this lives, the thread runs before all others of the usual policy. sched(7),
/// `SCHED_FIFO`. It is for milliseconds: others wait.
#[derive(Debug)]
pub struct Urgent {
    policy: libc::c_int,
    parameters: libc::sched_param,
}

/// The highest nice(2) value in favour of a thread.
const FAVOURED: libc::c_int = -20;

/// As long as this lives, the thread is favoured: when it has slept it is the next to run, however many
/// others want to. setpriority(2).
#[derive(Debug)]
pub struct Favoured {
    before: libc::c_int,
}

impl Favoured {
    /// Favours this thread; `EACCES` where that is not allowed.
    pub fn now() -> Result<Self, Errno> {
        Errno::clear();
        // SAFETY: takes numbers only. -1 is a valid answer; an error sets errno.
        let before = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        if before == -1 && Errno::last_raw() != 0 {
            return Err(Errno::last());
        }
        // SAFETY: takes numbers only.
        let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, FAVOURED) };
        checked(libc::c_long::from(result)).map(|_| Self { before })
    }
}

impl Drop for Favoured {
    fn drop(&mut self) {
        // SAFETY: takes numbers only. Going back to what was is always allowed.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, self.before) };
    }
}

/// Raises the policy of another process, for good.
pub fn raise(process: Pid) -> Result<(), Errno> {
    // SAFETY: a sched_param of zeroes is valid.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = 1;
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the kernel reads a live sched_param.
    let result =
        unsafe { libc::sched_setscheduler(process.as_raw(), policy, &raw const parameters) };
    checked(libc::c_long::from(result)).map(drop)
}

impl Urgent {
    /// Raises the policy of this thread; `EPERM` where that is not allowed.
    pub fn now() -> Result<Self, Errno> {
        // SAFETY: takes a number only.
        let policy = checked(libc::c_long::from(unsafe { libc::sched_getscheduler(0) }))?;
        // SAFETY: a sched_param of zeroes is valid.
        let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel fills a live sched_param.
        checked(libc::c_long::from(unsafe {
            libc::sched_getparam(0, &raw mut parameters)
        }))?;
        let before = Self {
            policy: policy as libc::c_int,
            parameters,
        };
        raise(Pid::from_raw(0))?;
        Ok(before)
    }
}

impl Drop for Urgent {
    fn drop(&mut self) {
        // SAFETY: the kernel reads a live sched_param. Going back to what was is always allowed.
        unsafe { libc::sched_setscheduler(0, self.policy, &raw const self.parameters) };
    }
}
