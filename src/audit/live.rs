//! Reads live objects for the audit. Not for judging them. Upholds: follows no link, opens nothing
//! but regular files and directories, leaves no trace but access times.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use isconf_sandbox::change::{Content, Digest, Kind, Metadata, Node, RelPath, Timestamp};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat, major, minor};

/// Reads what stat(2) does not say.
pub trait AttributeReader {
    /// The extended attributes and the kept inode flags of `name` in `parent`, which is of kind
    /// `format`; links are not followed. `name` is `.` for the directory itself.
    fn read(
        &self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        format: SFlag,
    ) -> Result<(BTreeMap<Vec<u8>, Vec<u8>>, u32), Errno>;
}

/// Tells one state of a live object from another. Every change of content or attributes moves the
/// ctime, which no call can set (inode(7)); only whoever sets the machine's clock back can make two
/// states look the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// The filesystem.
    pub device: u64,
    /// The inode.
    pub ino: u64,
    /// Length in bytes.
    pub size: u64,
    /// Time of last modification.
    pub mtime: Timestamp,
    /// Time of last change.
    pub ctime: Timestamp,
}

/// The live filesystem below one root.
pub(super) struct Live<'a> {
    root: OwnedFd,
    attributes: &'a dyn AttributeReader,
    /// The directory that the last path lay in: paths come in order, so most share it.
    parent: Option<(RelPath, OwnedFd)>,
}

/// An object that is there.
pub(super) struct Observed {
    stat: FileStat,
    name: OsString,
}

impl<'a> Live<'a> {
    /// Opens `root`, a path that the caller trusts.
    pub(super) fn open(root: &Path, attributes: &'a dyn AttributeReader) -> Result<Self, Errno> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self {
            root: nix::fcntl::open(root, flags, Mode::empty())?,
            attributes,
            parent: None,
        })
    }

    /// What is at `path`; `None` when nothing is, also when one of the directories above is none
    /// any more or has become a link.
    pub(super) fn look(&mut self, path: &RelPath) -> Result<Option<Observed>, Errno> {
        let name = OsString::from_vec(path.file_name().unwrap_or(b".").to_vec());
        let looked = self
            .parent_of(path)
            .and_then(|parent| fstatat(parent, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW));
        match looked {
            Ok(stat) => Ok(Some(Observed { stat, name })),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// The whole state of the object that [`Self::look`] just found at `path`. The content is read
    /// only when it has this size, since with another one it differs anyway.
    pub(super) fn read(
        &mut self,
        path: &RelPath,
        observed: &Observed,
        content_of_size: Option<u64>,
    ) -> Result<Node, Errno> {
        let attributes = self.attributes;
        let parent = self.parent_of(path)?;
        let format = observed.format();
        let (xattrs, flags) = attributes.read(parent, &observed.name, format)?;
        let stat = &observed.stat;
        let mut kind = observed.kind(parent)?;
        if let Kind::File { size, content, .. } = &mut kind
            && content_of_size == Some(*size)
        {
            *content = Content::Read(hash(parent, &observed.name)?);
        }
        Ok(Node {
            kind,
            meta: Metadata {
                mode: stat.st_mode & 0o7777,
                uid: stat.st_uid,
                gid: stat.st_gid,
                mtime: timestamp(stat.st_mtime, stat.st_mtime_nsec),
                xattrs,
                flags,
            },
            link_of: None,
        })
    }

    fn parent_of(&mut self, path: &RelPath) -> Result<BorrowedFd<'_>, Errno> {
        let Some(parent) = path.parent().filter(|parent| !parent.is_root()) else {
            return Ok(self.root.as_fd());
        };
        let is_cached = matches!(&self.parent, Some((cached, _)) if *cached == parent);
        if !is_cached {
            // Mounts are crossed: an entry may have written below several.
            let how = OpenHow::new()
                .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
                .resolve(
                    ResolveFlag::RESOLVE_BENEATH
                        | ResolveFlag::RESOLVE_NO_SYMLINKS
                        | ResolveFlag::RESOLVE_NO_MAGICLINKS,
                );
            let opened = openat2(&self.root, parent.as_path(), how)?;
            self.parent = Some((parent, opened));
        }
        match &self.parent {
            Some((_, opened)) => Ok(opened.as_fd()),
            None => Ok(self.root.as_fd()),
        }
    }
}

impl Observed {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let stat = &self.stat;
        Fingerprint {
            device: stat.st_dev,
            ino: stat.st_ino,
            size: stat.st_size.unsigned_abs(),
            mtime: timestamp(stat.st_mtime, stat.st_mtime_nsec),
            ctime: timestamp(stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    fn format(&self) -> SFlag {
        SFlag::from_bits_truncate(self.stat.st_mode) & SFlag::S_IFMT
    }

    fn kind(&self, parent: BorrowedFd<'_>) -> Result<Kind, Errno> {
        let device = self.stat.st_rdev;
        let number = |number: u64| u32::try_from(number).map_err(|_| Errno::EOVERFLOW);
        Ok(match self.format() {
            SFlag::S_IFDIR => Kind::Directory,
            SFlag::S_IFLNK => Kind::Symlink {
                target: readlinkat(parent, self.name.as_os_str())?.into_vec(),
            },
            SFlag::S_IFIFO => Kind::Fifo,
            SFlag::S_IFSOCK => Kind::Socket,
            SFlag::S_IFCHR => Kind::CharDevice {
                major: number(major(device))?,
                minor: number(minor(device))?,
            },
            SFlag::S_IFBLK => Kind::BlockDevice {
                major: number(major(device))?,
                minor: number(minor(device))?,
            },
            _ => Kind::File {
                size: self.stat.st_size.unsigned_abs(),
                content: Content::Unread,
                hole_bytes: 0,
            },
        })
    }
}

/// Hashes a regular file. Should it have become something else since it was looked at, O_NONBLOCK
/// keeps a pipe from blocking, and reading a directory fails.
fn hash(parent: BorrowedFd<'_>, name: &OsStr) -> Result<Digest, Errno> {
    let flags = OFlag::O_RDONLY
        | OFlag::O_NOFOLLOW
        | OFlag::O_CLOEXEC
        | OFlag::O_NONBLOCK
        | OFlag::O_NOCTTY;
    let file = match openat(parent, name, flags | OFlag::O_NOATIME, Mode::empty()) {
        // Only the owner and CAP_FOWNER may ask for that (open(2)).
        Err(Errno::EPERM) => openat(parent, name, flags, Mode::empty()),
        other => other,
    }?;
    let digested = Digest::of_reader(File::from(file));
    digested
        .map(|(digest, _)| digest)
        .map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
}

/// A content for a diff: at most `limit` bytes of the regular file at `path` below `root`; `None`
/// when it is no such file, longer, or cannot be read.
pub fn live_content(root: &Path, path: &RelPath, limit: u64) -> Option<Vec<u8>> {
    use std::io::Read;
    let name = OsStr::from_bytes(path.file_name()?);
    let mut live = Live::open(root, &NoAttributes).ok()?;
    let observed = live.look(path).ok()??;
    if observed.format() != SFlag::S_IFREG || observed.fingerprint().size > limit {
        return None;
    }
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let parent = live.parent_of(path).ok()?;
    let file = File::from(openat(parent, name, flags, Mode::empty()).ok()?);
    let mut bytes = Vec::new();
    // One byte more, so that a file that grew is noticed.
    file.take(limit + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= limit).then_some(bytes)
}

/// Reads no attributes.
struct NoAttributes;

impl AttributeReader for NoAttributes {
    fn read(
        &self,
        _parent: BorrowedFd<'_>,
        _name: &OsStr,
        _format: SFlag,
    ) -> Result<(BTreeMap<Vec<u8>, Vec<u8>>, u32), Errno> {
        Ok((BTreeMap::new(), 0))
    }
}

fn timestamp(secs: i64, nanos: i64) -> Timestamp {
    Timestamp {
        secs,
        nanos: nanos.clamp(0, 999_999_999) as u32,
    }
}
