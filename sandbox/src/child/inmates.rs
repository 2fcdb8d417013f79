//! The processes that see the files of a scratchpad whose command has the running system in reach:
//! they are told from all others by their mount namespace. Not for a contained one, which has a pid
//! namespace. Upholds: no other process is ever touched.
//!
//! Telling and ending them allocates nothing and takes no lock: the scratchpad's first process does it
//! as well, a clone that may not (see `clone_process`), when its supervisor was killed.

use std::ffi::{CStr, CString};
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::stat::{FileStat, Mode, fstatat};
use nix::unistd::{Pid, Whence, getpid, lseek64};
use rustix::fs::RawDir;

use super::leftover::command_line;
use crate::sys::clone::{open_process, send_signal};

/// Bytes for entries of `/proc` at a time: some 250 of them.
const ENTRIES_BYTES: usize = 8192;

/// How long those that were killed may take to go before they are looked for again, first and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(100)];

/// A mount namespace, by what stat(2) says of it (namespaces(7), "The /proc/[pid]/ns/ directory").
type Namespace = (u64, u64);

/// Processes in the mount namespace of a scratchpad's first process.
#[derive(Debug)]
pub(super) struct Inmates {
    proc: OwnedFd,
    keeper: Pid,
    namespace: Namespace,
    /// The device of the scratchpad's root directory, which no other process has: an overlay of its own.
    root: u64,
}

impl Inmates {
    /// Those that share the namespace of `keeper`, who is none of them. An error when it is not there,
    /// or has no namespace of its own: then nobody could be told from anybody.
    pub(super) fn of(keeper: Pid) -> Result<Self, Errno> {
        let inmates = Self::around(keeper)?;
        let own = Self::around(getpid())?;
        if inmates.namespace == own.namespace || inmates.root == own.root {
            return Err(Errno::EXDEV);
        }
        Ok(inmates)
    }

    /// Those that share the namespace of the calling process, who has to be a scratchpad's first.
    /// `before` is its root directory before it built the scratchpad's; an error when that is the same.
    pub(super) fn of_first_process(before: &FileStat) -> Result<Self, Errno> {
        let inmates = Self::around(getpid())?;
        match inmates.root == before.st_dev {
            true => Err(Errno::EXDEV),
            false => Ok(inmates),
        }
    }

    fn around(keeper: Pid) -> Result<Self, Errno> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut inmates = Self {
            proc: open(c"/proc", flags, Mode::empty())?,
            keeper,
            namespace: (0, 0),
            root: 0,
        };
        let keeper = keeper.as_raw();
        inmates.namespace = inmates.namespace_of(keeper).ok_or(Errno::ESRCH)?;
        inmates.root = inmates.root_of(keeper).ok_or(Errno::ESRCH)?;
        Ok(inmates)
    }

    /// Gives their numbers one by one, for as long as they are taken.
    fn each(&self, mut take: impl FnMut(i32) -> bool) {
        // Anew: what was read before is not read again.
        if lseek64(&self.proc, 0, Whence::SeekSet).is_err() {
            return;
        }
        let mut buffer = [MaybeUninit::uninit(); ENTRIES_BYTES];
        let mut entries = RawDir::new(&self.proc, &mut buffer);
        while let Some(Ok(entry)) = entries.next() {
            let number = entry.file_name().to_str().ok();
            let pid = number.and_then(|number| number.parse().ok());
            let pid = pid.filter(|pid| *pid != self.keeper.as_raw() && self.has(*pid));
            if pid.is_some_and(|pid| !take(pid)) {
                return;
            }
        }
    }

    /// In the namespace, or in one that was made from it, with the scratchpad's files.
    fn has(&self, pid: i32) -> bool {
        self.namespace_of(pid) == Some(self.namespace) || self.root_of(pid) == Some(self.root)
    }

    /// `None` for a process that ended and was not waited for: it sees nothing any more.
    fn namespace_of(&self, pid: i32) -> Option<Namespace> {
        let status = self.status(pid, "ns/mnt")?;
        Some((status.st_dev, status.st_ino))
    }

    fn root_of(&self, pid: i32) -> Option<u64> {
        // With the slash the link is followed to the root directory itself.
        Some(self.status(pid, "root/")?.st_dev)
    }

    /// What stat(2) says of what a process has below its directory.
    fn status(&self, pid: i32, name: &str) -> Option<FileStat> {
        let mut path = [0; 32];
        write!(&mut path[..], "{pid}/{name}\0").ok()?;
        let path = CStr::from_bytes_until_nul(&path).ok()?;
        fstatat(&self.proc, path, AtFlags::empty()).ok()
    }

    /// Whether there are any.
    pub(super) fn is_any(&self) -> bool {
        let mut is_any = false;
        self.each(|_| {
            is_any = true;
            false
        });
        is_any
    }

    /// Whether they and their threads are more than this.
    pub(super) fn have_more_tasks(&self, limit: u32) -> bool {
        let mut tasks = 0;
        self.each(|pid| {
            // The directory has a link for each task, and the two that every directory has.
            let links = self.status(pid, "task").map_or(0, |status| status.st_nlink);
            tasks += usize::try_from(links).map_or(0, |links| links.saturating_sub(2));
            tasks <= limit as usize
        });
        tasks > limit as usize
    }

    /// Their command lines.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.each(|pid| {
            let number = CString::new(pid.to_string()).unwrap_or_default();
            names.extend(command_line(self.proc.as_fd(), &number));
            true
        });
        names
    }

    /// Sends all of them a signal.
    pub(super) fn signal(&self, signal: i32) {
        self.each(|pid| {
            // Gone meanwhile; that its number is still its own is looked at once it cannot pass on.
            if let Ok(opened) = open_process(Pid::from_raw(pid))
                && self.has(pid)
            {
                let _ = send_signal(opened.as_fd(), signal);
            }
            true
        });
    }

    /// Ends all of them, and those that they make meanwhile.
    pub(super) fn kill(&self) {
        let [mut pause, longest] = PAUSES;
        while self.is_any() {
            self.signal(libc::SIGKILL);
            std::thread::sleep(pause);
            pause = longest.min(pause * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_shares_our_own_files_is_never_an_inmate() {
        let own = Pid::from_raw(std::process::id() as i32);
        assert!(matches!(Inmates::of(own), Err(Errno::EXDEV)));
        assert!(matches!(
            Inmates::of(Pid::from_raw(i32::MAX)),
            Err(Errno::ESRCH)
        ));
        let root = nix::sys::stat::stat("/").unwrap();
        let inmates = Inmates::of_first_process(&root);
        assert!(matches!(inmates, Err(Errno::EXDEV)));
    }
}
