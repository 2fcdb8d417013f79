//! The changes of one volume with everything that planning needs, in paths that count from the
//! mount point. Pure. Not for looking at the machine (see `facts`).

use crate::capture::{Capture, LiveIdentity, Provenance, Source};
use crate::change::{Change, Kind, Node, RelPath};
use crate::layout::{CommitPolicy, Layout};

use super::step::Object;

/// Why a change set cannot be committed, whatever the machine looks like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The capture has not one provenance for each change.
    #[error("the capture has {changes} changes and {provenance} provenances")]
    Uneven {
        /// Number of changes.
        changes: usize,
        /// Number of provenances.
        provenance: usize,
    },
    /// A path does not lie on the volume that its provenance names.
    #[error("{path} is not on volume {volume}")]
    WrongVolume {
        /// The path.
        path: RelPath,
        /// The volume's index.
        volume: usize,
    },
    /// A change says that something is there and its provenance that nothing is, or the reverse.
    #[error("{path} has a state after and no source, or the reverse")]
    Contradiction {
        /// The path.
        path: RelPath,
    },
    /// The data of a file lies at a path from which it cannot be taken.
    #[error("{path} has its data at {data}, which is not there any more")]
    DataGone {
        /// The path.
        path: RelPath,
        /// Where its data was.
        data: RelPath,
    },
    /// A live object was changed before it was looked at, so that what the commit would change is not
    /// what the scratchpad saw.
    #[error("{path} was changed on the live system while the scratchpad was in use")]
    ChangedMeanwhile {
        /// The first such path.
        path: RelPath,
    },
    /// The payload is longer than [`MAX_PAYLOAD_BYTES`](super::MAX_PAYLOAD_BYTES).
    #[error("the payload of {0} bytes is too long")]
    Payload(usize),
}

/// One change of a volume.
#[derive(Debug, Clone)]
pub(super) struct Item<'a> {
    /// The change.
    pub change: &'a Change,
    /// The new place.
    pub path: RelPath,
    /// The old place.
    pub from: RelPath,
    /// What was live at the old place.
    pub live: Option<LiveIdentity>,
    /// For what moved: what was live at the new place.
    pub replaced: Option<LiveIdentity>,
    /// See [`Provenance::linked`].
    pub linked: Option<LiveIdentity>,
    /// Where the new state lies.
    pub source: Origin,
}

/// [`Source`] with paths that count from the mount point, which are those of the upper layer too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Gone,
    Upper {
        upper: RelPath,
        ino: u64,
        copy_of: Option<u64>,
    },
    Merged {
        upper: RelPath,
    },
    LiveData {
        upper: RelPath,
        data: RelPath,
        ino: u64,
    },
}

/// Sorts the changes of a capture by volume; those of volumes that are only shown are left out.
pub(super) fn items<'a>(
    layout: &Layout,
    capture: &'a Capture,
) -> Result<Vec<Vec<Item<'a>>>, Refusal> {
    let changes = capture.set.changes();
    if changes.len() != capture.provenance.len() {
        return Err(Refusal::Uneven {
            changes: changes.len(),
            provenance: capture.provenance.len(),
        });
    }
    let mut volumes: Vec<Vec<Item<'a>>> = layout.volumes.iter().map(|_| Vec::new()).collect();
    for (change, provenance) in changes.iter().zip(&capture.provenance) {
        let volume = layout.volumes.get(provenance.volume);
        let wrong = || Refusal::WrongVolume {
            path: change.path.clone(),
            volume: provenance.volume,
        };
        let volume = volume.ok_or_else(wrong)?;
        if volume.policy == CommitPolicy::ShowOnly {
            continue;
        }
        let item = item(&volume.mount_point, change, provenance).ok_or_else(wrong)?;
        if change.after.is_some() == (item.source == Origin::Gone) {
            return Err(Refusal::Contradiction {
                path: change.path.clone(),
            });
        }
        volumes[provenance.volume].push(item);
    }
    Ok(volumes)
}

/// `None` when a path does not lie below the mount point.
fn item<'a>(mount: &RelPath, change: &'a Change, provenance: &Provenance) -> Option<Item<'a>> {
    let source = match &provenance.source {
        Source::Gone => Origin::Gone,
        Source::Upper { path, ino, origin } => Origin::Upper {
            upper: path.clone(),
            ino: *ino,
            copy_of: *origin,
        },
        Source::MergedDirectory { path } => Origin::Merged {
            upper: path.clone(),
        },
        Source::LiveData { path, data, ino } => Origin::LiveData {
            upper: path.clone(),
            data: data.strip_prefix(mount)?,
            ino: *ino,
        },
    };
    Some(Item {
        change,
        path: change.path.strip_prefix(mount)?,
        from: provenance.live_path.strip_prefix(mount)?,
        live: provenance.live,
        replaced: provenance.replaced,
        linked: provenance.linked,
        source,
    })
}

impl Item<'_> {
    /// Whether the new state is a directory.
    pub fn becomes_directory(&self) -> bool {
        matches!(&self.change.after, Some(node) if node.kind == Kind::Directory)
    }

    /// Whether the upper layer's directory hides what was live there.
    pub fn is_own_tree(&self) -> bool {
        matches!(self.source, Origin::Upper { .. }) && self.becomes_directory()
    }

    /// For a modified copy of a live file: the live inode and the upper one.
    pub fn copy(&self) -> Option<(u64, u64)> {
        match self.source {
            Origin::Upper {
                copy_of: Some(live),
                ino,
                ..
            } => Some((live, ino)),
            _ => None,
        }
    }

    /// Whether a live object keeps its inode and only its place or attributes change.
    pub fn stays_live(&self) -> bool {
        matches!(self.source, Origin::Merged { .. } | Origin::LiveData { .. })
    }
}

/// What a step expects of an object in this state.
pub(super) fn object_of(ino: u64, node: &Node) -> Object {
    let size = match &node.kind {
        Kind::Directory => return Object { ino, state: None },
        Kind::File { size, .. } => *size,
        Kind::Symlink { target } => target.len() as u64,
        Kind::Fifo | Kind::Socket | Kind::CharDevice { .. } | Kind::BlockDevice { .. } => 0,
    };
    Object {
        ino,
        state: Some((node.meta.mtime, size)),
    }
}
