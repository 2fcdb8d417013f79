//! One mount operation, prepared so that a cloned child can perform it without allocating. Plain
//! data. Not for performing it (see `apply`).

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nix::mount::MsFlags;

use crate::change::RelPath;

/// Where the scratchpad's root is built, in the child's own mount namespace: on top of the live
/// `/proc`, the one directory that exists on every machine and from which no later step takes
/// anything. A directory made for the purpose would cost two more writes on disk for each run.
pub(super) const NEW_ROOT: &CStr = c"/proc";

/// A path inside the scratchpad, as it is named while the root is being built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(CString);

impl Target {
    /// The place of `path` below the root that is being built.
    pub(super) fn of(path: &RelPath) -> Self {
        let mut bytes = NEW_ROOT.to_bytes().to_vec();
        if !path.is_root() {
            bytes.push(b'/');
            bytes.extend_from_slice(path.as_bytes());
        }
        Self(c_string(bytes))
    }

    /// The name for a system call.
    pub(super) fn as_c_str(&self) -> &CStr {
        &self.0
    }

    /// The path as seen inside.
    pub fn to_inside(&self) -> PathBuf {
        let below = &self.0.to_bytes()[NEW_ROOT.to_bytes().len()..];
        PathBuf::from(OsStr::from_bytes(if below.is_empty() {
            b"/"
        } else {
            below
        }))
    }
}

/// The name of a live path for a system call.
pub(super) fn live(path: &RelPath) -> CString {
    c_string(path.to_absolute().into_os_string().as_bytes().to_vec())
}

/// Bytes that come from checked paths, names that the kernel gave, and constants, none of which
/// contain NUL.
pub(super) fn c_string(bytes: Vec<u8>) -> CString {
    CString::new(bytes).unwrap_or_else(|error| {
        // Unreachable, see above; cutting at the NUL is what the kernel would do.
        let nul = error.nul_position();
        let mut bytes = error.into_vec();
        bytes.truncate(nul);
        CString::new(bytes).unwrap_or_default()
    })
}

/// One operation of building the scratchpad's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Cuts every mount of the new namespace off from the live ones.
    MakePrivate,
    /// Mounts an overlay.
    Overlay {
        /// The live directory.
        lower: CString,
        /// Where changes go.
        upper: CString,
        /// The overlay's work directory.
        work: CString,
        /// Where.
        target: Target,
        /// `MS_NOSUID`, `MS_NODEV`, `MS_NOEXEC`.
        flags: MsFlags,
    },
    /// Shows `source`, a live path or another target, at `target` with exactly these flags.
    Bind {
        /// What.
        source: CString,
        /// Where.
        target: Target,
        /// `MS_RDONLY`, `MS_NOSUID`, `MS_NODEV`, `MS_NOEXEC`.
        flags: MsFlags,
    },
    /// Takes hold of a live tree with all mounts in it, before what is built covers it.
    KeepTree {
        /// What.
        source: CString,
    },
    /// Shows the tree that was taken hold of, as it is.
    ShowKeptTree {
        /// Where.
        target: Target,
    },
    /// Shows a live tree with all mounts in it, as it is.
    BindTree {
        /// What.
        source: CString,
        /// Where.
        target: Target,
    },
    /// Shows a live tree with all mounts in it, read-only.
    BindTreeReadOnly {
        /// What.
        source: CString,
        /// Where.
        target: Target,
    },
    /// Mounts a filesystem that needs no device.
    Mount {
        /// Its type.
        fs_type: &'static CStr,
        /// Where.
        target: Target,
        /// Its flags.
        flags: MsFlags,
        /// Its options.
        data: &'static CStr,
    },
    /// Changes the flags of a mount that an earlier step made.
    Remount {
        /// Where.
        target: Target,
        /// `MS_RDONLY`, `MS_NOSUID`, `MS_NODEV`, `MS_NOEXEC`.
        flags: MsFlags,
    },
    /// Makes a directory with mode 0755.
    MakeDirectory {
        /// Where.
        target: Target,
    },
    /// Makes an empty file, to mount on.
    MakeFile {
        /// Where.
        target: Target,
    },
    /// Makes a symbolic link.
    MakeLink {
        /// Where.
        target: Target,
        /// Where it points.
        to: &'static CStr,
    },
    /// Gives the host another name, in the new uts namespace.
    Name {
        /// Which.
        name: OsString,
    },
    /// Makes what was built the root, and drops the old one.
    EnterRoot,
}

impl Step {
    /// What the step does, for an error message.
    pub fn operation(&self) -> &'static str {
        match self {
            Self::MakePrivate => "cut off the live mounts at",
            Self::Overlay { .. } => "mount an overlay on",
            Self::KeepTree { .. } => "take hold of live files for",
            Self::Bind { .. }
            | Self::ShowKeptTree { .. }
            | Self::BindTree { .. }
            | Self::BindTreeReadOnly { .. } => "show live files at",
            Self::Mount { .. } => "mount a private filesystem on",
            Self::Remount { .. } => "change the mount flags of",
            Self::MakeDirectory { .. } | Self::MakeFile { .. } | Self::MakeLink { .. } => "make",
            Self::Name { .. } => "give another host name to",
            Self::EnterRoot => "enter",
        }
    }

    /// Where, as seen inside.
    pub fn place(&self) -> PathBuf {
        match self {
            Self::MakePrivate | Self::KeepTree { .. } | Self::Name { .. } | Self::EnterRoot => {
                PathBuf::from("/")
            }
            Self::Overlay { target, .. }
            | Self::Bind { target, .. }
            | Self::ShowKeptTree { target }
            | Self::BindTree { target, .. }
            | Self::BindTreeReadOnly { target, .. }
            | Self::Mount { target, .. }
            | Self::Remount { target, .. }
            | Self::MakeDirectory { target }
            | Self::MakeFile { target }
            | Self::MakeLink { target, .. } => target.to_inside(),
        }
    }
}
