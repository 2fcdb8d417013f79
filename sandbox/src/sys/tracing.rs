//! Waiting for a traced process to stop, and letting it go, with signals as numbers: real-time signals
//! have no names. Not for what is done meanwhile. ptrace(2), waitid(2).

use nix::errno::Errno;
use nix::unistd::Pid;

use super::checked;

/// Why a process does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It was asked to stop (`PTRACE_INTERRUPT`), or its whole group is stopped.
    AsAsked,
    /// This signal is about to be delivered to it.
    ForSignal(libc::c_int),
    /// It ended; it is left for who waits for it.
    Gone,
}

/// Waits until the process, which this thread traces, is stopped.
pub fn wait_for_stop(pid: Pid) -> Result<Stop, Errno> {
    let flags = libc::WSTOPPED | libc::WEXITED | libc::WNOWAIT | libc::__WALL;
    loop {
        // SAFETY: a siginfo_t of zeroes is valid.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel fills a live siginfo_t.
        let result =
            unsafe { libc::waitid(libc::P_PID, pid.as_raw() as u32, &raw mut info, flags) };
        match checked(libc::c_long::from(result)) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno),
        }
        // SAFETY: waitid(2) filled what belongs to SIGCHLD.
        let status = unsafe { info.si_status() };
        match info.si_code {
            // The event, if the stop is one, is above the signal (ptrace(2), "PTRACE_EVENT stops").
            libc::CLD_TRAPPED | libc::CLD_STOPPED if status >> 8 != 0 => return Ok(Stop::AsAsked),
            libc::CLD_TRAPPED | libc::CLD_STOPPED => return Ok(Stop::ForSignal(status)),
            libc::CLD_EXITED | libc::CLD_KILLED | libc::CLD_DUMPED => return Ok(Stop::Gone),
            _ => {}
        }
    }
}

/// Lets the process go; 0 for no signal.
pub fn detach(pid: Pid, signal: libc::c_int) -> Result<(), Errno> {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: takes numbers only; the address is ignored.
    let result = unsafe {
        libc::ptrace(
            libc::PTRACE_DETACH,
            pid.as_raw(),
            none,
            libc::c_long::from(signal),
        )
    };
    checked(result).map(drop)
}
