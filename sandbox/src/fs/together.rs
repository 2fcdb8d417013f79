//! Several syncs at the same time. Not for deciding what has to be durable. Upholds: all of them
//! are done when it returns, exactly as if they had been done one after another.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use nix::errno::Errno;

/// How many syncs are under way at once. Each waits for the disk and not for a processor; a few
/// are enough for the filesystem to answer them with one write of its journal and one flush of
/// the disk's cache, where one after another each pays for its own.
const AT_ONCE: usize = 8;

/// Makes every one of these durable, fsync(2), in no order: for what must all be durable before
/// the next step, and of which nothing has to be durable before anything else. The error has the
/// index of one that failed; others may not have been done then.
pub fn sync_together<F: AsFd + Sync>(open: &[F]) -> Result<(), (usize, Errno)> {
    let next = AtomicUsize::new(0);
    let share = || {
        while let Some((index, file)) = take(open, &next) {
            nix::unistd::fsync(file).map_err(|errno| (index, errno))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..open.len().min(AT_ONCE))
            // Without a further thread those that there are do its share.
            .filter_map(|_| thread::Builder::new().spawn_scoped(scope, share).ok())
            .collect();
        let own = share();
        others.into_iter().fold(own, |so_far, other| {
            // A thread that was lost says nothing of its share, which then counts as failed.
            so_far.and(other.join().unwrap_or(Err((0, Errno::EIO))))
        })
    })
}

/// The next one that nobody has taken.
fn take<'a, F>(open: &'a [F], next: &AtomicUsize) -> Option<(usize, &'a F)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((index, open.get(index)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::OwnedFd;

    #[test]
    fn any_number_is_synced_and_a_failure_is_named() {
        let files: Vec<File> = (0..30).map(|_| tempfile::tempfile().unwrap()).collect();
        for count in [0, 1, 2, 8, 9, 30] {
            assert_eq!(sync_together(&files[..count]), Ok(()));
        }
        let (pipe, _other_end) = nix::unistd::pipe().unwrap();
        let mut open: Vec<OwnedFd> = files.into_iter().map(OwnedFd::from).collect();
        open.insert(17, pipe);
        assert_eq!(sync_together(&open), Err((17, Errno::EINVAL)));
    }
}
