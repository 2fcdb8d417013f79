//! The voters of a domain agree on its ledger: Raft, by openraft, with its log in redb. Not for who is a
//! voter, nor for how they reach each other (see `peer`). Upholds: an order is granted only when more than
//! half of the voters have it on their disks; a voter forgets nothing that it said, whenever it is killed.
//!
//! ```text
//! order ─> leader ─> log (more than half) ─> ledger ─> verdict
//!                                              └─> batches: entries that this host has to append
//! ```

mod calls;
mod database;
mod kinds;
mod log;
mod machine;
mod voter;

pub use calls::{CallError, CallKind, Carrier};
pub use database::DatabaseError;
pub use kinds::{Epoch, Seat};
pub use machine::Applied;
pub(crate) use voter::rewritten_call;
pub use voter::{NotNow, Voter, VoterError};
