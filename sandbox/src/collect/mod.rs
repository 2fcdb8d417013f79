//! Collect: upper layers and the live tree, side by side → what changed. Reads only; not for
//! deciding what becomes of it (`commit`). Upholds: a path is a change if and only if live would
//! look different had the command run natively.
//!
//! ```text
//! upper ──walk──┐
//!               ├─> items (every touched path: before, after) ──settle──> Capture
//! live ─hidden──┘
//! ```

mod error;
mod tree;
mod object;
mod item;
mod inodes;
mod walk;
mod redirected;
mod leaf;
mod hidden;
mod orphan;
mod kept_name;
mod names;
mod settle;
mod meanwhile;
mod view;
mod step;
mod collector;

#[cfg(test)]
pub(crate) mod tests;

pub use collector::{Collector, collect};
pub use error::CollectError;
