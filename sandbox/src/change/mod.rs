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
mod bytes;
mod codec;
mod totals;
mod pattern;
mod normal;
mod differences;
#[cfg(test)]
pub(crate) mod arbitrary;
#[cfg(test)]
mod codec_tests;

pub use bytes::{DecodeError, Reader, Writer};
pub use codec::{decode_nodes, encode_nodes, put_change, put_node, take_change, take_node};
pub use differences::{Difference, DifferenceKind, differences, differences_of_runs};
pub use digest::{Digest, InvalidDigest};
pub use node::*;
pub use normal::NormalRules;
pub use path::{InvalidPath, MAX_NAME_BYTES, MAX_PATH_BYTES, RelPath, write_escaped};
pub use pattern::{InvalidPattern, PathPattern};
pub use set::{Change, ChangeSet, DuplicatePath, Label};
pub use totals::Totals;
