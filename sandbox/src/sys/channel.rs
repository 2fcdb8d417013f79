//! Small messages over a Unix socket, without allocating: what the two ends of `child` use to talk. Not
//! for peers.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use super::checked;

/// How long a message may be, in bytes.
pub const MESSAGE_BYTES: usize = 16;

/// One message as it arrived.
#[derive(Debug)]
pub struct Received {
    /// Its bytes; those beyond `length` are zero.
    pub bytes: [u8; MESSAGE_BYTES],
    /// How many bytes came; 0 when the other end is closed.
    pub length: usize,
}

/// Makes the two ends: socketpair(2), which keeps messages apart.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let flags = SockFlag::SOCK_CLOEXEC;
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)
}

/// Sends one message. send(2).
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8]) -> Result<(), Errno> {
    let flags = libc::MSG_NOSIGNAL;
    // SAFETY: `socket` is open, and the kernel reads `bytes.len()` bytes of `bytes`.
    let sent = unsafe {
        libc::send(
            socket.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            flags,
        )
    };
    checked(sent as libc::c_long).map(drop)
}

/// Waits for one message. recv(2); an interruption by a signal is an error for the caller.
pub fn receive(socket: BorrowedFd<'_>) -> Result<Received, Errno> {
    let mut bytes = [0; MESSAGE_BYTES];
    // SAFETY: `socket` is open, and the kernel writes at most `bytes.len()` bytes to `bytes`.
    let length = checked(unsafe {
        libc::recv(
            socket.as_raw_fd(),
            bytes.as_mut_ptr().cast(),
            bytes.len(),
            0,
        )
    } as libc::c_long)?;
    Ok(Received {
        bytes,
        length: length as usize,
    })
}
