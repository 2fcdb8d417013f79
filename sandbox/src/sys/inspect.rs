//! System calls that read what an inode is: extended attributes, inode flags, file handles, and a
//! view of one mount without what is mounted on it. Not for changing anything.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

/// The longest list of attribute names and the longest value that Linux hands out
/// (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`, linux/limits.h).
pub const XATTR_BYTES: usize = 64 * 1024;

/// The longest file handle (`MAX_HANDLE_SZ`, linux/exportfs.h).
const HANDLE_BYTES: usize = 128;

/// What a filesystem calls an inode, as name_to_handle_at(2) gives it; never used for another one
/// after the inode was freed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileHandle {
    /// The filesystem's own type number of the handle.
    pub kind: i32,
    /// The handle.
    pub bytes: Vec<u8>,
}

/// Turns a result of -1 into the thread's errno.
fn checked(result: isize) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| Errno::last())
}

/// Lists the attribute names of the object at `path`, not following a final link: names with a NUL
/// after each, in `buffer`; gives their length. llistxattr(2).
pub fn list_xattrs_at(path: &CStr, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: `path` ends in NUL, and the kernel writes at most `buffer.len()` bytes to `buffer`.
    checked(unsafe { libc::llistxattr(path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) })
}

/// Like [`list_xattrs_at`] for an open file. flistxattr(2).
pub fn list_xattrs(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: `fd` is open, and the kernel writes at most `buffer.len()` bytes to `buffer`.
    checked(unsafe { libc::flistxattr(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) })
}

/// Reads one attribute of the object at `path`, not following a final link, into `buffer`; gives
/// its length. lgetxattr(2).
pub fn get_xattr_at(path: &CStr, name: &CStr, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: both names end in NUL, and the kernel writes at most `buffer.len()` bytes.
    checked(unsafe {
        libc::lgetxattr(
            path.as_ptr(),
            name.as_ptr(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
        )
    })
}

/// Like [`get_xattr_at`] for an open file. fgetxattr(2).
pub fn get_xattr(fd: BorrowedFd<'_>, name: &CStr, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: `fd` is open, `name` ends in NUL, and at most `buffer.len()` bytes are written.
    checked(unsafe {
        libc::fgetxattr(
            fd.as_raw_fd(),
            name.as_ptr(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
        )
    })
}

/// Whether the ext4 of an open directory has a journal; an error where it does not tell (before Linux
/// 5.14, or another filesystem). `EXT4_IOC_CHECKPOINT` as a dry run, which writes nothing
/// (ext4_ioctl_checkpoint in fs/ext4/ioctl.c).
pub fn has_ext4_journal(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    const EXT4_IOC_CHECKPOINT: libc::Ioctl = 0x4004_662b;
    const DRY_RUN: u32 = 4;
    let flags = [DRY_RUN];
    // SAFETY: `fd` is open, and the kernel reads one u32 at the address.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), EXT4_IOC_CHECKPOINT, flags.as_ptr()) };
    match checked(result as isize) {
        Ok(_) => Ok(true),
        Err(Errno::ENODEV) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Reads the inode flags of an open file or directory. `FS_IOC_GETFLAGS`, ioctl_iflags(2).
pub fn inode_flags(fd: BorrowedFd<'_>) -> Result<u32, Errno> {
    let mut flags: libc::c_long = 0;
    // SAFETY: `fd` is open, and the request writes an int (some say long) to `flags`, which is
    // large enough for both.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::FS_IOC_GETFLAGS, &raw mut flags) };
    // The kernel writes an int; on a big-endian machine that would be the upper half.
    #[cfg(target_endian = "big")]
    let flags = flags >> 32;
    checked(result as isize).map(|_| flags as u32)
}

/// Asks for the file handle of `name` below `dir`, not following a final link.
/// name_to_handle_at(2); `EOPNOTSUPP` where the filesystem has none.
pub fn file_handle(dir: BorrowedFd<'_>, name: &CStr) -> Result<FileHandle, Errno> {
    #[repr(C)]
    struct Handle {
        head: libc::file_handle,
        bytes: [u8; HANDLE_BYTES],
    }
    let mut handle = Handle {
        head: libc::file_handle {
            handle_bytes: HANDLE_BYTES as u32,
            handle_type: 0,
            f_handle: [],
        },
        bytes: [0; HANDLE_BYTES],
    };
    let mut mount_id: libc::c_int = 0;
    // SAFETY: `dir` is open, `name` ends in NUL, `handle` has room for `handle_bytes` bytes behind
    // its head (repr(C), no padding between: both parts are aligned to 4), `mount_id` is an int.
    let result = unsafe {
        libc::name_to_handle_at(
            dir.as_raw_fd(),
            name.as_ptr(),
            (&raw mut handle).cast(),
            &raw mut mount_id,
            0,
        )
    };
    checked(result as isize)?;
    let length = (handle.head.handle_bytes as usize).min(HANDLE_BYTES);
    Ok(FileHandle {
        kind: handle.head.handle_type,
        bytes: handle.bytes[..length].to_vec(),
    })
}

/// Makes a detached copy of the mount that holds `dir`, rooted there, without what is mounted on
/// it; gone when the descriptor is closed. open_tree(2), Linux 5.2; needs `CAP_SYS_ADMIN`.
pub fn clone_mount(dir: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    /// `OPEN_TREE_CLONE`, linux/mount.h; libc has it for other systems only.
    const OPEN_TREE_CLONE: libc::c_uint = 1;
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as u32 | libc::AT_EMPTY_PATH as u32;
    // SAFETY: `dir` is open and the empty path ends in NUL.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), c"".as_ptr(), flags) };
    let fd = checked(fd as isize)?;
    // SAFETY: the kernel just gave this descriptor to us, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
