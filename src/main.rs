//! Process-wide set-up, one call of the library, and the exit code.
fn main() {}
