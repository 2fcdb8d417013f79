//! Where things lie while an entry runs: the filesystems that are covered and, for each, the
//! directories of its scratchpad. Plain data, written by `mounts`, read by `collect` and `commit`.
//! Upholds: scratch and live of one volume are on one filesystem, so that commit is by rename.
//!
//! ```text
//! home/scratch/<TxId>/            the transaction: lock, volumes, intent, done
//!     v0/{upper,work,undo,stage}  the volume that holds home
//! <mount>/.isconf/<TxId>/v1/...   every other covered volume (.isconf-<16 digits> where an
//!                                 ordinary user could and did take that name)
//! ```

mod codec;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::change::RelPath;

pub use codec::{decode_volumes, decode_whole_volumes, encode_volumes};

/// Names one transaction, and so its scratch directory on every volume: 32 hexadecimal digits,
/// sortable by time of creation (16 digits of nanoseconds, then 16 random ones).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxId(String);

/// Text that is not 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a transaction id (32 lower-case hexadecimal digits): {0:?}")]
pub struct InvalidTxId(pub String);

impl TxId {
    /// Makes an id from a time in nanoseconds since 1970 and 64 random bits; pure.
    pub fn from_parts(nanos: u64, random: u64) -> Self {
        Self(format!("{nanos:016x}{random:016x}"))
    }

    /// A name for the hidden directory that nobody can have guessed: made of the random digits.
    pub fn hidden_name(&self) -> OsString {
        format!("{VOLUME_SCRATCH_DIR}-{}", &self.0[16..]).into()
    }

    /// The 32 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TxId {
    type Err = InvalidTxId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = text.len() == 32
            && text
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidTxId(text.chars().take(80).collect()))
        }
    }
}

/// The hidden directory at the top of every covered filesystem that does not hold the home.
pub const VOLUME_SCRATCH_DIR: &str = ".isconf";

/// Whether a name is that of a hidden directory: the usual one, or one made by
/// [`TxId::hidden_name`], where somebody else had the usual one.
pub fn is_hidden_name(name: &[u8]) -> bool {
    match name.strip_prefix(VOLUME_SCRATCH_DIR.as_bytes()) {
        Some([]) => true,
        Some([b'-', digits @ ..]) => {
            let is_digit = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
            digits.len() == 16 && digits.iter().all(is_digit)
        }
        Some(_) | None => false,
    }
}

/// The directory below the home that holds the transactions.
pub const HOME_SCRATCH_DIR: &str = "scratch";

/// What becomes of the changes captured on a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommitPolicy {
    /// Renamed into the live tree.
    Rename,
    /// Copied into the live tree: the upper layer had to be on another filesystem, because the
    /// live one cannot be an upper layer (it is itself an overlay).
    Copy,
    /// Captured and shown, never committed (`/run`).
    ShowOnly,
}

/// One covered mount of the live root.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Volume {
    /// Where it is mounted, below the live root.
    pub mount_point: RelPath,
    /// The filesystem's type, as in mountinfo.
    pub fs_type: String,
    /// Its device number.
    pub device: (u32, u32),
    /// The volume's scratch directory, absolute in the live view.
    pub scratch: PathBuf,
    /// What becomes of its changes.
    pub policy: CommitPolicy,
}

impl Volume {
    /// The overlay's upper layer.
    pub fn upper(&self) -> PathBuf {
        self.scratch.join("upper")
    }

    /// The overlay's work directory.
    pub fn work(&self) -> PathBuf {
        self.scratch.join("work")
    }

    /// Where displaced and deleted objects go, one numbered name each.
    pub fn undo(&self) -> PathBuf {
        self.scratch.join("undo")
    }

    /// Where a commit prepares what it will rename into place, one numbered name each.
    pub fn stage(&self) -> PathBuf {
        self.scratch.join("stage")
    }

    /// The live directory that the overlay covers.
    pub fn live(&self, root: &Path) -> PathBuf {
        self.mount_point.to_path_under(root)
    }
}

/// The directories of one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Its id.
    pub tx: TxId,
    /// `home/scratch/<tx>`: lock, volumes file, intent, done.
    pub directory: PathBuf,
    /// The live root: `/` but for tests that use a throwaway tree.
    pub root: PathBuf,
    /// The covered volumes, parents before children.
    pub volumes: Vec<Volume>,
}
