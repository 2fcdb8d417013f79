//! Counts the processes and threads of a scratchpad with a pid namespace of its own. Not for one with
//! the running system in reach (see `inmates`).

use std::fs::read_dir;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Whether there are more processes and threads inside.
pub(super) fn has_more_tasks(root: BorrowedFd<'_>, limit: u32) -> bool {
    let proc = PathBuf::from(format!("/proc/self/fd/{}/proc", root.as_raw_fd()));
    let is_number = |name: &std::ffi::OsStr| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    let mut left = limit;
    for entry in read_dir(&proc).into_iter().flatten().flatten() {
        if !is_number(&entry.file_name()) {
            continue;
        }
        // The directory has a link for each task, and the two that every directory has.
        let tasks = std::fs::metadata(entry.path().join("task"));
        let tasks = tasks.map_or(0, |status| status.nlink().saturating_sub(2));
        match u32::try_from(tasks).ok().and_then(|n| left.checked_sub(n)) {
            Some(fewer) => left = fewer,
            None => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn tasks_are_counted_up_to_a_limit() {
        let root = File::open("/").unwrap();
        assert!(has_more_tasks(root.as_fd(), 0));
        assert!(!has_more_tasks(root.as_fd(), u32::MAX));
    }
}
