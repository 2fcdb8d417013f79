//! The verdict and what became of the changes, in words. Not for the facts behind them
//! (`report_text`). Upholds: the same verdict is the same sentence in every verb.

use isconf_sandbox::child::Exit;

use super::limit_text::limit_text;
use super::quantity::{errno_text, signal_name};
use super::style::Role;
use crate::model::report::{Description, Ending, Fate, Report, Verdict};

/// The verdict and what became of the changes, as sentences.
pub(super) fn verdict_sentence(report: &Report) -> String {
    let ending = ending_sentence(report.ending);
    let verdict = match &report.verdict {
        Verdict::Approved => None,
        Verdict::CommandFailed => Some("Failed.".to_owned()),
        Verdict::Conflict => Some("The live system changed meanwhile.".to_owned()),
        Verdict::Refused(_) => Some("Refused.".to_owned()),
        Verdict::LimitExceeded(exceeded) => Some(format!("Ended: {}.", limit_text(exceeded))),
        Verdict::Interrupted(signal) => Some(format!("Interrupted by {}.", signal_name(*signal))),
        Verdict::RebootNotAllowed => Some("A reboot is needed.".to_owned()),
        Verdict::OutOfReach => Some("It acts on the running system.".to_owned()),
        Verdict::ActionFailed => Some("A service did not follow.".to_owned()),
    };
    let is_undo = matches!(report.description, Description::Undo(_));
    let fate = match (report.fate, report.is_approved()) {
        (Fate::Committed, true) if is_undo => "Taken back.",
        (Fate::Previewed, true) if is_undo => "Would be taken back; this was a preview.",
        (Fate::Dropped, _) if is_undo => "Nothing was taken back.",
        (Fate::Committed, true) => "Committed.",
        (Fate::Committed, false) if report.verdict == Verdict::ActionFailed => {
            "Committed, and cannot be taken back."
        }
        (Fate::Committed, false) => "Committed all the same.",
        (Fate::TakenBack, _) => "Committed, and taken back.",
        (Fate::Previewed, true) => "Would be committed; this was a preview.",
        (Fate::Previewed, false) => "Would not be committed; this was a preview.",
        (Fate::Dropped, _) => "Nothing was committed.",
        (Fate::Kept, _) => "The scratchpad is kept; nothing was committed.",
    };
    let sentences = [ending, verdict, Some(fate.to_owned())];
    sentences
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ")
}

/// How a command ended; `None` when there was none.
pub(super) fn ending_sentence(ending: Ending) -> Option<String> {
    match ending {
        Ending::Exited(Exit::Status(status)) => Some(format!("Exit status {status}.")),
        Ending::Exited(Exit::Signal(signal)) => {
            Some(format!("The command was ended by {}.", signal_name(signal)))
        }
        Ending::CouldNotStart(errno) => Some(format!(
            "The command could not be started: {}.",
            errno_text(errno)
        )),
        Ending::NoCommand => None,
    }
}

/// The verdict in a word or two.
pub(super) fn verdict_word(report: &Report) -> (Role, &'static str) {
    let is_undo = matches!(report.description, Description::Undo(_));
    match (&report.verdict, report.fate) {
        (Verdict::Approved, Fate::Committed) if is_undo => (Role::Added, "taken back"),
        (Verdict::Approved, Fate::Previewed) if is_undo => (Role::Added, "would be taken back"),
        (Verdict::Approved, Fate::Committed) => (Role::Added, "committed"),
        (Verdict::Approved, Fate::Previewed) => (Role::Added, "would be committed"),
        (Verdict::Approved, Fate::Dropped) => (Role::Added, "dropped"),
        (Verdict::Approved, Fate::TakenBack) => (Role::Added, "taken back"),
        (Verdict::Approved, Fate::Kept) => (Role::Added, "kept"),
        (Verdict::OutOfReach, _) => (Role::Failure, "out of reach"),
        (Verdict::ActionFailed, _) => (Role::Failure, "a service failed"),
        (Verdict::CommandFailed, _) => (Role::Failure, "failed"),
        (Verdict::Conflict, _) => (Role::Failure, "conflict"),
        (Verdict::Refused(_), _) => (Role::Failure, "refused"),
        (Verdict::LimitExceeded(_), _) => (Role::Failure, "beyond a limit"),
        (Verdict::Interrupted(_), _) => (Role::Failure, "interrupted"),
        (Verdict::RebootNotAllowed, _) => (Role::Doubt, "reboot needed"),
    }
}
