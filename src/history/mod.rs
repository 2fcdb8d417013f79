//! What was done on this host: a chain of receipts. Not for doing it. Upholds: the last receipt says
//! where replay goes on.

mod record;
mod receipts;

pub use receipts::{Effective, EffectiveBackwards, History, HistoryError, NotAPrefix};
pub use record::ReceiptFault;
pub(crate) use record::rewritten_receipt;

#[cfg(test)]
mod tests;
