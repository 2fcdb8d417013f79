//! The change set and what it is made of: pure values, no files, no clocks. Not for reading an
//! overlay (`upper`, `collect`) or changing a machine (`commit`).
//!
//! ```text
//! RelPath ─┐
//! Node ────┼─> Change ─> ChangeSet ─> canonical bytes ─> Digest
//! Metadata ┘                     └──> normal form ─────> Digest (equality of hosts)
//! ```

mod path;
mod digest;
mod node;
mod set;

pub use digest::{Digest, InvalidDigest};
pub use node::*;
pub use path::{InvalidPath, MAX_NAME_BYTES, MAX_PATH_BYTES, RelPath, write_escaped};
pub use set::{Change, ChangeSet, DuplicatePath, Label};
