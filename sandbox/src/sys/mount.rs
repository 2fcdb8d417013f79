//! The mount system calls that glibc and nix do not offer: fsopen(2) and its family,
//! mount_setattr(2), and the mount identity of statx(2). Not for what to mount.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

use super::checked;

/// `MOUNT_ATTR_RDONLY`.
pub const ATTR_READ_ONLY: u64 = libc::MOUNT_ATTR_RDONLY;
/// `MOUNT_ATTR_NOSUID`.
pub const ATTR_NO_SUID: u64 = libc::MOUNT_ATTR_NOSUID;
/// `MOUNT_ATTR_NODEV`.
pub const ATTR_NO_DEVICES: u64 = libc::MOUNT_ATTR_NODEV;
/// `MOUNT_ATTR_NOEXEC`.
pub const ATTR_NO_EXEC: u64 = libc::MOUNT_ATTR_NOEXEC;

/// `FSCONFIG_SET_FLAG`, `FSCONFIG_SET_STRING`, `FSCONFIG_CMD_CREATE` of linux/mount.h.
const SET_FLAG: libc::c_uint = 0;
const SET_STRING: libc::c_uint = 1;
const CMD_CREATE: libc::c_uint = 6;

/// What statx(2) says of a mount point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MountPointStatus {
    /// The id of the mount that is seen there; `None` before Linux 5.8.
    pub mount_id: Option<u64>,
    /// `st_mode` of its root.
    pub mode: u32,
}

/// Takes a descriptor that a system call just returned.
fn owned(fd: libc::c_long) -> Result<OwnedFd, Errno> {
    let fd = checked(fd)?;
    // SAFETY: the kernel just gave this descriptor to us, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Opens a filesystem context. fsopen(2), Linux 5.2.
pub fn open_context(fs_type: &CStr) -> Result<OwnedFd, Errno> {
    // SAFETY: `fs_type` ends in NUL.
    owned(unsafe {
        libc::syscall(
            libc::SYS_fsopen,
            fs_type.as_ptr(),
            libc::FSOPEN_CLOEXEC as libc::c_uint,
        )
    })
}

/// Sets a parameter with a value. fsconfig(2) `FSCONFIG_SET_STRING`.
pub fn set_string(context: BorrowedFd<'_>, key: &CStr, value: &CStr) -> Result<(), Errno> {
    // SAFETY: `context` is open, both strings end in NUL.
    checked(unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            SET_STRING,
            key.as_ptr(),
            value.as_ptr(),
            0,
        )
    })
    .map(drop)
}

/// Sets a parameter without a value. fsconfig(2) `FSCONFIG_SET_FLAG`.
pub fn set_flag(context: BorrowedFd<'_>, key: &CStr) -> Result<(), Errno> {
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: `context` is open, `key` ends in NUL, the unused value is null as required.
    checked(unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            SET_FLAG,
            key.as_ptr(),
            none,
            0,
        )
    })
    .map(drop)
}

/// Makes the filesystem. fsconfig(2) `FSCONFIG_CMD_CREATE`.
pub fn create(context: BorrowedFd<'_>) -> Result<(), Errno> {
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: `context` is open, the unused key and value are null as required.
    checked(unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            CMD_CREATE,
            none,
            none,
            0,
        )
    })
    .map(drop)
}

/// Makes a detached mount of the context's filesystem, with `ATTR_*` bits. fsmount(2).
pub fn make_mount(context: BorrowedFd<'_>, attributes: u64) -> Result<OwnedFd, Errno> {
    // SAFETY: `context` is open; the other arguments are numbers.
    owned(unsafe {
        libc::syscall(
            libc::SYS_fsmount,
            context.as_raw_fd(),
            libc::FSMOUNT_CLOEXEC as libc::c_uint,
            attributes as libc::c_uint,
        )
    })
}

/// Makes a detached copy of the mounts at and below the directory. open_tree(2) with `OPEN_TREE_CLONE`
/// and `AT_RECURSIVE`, Linux 5.2.
pub fn clone_tree(directory: &CStr) -> Result<OwnedFd, Errno> {
    /// `OPEN_TREE_CLONE`, linux/mount.h; libc has it for other systems only.
    const OPEN_TREE_CLONE: libc::c_uint = 1;
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as u32 | libc::AT_RECURSIVE as u32;
    // SAFETY: `directory` ends in NUL; the others are numbers.
    owned(unsafe {
        libc::syscall(
            libc::SYS_open_tree,
            libc::AT_FDCWD,
            directory.as_ptr(),
            flags,
        )
    })
}

/// Attaches a detached mount at `target`. move_mount(2).
pub fn attach(mount: BorrowedFd<'_>, target: &CStr) -> Result<(), Errno> {
    // SAFETY: `mount` is open, both paths end in NUL.
    checked(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            target.as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH,
        )
    })
    .map(drop)
}

/// Sets `ATTR_*` bits on the mount at `target` and on all below it. mount_setattr(2) with
/// `AT_RECURSIVE`, Linux 5.12.
pub fn set_attributes_below(target: &CStr, attributes: u64) -> Result<(), Errno> {
    let attr = libc::mount_attr {
        attr_set: attributes,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: `target` ends in NUL, `attr` is a mount_attr of the size that is given.
    checked(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            target.as_ptr(),
            libc::AT_RECURSIVE as libc::c_uint,
            &raw const attr,
            std::mem::size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}

/// Asks which mount is seen at `path`, without starting an automount and without asking a server.
/// statx(2) with `STATX_MNT_ID`.
pub fn mount_point_status(path: &CStr) -> Result<MountPointStatus, Errno> {
    let flags = libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT | libc::AT_STATX_DONT_SYNC;
    let mask = libc::STATX_TYPE | libc::STATX_MODE | libc::STATX_MNT_ID;
    let mut status = std::mem::MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: `path` ends in NUL and `status` has room for a statx.
    checked(libc::c_long::from(unsafe {
        libc::statx(
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            mask,
            status.as_mut_ptr(),
        )
    }))?;
    // SAFETY: all bytes were zeroed, which is a valid statx, and then filled by the kernel.
    let status = unsafe { status.assume_init() };
    Ok(MountPointStatus {
        mount_id: (status.stx_mask & libc::STATX_MNT_ID != 0).then_some(status.stx_mnt_id),
        mode: u32::from(status.stx_mode),
    })
}
