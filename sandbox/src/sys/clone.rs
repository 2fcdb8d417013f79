//! Making processes in namespaces: clone(2) with a pidfd, pidfd_open(2) and pidfd_send_signal(2).
//! Not for what such a process does (see `child`).

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::unistd::Pid;

use super::checked;

/// A process that was just made.
#[derive(Debug)]
pub struct Cloned {
    /// Its number as seen by the caller.
    pub pid: Pid,
    /// The descriptor that names it, for good.
    pub pidfd: OwnedFd,
}

/// Makes a child process that runs `job` and ends with the status that `job` returns.
///
/// The child has a copy of the caller's memory and only the calling thread, as after fork(2). If
/// the caller has other threads, a lock that one of them held stays locked in the child for ever,
/// the allocator's included. So `job` must not allocate, take a lock, print or panic: it uses
/// memory that was prepared before and system calls only. (Breaking that rule hangs the child; it
/// cannot harm the caller's memory, which is why this is not an `unsafe fn`.) Destructors of the
/// caller's values do not run in the child.
pub fn clone_process(flags: CloneFlags, job: &mut dyn FnMut() -> i32) -> Result<Cloned, Errno> {
    let flags = flags.bits() | libc::CLONE_PIDFD | libc::SIGCHLD;
    let mut pidfd: libc::c_int = -1;
    // SAFETY: a null stack with no CLONE_VM makes a copy of this process, as fork(2) does; the
    // third argument is where the pidfd is stored, on every architecture; the last two are unused.
    let pid = checked(unsafe {
        libc::syscall(
            libc::SYS_clone,
            libc::c_long::from(flags),
            0,
            &raw mut pidfd,
            0,
            0,
        )
    })?;
    if pid == 0 {
        let status = job();
        // SAFETY: ends the child without running anything of the caller's; takes a number.
        unsafe { libc::_exit(status) }
    }
    Ok(Cloned {
        pid: Pid::from_raw(pid as i32),
        // SAFETY: the kernel stored a new descriptor there, because CLONE_PIDFD was set.
        pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
    })
}

/// Sends a signal to the process. pidfd_send_signal(2), Linux 5.1.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: libc::c_int) -> Result<(), Errno> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: `pidfd` is open; a null siginfo asks for the same as kill(2).
    checked(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            none,
            0,
        )
    })
    .map(drop)
}

/// Takes a copy of an open descriptor of the process, by its number there. pidfd_getfd(2), Linux 5.6.
pub fn descriptor_of(pidfd: BorrowedFd<'_>, number: libc::c_int) -> Result<OwnedFd, Errno> {
    // SAFETY: `pidfd` is open; the others are numbers.
    let fd =
        checked(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0) })?;
    // SAFETY: the kernel just gave this descriptor to us, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Opens a descriptor that names the calling process.
pub fn own_process() -> Result<OwnedFd, Errno> {
    open_process(nix::unistd::getpid())
}

/// Opens a descriptor that names the process, which becomes readable when it ends. pidfd_open(2), Linux
/// 5.3.
pub fn open_process(pid: Pid) -> Result<OwnedFd, Errno> {
    // SAFETY: takes two numbers.
    let fd = checked(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    // SAFETY: the kernel just gave this descriptor to us, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
