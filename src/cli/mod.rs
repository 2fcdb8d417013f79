//! The command line. Upholds: what the user typed is resolved into what we will do before anything
//! is done; verbs know the model and the messages, and start the conductors.
//!
//! ```text
//! words ─clap→ CommandLine ─resolve→ Invocation ─> a verb
//!    └─────────────────────────────> ParseFailure (help, version, wrong usage)
//! ```

pub mod args;
mod resolve;
pub mod invocation;
mod parse;
pub mod completions;
pub mod man;

pub use parse::{ParseFailure, parse};
pub use resolve::{UsageError, resolve};
