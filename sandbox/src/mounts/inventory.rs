//! Looks at the live machine: its mounts that can be seen, and the special files that plan needs
//! to know of. Not for deciding. Upholds: a mount counts only if it is what its path shows.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::ttyname;

use super::mountinfo::{InvalidMountInfo, MAX_MOUNTINFO_BYTES, Mount, parse};
use crate::change::RelPath;
use crate::sys::mount::mount_point_status;

/// One mount that is seen at its mount point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenMount {
    /// The mount.
    pub mount: Mount,
    /// What is seen there.
    pub shows: Shows,
}

/// What a mount shows at its mount point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shows {
    /// A directory.
    Directory,
    /// A file or another object that is no directory.
    File,
    /// Not to be known: a server that does not answer, or a user's own filesystem that is closed
    /// to root.
    Unreachable,
}

/// What is on the live machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inventory {
    /// The mounts that are seen, parents before children.
    pub mounts: Vec<SeenMount>,
    /// Those of [`DEVICES`] that are character devices in the live `/dev`.
    pub devices: Vec<&'static str>,
    /// The terminal that is a standard stream of this process.
    pub terminal: Option<CString>,
    /// Those of [`PROC_READ_ONLY`] that the live `/proc` has.
    pub proc_read_only: Vec<&'static str>,
    /// Whether the live `/proc` has `kcore`.
    pub has_kcore: bool,
    /// The paths of [`CONTAINER_STORAGE`] that exist, resolved; always directories.
    pub container_storage: Vec<RelPath>,
    /// Where Unix sockets of the running system are, where they are asked for.
    pub sockets: Vec<RelPath>,
    /// The paths to mask by setting that exist, resolved, with whether each is a directory.
    pub masked: Vec<(RelPath, bool)>,
}

/// Why the live machine could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The list of mounts could not be read.
    #[error("cannot read /proc/self/mountinfo")]
    Read(#[source] io::Error),
    /// The list of Unix sockets could not be read.
    #[error("cannot read /proc/net/unix")]
    Sockets(#[source] io::Error),
    /// The list of mounts is longer than we take.
    #[error("/proc/self/mountinfo is longer than {MAX_MOUNTINFO_BYTES} bytes")]
    TooLong,
    /// The list of mounts was not understood.
    #[error(transparent)]
    Invalid(#[from] InvalidMountInfo),
}

/// The nodes that a program may expect in `/dev` and that reach no hardware.
pub const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// The parts of `/proc` through which root changes the kernel; a file's mode is their only guard,
/// so they are made read-only (the list is that of the OCI runtime specification, section
/// "readonlyPaths", with `mtrr`, `driver` and `latency_stats`).
pub const PROC_READ_ONLY: [&str; 11] = [
    "sys",
    "sysrq-trigger",
    "irq",
    "bus",
    "fs",
    "acpi",
    "scsi",
    "asound",
    "mtrr",
    "driver",
    "latency_stats",
];

/// Where container engines keep layers of overlays. As part of a lower layer their whiteouts and
/// attributes would be misread.
pub const CONTAINER_STORAGE: [&str; 3] = [
    "/var/lib/docker/overlay2",
    "/var/lib/containers/storage",
    "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs",
];

impl Inventory {
    /// Also looks where Unix sockets are.
    pub fn with_sockets(mut self) -> Result<Self, InventoryError> {
        self.sockets = bound_sockets()?;
        Ok(self)
    }

    /// Looks at this process's root.
    pub fn take(masked: &[RelPath]) -> Result<Self, InventoryError> {
        let mounts = parse(&read_mountinfo()?)?;
        Ok(Self {
            mounts: mounts.into_iter().filter_map(seen).collect(),
            devices: DEVICES.into_iter().filter(|name| is_device(name)).collect(),
            terminal: terminal(),
            proc_read_only: PROC_READ_ONLY
                .into_iter()
                .filter(|name| Path::new("/proc").join(name).exists())
                .collect(),
            has_kcore: Path::new("/proc/kcore").exists(),
            sockets: Vec::new(),
            container_storage: CONTAINER_STORAGE
                .into_iter()
                .filter_map(|path| resolve(PathBuf::from(path)))
                .filter(|(_, is_directory)| *is_directory)
                .map(|(path, _)| path)
                .collect(),
            masked: masked
                .iter()
                .filter_map(|path| resolve(path.to_absolute()))
                .collect(),
        })
    }
}

/// The paths of bound Unix sockets, without links, as `/proc/net/unix` has them (unix(7) and
/// proc(5)): the last of eight columns, which an unnamed socket does not have.
fn bound_sockets() -> Result<Vec<RelPath>, InventoryError> {
    let mut text = Vec::new();
    File::open("/proc/net/unix")
        .and_then(|file| file.take(MAX_MOUNTINFO_BYTES).read_to_end(&mut text))
        .map_err(InventoryError::Sockets)?;
    let lines = text.split(|byte| *byte == b'\n');
    let paths = lines.filter_map(|line| {
        let at = line.windows(2).position(|pair| pair == b" /")?;
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(&line[at + 1..]));
        let path = std::fs::canonicalize(path).ok()?;
        let is_socket = std::fs::metadata(&path).is_ok_and(|s| s.file_type().is_socket());
        is_socket
            .then(|| RelPath::from_absolute(&path).ok())
            .flatten()
    });
    let paths: std::collections::BTreeSet<RelPath> = paths.collect();
    Ok(paths.into_iter().collect())
}

fn read_mountinfo() -> Result<Vec<u8>, InventoryError> {
    let mut text = Vec::with_capacity(8192);
    File::open("/proc/self/mountinfo")
        .and_then(|file| file.take(MAX_MOUNTINFO_BYTES).read_to_end(&mut text))
        .map_err(InventoryError::Read)?;
    if text.len() as u64 == MAX_MOUNTINFO_BYTES {
        return Err(InventoryError::TooLong);
    }
    Ok(text)
}

/// Keeps a mount whose id is that of what its path shows. Where the kernel tells no ids (before
/// Linux 5.8) every mount is kept, and an over-mounted one is treated as if it were seen.
fn seen(mount: Mount) -> Option<SeenMount> {
    let path = CString::new(mount.mount_point.to_absolute().into_os_string().as_bytes()).ok()?;
    let shows = match mount_point_status(&path) {
        Ok(status) if status.mount_id.is_some_and(|id| id != mount.id) => return None,
        Ok(status) if status.mode & libc::S_IFMT == libc::S_IFDIR => Shows::Directory,
        Ok(_) => Shows::File,
        // Hidden by another mount.
        Err(Errno::ENOENT | Errno::ENOTDIR) => return None,
        Err(_) => Shows::Unreachable,
    };
    Some(SeenMount { mount, shows })
}

/// The path of the first standard stream that is a terminal.
fn terminal() -> Option<CString> {
    let named = [
        ttyname(std::io::stdin()),
        ttyname(std::io::stdout()),
        ttyname(std::io::stderr()),
    ];
    let path = named.into_iter().flatten().next()?;
    CString::new(path.into_os_string().into_vec()).ok()
}

fn is_device(name: &str) -> bool {
    std::fs::symlink_metadata(Path::new("/dev").join(name))
        .is_ok_and(|status| status.file_type().is_char_device())
}

/// The path without symbolic links, and whether it is a directory; `None` when it is not there.
fn resolve(path: PathBuf) -> Option<(RelPath, bool)> {
    let resolved = std::fs::canonicalize(path).ok()?;
    let is_directory = resolved.is_dir();
    RelPath::from_absolute(&resolved)
        .ok()
        .map(|path| (path, is_directory))
}
