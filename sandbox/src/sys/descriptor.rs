//! A copy of another process's descriptor, for looking at the object itself and not at what the
//! process says of it; and the loopback of a new network. Not for deciding anything.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd::Pid;

use super::checked;
use super::clone::{descriptor_of, open_process};

/// Copies descriptor `number` of the process (not a thread of it).
pub fn copy_of(process: i32, number: i32) -> Result<OwnedFd, Errno> {
    descriptor_of(open_process(Pid::from_raw(process))?.as_fd(), number)
}

/// An integer option of a socket at level `SOL_SOCKET`, such as `SO_DOMAIN`. getsockopt(2).
pub fn socket_option(socket: BorrowedFd<'_>, option: i32) -> Result<i32, Errno> {
    let mut value: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `socket` is open; the kernel writes at most `length` bytes to a live int.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    checked(libc::c_long::from(result)).map(|_| value)
}

/// Leaves the network for a new one that has only a loopback, and switches that on. unshare(2)
/// `CLONE_NEWNET`, netdevice(7) `SIOCSIFFLAGS`; allocates nothing, so that it may run between clone
/// and exec.
pub fn leave_network() -> Result<(), Errno> {
    // SAFETY: takes numbers only; the process has one thread.
    checked(libc::c_long::from(unsafe {
        libc::unshare(libc::CLONE_NEWNET)
    }))?;
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: takes numbers only.
    let socket = checked(libc::c_long::from(unsafe {
        libc::socket(libc::AF_INET, kind, 0)
    }))?;
    // SAFETY: the kernel just gave this descriptor to us, so nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket as i32) };
    // SAFETY: an ifreq of zeroes is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *place = *byte as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: `socket` is open, and the kernel reads a live ifreq.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    checked(libc::c_long::from(result)).map(drop)
}
