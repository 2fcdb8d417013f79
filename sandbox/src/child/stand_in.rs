//! Makes a program that is about to start another one start a third in its place. Not for deciding
//! that. Upholds: nothing of the caller's memory that it may still use is changed, since a caller made
//! by vfork(2) shares it with its parent.
//!
//! The caller waits in execve(2) for the answer to its notification. A stop requested by ptrace(2)
//! interrupts it, as a signal would: the system call is to be restarted. In that stop the register with
//! the path is changed to a place below the stack, where the new path was written; then the caller is
//! let go, restarts, and its next notification has the new path. A filter alone cannot do this, as it
//! cannot change arguments (seccomp_unotify(2)); a file mounted over the program would, but then
//! nobody inside could read, copy or replace the real one.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::ptrace;
use nix::sys::stat::Mode;
use nix::sys::statvfs::{FsFlags, fstatvfs};
use nix::sys::uio::{RemoteIoVec, process_vm_writev};
use nix::unistd::{Pid, UnlinkatFlags, unlinkat, write};

use crate::services::Answer;
use crate::sys::registers;
use crate::sys::seccomp::Notification;
use crate::sys::tracing::{self, Stop};

/// Where stand-ins are: the scratchpad's own memory, from which programs may run, and which no change
/// set shows.
const PLACE: &str = "dev/shm/.isconf-";

/// Bytes below the stack pointer that a function may use without moving it (System V ABI, x86-64,
/// 3.2.2), and some for the string's alignment.
const BELOW_STACK: u64 = 128 + 64;

/// A caller that was told, while it calls again with what it was told. A signal that comes in between
/// may lay the frame of its handler over the path (sigreturn(2)), below the stack as that is; then the path
/// is written once more, while the caller waits in its next notification.
#[derive(Debug)]
pub(super) struct Told {
    arguments: [u64; 6],
    instruction: u64,
    at: u64,
    path: Vec<u8>,
}

impl Told {
    /// Whether this is that call, and not another one of the same caller.
    pub(super) fn is_made_by(&self, call: &Notification) -> bool {
        (call.arguments, call.instruction) == (self.arguments, self.instruction)
    }

    /// Writes the path once more.
    pub(super) fn write_again(&self, call: &Notification) -> Result<(), Errno> {
        write_path(Pid::from_raw(call.pid), self.at, &self.path)
    }
}

/// Makes stand-ins, each with a name of its own.
#[derive(Debug)]
pub(super) struct StandIns {
    root: OwnedFd,
    count: u64,
    made: Vec<String>,
}

/// With the running system in reach the place is everybody's.
impl Drop for StandIns {
    fn drop(&mut self) {
        while !self.made.is_empty() {
            self.unmake();
        }
    }
}

impl StandIns {
    /// For the scratchpad with this root directory.
    pub(super) fn new(root: OwnedFd) -> Self {
        Self {
            root,
            count: 0,
            made: Vec::new(),
        }
    }

    /// Whether programs run from the place; with the running system in reach it is the host's.
    pub(super) fn can_run(&self) -> bool {
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT);
        let place = openat2(&self.root, "dev/shm", how);
        place.is_ok_and(|place| {
            fstatvfs(&place).is_ok_and(|status| !status.flags().contains(FsFlags::ST_NOEXEC))
        })
    }

    /// The scratchpad's root directory.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Makes the caller, which waits in this notified execve(2) or execveat(2) with the path in this
    /// argument, start the answer. When this returns without error it has been let go. `EAGAIN` when a
    /// signal came first: it will call again.
    pub(super) fn put(
        &mut self,
        call: &Notification,
        argument: usize,
        answer: &Answer,
    ) -> Result<Told, Errno> {
        let path = self.make(answer)?;
        match tell(call, argument, &path) {
            Ok(at) => {
                let mut arguments = call.arguments;
                arguments[argument] = at;
                Ok(Told {
                    arguments,
                    instruction: call.instruction,
                    at,
                    path,
                })
            }
            Err(errno) => {
                self.unmake();
                Err(errno)
            }
        }
    }

    /// Removes the last one.
    fn unmake(&mut self) {
        if let Some(path) = self.made.pop() {
            // It may be gone with its scratchpad, or removed by the command.
            let _ = unlinkat(&self.root, path.as_str(), UnlinkatFlags::NoRemoveDir);
        }
    }

    /// Writes the program; gives its path inside, with a NUL behind it.
    fn make(&mut self, answer: &Answer) -> Result<Vec<u8>, Errno> {
        self.count += 1;
        // Of several entries in one scratchpad each has a watcher, which counts by itself.
        loop {
            let path = format!("{PLACE}{}", self.count);
            let how = OpenHow::new()
                .flags(OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC)
                .mode(Mode::from_bits_truncate(0o700))
                .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
            match openat2(&self.root, path.as_str(), how) {
                Ok(file) => {
                    write_all(&file, answer.as_bytes())?;
                    // The umask of this process may be narrower. Only root's programs are answered.
                    nix::sys::stat::fchmod(&file, Mode::from_bits_truncate(0o700))?;
                    self.made.push(path.clone());
                    return Ok(format!("/{path}\0").into_bytes());
                }
                Err(Errno::EEXIST) => self.count += 1,
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// Stops the caller, changes the path that it calls with, and lets it go; gives the path's place.
fn tell(call: &Notification, argument: usize, path: &[u8]) -> Result<u64, Errno> {
    let pid = Pid::from_raw(call.pid);
    ptrace::seize(pid, ptrace::Options::empty())?;
    let stopped = ptrace::interrupt(pid).and_then(|()| tracing::wait_for_stop(pid));
    let (changed, signal) = match stopped {
        Ok(Stop::AsAsked) => (change_path(pid, call.number, argument, path), 0),
        // One that came first is delivered, and the call begins anew behind it.
        Ok(Stop::ForSignal(signal)) => (Err(Errno::EAGAIN), signal),
        Ok(Stop::Gone) => (Err(Errno::ESRCH), 0),
        Err(errno) => (Err(errno), 0),
    };
    // ESRCH: it was killed meanwhile, and nobody has to be let go.
    match tracing::detach(pid, signal) {
        Ok(()) | Err(Errno::ESRCH) => changed,
        Err(errno) => Err(errno),
    }
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match write(file, bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn change_path(pid: Pid, number: i64, argument: usize, path: &[u8]) -> Result<u64, Errno> {
    let mut registers = registers::of(pid)?;
    if !registers.restarts(number) {
        return Err(Errno::EAGAIN);
    }
    let at = (registers.stack() - BELOW_STACK - path.len() as u64) & !15;
    write_path(pid, at, path)?;
    registers.set_argument(argument, at);
    registers.put(pid)?;
    Ok(at)
}

fn write_path(pid: Pid, at: u64, path: &[u8]) -> Result<(), Errno> {
    let remote = RemoteIoVec {
        base: at as usize,
        len: path.len(),
    };
    let written = process_vm_writev(pid, &[IoSlice::new(path)], &[remote])?;
    match written == path.len() {
        true => Ok(()),
        false => Err(Errno::EFAULT),
    }
}
