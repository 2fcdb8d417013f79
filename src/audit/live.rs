//! Reads live objects for the audit. Not for judging them. Upholds: follows no link, opens nothing
//! but regular files and directories, leaves no trace but access times.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use isconf_sandbox::change::{Content, Digest, Kind, Metadata, Node, RelPath, Timestamp};
use isconf_sandbox::fs::{Dir, Place, Stat, read_metadata, read_xattrs};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::{Mode, SFlag};

/// Tells one state of a live object from another. Every change of content or attributes moves the
/// ctime, which no call can set (inode(7)); only whoever sets the machine's clock back can make two
/// states look the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// The filesystem: major and minor device number.
    pub device: (u32, u32),
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
pub(super) struct Live {
    root: Dir,
    /// The directory that the last path lay in: paths come in order, so most share it.
    parent: Option<(RelPath, Dir)>,
}

impl Live {
    /// Opens `root`, a path that the caller trusts.
    pub(super) fn open(root: &Path) -> Result<Self, Errno> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self {
            root: Dir::from(nix::fcntl::open(root, flags, Mode::empty())?),
            parent: None,
        })
    }

    /// What is at `path`; `None` when nothing is, also when one of the directories above is none
    /// any more or has become a link.
    pub(super) fn look(&mut self, path: &RelPath) -> Result<Option<Stat>, Errno> {
        match self.place_of(path).and_then(|place| place.stat()) {
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
            other => other,
        }
    }

    /// The whole state of the object that [`Self::look`] just found at `path`. The content is read
    /// only when it has this size, since with another one it differs anyway; the length of each
    /// piece read is told.
    pub(super) fn read(
        &mut self,
        path: &RelPath,
        stat: &Stat,
        content_of_size: Option<u64>,
        tell: &mut dyn FnMut(u64),
    ) -> Result<Node, Errno> {
        let mut meta = self.metadata(path, stat)?;
        // Properties that btrfs makes up are inode flags in other clothes; no change set has them.
        meta.xattrs.retain(|name, _| !name.starts_with(b"btrfs."));
        let place = self.place_of(path)?;
        let mut kind = kind_of(place, stat)?;
        if let Kind::File { size, content, .. } = &mut kind
            && content_of_size == Some(*size)
        {
            *content = Content::Read(hash(place, tell)?);
        }
        Ok(Node {
            kind,
            meta,
            link_of: None,
        })
    }

    fn metadata(&mut self, path: &RelPath, stat: &Stat) -> Result<Metadata, Errno> {
        let place = self.place_of(path)?;
        match read_metadata(place, stat) {
            // Something is mounted there, which the file layer does not enter.
            Err(Errno::EXDEV) if stat.is_directory() => {
                let inside = Dir::from(self.open_below(path)?);
                read_metadata(inside.at(b""), stat)
            }
            // A file mount: its inode flags cannot be had through the file layer.
            Err(Errno::EXDEV) => Ok(Metadata {
                mode: stat.identity.mode & 0o7777,
                uid: stat.identity.uid,
                gid: stat.identity.gid,
                mtime: stat.identity.mtime,
                xattrs: read_xattrs(place)?,
                flags: 0,
            }),
            other => other,
        }
    }

    /// The directory that `path` lies in, and its name there.
    fn place_of<'a>(&'a mut self, path: &'a RelPath) -> Result<Place<'a>, Errno> {
        let name = path.file_name().unwrap_or_default();
        let Some(parent) = path.parent().filter(|parent| !parent.is_root()) else {
            return Ok(self.root.at(name));
        };
        let is_cached = matches!(&self.parent, Some((cached, _)) if *cached == parent);
        if !is_cached {
            let opened = Dir::from(self.open_below(&parent)?);
            self.parent = Some((parent, opened));
        }
        match &self.parent {
            Some((_, opened)) => Ok(opened.at(name)),
            None => Ok(self.root.at(name)),
        }
    }

    /// Opens a directory by its path. No link is followed; mounts are crossed, since an entry may
    /// have written below several.
    fn open_below(&self, path: &RelPath) -> Result<OwnedFd, Errno> {
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(
                ResolveFlag::RESOLVE_BENEATH
                    | ResolveFlag::RESOLVE_NO_SYMLINKS
                    | ResolveFlag::RESOLVE_NO_MAGICLINKS,
            );
        openat2(&self.root, path.as_path(), how)
    }
}

/// What tells the object from others, and its states from each other.
pub(super) const fn fingerprint(stat: &Stat) -> Fingerprint {
    Fingerprint {
        device: stat.device,
        ino: stat.identity.ino,
        size: stat.identity.size,
        mtime: stat.identity.mtime,
        ctime: stat.identity.ctime,
    }
}

fn kind_of(place: Place<'_>, stat: &Stat) -> Result<Kind, Errno> {
    let (major, minor) = stat.rdev;
    Ok(match SFlag::from_bits_truncate(stat.kind_bits()) {
        SFlag::S_IFDIR => Kind::Directory,
        SFlag::S_IFLNK => Kind::Symlink {
            target: readlinkat(place.dir, place.name)?.into_vec(),
        },
        SFlag::S_IFIFO => Kind::Fifo,
        SFlag::S_IFSOCK => Kind::Socket,
        SFlag::S_IFCHR => Kind::CharDevice { major, minor },
        SFlag::S_IFBLK => Kind::BlockDevice { major, minor },
        _ => Kind::File {
            size: stat.identity.size,
            content: Content::Unread,
            hole_bytes: 0,
        },
    })
}

/// Opens a regular file to read it. Should it have become something else since it was looked at,
/// O_NONBLOCK keeps a pipe from blocking, and reading a directory fails.
fn open_to_read(place: Place<'_>) -> Result<File, Errno> {
    let flags = OFlag::O_RDONLY
        | OFlag::O_NOFOLLOW
        | OFlag::O_CLOEXEC
        | OFlag::O_NONBLOCK
        | OFlag::O_NOCTTY;
    match openat(
        place.dir,
        place.name,
        flags | OFlag::O_NOATIME,
        Mode::empty(),
    ) {
        // Only the owner and CAP_FOWNER may ask for that (open(2)).
        Err(Errno::EPERM) => openat(place.dir, place.name, flags, Mode::empty()),
        other => other,
    }
    .map(File::from)
}

fn hash(place: Place<'_>, tell: &mut dyn FnMut(u64)) -> Result<Digest, Errno> {
    let digested = Digest::of_reader_telling(open_to_read(place)?, tell);
    digested
        .map(|(digest, _)| digest)
        .map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
}

/// A content for a diff: at most `limit` bytes of the regular file at `path` below `root`; `None`
/// when it is no such file, longer, or cannot be read.
pub fn live_content(root: &Path, path: &RelPath, limit: u64) -> Option<Vec<u8>> {
    let mut live = Live::open(root).ok()?;
    let stat = live.look(path).ok()??;
    if !stat.is_file() || stat.identity.size > limit {
        return None;
    }
    let file = open_to_read(live.place_of(path).ok()?).ok()?;
    let mut bytes = Vec::new();
    // One byte more, so that a file that grew is noticed.
    file.take(limit + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= limit).then_some(bytes)
}
