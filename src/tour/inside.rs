//! Opens files of a throwaway host from outside. Upholds: a path is resolved as the host would
//! resolve it, so an absolute link in the host never leads to a file of the real machine
//! (openat2(2), `RESOLVE_IN_ROOT`).

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::unistd::Pid;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat, openat2};

use super::error::HostError;

/// The root directory of a running host.
#[derive(Debug)]
pub(super) struct Inside {
    root: OwnedFd,
}

impl Inside {
    /// Opens the root of the process `init` (proc(5), `/proc/pid/root`).
    pub(super) fn of(init: Pid) -> Result<Self, HostError> {
        Self::at(Path::new(&format!("/proc/{init}/root")))
    }

    /// Opens a directory as a root.
    pub(super) fn at(path: &Path) -> Result<Self, HostError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, path, flags, Mode::empty())
            .map_err(|errno| HostError::file(path, errno))?;
        Ok(Self { root })
    }

    /// Tells whether two roots are one directory.
    pub(super) fn is_same_root(&self, other: &Self) -> Result<bool, HostError> {
        let stat = |root: &OwnedFd| fstat(root).map_err(|errno| HostError::file("/", errno));
        let (one, two) = (stat(&self.root)?, stat(&other.root)?);
        Ok((one.st_dev, one.st_ino) == (two.st_dev, two.st_ino))
    }

    /// Opens a file below the root; links are followed below the root only.
    pub(super) fn open(
        &self,
        path: &Path,
        flags: OFlags,
        mode: Mode,
    ) -> Result<OwnedFd, HostError> {
        openat2(
            &self.root,
            path,
            flags | OFlags::CLOEXEC,
            mode,
            ResolveFlags::IN_ROOT,
        )
        .map_err(|errno| HostError::file(path, errno))
    }

    /// Reads a whole file.
    pub(super) fn read(&self, path: &Path) -> Result<Vec<u8>, HostError> {
        let mut file = File::from(self.open(path, OFlags::RDONLY, Mode::empty())?);
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(|source| HostError::file(path, source))?;
        Ok(bytes)
    }

    /// Replaces the content of a file, made with mode 0644 if absent.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), HostError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        let mut file = File::from(self.open(path, flags, Mode::from_raw_mode(0o644))?);
        file.write_all(bytes)
            .map_err(|source| HostError::file(path, source))
    }

    /// Tells whether a path exists; a link counts, wherever it leads.
    pub(super) fn exists(&self, path: &Path) -> bool {
        self.open(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())
            .is_ok()
    }
}
