//! The only unsafe code of the project: thin functions, one system call each, for what no safe
//! crate offers. Not for decisions. Upholds: every unsafe block says why it is sound.

pub mod inspect;
pub mod files;
pub mod mount;
pub mod clone;
pub mod process;
pub mod channel;
pub mod seccomp;
pub mod registers;
pub mod descriptor;
pub mod scheduling;
pub mod tracing;
#[cfg(test)]
pub mod mapped;

use nix::errno::Errno;

/// Turns a result of -1 into the thread's errno.
fn checked(result: libc::c_long) -> Result<libc::c_long, Errno> {
    if result == -1 {
        Err(Errno::last())
    } else {
        Ok(result)
    }
}
