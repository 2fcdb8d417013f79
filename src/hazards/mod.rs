//! The hazard lint: what about an entry may come out otherwise on another host. Pure deciders over
//! what one run (or two) left behind; not for running or reading anything (`replay` does), and not
//! for what becomes of a finding. Upholds: a finding never forbids anything by itself.
//!
//! ```text
//! report (change set, effects) ─┐
//! new contents ─ text ──────────┼─> places, secrets, clock, host_facts, effects ─> Vec<Hazard>
//! inputs (what argv names) ─────┘
//! two runs ──────────────────────> repeat ──────────────────────────────────────> Vec<Hazard>
//! ```

mod text;
mod sieve;
mod clock;
mod host_facts;
mod patterns;
mod places;
mod secrets;
mod effects;
pub mod inputs;
pub mod repeat;
mod limit;

pub use clock::Window;
pub use host_facts::HostFacts;
pub use limit::limited;

use isconf_sandbox::change::{Change, ChangeSet, Kind, Label, RelPath};
use isconf_sandbox::child::Effect;

use crate::model::contents::ContentSource;
use crate::model::{Hazard, HazardCode};
use sieve::Sieve;
use text::Added;

/// What is known of a run that succeeded.
#[derive(Clone, Copy)]
pub struct Evidence<'a> {
    /// What it changed and a commit makes real.
    pub changes: &'a ChangeSet,
    /// What it changed that is never committed.
    pub shown_only: &'a ChangeSet,
    /// What it did outside of files.
    pub effects: &'a [Effect],
    /// The contents of text files among the changes, as far as they were read.
    pub contents: &'a dyn ContentSource,
    /// What the entry itself says, which is the same on every host: arguments and environment.
    pub said: &'a [u8],
    /// When it ran; `None` when nothing did.
    pub window: Option<Window>,
    /// What tells this host from others.
    pub host: &'a HostFacts,
    /// Whether a path does not count when hosts are compared.
    pub is_ignored: &'a dyn Fn(&RelPath) -> bool,
    /// Whether the content of a path is a secret by setting (`IS_SECRET`).
    pub is_secret: &'a dyn Fn(&RelPath) -> bool,
    /// Whether a directory on the way to a path keeps others out.
    pub is_out_of_reach: &'a dyn Fn(&RelPath) -> bool,
}

/// Everything that can be told from one run.
pub fn find(evidence: &Evidence<'_>) -> Vec<Hazard> {
    let mut found = effects::find(evidence.effects);
    if places::are_logs_only(evidence.changes, evidence.shown_only) {
        found.push(Hazard::of_entry(HazardCode::LogsOnly, ""));
    }
    found.extend(find_in_files(evidence));
    found
}

/// What can be told from files, whether a command wrote them or not.
pub fn find_in_files(evidence: &Evidence<'_>) -> Vec<Hazard> {
    let mut found = Vec::new();
    if evidence.changes.is_empty() {
        return found;
    }
    let environmental = places::environmental();
    let secrets = secrets::Names::new();
    let marks = evidence.window.map(|window| window.marks());
    let marks = marks.unwrap_or_default();
    let words = marks.iter().map(String::as_str);
    let sieve = Sieve::of(words.chain(evidence.host.words()));
    for change in evidence.changes.changes().iter().filter(|c| is_news(c)) {
        if environmental.stand_for(&change.path) {
            let path = change.path.clone();
            found.push(Hazard::at(HazardCode::EnvironmentalPath, path, ""));
        }
        let after = evidence.contents.after(&change.path);
        found.extend(secrets::judge(&secrets, change, after.as_deref(), evidence));
        let content = after.as_deref().or(link_target(change));
        let content = content.filter(|bytes| sieve.keeps(bytes));
        let content = content.filter(|_| !(evidence.is_ignored)(&change.path));
        found.extend(
            content
                .map(|bytes| in_content(change, bytes, evidence))
                .into_iter()
                .flatten(),
        );
    }
    found
}

/// Whether more changed than a time of modification.
fn is_news(change: &Change) -> bool {
    change.label() != Label::Rewritten
}

/// The time and this host, in what is new in a file or link.
fn in_content(change: &Change, after: &[u8], evidence: &Evidence<'_>) -> Vec<Hazard> {
    let before = evidence.contents.before(&change.path);
    let added = Added::new(before.as_deref(), after);
    let is_said = |word: &str| text::has_word(evidence.said, word);
    let window = evidence.window.as_ref();
    let clock = window.and_then(|window| clock::find(&added, window));
    let clock = clock.filter(|word| !is_said(word));
    let place = places::of(&change.path);
    let host = evidence.host.find(&added, place, &is_said);
    let at = |code, detail| Hazard::at(code, change.path.clone(), detail);
    let clock = clock.map(|word| at(HazardCode::ClockInFile, word));
    let host = host.map(|words| at(HazardCode::HostInFile, words));
    clock.into_iter().chain(host).collect()
}

/// Where a symbolic link points.
fn link_target(change: &Change) -> Option<&[u8]> {
    match &change.after.as_ref()?.kind {
        Kind::Symlink { target } => Some(target),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
