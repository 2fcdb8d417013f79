//! The command line: what is to be recorded and how far to go; the table of what came of it. The
//! only place of the rig that prints.

use std::error::Error as _;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use isconf_sandbox::fs::SYNCS;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::error::RigError;
use crate::explore::{Extent, Summary, explore};
use crate::filesystem::Filesystem;
use crate::host::INSIDE;
use crate::prove::{TOGETHER, leave_out};
use crate::recording::{Recording, record};
use crate::states;
use crate::workload::{WORKLOADS, Workload};

const HELP: &str = "\
recorded-disk [--states N] [--seed N] [--filesystem NAME] [--workload NAME] [--show N]
recorded-disk prove [--sync NAME]... [--filesystem NAME] [--workload NAME] [--seed N]

Records isconf at work and checks at least N crash states (4000). --long is --states 12000.
prove leaves out each sync of isconf in turn and shows what becomes wrong; its status is 1 if one is
never missed. It has to be built with --features leave-out-syncs.
Needs root, FUSE, loop devices, and mkfs for ext4, xfs and btrfs.
";

/// What the command line asks for.
#[derive(Debug, Clone)]
struct Asked {
    states: usize,
    seed: u64,
    filesystems: Vec<Filesystem>,
    workload: Option<String>,
    syncs: Vec<String>,
    show: usize,
}

impl Asked {
    fn workloads(&self) -> Vec<Workload> {
        let wanted = |one: &Workload| self.workload.as_deref().is_none_or(|name| name == one.name);
        WORKLOADS.into_iter().filter(wanted).collect()
    }

    /// The syncs to leave out, one after another, and what each makes durable.
    fn syncs(&self) -> Result<Vec<(&'static str, &'static str)>, RigError> {
        let all = SYNCS.iter().chain(TOGETHER).copied();
        if self.syncs.is_empty() {
            return Ok(all.collect());
        }
        let named = |word: &String| all.clone().find(|(name, _)| name == word);
        let find = |word| named(word).ok_or_else(|| RigError::Usage { word: word.clone() });
        self.syncs.iter().map(find).collect()
    }
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            states: 4000,
            seed: 1,
            filesystems: Filesystem::ALL.to_vec(),
            workload: None,
            syncs: Vec::new(),
            show: 10,
        }
    }
}

/// Does what the words ask for.
///
/// # Errors
/// If the rig cannot do its work. Wrong states are no error but a status of 1.
pub fn main(words: &[OsString]) -> Result<ExitCode, RigError> {
    match words {
        [first, rest @ ..] if first == INSIDE => {
            crate::be_a_host(rest)?;
            Ok(ExitCode::SUCCESS)
        }
        [first] if first == "--help" => {
            say(HELP);
            Ok(ExitCode::SUCCESS)
        }
        [first, rest @ ..] if first == "prove" => {
            let asked = parse(rest)?;
            retire()?;
            prove(&asked)
        }
        words => {
            let asked = parse(words)?;
            retire()?;
            look(&asked)
        }
    }
}

/// Says why the rig could not do its work.
pub fn complain(error: &RigError) {
    let mut text = format!("recorded-disk: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    // Nobody is left to be told that nobody listens.
    let _nobody_listens = writeln!(std::io::stderr(), "{text}");
}

fn say(text: &str) {
    // A closed pipe is no failure of the rig; its status says what came of it.
    let _nobody_listens = std::io::stdout().write_all(text.as_bytes());
}

fn parse(words: &[OsString]) -> Result<Asked, RigError> {
    let mut asked = Asked::default();
    let mut words = words.iter().map(|word| word.to_string_lossy().into_owned());
    while let Some(word) = words.next() {
        let usage = || RigError::Usage { word: word.clone() };
        if word == "--long" {
            asked.states = 12_000;
            continue;
        }
        let value = words.next().ok_or_else(usage)?;
        let number = || value.parse().map_err(|_not_a_number| usage());
        match &*word {
            "--states" => asked.states = number()?,
            "--seed" => asked.seed = number()? as u64,
            "--show" => asked.show = number()?,
            "--filesystem" => {
                asked.filesystems = vec![Filesystem::named(&value).ok_or_else(usage)?]
            }
            "--sync" => asked.syncs.push(value),
            "--workload" => asked.workload = Some(value),
            _ => return Err(usage()),
        }
    }
    Ok(asked)
}

/// Leaves the machine alone: own mounts, names, network and IPC. What is made from here on is below
/// `/dev/shm` in memory that only this process and its children see, and that goes with them.
fn retire() -> Result<(), RigError> {
    let own = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS;
    let alone = own | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWNET;
    unshare(alone).map_err(RigError::call("make namespaces (needs root)"))?;
    let none: Option<&str> = None;
    let private = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
    mount(none, "/", none, private, none).map_err(RigError::call("make all mounts private"))?;
    nix::unistd::sethostname("recorded").map_err(RigError::call("set the host name"))?;
    let memory = Some("mode=700,size=75%");
    mount(
        Some("tmpfs"),
        PLACE,
        Some("tmpfs"),
        MsFlags::empty(),
        memory,
    )
    .map_err(RigError::call("mount memory"))
}

/// Where everything is made.
const PLACE: &str = "/dev/shm";

/// Records every workload on every filesystem, then checks the states.
fn look(asked: &Asked) -> Result<ExitCode, RigError> {
    let begun = Instant::now();
    let mut recordings = Vec::new();
    for filesystem in &asked.filesystems {
        for workload in asked.workloads() {
            recordings.push(take(*filesystem, workload)?);
        }
    }
    let parts = parts(&recordings, asked.states);
    say(&format!(
        "recorded in {:.1} s; {parts:.2} random states at each place\n",
        begun.elapsed().as_secs_f64()
    ));
    let (mut total, mut bad, mut slowest) = (0, 0, Duration::ZERO);
    for recording in &recordings {
        let extent = Extent {
            parts,
            seed: asked.seed,
            enough: usize::MAX,
        };
        let since = Instant::now();
        let summary = explore(recording, extent, Path::new(PLACE))?;
        show(recording, &summary, since.elapsed(), asked.show);
        total += summary.total();
        bad += summary.findings.len();
        slowest = slowest.max(summary.slowest);
    }
    say(&format!(
        "{total} states in {:.0} s, {bad} wrong, slowest recovery {} ms\n",
        begun.elapsed().as_secs_f64(),
        slowest.as_millis()
    ));
    Ok(ExitCode::from(u8::from(bad > 0)))
}

/// Leaves out every sync on every filesystem, and tells what became wrong as the rows of a table.
fn prove(asked: &Asked) -> Result<ExitCode, RigError> {
    /// Random states at each place. Nearly all that is missed is missed at flushes and marks.
    const PARTS: f64 = 0.3;
    let extent = Extent {
        parts: PARTS,
        seed: asked.seed,
        enough: 1,
    };
    if !cfg!(feature = "leave-out-syncs") {
        return Err(RigError::Usage {
            word: "prove without --features leave-out-syncs".to_owned(),
        });
    }
    say("| sync | what it makes durable | without it |\n|---|---|---|\n");
    let (workloads, mut all_missed) = (asked.workloads(), true);
    for (name, what) in asked.syncs()? {
        let mut missed = Vec::new();
        for filesystem in &asked.filesystems {
            for one in leave_out(name, *filesystem, &workloads, extent, Path::new(PLACE))? {
                missed.push(format!("{}: {}", one.filesystem.name(), one.how));
            }
        }
        if missed.is_empty() {
            missed.push("never missed".to_owned());
            all_missed = false;
        }
        say(&format!("| `{name}` | {what} | {} |\n", missed.join("; ")));
    }
    Ok(ExitCode::from(u8::from(!all_missed)))
}

fn take(filesystem: Filesystem, workload: Workload) -> Result<Recording, RigError> {
    let recording = record(filesystem, workload, None, Path::new(PLACE))?;
    let (always, places) = states::count(&recording.log, recording.disks.len());
    say(&format!(
        "{:5} {:12} {:6} events, {always} states at flushes and marks, {places} places with something unflushed\n",
        filesystem.name(),
        workload.name,
        recording.log.len(),
    ));
    Ok(recording)
}

/// The number of random states at each place that makes the wanted number in all; never none.
fn parts(recordings: &[Recording], wanted: usize) -> f64 {
    /// What is there of them at least.
    const FEWEST: f64 = 0.125;
    let counts = recordings
        .iter()
        .map(|recording| states::count(&recording.log, recording.disks.len()));
    let (always, places) = counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    (wanted.saturating_sub(always) as f64 / places.max(1) as f64).max(FEWEST)
}

fn show(recording: &Recording, summary: &Summary, took: Duration, most: usize) {
    let kinds = summary
        .states
        .iter()
        .map(|(kind, count)| format!("{count} {}", kind.name()));
    say(&format!(
        "{:5} {:12} {:5} states ({}) in {:.1} s, slowest recovery {} ms, {} wrong\n",
        recording.filesystem.name(),
        recording.workload.name,
        summary.total(),
        kinds.collect::<Vec<_>>().join(", "),
        took.as_secs_f64(),
        summary.slowest.as_millis(),
        summary.findings.len(),
    ));
    for finding in summary.findings.iter().take(most) {
        say(&format!(
            "  {}: {} at event {} after stage {}: {}\n",
            finding.fault.name(),
            finding.kind.name(),
            finding.at,
            finding.done,
            finding.text.trim()
        ));
    }
}
