//! Small messages over a Unix socket, with a descriptor if need be, without allocating: what the
//! two ends of `child` use to talk. Not for peers.

use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

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
    /// The descriptor that came with it.
    pub descriptor: Option<OwnedFd>,
}

/// Makes the two ends: socketpair(2), which keeps messages apart.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let flags = SockFlag::SOCK_CLOEXEC;
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)
}

/// Room for one control message with one descriptor, aligned as cmsg(3) asks.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// The header of a message of one part; `control` is used up to `control_length`.
fn header(part: &mut libc::iovec, control: &mut Control, control_length: usize) -> libc::msghdr {
    // SAFETY: a msghdr of zeroes is a valid empty header.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = part;
    header.msg_iovlen = 1;
    if control_length > 0 {
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = control_length as _;
    }
    header
}

/// Sends one message, with a descriptor if one is given. sendmsg(2), `SCM_RIGHTS` of unix(7).
pub fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
) -> Result<(), Errno> {
    let mut part = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let mut control = Control([0; 64]);
    // SAFETY: computes a number.
    let space = unsafe { libc::CMSG_SPACE(size_of::<RawFd>() as u32) } as usize;
    let length = if descriptor.is_some() { space } else { 0 };
    let header = header(&mut part, &mut control, length);
    if let Some(descriptor) = descriptor {
        // SAFETY: the header has a control buffer of `space` bytes, aligned, so the first control
        // message and its data of one descriptor lie within it.
        unsafe {
            let message = libc::CMSG_FIRSTHDR(&raw const header);
            (*message).cmsg_level = libc::SOL_SOCKET;
            (*message).cmsg_type = libc::SCM_RIGHTS;
            (*message).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as _;
            libc::CMSG_DATA(message)
                .cast::<RawFd>()
                .write_unaligned(descriptor.as_raw_fd());
        }
    }
    // SAFETY: `socket` is open; the header points to live buffers of the lengths it names.
    checked(
        unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_NOSIGNAL) }
            as libc::c_long,
    )
    .map(drop)
}

/// Waits for one message. recvmsg(2); an interruption by a signal is an error for the caller.
pub fn receive(socket: BorrowedFd<'_>) -> Result<Received, Errno> {
    let mut bytes = [0; MESSAGE_BYTES];
    let mut part = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    let mut control = Control([0; 64]);
    let mut header = header(&mut part, &mut control, 64);
    // SAFETY: `socket` is open; the header points to live buffers of the lengths it names.
    let length = checked(unsafe {
        libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC)
    } as libc::c_long)?;
    // SAFETY: the header was filled by the kernel; gives a message within the buffer, or null.
    let message = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    let mut descriptor = None;
    if !message.is_null() {
        // SAFETY: `message` is not null, so it is a whole control message within the buffer.
        let (level, kind) = unsafe { ((*message).cmsg_level, (*message).cmsg_type) };
        if level == libc::SOL_SOCKET && kind == libc::SCM_RIGHTS {
            // SAFETY: such a message holds at least one descriptor, which is now ours.
            descriptor = Some(unsafe {
                OwnedFd::from_raw_fd(libc::CMSG_DATA(message).cast::<RawFd>().read_unaligned())
            });
        }
    }
    Ok(Received {
        bytes,
        length: length as usize,
        descriptor,
    })
}
