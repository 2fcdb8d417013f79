//! Writes to a file through a mapping, for tests of what a scratchpad does with that. Only built
//! for tests. Upholds: the mapping ends with the call.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::errno::Errno;

/// Makes the first bytes of a file, which must have a byte at least, `byte`, by storing to a shared
/// mapping of it. mmap(2).
pub fn store_first_byte(file: BorrowedFd<'_>, byte: u8) -> Result<(), Errno> {
    const LENGTH: usize = 1;
    let (access, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
    let fd = file.as_raw_fd();
    // SAFETY: the kernel chooses the place of a new mapping of an open file.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), LENGTH, access, shared, fd, 0) };
    if start == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    // SAFETY: the mapping is writable and at least a page, whose first byte the file has; no
    // reference to it is made.
    unsafe { start.cast::<u8>().write_volatile(byte) };
    // SAFETY: what was mapped above, to which nothing points any more.
    super::checked(i64::from(unsafe { libc::munmap(start, LENGTH) })).map(drop)
}
