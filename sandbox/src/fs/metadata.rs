//! Reading and setting all attributes of an object. Upholds: whatever `Metadata` can say is set,
//! in the one order in which no call undoes another, and durable only when the caller syncs.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
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

/// What the names of an object's attributes nearly always fit in.
const USUAL_BYTES: usize = 1024;

/// The names of the extended attributes of an object.
fn xattr_names(path: &CStr) -> Result<Vec<Vec<u8>>, Errno> {
    let mut usual = [0; USUAL_BYTES];
    let mut large = Vec::new();
    let names = match inspect::list_xattrs_at(path, &mut usual) {
        Ok(length) => &usual[..length],
        Err(Errno::EOPNOTSUPP) => return Ok(Vec::new()),
        Err(Errno::ERANGE) => {
            large.resize(inspect::XATTR_BYTES, 0);
            let length = inspect::list_xattrs_at(path, &mut large)?;
            &large[..length]
        }
        Err(errno) => return Err(errno),
    };
    let names = names.split(|b| *b == 0).filter(|name| !name.is_empty());
    Ok(names.map(<[u8]>::to_vec).collect())
}

/// The value of one attribute; `None` when the object does not have it (any more).
fn xattr_value(path: &CStr, name: &[u8]) -> Result<Option<Vec<u8>>, Errno> {
    let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
    let mut usual = [0; USUAL_BYTES];
    match inspect::get_xattr_at(path, &name, &mut usual) {
        Ok(length) => Ok(Some(usual[..length].to_vec())),
        Err(Errno::ENODATA) => Ok(None),
        Err(Errno::ERANGE) => {
            let mut large = vec![0; inspect::XATTR_BYTES];
            let length = inspect::get_xattr_at(path, &name, &mut large)?;
            large.truncate(length);
            Ok(Some(large))
        }
        Err(errno) => Err(errno),
    }
}

/// Every extended attribute of the object at `place`.
pub fn read_xattrs(place: Place<'_>) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Errno> {
    let path = place.proc_path()?;
    let mut xattrs = BTreeMap::new();
    for name in xattr_names(&path)? {
        if let Some(value) = xattr_value(&path, &name)? {
            xattrs.insert(name, value);
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
        uid: stat.identity.uid,
        gid: stat.identity.gid,
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
    if (stat.identity.uid, stat.identity.gid) != (wanted.uid, wanted.gid) {
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
    let old = xattr_names(&path)?;
    for name in old
        .iter()
        .filter(|n| is_kept(n) && !wanted.contains_key(*n))
    {
        let name = CString::new(name.as_slice()).map_err(|_| Errno::EINVAL)?;
        files::remove_xattr_at(&path, &name)?;
    }
    for (name, value) in wanted {
        if old.contains(name) && xattr_value(&path, name)?.as_ref() == Some(value) {
            continue;
        }
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
