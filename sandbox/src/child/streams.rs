//! Puts the standard streams of a command in place. Runs in the clone: no allocation, no lock
//! (`clone_process`). Not for what they lead to (see `request`).

use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::request::Stream;
use crate::sys::process;

/// Puts the three streams in place. All sources are first copied out of the way, because one may
/// have the number of another's place.
pub(super) fn set_streams(streams: &[Option<&Stream>; 3]) -> Result<(), Errno> {
    let mut sources: [Option<RawFd>; 3] = [None; 3];
    for (source, stream) in sources.iter_mut().zip(streams) {
        *source = match stream {
            None | Some(Stream::Inherit) => None,
            Some(Stream::Given(fd)) => Some(process::duplicate_high(fd.as_raw_fd())?),
            Some(Stream::Null) => {
                let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC;
                let null = open(c"/dev/null", flags, Mode::empty())?;
                Some(process::duplicate_high(null.as_raw_fd())?)
            }
        };
    }
    for (number, source) in (0..).zip(sources) {
        if let Some(source) = source {
            process::duplicate_to(source, number)?;
        }
    }
    Ok(())
}
