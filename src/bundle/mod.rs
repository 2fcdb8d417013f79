//! A branch's journal with its blobs as one file: how a host without a network is kept in step. Not
//! for deciding what to run. Upholds: nothing of a bundle is visible before all of it was checked:
//! authentication code, chain, signatures, digests, completeness; memory does not grow with it. The
//! bytes are described in docs/formats.md.
//!
//! ```text
//! magic ─ header ─ record... ─ blob... ─ end │ SHA-256 ─ who vouches ─ HMAC
//!                                            └ over everything before
//! ```

mod format;
mod export;
mod input;
mod import;
#[cfg(test)]
mod tests;

pub use export::{ExportError, Exported, Source, export};
pub use format::BundleHeader;
pub use import::{ImportError, Imported, Leave, Target, import};
pub use input::{BundleError, BundleFault};
