//! isconf: deterministic configuration of Unix machines by replaying one ordered journal.
//!
//! ```text
//! journal ─> replay ─> (sandbox: scratchpad, change set, commit) ─> history
//!    │                                                                 │
//!    └─ chain, store: what they are kept in          audit: is it still so
//! ```
#![forbid(unsafe_code)]

pub mod model;
pub mod durable;
pub mod config;
pub mod identity;
pub mod store;
pub mod chain;
pub mod hazards;
pub mod journal;
pub mod history;
pub mod lock;
pub mod peer;
pub mod quorum;
pub mod check_in;
pub mod needs;
pub mod bundle;
pub mod audit;
pub mod replay;
pub mod daemon;
pub mod ui;
pub mod cli;
pub mod tour;
#[doc(hidden)]
pub mod fuzzing;
