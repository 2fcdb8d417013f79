//! An open directory and a name below one. Upholds: nothing that the tree supplies is followed,
//! neither a symbolic link nor a mount.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::dir::Type;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, RenameFlags, ResolveFlag};
use nix::sys::stat::{Mode, fstat};
use nix::sys::statfs::{BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, fstatfs};
use nix::unistd::UnlinkatFlags;

use super::Stat;
use crate::change::RelPath;
use crate::sys::{files, inspect};

/// How many bytes of a path go into one system call: `PATH_MAX` is 4096 with the final NUL.
const HOP_BYTES: usize = 4000;

/// An open directory.
#[derive(Debug)]
pub struct Dir(OwnedFd);

/// A name below an open directory; the object need not exist.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The directory.
    pub dir: &'a Dir,
    /// The name, without `/`; empty for the directory itself.
    pub name: &'a [u8],
}

/// One name of a directory, as a listing gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The name.
    pub name: Vec<u8>,
    /// The kind of object, where the filesystem tells it.
    pub kind: Option<Type>,
}

impl Dir {
    /// Opens a directory whose path the caller trusts; links on the way are followed.
    pub fn open(path: &Path) -> Result<Self, Errno> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        nix::fcntl::open(path, flags, Mode::empty()).map(Self)
    }

    /// The same directory in a detached copy of its mount, in which nothing is mounted below and
    /// every rename on that mount stays within one mount. `EPERM` without `CAP_SYS_ADMIN`,
    /// `ENOSYS` before Linux 5.2.
    pub fn clone_mount(&self) -> Result<Self, Errno> {
        let tree = Self(inspect::clone_mount(self.0.as_fd())?);
        // The copy of a mount is an `O_PATH` descriptor, which can be neither listed nor synced;
        // it must stay open as long as the tree is wanted, and one that is opened below keeps it.
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        nix::fcntl::openat(&tree.0, ".", flags, Mode::empty()).map(Self)
    }

    /// Opens a directory below; links and mounts on the way are refused (`ELOOP`, `EXDEV`).
    pub fn descend(&self, path: &RelPath) -> Result<Self, Errno> {
        let mut hops = Vec::new();
        let mut hop: Vec<u8> = Vec::new();
        for name in path.components() {
            if hop.len() + name.len() + 1 > HOP_BYTES {
                hops.push(std::mem::take(&mut hop));
            }
            if !hop.is_empty() {
                hop.push(b'/');
            }
            hop.extend_from_slice(name);
        }
        if hop.is_empty() {
            hop.push(b'.');
        }
        hops.push(hop);
        let mut at: Option<Self> = None;
        for hop in hops {
            let from = at.as_ref().unwrap_or(self);
            at = Some(from.open_beneath(&hop, OFlag::O_DIRECTORY | OFlag::O_RDONLY)?);
        }
        at.ok_or(Errno::EINVAL)
    }

    fn open_beneath(&self, path: &[u8], flags: OFlag) -> Result<Self, Errno> {
        self.open_node(path, flags).map(Self)
    }

    fn open_node(&self, path: &[u8], flags: OFlag) -> Result<OwnedFd, Errno> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW)
            .resolve(
                ResolveFlag::RESOLVE_BENEATH
                    | ResolveFlag::RESOLVE_NO_SYMLINKS
                    | ResolveFlag::RESOLVE_NO_MAGICLINKS
                    | ResolveFlag::RESOLVE_NO_XDEV,
            );
        nix::fcntl::openat2(&self.0, path, how)
    }

    /// Opens a directory below, across mounts; links on the way are refused (`ELOOP`). For the
    /// root of a scratchpad, which is made of several mounts.
    pub fn enter(&self, path: &RelPath) -> Result<Self, Errno> {
        let mut at = self.reopen()?;
        for name in path.components() {
            let how = OpenHow::new()
                .flags(OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW)
                .resolve(
                    ResolveFlag::RESOLVE_BENEATH
                        | ResolveFlag::RESOLVE_NO_SYMLINKS
                        | ResolveFlag::RESOLVE_NO_MAGICLINKS,
                );
            at = nix::fcntl::openat2(&at.0, name, how).map(Self)?;
        }
        Ok(at)
    }

    /// Opens the directory that a descriptor of any kind names.
    pub fn open_at(directory: BorrowedFd<'_>) -> Result<Self, Errno> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        nix::fcntl::openat(directory, ".", flags, Mode::empty()).map(Self)
    }

    fn reopen(&self) -> Result<Self, Errno> {
        Self::open_at(self.0.as_fd())
    }

    /// The names in the directory, without `.` and `..`, in no order.
    pub fn names(&self) -> Result<Vec<Vec<u8>>, Errno> {
        let entries = self.entries()?.into_iter();
        Ok(entries.map(|listed| listed.name).collect())
    }

    /// The same with the kind of each.
    pub fn entries(&self) -> Result<Vec<Listed>, Errno> {
        // A descriptor of its own: the position in a listing belongs to the open file.
        let listing = self.open_beneath(b".", OFlag::O_DIRECTORY | OFlag::O_RDONLY)?;
        let mut listing = nix::dir::Dir::from_fd(listing.0)?;
        let mut entries = Vec::new();
        for entry in listing.iter() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                let (name, kind) = (name.to_vec(), entry.file_type());
                entries.push(Listed { name, kind });
            }
        }
        Ok(entries)
    }

    /// A name in this directory.
    pub const fn at<'a>(&'a self, name: &'a [u8]) -> Place<'a> {
        Place { dir: self, name }
    }

    /// Makes what was created, renamed or removed in this directory durable. fsync(2).
    pub fn sync(&self) -> Result<(), Errno> {
        nix::unistd::fsync(&self.0)
    }

    /// Whether a rename between two directories may be durable in one of them only, after fsync of
    /// that one: then a power cut leaves both names. So it is on btrfs, whose log of an fsync has
    /// the directory that was asked for and what is in it, and not the other one.
    pub fn renames_need_both_sides(&self) -> Result<bool, Errno> {
        Ok(fstatfs(&self.0)?.filesystem_type() == BTRFS_SUPER_MAGIC)
    }

    /// Whether a name that changed in `other` is durable when one that changed in this directory later
    /// is. So it is on one xfs, or one ext4 with a journal: these have all names in the order of their
    /// changes (kernel documentation, ext4/journal.rst and xfs/xfs-delayed-logging-design.rst).
    pub fn names_come_before_ours(&self, other: &impl AsFd) -> bool {
        let device = |fd: BorrowedFd<'_>| fstat(fd).map(|status| status.st_dev);
        let is_same = matches!(
            (device(self.0.as_fd()), device(other.as_fd())),
            (Ok(own), Ok(other)) if own == other
        );
        is_same
            && match fstatfs(&self.0).map(|status| status.filesystem_type()) {
                Ok(XFS_SUPER_MAGIC) => true,
                // ext2, ext3 and ext4 have the same number.
                Ok(EXT4_SUPER_MAGIC) => inspect::has_ext4_journal(self.0.as_fd()) == Ok(true),
                Ok(_) | Err(_) => false,
            }
    }

    /// Makes everything on this directory's filesystem durable. syncfs(2).
    pub fn sync_filesystem(&self) -> Result<(), Errno> {
        nix::unistd::syncfs(&self.0)
    }
}

/// Takes a descriptor that was opened as a directory; one opened with `O_PATH` can be neither listed
/// nor synced.
impl From<OwnedFd> for Dir {
    fn from(directory: OwnedFd) -> Self {
        Self(directory)
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Place<'_> {
    /// What is there; `None` when nothing is.
    pub fn stat(&self) -> Result<Option<Stat>, Errno> {
        let name = CString::new(self.name).map_err(|_| Errno::EINVAL)?;
        match files::stat(self.dir.as_fd(), &name) {
            Ok(raw) => Ok(Some(Stat::from_kernel(&raw))),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Opens the file or directory there, not blocking on a pipe or a device.
    pub fn open(&self, flags: OFlag) -> Result<OwnedFd, Errno> {
        let name = if self.name.is_empty() {
            b"."
        } else {
            self.name
        };
        let quiet = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        self.dir.open_node(name, flags | quiet)
    }

    /// Opens the directory there.
    pub fn open_dir(&self) -> Result<Dir, Errno> {
        self.open(OFlag::O_RDONLY | OFlag::O_DIRECTORY).map(Dir)
    }

    /// Makes a new, empty regular file, for reading and writing; `EEXIST` when the name is taken.
    pub fn create(&self, mode: u32) -> Result<OwnedFd, Errno> {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR | OFlag::O_CLOEXEC;
        nix::fcntl::openat(
            self.dir,
            self.name,
            flags | OFlag::O_NOFOLLOW,
            Mode::from_bits_truncate(mode),
        )
    }

    /// Makes a directory.
    pub fn create_dir(&self, mode: u32) -> Result<(), Errno> {
        nix::sys::stat::mkdirat(self.dir, self.name, Mode::from_bits_truncate(mode))
    }

    /// Where the symbolic link there points.
    pub fn read_link(&self) -> Result<Vec<u8>, Errno> {
        nix::fcntl::readlinkat(self.dir, self.name).map(|target| target.as_bytes().to_vec())
    }

    /// Makes a symbolic link.
    pub fn create_symlink(&self, target: &[u8]) -> Result<(), Errno> {
        nix::unistd::symlinkat(OsStr::from_bytes(target), self.dir, self.name)
    }

    /// Gives the object there a second name; `EEXIST` when that is taken.
    pub fn link_to(&self, new: Place<'_>) -> Result<(), Errno> {
        nix::unistd::linkat(self.dir, self.name, new.dir, new.name, AtFlags::empty())
    }

    /// Moves the object there to a name that must be free (`EEXIST`).
    pub fn rename_to(&self, to: Place<'_>) -> Result<(), Errno> {
        self.rename(to, RenameFlags::RENAME_NOREPLACE)
    }

    /// Moves the object there over whatever has the other name.
    pub fn rename_over(&self, to: Place<'_>) -> Result<(), Errno> {
        self.rename(to, RenameFlags::empty())
    }

    /// Exchanges two objects in one step.
    pub fn exchange_with(&self, other: Place<'_>) -> Result<(), Errno> {
        self.rename(other, RenameFlags::RENAME_EXCHANGE)
    }

    fn rename(&self, to: Place<'_>, flags: RenameFlags) -> Result<(), Errno> {
        nix::fcntl::renameat2(self.dir, self.name, to.dir, to.name, flags)
    }

    /// Removes the name of something that is no directory.
    pub fn unlink(&self) -> Result<(), Errno> {
        nix::unistd::unlinkat(self.dir, self.name, UnlinkatFlags::NoRemoveDir)
    }

    /// Removes an empty directory.
    pub fn remove_dir(&self) -> Result<(), Errno> {
        nix::unistd::unlinkat(self.dir, self.name, UnlinkatFlags::RemoveDir)
    }

    /// A path to the object that needs no rights on the way and follows nothing, for the calls
    /// that take only paths.
    pub(super) fn proc_path(&self) -> Result<CString, Errno> {
        use std::os::fd::AsRawFd;
        let mut path = format!("/proc/self/fd/{}", self.dir.0.as_raw_fd()).into_bytes();
        path.push(b'/');
        path.extend_from_slice(if self.name.is_empty() {
            b"."
        } else {
            self.name
        });
        CString::new(path).map_err(|_| Errno::EINVAL)
    }
}
