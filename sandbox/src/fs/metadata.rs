//! Reading and setting all attributes of an object. Upholds: whatever `Metadata` can say is set,
//! in the one order in which no call undoes another, and durable only when the caller syncs.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FchmodatFlags, Mode, UtimensatFlags};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid};

use super::{Place, Stat};
use crate::change::{FLAG_APPEND, FLAG_IMMUTABLE, KEPT_FLAGS, Metadata, Timestamp};
use crate::sys::{files, inspect};

/// xfs's second view of the ACLs, which follows the first.
const XFS_ACL_PREFIX: &[u8] = b"trusted.SGI_ACL_";

/// Whether an attribute is part of [`Metadata`].
fn is_kept(name: &[u8]) -> bool {
    !name.starts_with(XFS_ACL_PREFIX)
}

/// Every extended attribute of the object at `place`.
pub fn read_xattrs(place: Place<'_>) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Errno> {
    let path = place.proc_path()?;
    let mut xattrs = BTreeMap::new();
    // Most objects have none, which the kernel says without a buffer.
    match inspect::list_xattrs_at(&path, &mut []) {
        Ok(0) | Err(Errno::EOPNOTSUPP) => return Ok(xattrs),
        Ok(_) => {}
        Err(errno) => return Err(errno),
    }
    let mut list = vec![0; inspect::XATTR_BYTES];
    let length = inspect::list_xattrs_at(&path, &mut list)?;
    let mut value = vec![0; inspect::XATTR_BYTES];
    for name in list[..length].split(|b| *b == 0).filter(|n| !n.is_empty()) {
        let c_name = CString::new(name).map_err(|_| Errno::EINVAL)?;
        match inspect::get_xattr_at(&path, &c_name, &mut value) {
            Ok(length) => {
                xattrs.insert(name.to_vec(), value[..length].to_vec());
            }
            // Removed between the two calls.
            Err(Errno::ENODATA) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(xattrs)
}

/// The attributes of the object at `place`, of which `stat` was just read. For an object of a live
/// tree: in an upper layer some attributes are the overlay's own and some are escaped.
pub fn read_metadata(place: Place<'_>, stat: &Stat) -> Result<Metadata, Errno> {
    let mut xattrs = read_xattrs(place)?;
    xattrs.retain(|name, _| is_kept(name));
    Ok(Metadata {
        mode: stat.identity.mode & 0o7777,
        uid: stat.uid,
        gid: stat.gid,
        mtime: stat.identity.mtime,
        xattrs,
        flags: read_flags(place, stat)?,
    })
}

/// The inode flags that we keep; none where the filesystem has no such thing.
fn read_flags(place: Place<'_>, stat: &Stat) -> Result<u32, Errno> {
    if !stat.has_inode_flags() {
        return Ok(0);
    }
    let fd = place.open(OFlag::O_RDONLY)?;
    match inspect::inode_flags(fd.as_fd()) {
        Ok(flags) => Ok(flags & KEPT_FLAGS),
        Err(Errno::ENOTTY | Errno::EOPNOTSUPP | Errno::EINVAL) => Ok(0),
        Err(errno) => Err(errno),
    }
}

/// Sets the kept inode flags named in `mask` to those of `flags`; nothing is written when they
/// are so already. `EOPNOTSUPP` when the filesystem has none and some are wanted.
pub fn change_flags(place: Place<'_>, stat: &Stat, mask: u32, flags: u32) -> Result<(), Errno> {
    if !stat.has_inode_flags() {
        return Ok(());
    }
    let mask = mask & KEPT_FLAGS;
    let fd = place.open(OFlag::O_RDONLY)?;
    let old = match inspect::inode_flags(fd.as_fd()) {
        Ok(old) => old,
        Err(Errno::ENOTTY | Errno::EOPNOTSUPP | Errno::EINVAL) if flags & mask == 0 => {
            return Ok(());
        }
        Err(errno) => return Err(errno),
    };
    let new = (old & !mask) | (flags & mask);
    if new == old {
        return Ok(());
    }
    files::set_inode_flags(fd.as_fd(), new)
}

/// Sets every attribute of the object at `place`. The order is forced: chown(2) clears setuid and
/// file capabilities, so owner comes before mode and attributes; every change of content or
/// attributes would be refused after the immutable flag, so flags come last, and an immutable or
/// append-only object is opened up first.
pub fn set_metadata(place: Place<'_>, stat: &Stat, wanted: &Metadata) -> Result<(), Errno> {
    let locks = FLAG_IMMUTABLE | FLAG_APPEND;
    if stat.locks != 0 {
        change_flags(place, stat, locks, 0)?;
    }
    let name = if place.name.is_empty() {
        b"."
    } else {
        place.name
    };
    if (stat.uid, stat.gid) != (wanted.uid, wanted.gid) {
        let (uid, gid) = (Uid::from_raw(wanted.uid), Gid::from_raw(wanted.gid));
        nix::unistd::fchownat(
            place.dir,
            name,
            Some(uid),
            Some(gid),
            AtFlags::AT_SYMLINK_NOFOLLOW,
        )?;
    }
    set_xattrs_exactly(place, &wanted.xattrs)?;
    // A symbolic link has no mode of its own. After the ACL: setting one rewrites the group bits.
    if stat.kind_bits() != libc::S_IFLNK {
        let mode = Mode::from_bits_truncate(wanted.mode);
        nix::sys::stat::fchmodat(place.dir, name, mode, FchmodatFlags::FollowSymlink)?;
    }
    if stat.has_inode_flags() {
        change_flags(place, stat, KEPT_FLAGS & !locks, wanted.flags)?;
    }
    set_mtime(place, wanted.mtime)?;
    change_flags(place, stat, locks, wanted.flags)
}

/// Makes the kept extended attributes exactly `wanted`.
pub fn set_xattrs_exactly(
    place: Place<'_>,
    wanted: &BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<(), Errno> {
    let path = place.proc_path()?;
    let old = read_xattrs(place)?;
    for name in old
        .keys()
        .filter(|n| is_kept(n) && !wanted.contains_key(*n))
    {
        let name = CString::new(name.as_slice()).map_err(|_| Errno::EINVAL)?;
        files::remove_xattr_at(&path, &name)?;
    }
    for (name, value) in wanted.iter().filter(|(n, v)| old.get(*n) != Some(*v)) {
        let name = CString::new(name.as_slice()).map_err(|_| Errno::EINVAL)?;
        files::set_xattr_at(&path, &name, value)?;
    }
    Ok(())
}

/// Sets the time of last modification and leaves the time of last access.
pub fn set_mtime(place: Place<'_>, mtime: Timestamp) -> Result<(), Errno> {
    let name = if place.name.is_empty() {
        b"."
    } else {
        place.name
    };
    nix::sys::stat::utimensat(
        place.dir,
        name,
        &TimeSpec::UTIME_OMIT,
        &TimeSpec::new(mtime.secs, i64::from(mtime.nanos)),
        UtimensatFlags::NoFollowSymlink,
    )
}
