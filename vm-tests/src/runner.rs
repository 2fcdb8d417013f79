//! Chooses scenarios, runs them one after another, says what came of it. Not for claims. Upholds: a
//! failure shows the end of the machine's console, and nothing is left of a run.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use crate::Arguments;
use crate::rig::{Failure, Rig};
use crate::scenarios::{ALL, Scenario};
use crate::supplies::{Store, SupplyError};
use crate::swept::Swept;
use crate::tool::{self, ToolError};

/// How many scenarios run at a time: a machine has one processor, which a thread of qemu is.
const LANES: usize = 2;

/// Why nothing could be run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no such scenario.
    #[error("there is no scenario {0}; --list names them")]
    Unknown(String),
    /// isconf could not be built.
    #[error("cannot build isconf")]
    Build(#[source] ToolError),
    /// The folder of builds could not be used.
    #[error("cannot use {path}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The store of supplies could not be used.
    #[error(transparent)]
    Supply(#[from] SupplyError),
}

/// Runs what is asked for; `true` when every claim held.
#[allow(clippy::print_stdout, reason = "the edge: results are said here")]
pub fn run(arguments: &Arguments) -> Result<bool, RunError> {
    if arguments.list {
        for scenario in ALL {
            let star = if scenario.quick { "*" } else { " " };
            println!("{star} {:<24} {}", scenario.name, scenario.claim);
        }
        return Ok(true);
    }
    let chosen = choose(arguments)?;
    let agent = std::env::current_exe().map_err(at(Path::new("/proc/self/exe")))?;
    let builds = agent.parent().unwrap_or(Path::new("/")).to_owned();
    build_isconf()?;
    let folder = builds.parent().unwrap_or(Path::new("/")).join("vm-tests");
    let store = Store::open(&folder, &agent, &builds.join("isconf"))?;
    let runs = folder.join("run");
    sweep(&runs)?;
    let own = runs.join(std::process::id().to_string());
    let swept = Swept::new(&own).map_err(at(&own))?;
    let queue = Mutex::new(chosen.iter().copied());
    let held = thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|_| scope.spawn(|| run_lane(&store, &own, &queue)))
            .collect();
        // A lane that panicked held nothing.
        let held = lanes.into_iter().map(|lane| lane.join().unwrap_or(0));
        held.sum::<usize>()
    });
    swept.now().map_err(at(&own))?;
    println!("{held} of {} scenarios held.", chosen.len());
    Ok(held == chosen.len())
}

/// Runs scenarios until none is left; returns how many held.
#[allow(clippy::print_stdout, reason = "the edge: results are said here")]
fn run_lane(
    store: &Store,
    folder: &Path,
    queue: &Mutex<impl Iterator<Item = &'static Scenario>>,
) -> usize {
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let mut held = 0;
    while let Some(scenario) = next() {
        println!("{}: {}", scenario.name, scenario.claim);
        let begun = Instant::now();
        let outcome = run_one(store, folder, scenario);
        let seconds = begun.elapsed().as_secs();
        match outcome {
            Ok(()) => {
                held += 1;
                println!("{}: held, {seconds} s", scenario.name);
            }
            Err(text) => println!("{}: FAILED after {seconds} s\n{text}", scenario.name),
        }
    }
    held
}

/// Runs one scenario; says what failed, with the consoles.
fn run_one(store: &Store, folder: &Path, scenario: &Scenario) -> Result<(), String> {
    let rig = Rig::new(store, &folder.join(scenario.name))
        .map_err(|failure: Failure| with_causes(&failure))?;
    (scenario.run)(&rig, scenario.release)
        .map_err(|failure| format!("{}\n{}", with_causes(&failure), rig.consoles()))
}

/// Picks the scenarios that the arguments ask for.
fn choose(arguments: &Arguments) -> Result<Vec<&'static Scenario>, RunError> {
    let known = |name: &String| ALL.iter().find(|scenario| scenario.name == name);
    if let Some(name) = arguments.only.iter().find(|name| known(name).is_none()) {
        return Err(RunError::Unknown(name.clone()));
    }
    let asked = |scenario: &&Scenario| {
        if arguments.only.is_empty() {
            arguments.all || scenario.quick
        } else {
            arguments.only.iter().any(|name| name == scenario.name)
        }
    };
    Ok(ALL.iter().filter(asked).collect())
}

/// Builds isconf beside this program, as cargo built this program.
fn build_isconf() -> Result<(), RunError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut words = vec![
        "build",
        "--quiet",
        "--locked",
        "--package",
        "isconf",
        "--bin",
        "isconf",
    ];
    if !cfg!(debug_assertions) {
        words.push("--release");
    }
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    words.extend(["--manifest-path", manifest]);
    let words: Vec<_> = words
        .iter()
        .map(|word| std::ffi::OsStr::new(*word))
        .collect();
    tool::run(&cargo, &words, 1800).map_err(RunError::Build)
}

/// Removes what runs left when the power went. A run in a folder whose process lives is left alone.
fn sweep(runs: &Path) -> Result<(), RunError> {
    fs::create_dir_all(runs).map_err(at(runs))?;
    for run in fs::read_dir(runs).map_err(at(runs))? {
        let run = run.map_err(at(runs))?;
        let owner = Path::new("/proc").join(run.file_name());
        let is_ours = run.file_name().to_str() == Some(&std::process::id().to_string());
        if is_ours || !owner.exists() {
            fs::remove_dir_all(run.path()).map_err(at(&run.path()))?;
        }
    }
    Ok(())
}

/// An error and what caused it, one a line.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  because: {error}");
        cause = error.source();
    }
    text
}

/// Says which path an error is about.
fn at(path: &Path) -> impl FnOnce(io::Error) -> RunError {
    let path = path.to_owned();
    move |cause| RunError::Folder { path, cause }
}
