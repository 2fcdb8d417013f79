//! The caller's standard input of `exec`. Not for what `--stdin` records. Upholds: a difference
//! between the origin and its targets is told before it is made.

use std::fs::File;
use std::io::{IsTerminal, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// `/dev/null`, as the kernel numbers it (Documentation/admin-guide/devices.txt).
const NULL_DEVICE: (u64, u64) = (1, 3);

/// Whether a command may read something from this descriptor that its targets would not get: not
/// from a terminal, which people watch, nor where nothing is.
pub fn may_have_input(input: &(impl AsFd + IsTerminal)) -> bool {
    if input.is_terminal() {
        return false;
    }
    // What cannot be looked at is assumed to have something: this is for a warning.
    is_not_empty(input).unwrap_or(true)
}

fn is_not_empty(input: &impl AsFd) -> std::io::Result<bool> {
    let mut file = File::from(input.as_fd().try_clone_to_owned()?);
    let meta = file.metadata()?;
    let kind = meta.file_type();
    if kind.is_file() {
        // The command begins to read where the caller stopped.
        return Ok(file.stream_position()? < meta.len());
    }
    if kind.is_char_device() {
        let device = (
            nix::sys::stat::major(meta.rdev()),
            nix::sys::stat::minor(meta.rdev()),
        );
        return Ok(device != NULL_DEVICE);
    }
    if kind.is_fifo() || kind.is_socket() {
        return Ok(!is_ended(&file)?);
    }
    Ok(true)
}

/// Whether nothing is in a pipe or socket, and nobody is left who could write (poll(2)).
fn is_ended(file: &File) -> Result<bool, Errno> {
    let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO)?;
    let events = fds[0].revents().unwrap_or(PollFlags::empty());
    Ok(events.contains(PollFlags::POLLHUP) && !events.contains(PollFlags::POLLIN))
}

#[cfg(test)]
mod tests {
    use std::io::{SeekFrom, Write};

    use super::*;

    #[test]
    fn only_what_holds_something_or_may_get_it_is_told() {
        assert!(!may_have_input(&File::open("/dev/null").unwrap()));
        assert!(may_have_input(&File::open("/dev/zero").unwrap()));

        let mut file = tempfile::tempfile().unwrap();
        assert!(!may_have_input(&file));
        file.write_all(b"x").unwrap();
        assert!(!may_have_input(&file), "read to its end");
        file.seek(SeekFrom::Start(0)).unwrap();
        assert!(may_have_input(&file));

        let (reader, mut writer) = std::io::pipe().unwrap();
        let reader = File::from(std::os::fd::OwnedFd::from(reader));
        assert!(may_have_input(&reader), "somebody may still write");
        writer.write_all(b"x").unwrap();
        drop(writer);
        assert!(may_have_input(&reader));
        std::io::Read::read_exact(&mut &reader, &mut [0]).unwrap();
        assert!(!may_have_input(&reader), "nobody can write any more");
    }
}
