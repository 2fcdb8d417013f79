//! The figures that isconf promises, measured with the real program in throwaway hosts, each next to
//! a baseline from the same run. Not a test: it never fails because something was slow. Upholds: a
//! performance claim has a benchmark and kept results.
//!
//! ```text
//! cargo bench -p isconf --bench figures [-- --write] [FIGURE...]
//!
//! main ─> figures ─> Host ─(this program again, inside)─> driver ─> times on standard output
//!            └─> Page ─> standard output, and with --write docs/benchmarks.md
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

mod bench_host;
mod by_hand;
mod commits;
mod driver;
mod figures;
mod fill;
mod page;
mod series;
mod support;
mod table;

use std::process::ExitCode;
use std::time::Instant;

use page::Page;

/// What every part of this program may fail with; it ends at the edge of main.
type Error = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.split_first() {
        Some((first, rest)) if first == driver::INSIDE => driver::main(rest),
        Some(_) | None => measure(&words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("figures: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures the figures that were named, or all.
fn measure(words: &[String]) -> Result<(), Error> {
    // Cargo adds `--bench`.
    let named: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let write = words.iter().any(|word| word == "--write");
    if write && !named.is_empty() {
        return Err("--write keeps the figures of one run: name none, or leave it out".into());
    }
    let mut page = Page::default();
    for (name, figure) in figures::ALL {
        if named.is_empty() || named.contains(&name) {
            eprintln!("measuring {name} ...");
            let begun = Instant::now();
            figure(&mut page)?;
            eprintln!("measured {name} in {:.0} s", begun.elapsed().as_secs_f64());
        }
    }
    println!("{page}");
    if write {
        page.write()?;
    }
    Ok(())
}
