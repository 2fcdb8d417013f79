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
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(10)];

/// A mount namespace, by what stat(2) says of it (namespaces(7), "The /proc/[pid]/ns/ directory").
type Namespace = (u64, u64);

/// What a process sees, as far as it tells who is of a scratchpad.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    namespace: Namespace,
    /// The device of its root directory; of a scratchpad's it is one that no other process has: an
    /// overlay of its own.
    root: u64,
}

/// Processes that see what a scratchpad's first process sees.
#[derive(Debug)]
pub(super) struct Inmates {
    proc: OwnedFd,
    keeper: Pid,
    inside: Sight,
    live: Sight,
}

impl Inmates {
    /// Those that share the namespace of `keeper`, who is none of them. An error when it is not there,
    /// or has no namespace of its own: then nobody could be told from anybody.
    pub(super) fn of(keeper: Pid) -> Result<Self, Errno> {
        Self::around(keeper, sight_of(getpid())?)
    }

    /// Those that share the namespace of the calling process, who has to be a scratchpad's first. `live`
    /// is what the process sees that made it.
    pub(super) fn of_first_process(live: Sight) -> Result<Self, Errno> {
        Self::around(getpid(), live)
    }

    fn around(keeper: Pid, live: Sight) -> Result<Self, Errno> {
        let inside = sight_of(keeper)?;
        if inside.namespace == live.namespace || inside.root == live.root {
            return Err(Errno::EXDEV);
        }
        Ok(Self {
            proc: open_proc()?,
            keeper,
            inside,
            live,
        })
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

    /// In the namespace, or in one that was made from it, with the scratchpad's files. The root directory
    /// of a live process is not looked at: it may be on a filesystem that does not answer.
    fn has(&self, pid: i32) -> bool {
        match namespace(&self.proc, pid) {
            None => false,
            Some(found) if found == self.inside.namespace => true,
            Some(found) if found == self.live.namespace => false,
            Some(_) => root(&self.proc, pid) == Some(self.inside.root),
        }
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
            let links = status(&self.proc, pid, "task").map_or(0, |status| status.st_nlink);
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

/// What a process sees.
pub(super) fn sight_of(pid: Pid) -> Result<Sight, Errno> {
    let proc = open_proc()?;
    Ok(Sight {
        namespace: namespace(&proc, pid.as_raw()).ok_or(Errno::ESRCH)?,
        root: root(&proc, pid.as_raw()).ok_or(Errno::ESRCH)?,
    })
}

fn open_proc() -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open(c"/proc", flags, Mode::empty())
}

/// `None` for a process that ended and was not waited for: it sees nothing any more.
fn namespace(proc: &OwnedFd, pid: i32) -> Option<Namespace> {
    let status = status(proc, pid, "ns/mnt")?;
    Some((status.st_dev, status.st_ino))
}

fn root(proc: &OwnedFd, pid: i32) -> Option<u64> {
    // With the slash the link is followed to the root directory itself.
    Some(status(proc, pid, "root/")?.st_dev)
}

/// What stat(2) says of what a process has below its directory.
fn status(proc: &OwnedFd, pid: i32, name: &str) -> Option<FileStat> {
    let mut path = [0; 32];
    write!(&mut path[..], "{pid}/{name}\0").ok()?;
    let path = CStr::from_bytes_until_nul(&path).ok()?;
    fstatat(proc, path, AtFlags::empty()).ok()
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
        let inmates = Inmates::of_first_process(sight_of(own).unwrap());
        assert!(matches!(inmates, Err(Errno::EXDEV)));
    }
}
