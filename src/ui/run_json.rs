//! The end of a run for programs, as `docs/report.schema.json` describes. Not for its reports, which
//! are documents of their own (`report_json`).

use serde::Serialize;

use super::quantity::signal_name;
use super::report_json::{JSON_VERSION, line};
use crate::model::run::{Run, RunMode, RunOutcome};

/// The result of a run as one line of JSON, without the reports, which are lines of their own.
pub fn run_json(run: &Run) -> Result<String, serde_json::Error> {
    let (outcome, signal) = match run.outcome {
        RunOutcome::NothingPending => ("nothing_pending", None),
        RunOutcome::Complete => ("complete", None),
        RunOutcome::Stopped => ("stopped", None),
        RunOutcome::RebootNeeded => ("reboot_needed", None),
        RunOutcome::Rebooting => ("rebooting", None),
        RunOutcome::Interrupted(signal) => ("interrupted", Some(signal_name(signal))),
    };
    line(&RunJson {
        version: JSON_VERSION,
        kind: "run",
        mode: match run.mode {
            RunMode::Commit => "commit",
            RunMode::Preview => "preview",
        },
        host: run.host.as_str(),
        branch: run.branch.as_str(),
        entries: run.entries,
        pending: run.pending,
        outcome,
        signal,
        seconds: run.duration.as_secs_f64(),
    })
}

#[derive(Serialize)]
struct RunJson<'a> {
    version: u32,
    kind: &'static str,
    mode: &'static str,
    host: &'a str,
    branch: &'a str,
    entries: u64,
    pending: u64,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    seconds: f64,
}
