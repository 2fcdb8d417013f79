//! Reading one object of a tree: what it is, with every attribute. Not for what the attributes
//! mean in an upper layer (see `upper`).

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, fstatat, major, minor};
use nix::unistd::{Whence, lseek};

use crate::capture::LiveIdentity;
use crate::change::{Content, Digest, KEPT_FLAGS, Kind, Metadata, Node, Timestamp};
use crate::sys::inspect;
use crate::upper::is_volatile_name;

/// How much of a file is in memory at a time while it is hashed.
const CHUNK_BYTES: usize = 256 * 1024;

/// Extended attributes: names and values.
pub(super) type RawAttributes = Vec<(Vec<u8>, Vec<u8>)>;

/// What could not be done to an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failed {
    pub(super) operation: &'static str,
    pub(super) errno: Errno,
}

fn failed(operation: &'static str) -> impl Fn(Errno) -> Failed {
    move |errno| Failed { operation, errno }
}

/// One object as the filesystem shows it; the content of a file is not read yet.
pub(super) struct Object {
    pub(super) stat: FileStat,
    pub(super) kind: Kind,
    pub(super) flags: u32,
    pub(super) attributes: RawAttributes,
    file: Option<File>,
}

/// The buffers that reading needs, kept from object to object.
pub(super) struct Reader {
    names: Vec<u8>,
    value: Vec<u8>,
    chunk: Vec<u8>,
    path: Vec<u8>,
}

/// The state of `name` below `dir`; `None` when nothing is there.
pub(super) fn stat(dir: BorrowedFd<'_>, name: &CStr) -> Result<Option<FileStat>, Failed> {
    match fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(failed("stat")(errno)),
    }
}

impl Reader {
    pub(super) fn new() -> Self {
        Self {
            names: vec![0; inspect::XATTR_BYTES],
            value: vec![0; inspect::XATTR_BYTES],
            chunk: vec![0; CHUNK_BYTES],
            path: Vec::new(),
        }
    }

    /// Reads the object `name` below `dir`; `None` when it is not there (any more).
    pub(super) fn read(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &CStr,
    ) -> Result<Option<Object>, Failed> {
        let Some(stat) = stat(dir, name)? else {
            return Ok(None);
        };
        match self.read_known(dir, name, stat) {
            Err(Failed {
                errno: Errno::ENOENT,
                ..
            }) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Reads the object `name` below `dir`, whose state is known.
    pub(super) fn read_known(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &CStr,
        stat: FileStat,
    ) -> Result<Object, Failed> {
        let format = stat.st_mode & libc::S_IFMT;
        let file = if matches!(format, libc::S_IFREG | libc::S_IFDIR) {
            Some(open_quietly(dir, name).map_err(failed("open"))?)
        } else {
            None
        };
        let flags = match &file {
            Some(file) => flags_of(file).map_err(failed("read the inode flags of"))?,
            None => 0,
        };
        let attributes = match &file {
            Some(file) => self.attributes(&Place::File(file.as_fd())),
            None => {
                let path = self.path_through(dir, name)?;
                self.attributes(&Place::Path(&path))
            }
        };
        Ok(Object {
            kind: kind_of(dir, name, &stat, file.as_ref())?,
            stat,
            flags: flags & KEPT_FLAGS,
            attributes: attributes.map_err(failed("read the extended attributes of"))?,
            file,
        })
    }

    /// The digest of the content of a regular file; of other objects that of no bytes.
    pub(super) fn digest(&mut self, object: &Object) -> Result<Digest, Failed> {
        let Some(file) = &object.file else {
            return Ok(Digest::of(b""));
        };
        Digest::of_reader_by(file, &mut self.chunk)
            .map(|(digest, _)| digest)
            .map_err(|e| Failed {
                operation: "read",
                errno: errno_of(&e),
            })
    }

    /// A path that names an object which cannot be opened without side effects (a pipe, a socket,
    /// a device, a link): the attribute calls take no directory descriptor before Linux 6.13.
    fn path_through(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<CString, Failed> {
        self.path.clear();
        write!(self.path, "/proc/self/fd/{}/", dir.as_raw_fd()).map_err(|e| Failed {
            operation: "name",
            errno: errno_of(&e),
        })?;
        self.path.extend(name.to_bytes());
        CString::new(self.path.clone()).map_err(|_| failed("name")(Errno::EINVAL))
    }

    fn attributes(&mut self, place: &Place<'_>) -> Result<RawAttributes, Errno> {
        let length = match place.list(&mut self.names) {
            Err(Errno::EOPNOTSUPP) => 0,
            other => other?,
        };
        let mut all = Vec::new();
        for name in self.names[..length].split_inclusive(|b| *b == 0) {
            let Ok(name) = CStr::from_bytes_with_nul(name) else {
                continue; // The kernel ends each with NUL.
            };
            match place.get(name, &mut self.value) {
                Ok(n) => all.push((name.to_bytes().to_vec(), self.value[..n].to_vec())),
                // Removed since the list was made, or a name that only lists (some filesystems).
                Err(Errno::ENODATA | Errno::EOPNOTSUPP) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(all)
    }
}

/// How an object's attributes are reached.
enum Place<'a> {
    File(BorrowedFd<'a>),
    Path(&'a CStr),
}

impl Place<'_> {
    fn list(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::File(fd) => inspect::list_xattrs(*fd, buffer),
            Self::Path(path) => inspect::list_xattrs_at(path, buffer),
        }
    }

    fn get(&self, name: &CStr, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::File(fd) => inspect::get_xattr(*fd, name, buffer),
            Self::Path(path) => inspect::get_xattr_at(path, name, buffer),
        }
    }
}

/// Opens a file or directory for reading without a trace in its access time where that is allowed.
fn open_quietly(dir: BorrowedFd<'_>, name: &CStr) -> Result<File, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    match openat(dir, name, flags | OFlag::O_NOATIME, Mode::empty()) {
        // Only the owner and CAP_FOWNER may ask for that.
        Err(Errno::EPERM) => openat(dir, name, flags, Mode::empty()),
        other => other,
    }
    .map(File::from)
}

fn flags_of(file: &File) -> Result<u32, Errno> {
    match inspect::inode_flags(file.as_fd()) {
        // Filesystems without inode flags.
        Err(Errno::ENOTTY | Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ENOSYS) => Ok(0),
        other => other,
    }
}

fn kind_of(
    dir: BorrowedFd<'_>,
    name: &CStr,
    stat: &FileStat,
    file: Option<&File>,
) -> Result<Kind, Failed> {
    let (major, minor) = (major(stat.st_rdev) as u32, minor(stat.st_rdev) as u32);
    Ok(match stat.st_mode & libc::S_IFMT {
        libc::S_IFDIR => Kind::Directory,
        libc::S_IFLNK => Kind::Symlink {
            target: readlinkat(dir, name).map_err(failed("read"))?.into_vec(),
        },
        libc::S_IFIFO => Kind::Fifo,
        libc::S_IFSOCK => Kind::Socket,
        libc::S_IFCHR => Kind::CharDevice { major, minor },
        libc::S_IFBLK => Kind::BlockDevice { major, minor },
        _ => Kind::File {
            size: stat.st_size.unsigned_abs(),
            content: Content::Unread,
            hole_bytes: hole_bytes(stat, file).map_err(failed("find the holes of"))?,
        },
    })
}

/// Counts the bytes of a file that are holes. Only a file with less storage than length is looked
/// at; it may also be compressed or stored in its inode.
fn hole_bytes(stat: &FileStat, file: Option<&File>) -> Result<u64, Errno> {
    let Some(file) = file else { return Ok(0) };
    if stat.st_blocks.saturating_mul(512) >= stat.st_size {
        return Ok(0);
    }
    let (mut holes, mut at) = (0, 0);
    while at < stat.st_size {
        let hole = lseek(file, at, Whence::SeekHole)?;
        at = match lseek(file, hole, Whence::SeekData) {
            Ok(data) => data,
            Err(Errno::ENXIO) => stat.st_size,
            Err(errno) => return Err(errno),
        };
        holes += (at - hole).unsigned_abs();
    }
    lseek(file, 0, Whence::SeekSet)?;
    Ok(holes)
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

impl Object {
    pub(super) fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }

    /// What tells it from others.
    pub(super) fn identity(&self) -> LiveIdentity {
        LiveIdentity {
            ino: self.stat.st_ino,
            nlink: self.stat.st_nlink,
            ctime: timestamp(self.stat.st_ctime, self.stat.st_ctime_nsec),
            mtime: timestamp(self.stat.st_mtime, self.stat.st_mtime_nsec),
            size: self.stat.st_size.unsigned_abs(),
            mode: self.stat.st_mode,
            uid: self.stat.st_uid,
            gid: self.stat.st_gid,
        }
    }

    /// Its state, with these attributes and flags.
    pub(super) fn node(&self, xattrs: BTreeMap<Vec<u8>, Vec<u8>>, flags: u32) -> Node {
        Node {
            kind: self.kind.clone(),
            meta: Metadata {
                mode: self.stat.st_mode & 0o7777,
                uid: self.stat.st_uid,
                gid: self.stat.st_gid,
                mtime: timestamp(self.stat.st_mtime, self.stat.st_mtime_nsec),
                xattrs,
                flags,
            },
            link_of: None,
        }
    }

    /// Its state as a live object.
    pub(super) fn live_node(&self) -> Node {
        let kept = self.attributes.iter().filter(|(n, _)| !is_volatile_name(n));
        self.node(kept.cloned().collect(), self.flags)
    }
}

fn timestamp(secs: i64, nanos: i64) -> Timestamp {
    Timestamp {
        secs,
        nanos: nanos.clamp(0, 999_999_999) as u32,
    }
}
