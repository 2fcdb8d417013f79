//! Why a step of a transaction could not be done. Not for what is done about it.

use std::path::PathBuf;

use nix::errno::Errno;

use super::step::Object;
use crate::capture::LiveIdentity;
use crate::change::RelPath;

/// A step could not be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// A system call refused it.
    #[error("cannot {operation} {path}")]
    Failed {
        /// What was tried: `place`, `exchange`, `remove`, ...
        operation: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        errno: Errno,
    },
    /// The live tree is an overlay without `redirect_dir`, which moves no directory of its lower
    /// layers (`EXDEV`, kernel documentation of overlayfs).
    #[error("cannot move the directory {path}: the live root is an overlay that cannot")]
    Immovable {
        /// The directory.
        path: PathBuf,
    },
    /// Somebody made an object immutable or append-only meanwhile.
    #[error("cannot {operation} {path}: it is {flag}", path = path.display())]
    Locked {
        /// What was tried.
        operation: &'static str,
        /// The object with the flag.
        path: PathBuf,
        /// `immutable` or `append-only`, chattr(1).
        flag: &'static str,
    },
    /// What was there is not what the run saw; it was put back.
    #[error("{path} is no longer what it was: found {found:?}")]
    Displaced {
        /// Where.
        path: RelPath,
        /// What was expected.
        expected: Object,
        /// What was found; `None` for nothing.
        found: Option<Box<LiveIdentity>>,
    },
    /// While doing it again: neither the state before nor the state after.
    #[error("{path} is neither as before nor as after the transaction")]
    Foreign {
        /// Where.
        path: PathBuf,
        /// The inode number found there; `None` for nothing.
        found: Option<u64>,
    },
}
