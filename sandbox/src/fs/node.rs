//! Copying one object with all its attributes. Not for what is in a directory (see `tree`).

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag, makedev, mknodat};

use super::{Place, Stat, copy_data, set_metadata};
use crate::change::Metadata;

/// Makes at `to`, a free name, a copy of the object at `from`, of which `stat` was just read: the
/// same kind, bytes and holes, and the attributes `meta`. A directory is made empty. Nothing is
/// synced.
pub fn copy_node(
    from: Place<'_>,
    stat: &Stat,
    to: Place<'_>,
    meta: &Metadata,
) -> Result<(), Errno> {
    match stat.kind_bits() {
        libc::S_IFREG => {
            let source = from.open(OFlag::O_RDONLY)?;
            let copy = to.create(0o600)?;
            copy_data(source.as_fd(), copy.as_fd(), stat.identity.size)?;
        }
        libc::S_IFDIR => to.create_dir(0o700)?,
        libc::S_IFLNK => to.create_symlink(&from.read_link()?)?,
        kind => mknodat(
            to.dir,
            to.name,
            SFlag::from_bits_truncate(kind),
            Mode::from_bits_truncate(0o600),
            makedev(u64::from(stat.rdev.0), u64::from(stat.rdev.1)),
        )?,
    }
    let copy = to.stat()?.ok_or(Errno::ENOENT)?;
    set_metadata(to, &copy, meta)
}
