//! What is to be done: a branch's entries, and the drafts that are not checked in. Not for doing it
//! (`replay`) or for what was done (`history`). Upholds: nothing is parsed before the chain was
//! verified; nothing is appended without the host lock.

mod record;
mod signature;
mod entries;
mod batch;
mod wip;
mod agreement;

pub use agreement::{OthersDrafts, WipFault, check_drafts, check_holder, drafts_of_others};
pub(crate) use batch::rewritten_batch;
pub use batch::{Batch, BatchFault, MAX_BATCH_BYTES};
pub use entries::{Import, Journal, JournalError};
pub use record::RecordFault;
pub(crate) use record::{rewritten_draft, rewritten_entry};
pub use signature::{SignatureFault, verify_signature};
pub use wip::{Wip, WipDraft};

#[cfg(test)]
pub(crate) mod tests;
