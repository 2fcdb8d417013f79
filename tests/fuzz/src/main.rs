//! Runs the fuzz targets for a time each: builds them with coverage on the stable toolchain, starts
//! from the kept seeds, and says which input broke a rule. Not for judging inputs by hand: give one
//! to `target/fuzz/…/target FILE`.
//!
//! ```text
//! isconf-fuzz [--seconds 60] [--jobs 2] [--merge] [TARGET...]
//! ```
//!
//! `--merge` adds to the seeds what a run found that covers more.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for people at a terminal"
)]

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::Mutex;

use isconf_fuzz::TARGETS;

/// Counts edges and watches comparisons; all are flags of the stable compiler, handed to LLVM.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions=on";

/// Where the instrumented build goes; naming it keeps build scripts without the flags above.
fn triple() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

/// What no target may need: the largest input is 16 KiB.
const MEMORY_MIB: u32 = 512;

/// What was asked for.
struct Options {
    seconds: u32,
    jobs: usize,
    merge: bool,
    names: Vec<String>,
}

fn main() -> ExitCode {
    let Some(options) = options(std::env::args().skip(1)) else {
        eprintln!("usage: isconf-fuzz [--seconds 60] [--jobs 2] [--merge] [TARGET...]");
        return ExitCode::from(22);
    };
    match run(&options) {
        Ok(failed) if failed.is_empty() => ExitCode::SUCCESS,
        Ok(failed) => {
            eprintln!("Broken: {}.", failed.join(", "));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("The targets could not be run: {error}.");
            ExitCode::FAILURE
        }
    }
}

/// Understands the words; `None` when one is not understood.
fn options(mut words: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options {
        seconds: 60,
        jobs: 2,
        merge: false,
        names: Vec::new(),
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seconds" => options.seconds = words.next()?.parse().ok()?,
            "--jobs" => options.jobs = words.next()?.parse().ok()?,
            "--merge" => options.merge = true,
            name => options
                .names
                .push(isconf_fuzz::target(name)?.name.to_owned()),
        }
    }
    if options.names.is_empty() {
        options.names = TARGETS.iter().map(|t| t.name.to_owned()).collect();
    }
    Some(options)
}

/// Builds, then runs so many targets at a time; the names of those that broke.
fn run(options: &Options) -> io::Result<Vec<String>> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/fuzz");
    let program = build(&place)?;
    let waiting = Mutex::new(VecDeque::from(options.names.clone()));
    let failed = Mutex::new(Vec::new());
    let worker = || -> io::Result<()> {
        loop {
            let next = waiting.lock().ok().and_then(|mut names| names.pop_front());
            let Some(name) = next else { return Ok(()) };
            if !fuzz(&program, &place, &name, options)?.success()
                && let Ok(mut failed) = failed.lock()
            {
                failed.push(name);
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..options.jobs.max(1))
            .map(|_| scope.spawn(worker))
            .collect();
        for worker in workers {
            // A worker has nothing that could panic.
            worker.join().unwrap_or(Ok(()))?;
        }
        Ok::<(), io::Error>(())
    })?;
    Ok(failed.into_inner().unwrap_or_default())
}

/// Builds the binary with libFuzzer; its path.
fn build(place: &Path) -> io::Result<PathBuf> {
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--locked",
            "--package",
            "isconf-fuzz",
            "--bin",
            "target",
        ])
        .args([
            "--features",
            "libfuzzer",
            "--target",
            &triple(),
            "--target-dir",
        ])
        .arg(place)
        .env("RUSTFLAGS", COVERAGE)
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "2")
        .status()?;
    match status.success() {
        true => Ok(place.join(triple()).join("debug/target")),
        false => Err(io::Error::other("the build failed")),
    }
}

/// Runs one target.
fn fuzz(program: &Path, place: &Path, name: &str, options: &Options) -> io::Result<ExitStatus> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("seeds")
        .join(name);
    let (corpus, found) = (
        place.join("corpus").join(name),
        place.join("found").join(name),
    );
    for directory in [&corpus, &found] {
        fs::create_dir_all(directory)?;
    }
    let mut command = Command::new(program);
    command.env("ISCONF_FUZZ_TARGET", name);
    command.arg(format!("-max_total_time={}", options.seconds));
    command.args([
        "-max_len=16384",
        "-timeout=10",
        "-verbosity=0",
        "-print_final_stats=1",
    ]);
    command.arg(format!("-rss_limit_mb={MEMORY_MIB}"));
    command.arg(format!("-artifact_prefix={}/", found.display()));
    let output = command.arg(&corpus).arg(&seeds).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let count = said
        .lines()
        .find_map(|l| l.strip_prefix("stat::number_of_executed_units: "));
    if output.status.success() {
        println!(
            "{name}: {} inputs, none broke it",
            count.unwrap_or("some").trim()
        );
        if options.merge {
            merge(program, name, &corpus, &seeds)?;
        }
    } else {
        println!("{said}");
        println!(
            "{name}: broken; the input is in {}. Keep it in tests/fuzz/seeds/{name}/.",
            found.display()
        );
    }
    Ok(output.status)
}

/// Adds to the seeds what covers more than they do.
fn merge(program: &Path, name: &str, corpus: &Path, seeds: &Path) -> io::Result<()> {
    let mut command = Command::new(program);
    command.env("ISCONF_FUZZ_TARGET", name);
    let output = command
        .args(["-merge=1", "-max_len=4096"])
        .arg(seeds)
        .arg(corpus)
        .output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "merging the seeds of {name} failed"
        ))),
    }
}
