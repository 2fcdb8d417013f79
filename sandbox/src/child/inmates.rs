//! The processes that see the files of a scratchpad whose command has the running system in reach:
//! they are told from all others by their mount namespace. Not for a contained one, which has a pid
//! namespace. Upholds: no other process is ever touched.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::caller::process;
use crate::sys::clone::{open_process, send_signal};

/// A mount namespace, by what stat(2) says of it (namespaces(7), "The /proc/[pid]/ns/ directory").
type Namespace = (u64, u64);

/// Processes in the mount namespace of a scratchpad's first process.
#[derive(Debug)]
pub(super) struct Inmates {
    keeper: Pid,
    namespace: Namespace,
    /// The device of the scratchpad's root directory, which no other process has: an overlay of its own.
    root: u64,
}

impl Inmates {
    /// Those that share the namespace of `keeper`, who is none of them. An error when it is not there,
    /// or has no namespace of its own: then nobody could be told from anybody.
    pub(super) fn of(keeper: Pid) -> Result<Self, Errno> {
        let namespace = namespace(keeper.as_raw()).ok_or(Errno::ESRCH)?;
        let own = namespace_at("/proc/self/ns/mnt").ok_or(Errno::ESRCH)?;
        if namespace == own {
            return Err(Errno::EXDEV);
        }
        let root = root_device(keeper.as_raw()).ok_or(Errno::ESRCH)?;
        let live = root_device(std::process::id() as i32).ok_or(Errno::ESRCH)?;
        if root == live {
            return Err(Errno::EXDEV);
        }
        Ok(Self {
            keeper,
            namespace,
            root,
        })
    }

    /// Their numbers.
    fn all(&self) -> Vec<i32> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers
            .filter(|pid| *pid != self.keeper.as_raw() && self.has(*pid))
            .collect()
    }

    /// In the namespace, or in one that was made from it, with the scratchpad's files.
    fn has(&self, pid: i32) -> bool {
        namespace(pid) == Some(self.namespace) || root_device(pid) == Some(self.root)
    }

    /// Whether there are any.
    pub(super) fn is_any(&self) -> bool {
        !self.all().is_empty()
    }

    /// Whether they are more than this.
    pub(super) fn are_more_than(&self, limit: u32) -> bool {
        self.all().len() > limit as usize
    }

    /// Their command lines.
    pub(super) fn names(&self) -> Vec<String> {
        self.all().into_iter().map(process).collect()
    }

    /// Sends all of them a signal.
    pub(super) fn signal(&self, signal: i32) {
        for pid in self.all() {
            // Gone meanwhile; that its number is still its own is looked at once it cannot pass on.
            if let Ok(opened) = open_process(Pid::from_raw(pid))
                && self.has(pid)
            {
                let _ = send_signal(opened.as_fd(), signal);
            }
        }
    }

    /// Ends all of them, and those that they make meanwhile.
    pub(super) fn kill(&self) {
        while self.is_any() {
            self.signal(libc::SIGKILL);
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}

fn root_device(pid: i32) -> Option<u64> {
    // With the slash the link is followed to the root directory itself.
    Some(fs::metadata(format!("/proc/{pid}/root/")).ok()?.dev())
}

fn namespace(pid: i32) -> Option<Namespace> {
    namespace_at(&format!("/proc/{pid}/ns/mnt"))
}

/// `None` for a process that ended and was not waited for: it sees nothing any more.
fn namespace_at(path: &str) -> Option<Namespace> {
    let status = fs::metadata(path).ok()?;
    Some((status.dev(), status.ino()))
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
    }
}
