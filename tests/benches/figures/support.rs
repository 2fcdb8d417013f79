//! The Debian hosts of the tests, for what is measured in them.

#[allow(
    dead_code,
    unused_imports,
    clippy::panic,
    reason = "the tests do more with them, and are told so"
)]
#[path = "../../support/debian/mod.rs"]
pub mod debian;

/// The program that is measured.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_isconf");

/// Nothing is skipped: who measures is root.
pub fn may_make_hosts() -> bool {
    true
}
