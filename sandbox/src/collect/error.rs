//! Why what changed cannot be told.

use std::path::PathBuf;

use nix::errno::Errno;

use crate::change::{DuplicatePath, InvalidPath};
use crate::upper::InvalidAttribute;

/// Why collecting failed.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// A system call failed.
    #[error("cannot {operation} {path}", path = path.display())]
    System {
        /// What was tried: `open`, `stat`, `list`, ...
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        errno: Errno,
    },
    /// An attribute of the overlay has a value that the kernel does not write.
    #[error("cannot understand {path} of the upper layer", path = path.display())]
    Attribute {
        /// Where.
        path: PathBuf,
        /// What.
        #[source]
        source: InvalidAttribute,
    },
    /// A path of the tree is longer than we handle.
    #[error("a path below {directory} cannot be recorded", directory = directory.display())]
    Path {
        /// The directory that holds it.
        directory: PathBuf,
        /// Why not.
        #[source]
        source: InvalidPath,
    },
    /// Two volumes of the layout claim one path.
    #[error(transparent)]
    Duplicate(#[from] DuplicatePath),
}
