//! The figures that isconf promises, measured with the real program in throwaway hosts, each next to
//! a baseline from the same run. Not a test: it never fails because something was slow. Upholds: a
//! performance claim has a benchmark and kept results.
//!
//! ```text
//! cargo bench -p isconf --bench figures [-- --write] [GROUP...]
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
mod shapes;
mod supervised;
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

/// Measures the groups that were named, or all. Each is shown, and written, when it is done: one that
/// fails takes none of the others with it.
fn measure(words: &[String]) -> Result<(), Error> {
    // Cargo adds `--bench`.
    let named: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let groups = figures::ALL.map(|(name, _)| name);
    if let Some(unknown) = named.iter().find(|name| !groups.contains(name)) {
        return Err(format!("no such group: {unknown}; there are: {}", groups.join(" ")).into());
    }
    let writes = words.iter().any(|word| word == "--write");
    let mut failed = Vec::new();
    for (name, figure) in figures::ALL {
        if !named.is_empty() && !named.contains(&name) {
            continue;
        }
        eprintln!("measuring {name} ...");
        let (begun, mut page) = (Instant::now(), Page::default());
        if let Err(error) = figure(&mut page) {
            eprintln!("  {error}");
            failed.push(name);
            continue;
        }
        eprintln!("measured {name} in {:.0} s", begun.elapsed().as_secs_f64());
        println!("{page}");
        if writes {
            page.write(name, &groups)?;
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!("not measured: {}", failed.join(" ")).into())
}
