//! Append-only, hash-chained files of TOML records. Not for what the records mean (`journal`,
//! `history`). Upholds: truncation, edit, reorder or swap of any byte is detected before anything
//! runs, and named by line. The bytes are described in docs/formats.md.
//!
//! ```text
//! # isconf journal 1      header: kind, version, fields; its SHA-256 is the genesis
//! # domain example.com
//! [[entry]]               record 1
//! seq = 1
//! prev = "<genesis>"
//! ...
//! sig = "..."             its seal, always the last line
//! [[entry]]               record 2
//! seq = 2
//! prev = "<SHA-256 of record 1, from [[ to the line end after the seal>"
//! ```

mod kind;
mod header;
mod head;
mod record_text;
mod record_form;
mod error;
mod record;
mod standalone;
mod scan;
mod file;
mod appender;
#[cfg(test)]
mod tests;

pub use appender::Appender;
pub use error::{BrokenChain, ChainError, Fault};
pub use file::{Chain, Place, cut_torn_tail};
pub use head::Head;
pub use header::Header;
pub use kind::ChainKind;
pub use record::{MAX_RECORD_BYTES, RecordRef, SealedRecord, check_follows, split_seal};
pub use record_form::{FormFault, check_form, parse_row};
pub use record_text::RecordText;
pub(crate) use scan::record_ends;
pub use standalone::{check_alone, seal_alone};
