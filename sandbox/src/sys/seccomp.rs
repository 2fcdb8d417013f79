//! seccomp(2) with user notification: installing a filter, receiving and answering notifications.
//! Not for which system calls are watched (see `child::watch`).

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

use super::checked;

/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP` of linux/seccomp.h (Linux 6.6).
const SYNC_WAKE_UP: u64 = 1;

/// One instruction of a filter, as linux/filter.h has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when a test is true.
    pub if_true: u8,
    /// Instructions to skip when a test is false.
    pub if_false: u8,
    /// Operand.
    pub operand: u32,
}

/// A system call that waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notification {
    /// Names the notification.
    pub id: u64,
    /// The calling thread, in the receiver's pid namespace.
    pub pid: i32,
    /// The architecture by which the number is to be read, `AUDIT_ARCH_*` of linux/audit.h.
    pub architecture: u32,
    /// The system call's number.
    pub number: i64,
    /// Its arguments.
    pub arguments: [u64; 6],
    /// Where in the caller's memory it was made from.
    pub instruction: u64,
}

/// What the waiting system call does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// The kernel performs it.
    Continue,
    /// It fails with this errno.
    Fail(i32),
}

/// Whether the kernel has user notification. seccomp(2) `SECCOMP_GET_ACTION_AVAIL`.
pub fn has_user_notification() -> bool {
    let action: u32 = libc::SECCOMP_RET_USER_NOTIF;
    // SAFETY: reads a live u32.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_GET_ACTION_AVAIL,
            0,
            &raw const action,
        )
    };
    result == 0
}

/// Puts this process and all it starts under the filter; gives the descriptor on which
/// notifications arrive. seccomp(2) `SECCOMP_FILTER_FLAG_NEW_LISTENER`; needs `CAP_SYS_ADMIN`,
/// since `no_new_privs` must stay off.
pub fn install(filter: &[Instruction]) -> Result<OwnedFd, Errno> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(|_| Errno::E2BIG)?,
        filter: filter.as_ptr().cast_mut().cast(),
    };
    // SAFETY: `program` points to `len` instructions of the layout of sock_filter (repr(C)); the
    // kernel copies them and checks them.
    let fd = checked(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    })?;
    // SAFETY: the kernel just gave this descriptor to us, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Asks the kernel to hand over the processor when it notifies, which halves the cost of a
/// notification. `SECCOMP_IOCTL_NOTIF_SET_FLAGS`, Linux 6.6; it is an optimisation, so a kernel
/// that does not know it is no error.
pub fn wake_up_synchronously(listener: BorrowedFd<'_>) {
    // SAFETY: `listener` is open; the flags are passed by value.
    unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS,
            SYNC_WAKE_UP,
        )
    };
}

/// Takes the next notification. `ENOENT` when the caller died meanwhile. seccomp_unotify(2).
pub fn receive(listener: BorrowedFd<'_>) -> Result<Notification, Errno> {
    // SAFETY: a seccomp_notif of zeroes is valid, and what the kernel wants to be given.
    let mut notification: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: `listener` is open; the kernel fills a seccomp_notif, whose size is in the request.
    checked(libc::c_long::from(unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_RECV,
            &raw mut notification,
        )
    }))?;
    Ok(Notification {
        id: notification.id,
        pid: notification.pid as i32,
        architecture: notification.data.arch,
        number: i64::from(notification.data.nr),
        arguments: notification.data.args,
        instruction: notification.data.instruction_pointer,
    })
}

/// Whether the caller still waits, so that what was read from its memory is its own.
/// `SECCOMP_IOCTL_NOTIF_ID_VALID`.
pub fn is_waiting(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: `listener` is open; the kernel reads one u64.
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_ID_VALID,
            &raw const id,
        )
    };
    result == 0
}

/// Answers a notification. `ENOENT` when the caller died meanwhile.
pub fn answer(listener: BorrowedFd<'_>, id: u64, reply: Reply) -> Result<(), Errno> {
    let (error, flags) = match reply {
        Reply::Continue => (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
        Reply::Fail(errno) => (-errno, 0),
    };
    let response = libc::seccomp_notif_resp {
        id,
        val: 0,
        error,
        flags,
    };
    // SAFETY: `listener` is open; the kernel reads one seccomp_notif_resp.
    checked(libc::c_long::from(unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SEND,
            &raw const response,
        )
    }))
    .map(drop)
}
