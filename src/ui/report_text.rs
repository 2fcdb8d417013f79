//! Reports for people. Not for programs (`report_json` shows them the same facts) or for printing
//! (`output`). Upholds: `up` and `up --noop` show the same report, from the same code.
//!
//! ```text
//! entry 12 0123456789ab: exec tar xf /tmp/a.tar
//!   by root@alpha: install a
//!   + /usr/local/bin/a   file 0755 0:0, 12.3 KiB
//!   m /etc/shadow        mode 0644 → 0600
//!   2 paths: 1 added, 1 metadata; 12.3 KiB written
//!   set up 5.0 ms, run 1.20 s, collect 3.0 ms, commit 12.0 ms
//!   Exit status 0. Committed.
//! ```

use std::time::Duration;

use isconf_sandbox::capture::{FindingReason, Glimpse, LiveIdentity};
use isconf_sandbox::change::{ChangeSet, RelPath, Totals};

use super::actions::actions_into;
use super::attributes::{Detail, Shown, described};
use super::change_text::{changes_into, set_is_worth_showing};
use super::congruence_text::congruence_into;
use super::diff::{DiffLimits, Secrets};
use super::effect_text::{effects_into, rehearsal_into};
use super::hazard_text::hazards_into;
use super::page::{Page, command_line, counted, escaped};
use super::quantity::{exact_time, human_bytes, human_duration, signal_name};
use super::style::{Role, Style};
use super::summary_text::summary_line;
use super::verdict_text::{verdict_sentence, verdict_word};
use crate::model::contents::ContentSource;
use crate::model::report::{Conflict, Description, Fate, Place, Report, Seen, Verdict};
use crate::model::{Author, connection_count};

/// How many paths of one change set are shown before the rest is counted.
pub const DEFAULT_PATH_LIMIT: usize = 1000;

/// How a report is looked at.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Colours.
    pub style: Style,
    /// How much is said.
    pub detail: Detail,
    /// How many paths of one change set are shown; `usize::MAX` for `--all`.
    pub path_limit: usize,
    /// Whose content is never shown.
    pub secrets: &'a dyn Secrets,
    /// Which contents are compared, where a source of content is given.
    pub diff_limits: DiffLimits,
}

impl<'a> View<'a> {
    /// The usual limits.
    pub fn new(style: Style, detail: Detail, secrets: &'a dyn Secrets) -> Self {
        Self {
            style,
            detail,
            path_limit: DEFAULT_PATH_LIMIT,
            secrets,
            diff_limits: DiffLimits::default(),
        }
    }
}

/// One report. With `contents`, unified diffs stand below the paths whose content changed.
pub fn report_text(
    report: &Report,
    view: &View<'_>,
    contents: Option<&dyn ContentSource>,
) -> String {
    if view.detail == Detail::Summary {
        return summary_line(report, view.style);
    }
    let mut page = Page::new(view.style);
    outward_into(&mut page, report);
    heading_into(&mut page, report, view.detail);
    changes_into(&mut page, 2, &report.changes, view, contents);
    shown_only_into(&mut page, &report.shown_only, view);
    rehearsal_into(&mut page, report.rehearsal.as_ref());
    effects_into(&mut page, &report.effects);
    actions_into(&mut page, &report.actions);
    hazards_into(&mut page, &report.hazards);
    remarks_into(&mut page, report, view);
    congruence_into(&mut page, &report.congruence, view);
    page.line(2, &totals_words(&report.changes));
    if let (Detail::Full, Some(digests)) = (view.detail, &report.digests) {
        page.line(2, &format!("change set {}", digests.full));
        page.line(2, &format!("normal form {}", digests.normal));
    }
    if let Some(words) = phases_words(report) {
        page.line(2, &page.paint(Role::Faint, &words));
    }
    closing_into(&mut page, report);
    page.into_text()
}

/// What nobody would expect of something that only shows what would happen comes first.
fn outward_into(page: &mut Page, report: &Report) {
    if let Some(number) = outward_words(report) {
        let words = format!("This preview connected out: {number}.");
        page.line(0, &page.paint(Role::Doubt, &words));
    }
}

/// How many connections out a preview made; `None` for none, and for what is no preview.
pub(super) fn outward_words(report: &Report) -> Option<String> {
    let is_preview = match (report.fate, &report.place) {
        (Fate::Previewed | Fate::Kept, _) | (Fate::Dropped, Place::Try { .. }) => true,
        (Fate::Dropped, Place::Journal(_) | Place::Wip { .. })
        | (Fate::Committed | Fate::TakenBack, _) => false,
    };
    let number = connection_count(&report.effects);
    (is_preview && number > 0).then(|| counted(u64::from(number), "connection"))
}

fn heading_into(page: &mut Page, report: &Report, detail: Detail) {
    let id = match (&report.place, detail) {
        (Place::Journal(at), Detail::Full) => format!(" {}", at.id),
        (Place::Journal(at), Detail::Summary | Detail::Normal) => format!(" {}", at.id.0.short()),
        (Place::Wip { draft, .. }, Detail::Full) => format!(" {draft}"),
        (Place::Wip { .. }, Detail::Summary | Detail::Normal) | (Place::Try { .. }, _) => {
            String::new()
        }
    };
    let title = format!(
        "{}{id}: {}",
        place_words(&report.place),
        description_words(&report.description)
    );
    page.line(0, &page.paint(Role::Heading, &title));
    if let (Detail::Full, Description::Exec { cwd, .. }) = (detail, &report.description) {
        page.line(2, &format!("in {}", escaped(cwd.as_slice())));
    }
    if let Some(words) = made_by_words(report.author.as_ref(), &report.message) {
        page.line(2, &words);
    }
}

/// Who made something, and why: `by root@alpha: install a`; `None` when neither is known.
pub(super) fn made_by_words(author: Option<&Author>, message: &str) -> Option<String> {
    let message = escaped(message.as_bytes());
    let author = author.map(|author| escaped(author.as_str().as_bytes()));
    match (author, message.is_empty()) {
        (None, true) => None,
        (Some(author), true) => Some(format!("by {author}")),
        (None, false) => Some(message),
        (Some(author), false) => Some(format!("by {author}: {message}")),
    }
}

/// Where an entry stands, in words.
pub fn place_words(place: &Place) -> String {
    match place {
        Place::Journal(at) => format!("entry {}", at.seq),
        Place::Wip { number, .. } => format!("wip {number}"),
        Place::Try { name: None } => "try".to_owned(),
        Place::Try { name: Some(name) } => format!("try {}", escaped(name.as_bytes())),
    }
}

/// What an entry does, in words.
pub fn description_words(description: &Description) -> String {
    match description {
        Description::Exec { argv, .. } => format!("exec {}", command_line(argv)),
        Description::Snap { paths } => {
            let paths: Vec<String> = paths.iter().map(RelPath::to_string).collect();
            format!("snap {}", paths.join(" "))
        }
        Description::Reboot => "reboot".to_owned(),
        Description::Shell => "shell".to_owned(),
        Description::Undo(Some(what)) => format!("undo {}", description_words(what)),
        Description::Undo(None) => "undo a change outside of the journal".to_owned(),
    }
}

fn shown_only_into(page: &mut Page, set: &ChangeSet, view: &View<'_>) {
    if set_is_worth_showing(set, view.detail) {
        page.line(2, "shown only, never committed:");
        changes_into(page, 4, set, view, None);
    }
}

fn remarks_into(page: &mut Page, report: &Report, view: &View<'_>) {
    if !report.uncovered.is_empty() {
        page.line(2, "not covered:");
    }
    for mount in &report.uncovered {
        page.line(
            4,
            &format!(
                "{} ({}): {}",
                mount.mount_point,
                escaped(mount.fs_type.as_bytes()),
                escaped(mount.treatment.as_bytes())
            ),
        );
    }
    if !report.findings.is_empty() {
        page.line(2, "not part of the commit:");
    }
    for finding in &report.findings {
        page.line(
            4,
            &format!("{}: {}", finding.path, finding_words(finding.reason)),
        );
    }
    if !report.conflicts.is_empty() {
        page.line(2, &page.paint(Role::Failure, "changed meanwhile:"));
    }
    for conflict in &report.conflicts {
        conflict_into(page, conflict, view);
    }
}

/// Why something is not part of the commit, in words.
pub(super) const fn finding_words(reason: FindingReason) -> &'static str {
    match reason {
        FindingReason::ShowOnly => "shown only",
        FindingReason::SocketOfEndedProcess => "socket of a process that ended",
        FindingReason::LinksTorn => "it may have come apart from its other names",
    }
}

fn conflict_into(page: &mut Page, conflict: &Conflict, view: &View<'_>) {
    page.line(4, &conflict.path.to_string());
    let shown = Shown::of(view.secrets.is_secret(&conflict.path));
    let seen = seen_words(&conflict.seen, view.detail, shown);
    page.line(6, &format!("seen:  {seen}"));
    page.line(
        6,
        &format!("found: {}", live_words(conflict.found.as_ref())),
    );
}

fn seen_words(seen: &Seen, detail: Detail, shown: Shown) -> String {
    match seen {
        Seen::Nothing => live_words(None),
        Seen::Live(live) => live_words(Some(live)),
        Seen::At(moment, glimpse) => format!(
            "as it was at {}: {}",
            exact_time(*moment),
            glimpse_words(glimpse)
        ),
        Seen::Left(node) => format!("{}, as the entry left it", described(node, detail, shown)),
        Seen::AsLeft => "as the entry left it".to_owned(),
    }
}

/// What is known of a state that nobody looked at, and what is not.
fn glimpse_words(glimpse: &Glimpse) -> String {
    let Some(kind) = glimpse.kind else {
        return "nothing more is known".to_owned();
    };
    let type_words = file_type_words(kind);
    let is_sized = matches!(type_words, "file" | "symlink");
    let parts = [
        (
            "mode",
            glimpse.permissions.map(|mode| format!("mode {mode:04o}")),
        ),
        (
            "owner",
            glimpse.owner.map(|(uid, gid)| format!("owner {uid}:{gid}")),
        ),
        ("size", glimpse.size.map(human_bytes)),
        ("inode", glimpse.ino.map(|ino| format!("inode {ino}"))),
    ];
    let mut words = type_words.to_owned();
    let mut unknown = Vec::new();
    for (name, part) in parts.into_iter().filter(|(n, _)| is_sized || *n != "size") {
        match part {
            Some(part) => words.push_str(&format!(", {part}")),
            None => unknown.push(name),
        }
    }
    unknown.push("mtime");
    format!("{words}; not known: {}", unknown.join(", "))
}

fn live_words(live: Option<&LiveIdentity>) -> String {
    let Some(live) = live else {
        return "nothing".to_owned();
    };
    format!(
        "{} {:04o} {}:{}, {}, inode {}, {}, mtime {}, ctime {}",
        file_type_words(live.mode),
        live.mode & 0o7777,
        live.uid,
        live.gid,
        human_bytes(live.size),
        live.ino,
        counted(live.nlink, "name"),
        exact_time(live.mtime),
        exact_time(live.ctime)
    )
}

/// The type bits of `st_mode` in words (inode(7)).
pub(super) const fn file_type_words(mode: u32) -> &'static str {
    match mode & 0o170_000 {
        0o100_000 => "file",
        0o040_000 => "directory",
        0o120_000 => "symlink",
        0o010_000 => "fifo",
        0o140_000 => "socket",
        0o020_000 => "char device",
        0o060_000 => "block device",
        _ => "object",
    }
}

/// The numbers of a change set in words.
pub(super) fn totals_words(set: &ChangeSet) -> String {
    if set.is_empty() {
        return "no path changed".to_owned();
    }
    let totals = set.totals();
    let numbers = [
        (totals.added, "added"),
        (totals.modified, "modified"),
        (totals.metadata, "metadata"),
        (totals.deleted, "deleted"),
        (totals.moved, "moved"),
        (totals.rewritten, "with only a new mtime"),
    ];
    let words: Vec<String> = numbers
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| format!("{number} {word}"))
        .collect();
    let paths = counted(set.len() as u64, "path");
    let bytes = bytes_words(&totals);
    format!("{paths}: {}{bytes}", words.join(", "))
}

/// By how much files grew and shrank.
fn bytes_words(totals: &Totals) -> String {
    let (more, less) = (
        human_bytes(totals.bytes_added),
        human_bytes(totals.bytes_removed),
    );
    match (totals.bytes_added, totals.bytes_removed) {
        (0, 0) => String::new(),
        (_, 0) => format!("; {more} more"),
        (0, _) => format!("; {less} less"),
        (_, _) => format!("; {more} more, {less} less"),
    }
}

/// The times of the phases that were gone through; `None` when no scratchpad was needed.
fn phases_words(report: &Report) -> Option<String> {
    let phases = &report.phases;
    let words: Vec<String> = [
        ("set up", phases.set_up),
        ("run", phases.run),
        ("collect", phases.collect),
        ("commit", phases.commit),
    ]
    .iter()
    .filter(|(_, time)| *time > Duration::ZERO)
    .map(|(name, time)| format!("{name} {}", human_duration(*time)))
    .collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn closing_into(page: &mut Page, report: &Report) {
    if report.retries > 0 {
        page.line(
            2,
            &format!(
                "Ran again {}, because the live system changed meanwhile.",
                counted(u64::from(report.retries), "time")
            ),
        );
    }
    if let Some(signal) = report.stopped_by {
        let signal = signal_name(signal);
        page.line(
            2,
            &format!("{signal} came when the changes were being made real: they are complete."),
        );
    }
    if let Verdict::Refused(refusals) = &report.verdict {
        for refusal in refusals {
            let reason = escaped(refusal.reason.as_bytes());
            match &refusal.path {
                Some(path) => page.line(2, &format!("refused: {path}: {reason}")),
                None => page.line(2, &format!("refused: {reason}")),
            }
        }
    }
    let (role, _) = verdict_word(report);
    page.line(2, &page.paint(role, &verdict_sentence(report)));
}

#[cfg(test)]
mod tests;
