//! File operations relative to open directories, which never follow a link that the tree supplies,
//! keep every attribute, and say what is durable. Not for deciding what to do (see `commit`).
//!
//! ```text
//! Dir ── stat, open, rename, entries ──┐
//! metadata ── read, set in order ──────┼── node: copy one object; tree: walk; removal
//! data ── reflink, copy with holes ────┘
//! durable ── small files: aside, fsync, rename, fsync of the directory
//! together ── several fsyncs that one flush of the disk answers
//! sync_point ── the names of all syncs, for the tests that leave one out
//! ```
//!
//! The functions return the bare errno: they know names below a directory, and only their callers
//! know the path that a person would recognise.

mod dir;
mod stat;
mod metadata;
mod data;
mod node;
mod tree;
mod removal;
mod durable;
mod together;
mod sync_point;

pub use data::{copy_data, overwrite_data, punch_again};
pub use dir::{Dir, Place};
pub use durable::{write_aside, write_durably};
pub use metadata::{
    change_flags, read_metadata, read_xattrs, set_metadata, set_mtime, set_xattrs_exactly,
};
pub use node::copy_node;
pub use removal::remove_tree;
pub use stat::Stat;
pub use sync_point::{ALL as SYNCS, LEAVE_OUT, is_left_out, sync_at};
pub use together::sync_together;
pub use tree::{walk, walk_where_paths_reach};
