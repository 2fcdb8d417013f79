//! Blobs by their SHA-256. Not for knowing what refers to them. Upholds: a blob is put in place whole
//! and durable or not at all; it is verified whenever it is read for use; memory does not grow with
//! its length. The layout is described in docs/formats.md.

mod blobs;
mod batch;
mod partial;
mod pieces;
mod upkeep;

pub use batch::Batch;
pub use blobs::{MAX_LIST_BYTES, Store, StoreError};
pub use partial::Partial;
pub use pieces::{LONG_BYTES, MAX_PIECES_BYTES, Piece, Pieces, Sum};
pub use upkeep::{Removed, Stored};
