//! What a throwaway host shall be: its root, its further mounts. Data only; `script` turns it into
//! commands.

use std::path::{Path, PathBuf};

/// The file system that carries a host's root or one of its volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKind {
    /// ext4 in a loop-mounted image.
    Ext4,
    /// xfs in a loop-mounted image.
    Xfs,
    /// btrfs in a loop-mounted image.
    Btrfs,
    /// A tmpfs; what is left where there are no loop devices.
    Tmpfs,
}

impl RootKind {
    /// Chooses ext4 where loop devices can be used, and a tmpfs elsewhere.
    pub fn best() -> Self {
        let loops = std::fs::File::open("/dev/loop-control").is_ok();
        if loops { Self::Ext4 } else { Self::Tmpfs }
    }

    /// Returns the program that makes this file system, and the Debian package that has it.
    pub(super) fn maker(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Ext4 => Some(("mkfs.ext4", "e2fsprogs")),
            Self::Xfs => Some(("mkfs.xfs", "xfsprogs")),
            Self::Btrfs => Some(("mkfs.btrfs", "btrfs-progs")),
            Self::Tmpfs => None,
        }
    }
}

/// A mount beside the root. Mount points are absolute paths in the host and are created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Volume {
    /// A file system of its own.
    Disk {
        /// What it is made of.
        kind: RootKind,
        /// Where it is mounted.
        at: PathBuf,
    },
    /// A second name for a directory of the host.
    Alias {
        /// The directory, created if absent.
        of: PathBuf,
        /// Where it is seen again.
        at: PathBuf,
    },
    /// A directory of the host that is mounted onto itself, read-only.
    ReadOnly {
        /// The directory, created if absent.
        at: PathBuf,
    },
    /// A file of the host mounted over another one.
    FileAlias {
        /// The file, created empty if absent.
        of: PathBuf,
        /// The file that is covered, created empty if absent.
        at: PathBuf,
    },
}

/// A throwaway host to be made.
#[derive(Debug, Clone)]
pub struct HostSpec {
    pub(super) name: String,
    pub(super) root: RootKind,
    pub(super) overlay: bool,
    pub(super) size: u64,
    pub(super) volumes: Vec<Volume>,
    pub(super) program: Option<PathBuf>,
    pub(super) images: Option<PathBuf>,
}

impl HostSpec {
    /// Describes a host on the best root this machine allows, without further mounts.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            root: RootKind::best(),
            overlay: false,
            // Sparse: costs what is written. Larger than the largest file a test writes, twice.
            size: 4 << 30,
            volumes: Vec::new(),
            program: None,
            images: None,
        }
    }

    /// Puts the root on this file system.
    #[must_use]
    pub fn root(mut self, kind: RootKind) -> Self {
        self.root = kind;
        self
    }

    /// Makes the root an overlay whose layers lie on the chosen file system, as in a container.
    #[must_use]
    pub fn overlay_root(mut self) -> Self {
        self.overlay = true;
        self
    }

    /// Limits every file system of the host to this many bytes.
    #[must_use]
    pub fn size(mut self, bytes: u64) -> Self {
        self.size = bytes;
        self
    }

    /// Adds a mount; later ones may lie on earlier ones.
    #[must_use]
    pub fn volume(mut self, volume: Volume) -> Self {
        self.volumes.push(volume);
        self
    }

    /// Adds a file system of its own at `at`.
    #[must_use]
    pub fn disk(self, kind: RootKind, at: impl AsRef<Path>) -> Self {
        self.volume(Volume::Disk {
            kind,
            at: at.as_ref().to_owned(),
        })
    }

    /// Shows this program in the host as `isconf`, on the `PATH`, read-only.
    #[must_use]
    pub fn program(mut self, binary: impl AsRef<Path>) -> Self {
        self.program = Some(binary.as_ref().to_owned());
        self
    }

    /// Puts the images into this directory, for measurements on a disk: the usual place is memory
    /// where there is enough of it.
    #[must_use]
    pub fn images_in(mut self, directory: impl AsRef<Path>) -> Self {
        self.images = Some(directory.as_ref().to_owned());
        self
    }

    /// Lists every file system that has to be made, with the mount point (`/` for the root).
    pub(super) fn disks(&self) -> impl Iterator<Item = (RootKind, &Path)> {
        let volumes = self.volumes.iter().filter_map(|volume| match volume {
            Volume::Disk { kind, at } => Some((*kind, at.as_path())),
            Volume::Alias { .. } | Volume::ReadOnly { .. } | Volume::FileAlias { .. } => None,
        });
        std::iter::once((self.root, Path::new("/"))).chain(volumes)
    }
}
