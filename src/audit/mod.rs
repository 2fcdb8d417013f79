//! Audit: is everything that this host's history wrote still as it was written? Not for repairing
//! it, and not for paths that no entry wrote. Upholds: drift is a finding, not a failure; reading
//! the live filesystem changes nothing in it and follows no link.
//!
//! ```text
//! receipts ─standing─> change sets ─fold─> ExpectedState ─┐
//!                           live filesystem ─read─────────┼─judge─> Audit (drifts)
//!                           Known (unchanged since) ──────┘
//! ```

mod expected;
mod judge;
mod live;
mod known;
mod compare;

pub use compare::{AuditError, AuditRequest, audit};
pub use expected::{Expected, ExpectedState};
pub use judge::{Judgement, judge};
pub use known::{Known, KnownError};
pub use live::{Fingerprint, live_content};
