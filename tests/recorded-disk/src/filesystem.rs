//! The filesystems whose crashes are looked at, and how they are made and mounted.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::RigError;
use crate::medium::Medium;
use crate::talk::Disk;

/// A kind of filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Filesystem {
    /// Mounted so that it forgives nothing: see [`Filesystem::options`].
    Ext4,
    /// As it comes.
    Xfs,
    /// As it comes.
    Btrfs,
}

impl Filesystem {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ext4, Self::Xfs, Self::Btrfs];

    /// The kernel's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    /// Looks a name up.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Mount options. ext4 by default forgives a missing sync before a rename (`auto_da_alloc`,
    /// ext4(5)), and we do not want to be forgiven. Two images of one recording may be mounted at
    /// the same time: xfs then asks for `nouuid`.
    const fn options(self) -> &'static str {
        match self {
            Self::Ext4 => "noauto_da_alloc,commit=1",
            Self::Xfs => "nouuid",
            Self::Btrfs => "",
        }
    }

    /// The size of a disk in bytes: about the smallest that mkfs accepts.
    const fn size(self) -> u64 {
        let mebibytes = match self {
            Self::Ext4 => 64,
            Self::Xfs => 320,
            Self::Btrfs => 128,
        };
        mebibytes << 20
    }

    /// Makes an empty filesystem; `image` is where it is made and does not stay.
    ///
    /// # Errors
    /// If mkfs fails.
    pub fn make(self, image: &Path) -> Result<Medium, RigError> {
        Medium::empty(self.size()).store(image)?;
        // Nothing is left for the kernel to initialise later: it would be in the log.
        let words: &[&str] = match self {
            Self::Ext4 => &[
                "mkfs.ext4",
                "-q",
                "-F",
                "-m0",
                "-N2048",
                "-Enodiscard,lazy_itable_init=0,lazy_journal_init=0",
            ],
            Self::Xfs => &["mkfs.xfs", "-q", "-f", "-K"],
            Self::Btrfs => &["mkfs.btrfs", "-q", "-f", "-K"],
        };
        let output = Command::new(words[0]).args(&words[1..]).arg(image).output();
        let output = output.map_err(|source| RigError::program(words[0], source))?;
        if !output.status.success() {
            return Err(RigError::Failed {
                command: words.join(" "),
                status: output.status.code().unwrap_or_default(),
                said: String::from_utf8_lossy(&output.stderr).into_owned(),
            });
        }
        Medium::load(image)
    }

    /// A disk of a host with this filesystem on it.
    pub fn disk(self, image: PathBuf, at: &str) -> Disk {
        Disk {
            image,
            kind: self.name().to_owned(),
            options: self.options().to_owned(),
            at: at.into(),
        }
    }
}
