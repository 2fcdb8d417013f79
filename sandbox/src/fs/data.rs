//! The bytes of regular files: shared where the filesystem can, copied with their holes where not.
//! Not for attributes (see `metadata`).

use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::fcntl::FallocateFlags;
use nix::unistd::Whence;

use crate::sys::files;

/// How much one copy_file_range(2) is asked for.
const CHUNK_BYTES: usize = 1 << 30;

/// Makes the bytes and holes of `to`, a new file, those of `from`, which is `size` bytes long.
pub fn copy_data(from: BorrowedFd<'_>, to: BorrowedFd<'_>, size: u64) -> Result<(), Errno> {
    overwrite_data(from, to, size)
}

/// Makes the bytes and holes of `to` those of `from`, which is `size` bytes long. Never cuts `to`
/// shorter than `size` on the way, so that a reader sees old or new bytes and never none.
pub fn overwrite_data(from: BorrowedFd<'_>, to: BorrowedFd<'_>, size: u64) -> Result<(), Errno> {
    let end = length(size)?;
    match files::reflink(from, to) {
        Ok(()) => return nix::unistd::ftruncate(to, end),
        // No reflinks here, or not between these two.
        Err(Errno::EOPNOTSUPP | Errno::EXDEV | Errno::EINVAL | Errno::ENOTTY | Errno::ENOSYS) => {}
        Err(errno) => return Err(errno),
    }
    let mut at = 0;
    while at < end {
        let data = seek(from, at, Whence::SeekData)?.unwrap_or(end).min(end);
        if data > at {
            punch(to, at, data - at)?;
        }
        if data == end {
            break;
        }
        let hole = seek(from, data, Whence::SeekHole)?.unwrap_or(end).min(end);
        copy_range(from, to, data, hole)?;
        at = hole;
    }
    nix::unistd::ftruncate(to, end)
}

/// How much is looked through for zeros at a time, and what of it can be a hole: the block of nearly
/// every filesystem. One with larger blocks zeroes instead, which changes nothing.
const LOOK_BYTES: usize = 64 * 1024;
const BLOCK_BYTES: usize = 4096;

/// Makes holes again of what is one in `from` and nothing but zeros in `to`, a copy of it that was
/// written since. Changes the time of modification and can take file capabilities away.
pub fn punch_again(from: BorrowedFd<'_>, to: BorrowedFd<'_>, size: u64) -> Result<(), Errno> {
    let end = length(size)?;
    let mut at = 0;
    while at < end {
        let hole = seek(from, at, Whence::SeekHole)?.unwrap_or(end).min(end);
        at = seek(from, hole, Whence::SeekData)?.unwrap_or(end).min(end);
        punch_zeros(to, hole, at)?;
    }
    Ok(())
}

/// Makes holes of the blocks of zeros in a range that starts with a block.
fn punch_zeros(file: BorrowedFd<'_>, start: i64, end: i64) -> Result<(), Errno> {
    let mut buffer = vec![0; LOOK_BYTES];
    let mut at = start;
    while at < end {
        at = seek(file, at, Whence::SeekData)?.unwrap_or(end).min(end);
        let want = usize::try_from(end - at).map_or(LOOK_BYTES, |n| n.min(LOOK_BYTES));
        let got = nix::sys::uio::pread(file, &mut buffer[..want], at)?;
        if got == 0 {
            break;
        }
        for block in buffer[..got].chunks(BLOCK_BYTES) {
            if block.iter().all(|byte| *byte == 0) {
                punch(file, at, block.len() as i64)?;
            }
            at += block.len() as i64;
        }
    }
    Ok(())
}

fn length(size: u64) -> Result<i64, Errno> {
    i64::try_from(size).map_err(|_| Errno::EFBIG)
}

/// Looks for data or a hole; `None` when there is none to the end (`ENXIO`).
fn seek(file: BorrowedFd<'_>, at: i64, whence: Whence) -> Result<Option<i64>, Errno> {
    match nix::unistd::lseek(file, at, whence) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::ENXIO) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Makes a range of an existing file a hole; beyond its end there is nothing to do, since
/// ftruncate(2) makes holes.
fn punch(file: BorrowedFd<'_>, at: i64, bytes: i64) -> Result<(), Errno> {
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    nix::fcntl::fallocate(file, flags, at, bytes)
}

fn copy_range(from: BorrowedFd<'_>, to: BorrowedFd<'_>, start: i64, end: i64) -> Result<(), Errno> {
    let (mut read_at, mut write_at) = (start, start);
    while read_at < end {
        let want = usize::try_from(end - read_at).map_or(CHUNK_BYTES, |n| n.min(CHUNK_BYTES));
        match files::copy_file_range((from, &mut read_at), (to, &mut write_at), want) {
            // Shorter than it was said to be: somebody writes to what nobody should.
            Ok(0) => return Err(Errno::EIO),
            Ok(_) => {}
            Err(Errno::EINTR) => {}
            Err(Errno::EXDEV | Errno::EOPNOTSUPP | Errno::EINVAL) => {
                return copy_by_buffer(from, to, read_at, end);
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Copies through memory, where the kernel cannot between these two filesystems.
fn copy_by_buffer(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    mut at: i64,
    end: i64,
) -> Result<(), Errno> {
    let mut buffer = vec![0; 256 * 1024];
    while at < end {
        let want = usize::try_from(end - at).map_or(buffer.len(), |n| n.min(buffer.len()));
        let got = nix::sys::uio::pread(from, &mut buffer[..want], at)?;
        if got == 0 {
            return Err(Errno::EIO);
        }
        let mut done = 0;
        while done < got {
            let offset = at + done as i64;
            done += nix::sys::uio::pwrite(to, &buffer[done..got], offset)?;
        }
        at += got as i64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn only_zeros_in_former_holes_become_holes() {
        let mut old = tempfile::tempfile().unwrap();
        old.set_len(1 << 20).unwrap();
        old.seek(SeekFrom::Start(512 << 10)).unwrap();
        old.write_all(&[0; 4096]).unwrap();
        let mut bytes = vec![0; 1 << 20];
        bytes[100_000] = 7;
        bytes[(1 << 20) - 1] = 7;
        let mut new = tempfile::tempfile().unwrap();
        new.write_all(&bytes).unwrap();
        punch_again(old.as_fd(), new.as_fd(), 1 << 20).unwrap();
        let mut found = Vec::new();
        new.seek(SeekFrom::Start(0)).unwrap();
        new.read_to_end(&mut found).unwrap();
        assert_eq!(found, bytes);
        // The two blocks with a byte, and the zeros that were data before.
        assert!(new.metadata().unwrap().blocks() * 512 < 64 << 10);
        assert!(new.metadata().unwrap().blocks() * 512 >= 3 * 4096);
    }
}
