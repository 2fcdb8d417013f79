//! Process-wide set-up, one call of the library, and the exit code. Nothing needs setting up here:
//! Rust starts with SIGPIPE ignored, so that a closed pipe is an error of a write, which
//! `ui::output` takes for what it is; and no thread or runtime exists before a verb wants one.

/// Hands the words of the command line over.
fn main() -> std::process::ExitCode {
    isconf::cli::main(std::env::args_os().collect())
}
