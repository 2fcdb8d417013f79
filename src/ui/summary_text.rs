//! Reports and runs in one line each. Not for the facts one by one (`report_text`).

use super::page::{Page, counted};
use super::quantity::{human_duration, signal_name};
use super::report_text::{description_words, outward_words, place_words};
use super::style::{Role, Style};
use super::verdict_text::verdict_word;
use crate::model::report::Report;
use crate::model::run::{Run, RunMode, RunOutcome};

/// One report in one line.
pub fn summary_line(report: &Report, style: Style) -> String {
    let totals = report.changes.totals();
    let (role, word) = verdict_word(report);
    let mut page = Page::new(style);
    let numbers = [
        ("+", totals.added),
        ("~", totals.modified),
        ("m", totals.metadata),
        ("-", totals.deleted),
        (">", totals.moved),
        ("=", totals.rewritten),
    ];
    let signs: String = numbers
        .iter()
        .filter(|(_, number)| *number > 0)
        .map(|(sign, number)| format!(" {sign}{number}"))
        .collect();
    let effects = match report.effects.len() {
        0 => String::new(),
        number => format!(", {}", counted(number as u64, "effect")),
    };
    let outward = outward_words(report).map(|number| format!(", connected out: {number}"));
    let outward = outward.unwrap_or_default();
    page.line(
        0,
        &format!(
            "{}: {}: {}: {}{signs}{effects}{outward}, {}",
            place_words(&report.place),
            page.paint(role, word),
            description_words(&report.description),
            counted(report.changes.len() as u64, "path"),
            human_duration(report.duration()),
        ),
    );
    page.into_text()
}

/// The lines below the reports of a run: how it ended as a whole.
pub fn run_closing_text(run: &Run, style: Style) -> String {
    let mut page = Page::new(style);
    let reports = counted(run.entries, "entry");
    let time = human_duration(run.duration);
    let done = match run.mode {
        RunMode::Commit => format!("{reports} replayed in {time}."),
        RunMode::Preview => format!("{reports} previewed in {time}; nothing was changed."),
    };
    let (role, words) = match run.outcome {
        RunOutcome::NothingPending => (Role::Added, "Nothing is pending.".to_owned()),
        RunOutcome::Complete => (Role::Added, done),
        RunOutcome::Stopped => (
            Role::Failure,
            format!(
                "Stopped at {}; {} still pending.",
                run.last.as_ref().map_or_else(
                    || "the first entry".to_owned(),
                    |report| place_words(&report.place)
                ),
                pending_words(run.pending)
            ),
        ),
        RunOutcome::RebootNeeded => (
            Role::Doubt,
            format!(
                "A reboot is needed; {} still pending.",
                pending_words(run.pending)
            ),
        ),
        RunOutcome::Rebooting => (
            Role::Doubt,
            format!("Rebooting; {} still pending.", pending_words(run.pending)),
        ),
        RunOutcome::Interrupted(signal) => (
            Role::Failure,
            format!(
                "Interrupted by {}; {} still pending.",
                signal_name(signal),
                pending_words(run.pending)
            ),
        ),
    };
    page.line(
        0,
        &format!(
            "{} on {}: {}",
            run.host,
            run.branch,
            page.paint(role, &words)
        ),
    );
    page.into_text()
}

fn pending_words(pending: u64) -> String {
    let verb = if pending == 1 { "is" } else { "are" };
    format!("{} {verb}", counted(pending, "entry"))
}
