//! System calls on files that no safe crate offers: statx, setting extended attributes and inode
//! flags, reflinks, leases, opening by handle. Not for deciding what to do with their answers.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

use super::inspect::FileHandle;

/// `FICLONE` of linux/fs.h: `_IOW(0x94, 9, int)`.
const FICLONE: libc::c_ulong = 0x4004_9409;

/// The longest file handle that we open (`MAX_HANDLE_SZ`, linux/exportfs.h).
const HANDLE_BYTES: usize = 128;

/// Turns a result of -1 into the thread's errno.
fn checked(result: i64) -> Result<i64, Errno> {
    if result < 0 {
        Err(Errno::last())
    } else {
        Ok(result)
    }
}

/// Reads the basic attributes of `name` below `dir`, never following a final link; an empty name
/// is `dir` itself. statx(2).
pub fn stat(dir: BorrowedFd<'_>, name: &CStr) -> Result<libc::statx, Errno> {
    let flags = libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH | libc::AT_NO_AUTOMOUNT;
    let mut buffer = MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: `dir` is open, `name` ends in NUL, and `buffer` has the size the kernel fills.
    checked(i64::from(unsafe {
        libc::statx(
            dir.as_raw_fd(),
            name.as_ptr(),
            flags,
            libc::STATX_BASIC_STATS,
            buffer.as_mut_ptr(),
        )
    }))?;
    // SAFETY: all fields are integers, so that zeroes and whatever the kernel wrote are valid.
    Ok(unsafe { buffer.assume_init() })
}

/// Sets one attribute of the object at `path`, not following a final link. lsetxattr(2).
pub fn set_xattr_at(path: &CStr, name: &CStr, value: &[u8]) -> Result<(), Errno> {
    // SAFETY: both names end in NUL, and the kernel reads `value.len()` bytes of `value`.
    checked(i64::from(unsafe {
        libc::lsetxattr(
            path.as_ptr(),
            name.as_ptr(),
            value.as_ptr().cast(),
            value.len(),
            0,
        )
    }))
    .map(drop)
}

/// Removes one attribute of the object at `path`, not following a final link. lremovexattr(2).
pub fn remove_xattr_at(path: &CStr, name: &CStr) -> Result<(), Errno> {
    // SAFETY: both names end in NUL.
    checked(i64::from(unsafe {
        libc::lremovexattr(path.as_ptr(), name.as_ptr())
    }))
    .map(drop)
}

/// Sets the inode flags of an open file or directory. `FS_IOC_SETFLAGS`, ioctl_iflags(2).
pub fn set_inode_flags(fd: BorrowedFd<'_>, flags: u32) -> Result<(), Errno> {
    // The kernel reads an int; a long with the int in its first four bytes serves both views.
    let value: [u32; 2] = [flags, 0];
    // SAFETY: `fd` is open, and the request reads at most eight bytes of `value`.
    checked(i64::from(unsafe {
        libc::ioctl(fd.as_raw_fd(), libc::FS_IOC_SETFLAGS, value.as_ptr())
    }))
    .map(drop)
}

/// Begins to write a file's dirty bytes to the disk, and so has their place on it chosen.
/// `SYNC_FILE_RANGE_WRITE` of sync_file_range(2), which makes nothing durable. `ESPIPE` for what is no
/// file, directory, link or block device.
pub fn begin_writing(file: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: sync_file_range takes two numbers, here the whole file, beside a valid descriptor.
    let begun =
        unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
    checked(begun.into()).map(drop)
}

/// Makes all bytes of `to` those of `from` without copying them. `FICLONE`, ioctl_ficlone(2);
/// `EOPNOTSUPP`, `EXDEV` or `EINVAL` where that cannot be.
pub fn reflink(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: both descriptors are open; the request takes a descriptor by value.
    checked(i64::from(unsafe {
        libc::ioctl(to.as_raw_fd(), FICLONE, from.as_raw_fd())
    }))
    .map(drop)
}

/// Copies up to `bytes` bytes inside the kernel and moves both positions on; gives the number
/// copied, 0 at the end of `from`. copy_file_range(2).
pub fn copy_file_range(
    from: (BorrowedFd<'_>, &mut i64),
    to: (BorrowedFd<'_>, &mut i64),
    bytes: usize,
) -> Result<usize, Errno> {
    // SAFETY: both descriptors are open, and both positions are `loff_t` that the kernel updates.
    let copied = checked(unsafe {
        libc::copy_file_range(from.0.as_raw_fd(), from.1, to.0.as_raw_fd(), to.1, bytes, 0)
    } as i64)?;
    Ok(copied as usize)
}

/// Whether some process has the file open for writing: a read lease is then refused with
/// `EAGAIN`. The lease is given back at once. fcntl(2), "Leases"; needs `CAP_LEASE` or ownership.
pub fn is_open_for_writing(file: BorrowedFd<'_>) -> Result<bool, Errno> {
    // SAFETY: `file` is open; the command takes an int by value.
    match checked(i64::from(unsafe {
        libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK)
    })) {
        Ok(_) => {}
        Err(Errno::EAGAIN) => return Ok(true),
        Err(errno) => return Err(errno),
    }
    // SAFETY: as above.
    checked(i64::from(unsafe {
        libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK)
    }))
    .map(|_| false)
}

/// Opens the inode with `handle` on the filesystem of `mount`, as a name only (`O_PATH`).
/// open_by_handle_at(2); needs `CAP_DAC_READ_SEARCH`; `ESTALE` when the inode is gone.
pub fn open_by_handle(mount: BorrowedFd<'_>, handle: &FileHandle) -> Result<OwnedFd, Errno> {
    #[repr(C)]
    struct Handle {
        head: libc::file_handle,
        bytes: [u8; HANDLE_BYTES],
    }
    if handle.bytes.len() > HANDLE_BYTES {
        return Err(Errno::EINVAL);
    }
    let mut raw = Handle {
        head: libc::file_handle {
            handle_bytes: handle.bytes.len() as u32,
            handle_type: handle.kind,
            f_handle: [],
        },
        bytes: [0; HANDLE_BYTES],
    };
    raw.bytes[..handle.bytes.len()].copy_from_slice(&handle.bytes);
    // SAFETY: `mount` is open, and `raw` holds `handle_bytes` bytes behind its head (repr(C), both
    // parts are aligned to 4).
    let fd = checked(i64::from(unsafe {
        libc::open_by_handle_at(
            mount.as_raw_fd(),
            (&raw mut raw).cast(),
            libc::O_PATH | libc::O_CLOEXEC | libc::O_NOFOLLOW,
        )
    }))?;
    // SAFETY: the kernel just gave this descriptor to us, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
