//! Runs a command over an overlay of the live root, says what it changed, makes it real or drops
//! it. Knows no journal and no peer.
//!
//! ```text
//! Settings ─Prepared→ mounts ─Mounted→ command ─Running→ Exited ─collect→ Capture (ChangeSet)
//!                                                          │
//!                                  discard ←───────────────┴→ Approved ─commit→ Landed → Settled
//! ```

pub mod change;
pub mod reach;
pub mod layout;
pub mod capture;
pub mod mounts;
pub mod services;
pub mod child;
pub mod upper;
pub mod collect;
pub mod fs;
pub mod commit;
mod sys;
mod volumes_file;
mod transaction;
mod clock_watch;
mod limit_watch;
mod running;
mod exited;
pub mod session;
pub mod probe;
#[doc(hidden)]
pub mod fuzzing;
