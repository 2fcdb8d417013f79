//! isconf: deterministic configuration of Unix machines by replaying one ordered journal.
#![forbid(unsafe_code)]

pub mod tour;
