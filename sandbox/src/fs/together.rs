//! Several syncs as quickly as the disk allows. Not for deciding what has to be durable. Upholds: all
//! of them are done when it returns, exactly as if they had been done one after another.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::statfs::{BTRFS_SUPER_MAGIC, fstatfs};

use crate::sys::files::begin_writing;

/// How many syncs are under way at once. Each waits for the disk and not for a processor; a few
/// are enough for the filesystem to answer them with one write of its journal and one flush of
/// the disk's cache, where one after another each pays for its own.
const AT_ONCE: usize = 8;

/// So long they are done one after another. The first one most often writes the journal for all of
/// them, and where a flush of the disk's cache is quick, what the others cost is less than threads
/// do (measured: a millisecond for the seven syncs of an entry of one small file). Where it is slow
/// this is soon over.
const PATIENCE: Duration = Duration::from_millis(1);

/// Makes every one of these durable, fsync(2), in no order: for what must all be durable before
/// the next step, and of which nothing has to be durable before anything else. The error has the
/// index of one that failed; others may not have been done then.
pub fn sync_together<F: AsFd + Sync>(open: &[F]) -> Result<(), (usize, Errno)> {
    if open.len() > 1 {
        // So that the first sync commits the place of the bytes of all.
        for (index, file) in open.iter().enumerate() {
            match begin_writing(file.as_fd()) {
                Ok(()) | Err(Errno::ESPIPE | Errno::EINVAL | Errno::EBADF | Errno::ENOSYS) => {}
                // The kernel may tell of bytes that are lost only once, and then here.
                Err(errno) => return Err((index, errno)),
            }
        }
    }
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    let one_by_one = open.iter().any(waits_for_company);
    while one_by_one || begun.elapsed() < PATIENCE {
        let Some((index, file)) = take(open, &next) else {
            return Ok(());
        };
        nix::unistd::fsync(file).map_err(|errno| (index, errno))?;
    }
    let left = open.len().saturating_sub(next.load(Ordering::Relaxed));
    sync_at_once(open, &next, left.min(AT_ONCE))
}

/// Does what is left with so many threads, of which this is one.
fn sync_at_once<F: AsFd + Sync>(
    open: &[F],
    next: &AtomicUsize,
    threads: usize,
) -> Result<(), (usize, Errno)> {
    let share = || {
        while let Some((index, file)) = take(open, next) {
            nix::unistd::fsync(file).map_err(|errno| (index, errno))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads)
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

/// Whether an fsync of this filesystem sleeps, once several processes do some, until more of them
/// come: up to ten milliseconds each (`btrfs_sync_log` in `fs/btrfs/tree-log.c`, without `ssd`).
/// One after another they do not sleep.
fn waits_for_company<F: AsFd>(file: &F) -> bool {
    fstatfs(file).is_ok_and(|stat| stat.filesystem_type() == BTRFS_SUPER_MAGIC)
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
            for threads in [0, 1, 3, 8] {
                let next = AtomicUsize::new(count / 2);
                assert_eq!(sync_at_once(&files[..count], &next, threads), Ok(()));
                assert!(next.into_inner() >= count, "all were taken");
            }
        }
        let (pipe, _other_end) = nix::unistd::pipe().unwrap();
        let mut open: Vec<OwnedFd> = files.into_iter().map(OwnedFd::from).collect();
        open.insert(17, pipe);
        assert_eq!(sync_together(&open), Err((17, Errno::EINVAL)));
        let next = AtomicUsize::new(0);
        let failed = sync_at_once(&open, &next, AT_ONCE);
        assert_eq!(failed, Err((17, Errno::EINVAL)));
    }
}
