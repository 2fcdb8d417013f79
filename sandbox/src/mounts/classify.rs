//! Decides, for each mount that is seen, how the scratchpad treats it. Pure. Not for the order or
//! the form of the mount operations (see `plan`). Upholds: what is writable inside is an overlay
//! (or private to the scratchpad); what could not be covered is named with the reason.

use std::fmt;

use nix::mount::MsFlags;

use super::inventory::{Inventory, SeenMount, Shows};
use super::mountinfo::Mount;
use crate::change::RelPath;
use crate::reach::Reach;

/// What became of a mount, or part of one, that is writable live and has no overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uncovered {
    /// Where.
    pub mount_point: RelPath,
    /// The filesystem's type; empty for a part of a mount.
    pub fs_type: String,
    /// What the scratchpad shows there.
    pub what: Uncovering,
    /// Why.
    pub why: Reason,
}

/// What the scratchpad shows in place of an overlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Uncovering {
    /// The live content, read-only.
    ReadOnly,
    /// An empty read-only directory or file.
    Masked,
}

/// Why a mount has no overlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A filesystem of this type cannot be a layer of an overlay, or not safely.
    FileSystemType,
    /// A single file is mounted; overlays are of directories.
    SingleFile,
    /// Layers of a container engine, which overlayfs would misread.
    ContainerStorage,
    /// A setting says so.
    Setting,
    /// It shows a directory above one that is covered already, under another name.
    AboveCovered,
    /// Its root directory was deleted, or cannot be named.
    NoRoot,
    /// Its scratch directory could not be made, or the kernel refused the overlay.
    Unusable,
    /// An automount point; visiting it would mount something live.
    Automount,
    /// The kernel refused to show it a second time: a file that was deleted, an older mount
    /// namespace.
    Unshowable,
    /// It cannot be looked at: a server that does not answer, or a filesystem closed to root.
    Unreachable,
}

/// Says it in words, without the path: `read-only: a filesystem of type nfs cannot be covered`.
impl fmt::Display for Uncovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.what {
            Uncovering::ReadOnly => "read-only: ",
            Uncovering::Masked => "masked: ",
        })?;
        match self.why {
            Reason::FileSystemType => {
                write!(f, "a filesystem of type {} cannot be covered", self.fs_type)
            }
            Reason::SingleFile => f.write_str("a single file is mounted there"),
            Reason::ContainerStorage => f.write_str("layers of a container engine"),
            Reason::Setting => f.write_str("by setting"),
            Reason::AboveCovered => {
                f.write_str("it shows a directory above one that is covered under another name")
            }
            Reason::NoRoot => f.write_str("what is mounted there was deleted, or has no path"),
            Reason::Unusable => f.write_str("the filesystem cannot hold a scratch directory"),
            Reason::Automount => f.write_str("an automount point"),
            Reason::Unshowable => f.write_str("the kernel does not show it a second time"),
            Reason::Unreachable => f.write_str("what is mounted there cannot be looked at"),
        }
    }
}

/// Why no scratchpad can be planned for this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No mount is seen at `/`.
    #[error(
        "no mount is seen at /; if this is a chroot, mount its directory onto itself first \
         (mount --bind DIR DIR)"
    )]
    NoRoot,
    /// The live root is writable and cannot be covered.
    #[error("the live root is {fs_type}, which cannot be covered by an overlay")]
    RootFileSystem {
        /// Its type.
        fs_type: String,
    },
    /// A live overlay needs its scratch elsewhere and there is no such place.
    #[error(
        "{mount_point} is itself an overlay, and no other writable filesystem can hold its scratch directory"
    )]
    NoScratchFileSystem {
        /// The live overlay.
        mount_point: RelPath,
    },
}

/// How the scratchpad treats one mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Treatment {
    /// An overlay of its own.
    Overlay,
    /// The live mount, read-only.
    ReadOnly,
    /// What the scratchpad shows at this other path, so that both views agree.
    Alias(RelPath),
    /// Nothing: another step takes care of the place.
    Nothing,
    /// An empty read-only directory or file.
    Empty,
    /// A proc filesystem of the scratchpad's own, read-only.
    FreshProc,
}

/// A mount with its treatment.
#[derive(Debug)]
pub(super) struct Classified<'a> {
    pub seen: &'a SeenMount,
    pub treatment: Treatment,
}

/// Filesystems that can be lower and upper layers: local, with `trusted.*` attributes, file types
/// in directories, and `RENAME_WHITEOUT` (overlayfs.rst, "Upper and Lower").
const UPPER_TYPES: [&str; 11] = [
    "ext4", "xfs", "btrfs", "tmpfs", "ext3", "ext2", "f2fs", "bcachefs", "zfs", "jfs", "nilfs2",
];

/// Filesystems that hold no files of people; read-only wherever they are.
const PSEUDO_TYPES: [&str; 20] = [
    "sysfs",
    "devtmpfs",
    "devpts",
    "mqueue",
    "cgroup",
    "cgroup2",
    "debugfs",
    "tracefs",
    "securityfs",
    "pstore",
    "bpf",
    "configfs",
    "fusectl",
    "efivarfs",
    "binfmt_misc",
    "hugetlbfs",
    "selinuxfs",
    "nsfs",
    "rpc_pipefs",
    "nfsd",
];

/// Whether a filesystem of this type can be an upper layer.
pub(super) fn can_be_upper(fs_type: &str) -> bool {
    UPPER_TYPES.contains(&fs_type)
}

/// Gives each mount a treatment, in the order of the inventory. `unusable` are the mount points
/// whose scratch directory or overlay was tried and failed, `unshowable` those whose live content
/// could not be shown; `masked` whatever will be masked.
pub(super) fn classify<'a>(
    inventory: &'a Inventory,
    masked: &[RelPath],
    unusable: &[RelPath],
    unshowable: &[RelPath],
    reach: Reach,
) -> (Vec<Classified<'a>>, Vec<Uncovered>) {
    let mut classified: Vec<Classified<'a>> = Vec::new();
    let mut uncovered = Vec::new();
    for seen in &inventory.mounts {
        let at = &seen.mount.mount_point;
        let is_below_empty = classified.iter().any(|above| {
            above.treatment == Treatment::Empty && at.starts_with(&above.seen.mount.mount_point)
        });
        let is_masked = masked.iter().any(|mask| at.starts_with(mask));
        let (treatment, why) = if is_special(at, reach) || is_masked || is_below_empty {
            (Treatment::Nothing, None)
        } else if unshowable.contains(at) {
            (Treatment::Empty, Some(Reason::Unshowable))
        } else {
            treat(seen, &classified, unusable)
        };
        uncovered.extend(why.map(|why| uncovering(seen, &treatment, why)));
        classified.push(Classified { seen, treatment });
    }
    (classified, uncovered)
}

/// The places that get a filesystem of the scratchpad's own, or, with the running system in reach, are
/// shown as they are.
pub(super) fn is_special(at: &RelPath, reach: Reach) -> bool {
    match at.components().next() {
        Some(b"proc" | b"sys" | b"dev") => true,
        Some(b"run") => reach == Reach::Live,
        Some(_) | None => false,
    }
}

fn uncovering(seen: &SeenMount, treatment: &Treatment, why: Reason) -> Uncovered {
    Uncovered {
        mount_point: seen.mount.mount_point.clone(),
        fs_type: seen.mount.fs_type.clone(),
        what: match treatment {
            Treatment::Nothing | Treatment::Empty => Uncovering::Masked,
            Treatment::Overlay
            | Treatment::ReadOnly
            | Treatment::Alias(_)
            | Treatment::FreshProc => Uncovering::ReadOnly,
        },
        why,
    }
}

/// The treatment of one mount, and why it has no overlay if it is writable live.
fn treat(
    seen: &SeenMount,
    before: &[Classified<'_>],
    unusable: &[RelPath],
) -> (Treatment, Option<Reason>) {
    let mount = &seen.mount;
    let fs_type = mount.fs_type.as_str();
    let is_read_only = mount.flags.contains(MsFlags::MS_RDONLY) || mount.is_read_only_filesystem;
    if fs_type == "autofs" {
        return (Treatment::Empty, Some(Reason::Automount));
    }
    if seen.shows == Shows::Unreachable {
        return (Treatment::Empty, Some(Reason::Unreachable));
    }
    if fs_type == "proc" {
        return (Treatment::FreshProc, None);
    }
    if PSEUDO_TYPES.contains(&fs_type) {
        let why = (!is_read_only).then_some(Reason::FileSystemType);
        return (Treatment::ReadOnly, why);
    }
    if let Some(path) = alias(mount, before) {
        return (Treatment::Alias(path), None);
    }
    let why = if is_read_only {
        return (Treatment::ReadOnly, None);
    } else if seen.shows == Shows::File {
        Reason::SingleFile
    } else if !can_be_upper(fs_type) && fs_type != "overlay" {
        Reason::FileSystemType
    } else if mount.root.is_none() {
        Reason::NoRoot
    } else if unusable.contains(&mount.mount_point) {
        Reason::Unusable
    } else if before.iter().any(|b| is_above(mount, b)) {
        Reason::AboveCovered
    } else {
        return (Treatment::Overlay, None);
    };
    (Treatment::ReadOnly, Some(why))
}

/// Where the content of `mount` is found through a mount that has an overlay already: the path
/// below that mount, if no other mount hides it there.
fn alias(mount: &Mount, before: &[Classified<'_>]) -> Option<RelPath> {
    let root = mount.root.as_ref()?;
    before
        .iter()
        .filter(|b| b.treatment == Treatment::Overlay && b.seen.mount.device == mount.device)
        .find_map(|covered| {
            let below = root.strip_prefix(covered.seen.mount.root.as_ref()?)?;
            let path = covered.seen.mount.mount_point.join(&below).ok()?;
            let holder = holder(before.iter().map(|b| &b.seen.mount), &path)?;
            (holder.id == covered.seen.mount.id).then_some(path)
        })
}

/// Whether `mount` shows a directory that holds the root of a covered mount.
fn is_above(mount: &Mount, covered: &Classified<'_>) -> bool {
    let other = &covered.seen.mount;
    covered.treatment == Treatment::Overlay
        && other.device == mount.device
        && match (&other.root, &mount.root) {
            (Some(below), Some(above)) => below.starts_with(above),
            (None, _) | (_, None) => false,
        }
}

/// The mount that `path` is on: the one with the longest mount point above it.
pub(super) fn holder<'m>(
    mounts: impl Iterator<Item = &'m Mount>,
    path: &RelPath,
) -> Option<&'m Mount> {
    mounts
        .filter(|mount| path.starts_with(&mount.mount_point))
        .max_by_key(|mount| mount.mount_point.as_bytes().len())
}
