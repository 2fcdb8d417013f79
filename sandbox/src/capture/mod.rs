//! What `collect` found and `commit` needs: the change set, and for each change where its new
//! state lies and what the live side looked like. Plain data. Upholds: nothing re-reads the upper
//! layer to decide what changed.

mod codec;
mod meanwhile;

pub use codec::{put_identity, take_identity};
pub use meanwhile::{Glimpse, Meanwhile};

use crate::change::{ChangeSet, RelPath, Timestamp};

/// A change set with, for each change (same index), its provenance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// What changed.
    pub set: ChangeSet,
    /// One for each change of `set`, in the same order.
    pub provenance: Vec<Provenance>,
    /// What changed on volumes that are shown and not committed. No path is in both sets.
    pub shown: ChangeSet,
    /// When the scratchpad was made: `CLOCK_REALTIME_COARSE` just before the mounts. A live inode
    /// with `ctime >= since` was changed meanwhile.
    pub since: Timestamp,
    /// When everything had been looked at; `None` when that is not known, or somebody set the clock
    /// after `since`: see [`Window`].
    pub present: Option<Timestamp>,
    /// Things that were seen and are not committed, with the reason, for the report.
    pub findings: Vec<Finding>,
    /// Live objects that somebody changed before they were looked at, in path order. With any, there
    /// is nothing to commit.
    pub conflicts: Vec<Meanwhile>,
}

/// The times of change that tell of somebody else's change. One later than the present is from a
/// clock that was ahead (an image made on a machine without one), and is the same for years.
///
/// It cannot be from a change since the scratchpad was made: the kernel gives a changed inode the
/// time of its clock, which goes forward from `since` to `present` as long as nobody sets it. When
/// somebody does, also forth and back again, `present` is not known, and every late time tells of a
/// change. What changes after the present was taken has another time than the one that was seen,
/// and is found by comparing the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// The first such time.
    pub since: Timestamp,
    /// The last one, if it is known.
    pub present: Option<Timestamp>,
}

impl Capture {
    /// The times that tell of somebody else's change since the scratchpad was made.
    pub fn window(&self) -> Window {
        Window {
            since: self.since,
            present: self.present,
        }
    }
}

impl Window {
    /// Whether a change since may have this time.
    pub fn holds(&self, ctime: Timestamp) -> bool {
        ctime >= self.since && self.present.is_none_or(|present| ctime <= present)
    }
}

/// Where one change comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// Index into the layout's volumes.
    pub volume: usize,
    /// Where the new state lies.
    pub source: Source,
    /// The live object at the change's *old* place (`moved_from`, or below a renamed directory the
    /// path it came from, else the path itself) when it was collected; `None` when there was none.
    pub live: Option<LiveIdentity>,
    /// That old place.
    pub live_path: RelPath,
    /// For a renamed object only: the live object at the new place, which the rename replaced;
    /// `None` when nothing was there.
    pub replaced: Option<LiveIdentity>,
    /// For a new name of a live file only: that file, which is at [`Source::LiveData::data`].
    pub linked: Option<LiveIdentity>,
}

/// Where the new state of a changed path lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nowhere: the path is gone (a whiteout, or hidden by an opaque or replaced directory).
    Gone,
    /// A complete object in the upper layer: file with all its data, symlink, node, or a directory
    /// that hides whatever lies below it.
    Upper {
        /// Path below the volume's upper layer.
        path: RelPath,
        /// Its inode number there.
        ino: u64,
        /// The live inode that it is a modified copy of (`trusted.overlay.origin`); `None` for one
        /// that was made anew, also when it replaced another by rename.
        origin: Option<u64>,
    },
    /// A directory that shows the live one (at `Provenance::live_path`) through: only its own
    /// attributes, or its place, changed.
    MergedDirectory {
        /// Path below the volume's upper layer.
        path: RelPath,
    },
    /// A file whose attributes, place or number of names changed while its data is still that of
    /// the live inode (`trusted.overlay.metacopy`, or a copy that was found equal). A change
    /// without state before or `moved_from` is a new name of the live inode at `data`.
    LiveData {
        /// Path below the volume's upper layer.
        path: RelPath,
        /// Path of the live file that has the data, below the live root.
        data: RelPath,
        /// Its inode number.
        ino: u64,
    },
}

/// What tells one live object from another, and its states from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LiveIdentity {
    /// Inode number.
    pub ino: u64,
    /// Number of names.
    pub nlink: u64,
    /// Time of last change of the inode.
    pub ctime: Timestamp,
    /// Time of last modification.
    pub mtime: Timestamp,
    /// Length.
    pub size: u64,
    /// `st_mode` with the type bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Something in the scratchpad that cannot or will not be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub path: RelPath,
    /// What.
    pub reason: FindingReason,
}

/// Why something in the scratchpad is not part of the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FindingReason {
    /// A file with several names was written through one of them, or made anew under it (which looks
    /// the same), where the overlay keeps no index of its inodes, since its lower layer has no file
    /// handles, as another overlay has not. When it was written the other names kept the old bytes,
    /// and the run is not what it would have been natively.
    LinksTorn,
    /// The volume mounted here is shown and not committed; its changes are in `shown`.
    ShowOnly,
    /// A socket's name is useless without the process that bound it.
    SocketOfEndedProcess,
}
