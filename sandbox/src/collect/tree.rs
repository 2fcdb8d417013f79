//! One directory tree, reached by descriptors only: no link is followed, no mount crossed, no
//! depth is too deep, and few descriptors are open at a time.

use std::collections::VecDeque;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::Mode;

use super::CollectError;
use super::object::{Object, Reader};
use crate::change::RelPath;
use crate::sys::inspect;

/// How many directories stay open: those nearest to where the walk is. Deeper trees cost reopening.
const OPEN_DIRECTORIES: usize = 64;

/// The most bytes of path that one system call gets (`PATH_MAX` less one name).
const PATH_CHUNK_BYTES: usize = 3800;

const DIRECTORY: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_CLOEXEC)
    .union(OFlag::O_NONBLOCK);

/// A tree with a cache of the open directories above and at the place that was asked for last.
pub(super) struct Tree {
    label: PathBuf,
    root: OwnedFd,
    /// Whether what is mounted on directories of the tree still covers them.
    is_covered: bool,
    open: VecDeque<(RelPath, OwnedFd)>,
}

impl Tree {
    /// Opens the tree at `path`.
    pub(super) fn open(path: &Path) -> Result<Self, CollectError> {
        let root = open(path, DIRECTORY, Mode::empty()).map_err(|errno| CollectError::System {
            operation: "open",
            path: path.to_path_buf(),
            errno,
        })?;
        Ok(Self {
            label: path.to_path_buf(),
            root,
            is_covered: false,
            open: VecDeque::new(),
        })
    }

    /// Opens the tree at `path` as it is below whatever is mounted on its directories.
    pub(super) fn open_beneath_mounts(path: &Path) -> Result<Self, CollectError> {
        let mut tree = Self::open(path)?;
        tree.is_covered = true;
        Ok(tree)
    }

    /// Goes beneath the mounts, when something else than the top itself is asked for the first time:
    /// most volumes are not changed, and to give a clone of a mount back makes the kernel wait for
    /// all processors.
    fn uncover(&mut self) -> Result<(), Errno> {
        // Without the right to clone a mount (tests without root) there are no mounts to look
        // beneath either; those that exist are then refused by RESOLVE_NO_XDEV.
        if std::mem::take(&mut self.is_covered)
            && let Ok(clone) = inspect::clone_mount(self.root.as_fd())
        {
            self.root = openat(&clone, ".", DIRECTORY, Mode::empty())?;
        }
        Ok(())
    }

    /// Some directory of the tree's filesystem, for calls that only want to know which that is.
    pub(super) fn filesystem(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The top directory.
    pub(super) fn root(&mut self) -> Result<BorrowedFd<'_>, Errno> {
        self.uncover()?;
        Ok(self.root.as_fd())
    }

    /// The error for something at `path` of this tree.
    pub(super) fn failed(
        &self,
        operation: &'static str,
        path: &RelPath,
        errno: Errno,
    ) -> CollectError {
        CollectError::System {
            operation,
            path: self.show(path),
            errno,
        }
    }

    /// The path in the caller's world, for messages.
    pub(super) fn show(&self, path: &RelPath) -> PathBuf {
        path.to_path_under(&self.label)
    }

    /// The directory at `path`, open for reading.
    pub(super) fn directory(&mut self, path: &RelPath) -> Result<BorrowedFd<'_>, Errno> {
        while self
            .open
            .back()
            .is_some_and(|(above, _)| !path.starts_with(above))
        {
            self.open.pop_back();
        }
        if !path.is_root() {
            self.uncover()?;
        }
        let known = self.open.back().map(|(above, _)| above.clone());
        let rest = path
            .strip_prefix(&known.unwrap_or_default())
            .unwrap_or_default();
        if !rest.is_root() {
            let from = self.open.back().map_or(&self.root, |(_, fd)| fd);
            let fd = descend(from, &rest)?;
            if self.open.len() == OPEN_DIRECTORIES {
                self.open.pop_front();
            }
            self.open.push_back((path.clone(), fd));
        }
        Ok(self.open.back().map_or(&self.root, |(_, fd)| fd).as_fd())
    }

    /// The object at `path`; `None` when nothing is there.
    pub(super) fn object(
        &mut self,
        reader: &mut Reader,
        path: &RelPath,
    ) -> Result<Option<Object>, CollectError> {
        let (parent, name) = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => {
                self.uncover().map_err(|e| self.failed("open", path, e))?;
                (parent, CString::new(name).unwrap_or_default())
            }
            _ => (RelPath::root(), c".".to_owned()),
        };
        let dir = match self.directory(&parent) {
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(None),
            Err(errno) => return Err(self.failed("open", &parent, errno)),
            Ok(dir) => dir,
        };
        reader
            .read(dir, &name)
            .map_err(|f| self.failed(f.operation, path, f.errno))
    }

    /// The names in the directory at `path`, in the order the filesystem gives.
    pub(super) fn names(&mut self, path: &RelPath) -> Result<Vec<CString>, Errno> {
        let fd = openat(self.directory(path)?, ".", DIRECTORY, Mode::empty())?;
        let mut names = Vec::new();
        for entry in Dir::from_fd(fd)?.iter() {
            let entry = entry?;
            let name = entry.file_name();
            if !matches!(name.to_bytes(), b"." | b"..") {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }
}

/// Opens `path` below `from`, in as few steps as `PATH_MAX` allows.
fn descend(from: &OwnedFd, path: &RelPath) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new().flags(DIRECTORY).resolve(
        ResolveFlag::RESOLVE_BENEATH
            | ResolveFlag::RESOLVE_NO_SYMLINKS
            | ResolveFlag::RESOLVE_NO_XDEV,
    );
    let mut rest = path.as_bytes();
    let mut reached: Option<OwnedFd> = None;
    while !rest.is_empty() {
        let step = if rest.len() <= PATH_CHUNK_BYTES {
            std::mem::take(&mut rest)
        } else {
            // A slash is never farther back than one name, 255 bytes.
            let end = rest[..PATH_CHUNK_BYTES]
                .iter()
                .rposition(|b| *b == b'/')
                .ok_or(Errno::ENAMETOOLONG)?;
            let step = &rest[..end];
            rest = &rest[end + 1..];
            step
        };
        reached = Some(openat2(reached.as_ref().unwrap_or(from), step, how)?);
    }
    reached.ok_or(Errno::ENOENT)
}
