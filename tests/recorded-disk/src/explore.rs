//! Checks the states of a recording on several benches at once and sums up. Upholds: a state is
//! named by seed and place, so that a bad one can be looked at again.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::check::{Bench, Fault, Verdict};
use crate::error::RigError;
use crate::recording::Recording;
use crate::states::{Crash, Kind, States};

/// A state that is wrong.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What is wrong.
    pub fault: Fault,
    /// How it shows.
    pub text: String,
    /// How the state came about.
    pub kind: Kind,
    /// The number of the event before which the power was cut.
    pub at: usize,
    /// The last stage that was told of.
    pub done: usize,
}

/// What came of a recording.
#[derive(Debug, Default)]
pub struct Summary {
    /// States that were checked, by how they came about.
    pub states: BTreeMap<Kind, usize>,
    /// The longest recovery.
    pub slowest: Duration,
    /// The states that are wrong.
    pub findings: Vec<Finding>,
}

impl Summary {
    /// All states.
    pub fn total(&self) -> usize {
        self.states.values().sum()
    }

    fn count(&mut self, crash: &Crash, verdict: Verdict) {
        *self.states.entry(crash.kind).or_default() += 1;
        self.slowest = self.slowest.max(verdict.recovery);
        self.findings
            .extend(verdict.fault.map(|(fault, text)| Finding {
                fault,
                text,
                kind: crash.kind,
                at: crash.at,
                done: crash.done,
            }));
    }
}

/// How far to go.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Random states at each place where something is unflushed, on average.
    pub parts: f64,
    /// Where chance begins.
    pub seed: u64,
    /// The number of wrong states after which enough is known.
    pub enough: usize,
}

/// Checks all states of a recording below the directory `dir`.
///
/// # Errors
/// If the rig itself fails.
pub fn explore(recording: &Recording, extent: Extent, dir: &Path) -> Result<Summary, RigError> {
    let workers = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // A state waits for each worker; more would only take memory.
    let (to_do, states) = sync_channel::<Crash>(workers);
    let states = Arc::new(Mutex::new(states));
    let (results, done) = channel();
    thread::scope(|scope| {
        for number in 0..workers {
            let (states, results) = (Arc::clone(&states), results.clone());
            let dir = dir.join(format!("bench{number}"));
            scope.spawn(move || work(recording, &dir, &states, &results));
        }
        drop((results, states));
        let mut summary = Summary::default();
        let log = &recording.log;
        for crash in States::new(recording.disks.clone(), log, extent.parts, extent.seed) {
            // Nobody takes any more after a failure, which is told below.
            if to_do.send(crash).is_err() {
                break;
            }
            done.try_iter()
                .try_for_each(|result| add(&mut summary, result))?;
            if summary.findings.len() >= extent.enough {
                break;
            }
        }
        drop(to_do);
        done.iter()
            .try_for_each(|result| add(&mut summary, result))?;
        Ok(summary)
    })
}

/// What a worker reports.
type Report = Result<(Crash, Verdict), RigError>;

fn add(summary: &mut Summary, report: Report) -> Result<(), RigError> {
    let (crash, verdict) = report?;
    summary.count(&crash, verdict);
    Ok(())
}

/// Checks a state; one that recovers slowly is checked again, and the fastest recovery counts: on a
/// busy machine the clock tells of the others' work as well.
fn check(bench: &Bench, recording: &Recording, crash: &Crash) -> Result<Verdict, RigError> {
    /// What a recovery may take.
    const LONGEST: Duration = Duration::from_secs(1);
    /// How often a slow state is checked in all.
    const TRIES: usize = 3;
    let mut verdict = bench.check(recording, crash)?;
    for _ in 1..TRIES {
        if verdict.recovery <= LONGEST || verdict.fault.is_some() {
            break;
        }
        let recovery = verdict.recovery;
        verdict = bench.check(recording, crash)?;
        verdict.recovery = verdict.recovery.min(recovery);
    }
    Ok(verdict)
}

fn work(
    recording: &Recording,
    dir: &Path,
    states: &Mutex<Receiver<Crash>>,
    results: &Sender<Report>,
) {
    let bench = match Bench::new(dir) {
        Ok(bench) => bench,
        Err(error) => {
            // Fails only when nobody listens, and then nobody wants to know.
            let _nobody_listens = results.send(Err(error));
            return;
        }
    };
    loop {
        let next = states.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(crash) = next else { return };
        let report = check(&bench, recording, &crash).map(|verdict| (crash, verdict));
        let failed = report.is_err();
        if results.send(report).is_err() || failed {
            return;
        }
    }
}
