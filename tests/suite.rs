//! The one integration binary: every test of the whole tool. Cases run the real program in
//! throwaway hosts; the papers and the borders between modules are tested here as well. Not for
//! what a unit test can show.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "all of this crate is tests; a panic is how a test says no"
)]

mod support;
mod layering;
mod cases;
