//! A change set for people: one line a path, with a sign. Not for the rest of a report
//! (`report_text`). Upholds: one path is one line; what is left out is counted.

use std::collections::BTreeMap;

use isconf_sandbox::change::{Change, ChangeSet, Kind, Label, Node, RelPath};

use super::attributes::{Detail, Shown, described, differences, remembered};
use super::diff::{ContentDiff, content_diff};
use super::page::{Page, counted};
use super::report_text::{View, totals_words};
use super::style::Role;
use crate::model::contents::ContentSource;

/// Paths up to this many characters are padded so that the facts stand in a column.
const COLUMN: usize = 40;

/// A change set by itself, without what a report says around it.
pub fn change_set_text(set: &ChangeSet, view: &View<'_>) -> String {
    let mut page = Page::new(view.style);
    changes_into(&mut page, 2, set, view, None);
    page.line(2, &totals_words(set));
    page.into_text()
}

/// Adds the changes in path order.
pub(super) fn changes_into(
    page: &mut Page,
    indent: usize,
    set: &ChangeSet,
    view: &View<'_>,
    contents: Option<&dyn ContentSource>,
) {
    let folded =
        |change: &&Change| view.detail < Detail::Full && is_only_a_new_directory_time(change);
    let count = set.changes().iter().filter(folded).count();
    let listed = set.len() - count;
    let shown: Vec<&Change> = set
        .changes()
        .iter()
        .filter(|change| !folded(change))
        .take(view.path_limit)
        .collect();
    let column = shown
        .iter()
        .map(|change| path_words(change).chars().count())
        .filter(|width| *width <= COLUMN)
        .max()
        .unwrap_or(0);
    let new_places: BTreeMap<&RelPath, &RelPath> = set
        .changes()
        .iter()
        .filter_map(|change| Some((change.moved_from.as_ref()?, &change.path)))
        .collect();
    for change in &shown {
        let moved_to = new_places.get(&change.path).copied();
        change_into(page, (indent, column), change, moved_to, view);
        if moved_to.is_none()
            && let Some(contents) = contents
            && let Some(diff) = content_diff(change, contents, &view.diff_limits, view.secrets)
        {
            diff_into(page, indent + 4, &diff);
        }
    }
    if listed > shown.len() {
        let more = listed - shown.len();
        page.line(indent, &format!("… and {more} more; --all shows them"));
    }
    if count > 0 {
        page.line(
            indent,
            &page.paint(
                Role::Faint,
                &format!(
                    "{} with only a new mtime",
                    counted(count as u64, "directory")
                ),
            ),
        );
    }
}

/// Whether a set of changes that are not committed has something to show.
pub(super) fn set_is_worth_showing(set: &ChangeSet, detail: Detail) -> bool {
    set.changes()
        .iter()
        .any(|change| detail == Detail::Full || !is_only_a_new_directory_time(change))
}

/// The sign at the beginning of a line, and its weight.
pub(super) const fn sign(label: Label) -> (&'static str, Role) {
    match label {
        Label::Added => ("+", Role::Added),
        Label::Modified => ("~", Role::Modified),
        Label::Metadata => ("m", Role::Noted),
        Label::Rewritten => ("=", Role::Faint),
        Label::Deleted => ("-", Role::Deleted),
        Label::Moved => (">", Role::Noted),
    }
}

/// The label as a word; it is the name in JSON as well.
pub(super) const fn label_word(label: Label) -> &'static str {
    match label {
        Label::Added => "added",
        Label::Modified => "modified",
        Label::Metadata => "metadata",
        Label::Rewritten => "rewritten",
        Label::Deleted => "deleted",
        Label::Moved => "moved",
    }
}

fn change_into(
    page: &mut Page,
    (indent, column): (usize, usize),
    change: &Change,
    moved_to: Option<&RelPath>,
    view: &View<'_>,
) {
    let (sign, role) = sign(change.label());
    let path = path_words(change);
    let facts = match (&change.after, moved_to) {
        // Nothing was lost: the new place is a line of its own.
        (None, Some(to)) => format!("moved to {to}"),
        _ => facts(change, view).join(", "),
    };
    let padding = " ".repeat(column.saturating_sub(path.chars().count()));
    let marked = page.paint(role, &format!("{sign} {path}"));
    page.line(indent, format!("{marked}{padding}  {facts}").trim_end());
}

/// The path, with a final slash for a directory and the target of a symlink.
fn path_words(change: &Change) -> String {
    let path = change.path.to_string();
    let node = change.after.as_ref().or(change.before.as_ref());
    match node.map(|node| &node.kind) {
        Some(Kind::Directory) if !change.path.is_root() => format!("{path}/"),
        _ => path,
    }
}

fn facts(change: &Change, view: &View<'_>) -> Vec<String> {
    let detail = view.detail;
    let shown = Shown::of(view.secrets.is_secret(&change.path));
    let mut facts = Vec::new();
    if let Some(from) = &change.moved_from {
        facts.push(format!("from {from}"));
    }
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => facts.extend(differences(before, after, detail, shown)),
        (None, Some(after)) => facts.push(described(after, detail, shown)),
        (Some(before), None) => facts.push(remembered(before, detail, shown)),
        (None, None) => {}
    }
    if facts.is_empty() && change.label() == Label::Rewritten {
        facts.push(match change.after.as_ref().map(|node| &node.kind) {
            Some(Kind::File { .. }) => "same bytes, new mtime".to_owned(),
            _ => "new mtime".to_owned(),
        });
    }
    facts
}

fn is_only_a_new_directory_time(change: &Change) -> bool {
    change.label() == Label::Rewritten
        && matches!(
            change.after,
            Some(Node {
                kind: Kind::Directory,
                ..
            })
        )
}

/// Adds a diff below its path, or the reason why there is none.
pub(super) fn diff_into(page: &mut Page, indent: usize, diff: &ContentDiff) {
    let ContentDiff::Unified(text) = diff else {
        let reason = diff.reason().unwrap_or_default();
        page.line(indent, &page.paint(Role::Faint, reason));
        return;
    };
    for line in text.lines() {
        let role = match line.as_bytes() {
            [b'-', b'-', b'-', ..] | [b'+', b'+', b'+', ..] => Role::Heading,
            [b'-', ..] => Role::Deleted,
            [b'+', ..] => Role::Added,
            [b'@', ..] => Role::Noted,
            _ => {
                page.line(indent, line);
                continue;
            }
        };
        page.line(indent, &page.paint(role, line));
    }
}
