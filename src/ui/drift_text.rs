//! Drift for people. Not for programs (`drift_json` shows them the same facts). Upholds: each path
//! that drifted names the entry and the author that wrote it last.

use isconf_sandbox::change::{Change, Kind, Node};

use super::attributes::{Detail, Shown, described, differences};
use super::change_text::diff_into;
use super::diff::content_diff;
use super::page::{Page, counted};
use super::quantity::{errno_text, human_duration};
use super::report_text::{View, made_by_words};
use super::style::Role;
use crate::model::contents::ContentSource;
use crate::model::drift::{Audit, Drift, DriftKind, Field, Writer, WriterDeed};

/// What an audit found. `contents` gives as "before" what is expected and as "after" what is live.
pub fn audit_text(audit: &Audit, view: &View<'_>, contents: Option<&dyn ContentSource>) -> String {
    let mut page = Page::new(view.style);
    if view.detail > Detail::Summary {
        for drift in audit.drifts.iter().take(view.path_limit) {
            drift_into(&mut page, drift, view, contents);
        }
        let more = audit.drifts.len().saturating_sub(view.path_limit);
        if more > 0 {
            page.line(0, &format!("… and {more} more; --all shows them"));
        }
        for unreadable in &audit.unreadable {
            let words = format!("? {}", unreadable.path);
            let why = errno_text(unreadable.errno);
            page.line(
                0,
                &format!("{}  not read: {why}", page.paint(Role::Failure, &words)),
            );
        }
    }
    page.line(0, &closing_words(audit, view));
    page.into_text()
}

fn drift_into(
    page: &mut Page,
    drift: &Drift,
    view: &View<'_>,
    contents: Option<&dyn ContentSource>,
) {
    let (sign, role) = sign(drift.kind);
    let slash = match drift.found.as_ref().or(drift.expected.as_ref()) {
        Some(node) if node.kind.name() == "directory" && !drift.path.is_root() => "/",
        _ => "",
    };
    let marked = page.paint(role, &format!("{sign} {}{slash}", drift.path));
    page.line(0, &format!("{marked}  {}", drift_words(drift, view)));
    page.line(4, &writer_words(&drift.writer, view.detail));
    let Some(contents) = contents else { return };
    let change = Change {
        path: drift.path.clone(),
        before: drift.expected.clone(),
        after: drift.found.clone(),
        moved_from: None,
    };
    if let Some(diff) = content_diff(&change, contents, &view.diff_limits, view.secrets) {
        diff_into(page, 4, &diff);
    }
}

const fn sign(kind: DriftKind) -> (&'static str, Role) {
    match kind {
        DriftKind::Content => ("~", Role::Modified),
        DriftKind::Metadata => ("m", Role::Noted),
        DriftKind::Missing => ("-", Role::Deleted),
        DriftKind::Unexpected => ("+", Role::Added),
        DriftKind::WrongType => ("!", Role::Failure),
    }
}

/// The kind as a word; it is the name in JSON as well, with underscores for blanks.
pub(super) const fn drift_kind_words(kind: DriftKind) -> &'static str {
    match kind {
        DriftKind::Content => "content",
        DriftKind::Metadata => "metadata",
        DriftKind::Missing => "missing",
        DriftKind::Unexpected => "unexpected",
        DriftKind::WrongType => "wrong type",
    }
}

fn drift_words(drift: &Drift, view: &View<'_>) -> String {
    let shown = Shown::of(view.secrets.is_secret(&drift.path));
    let kind = drift_kind_words(drift.kind);
    let whole = |node: &Node| described(node, view.detail, shown);
    match (&drift.expected, &drift.found) {
        (Some(expected), Some(found)) if drift.kind != DriftKind::WrongType => {
            let found = comparable(drift, expected, found);
            let parts = differences(expected, &found, view.detail, shown);
            format!("{kind}: {}", parts.join(", "))
        }
        (Some(expected), Some(found)) => {
            format!("{kind}: {} → {}", whole(expected), whole(found))
        }
        (Some(expected), None) => format!("{kind}: was {}", whole(expected)),
        (None, Some(found)) => format!("{kind}: {}", whole(found)),
        (None, None) => kind.to_owned(),
    }
}

/// What was found, without the differences that do not count as drift.
fn comparable(drift: &Drift, expected: &Node, found: &Node) -> Node {
    let mut node = found.clone();
    node.link_of.clone_from(&expected.link_of);
    if !drift.fields.contains(&Field::Mtime) {
        node.meta.mtime = expected.meta.mtime;
    }
    if drift.kind == DriftKind::Metadata {
        node.kind = expected.kind.clone();
    } else if let (
        Kind::File { hole_bytes, .. },
        Kind::File {
            hole_bytes: expected_holes,
            ..
        },
    ) = (&mut node.kind, &expected.kind)
    {
        *hole_bytes = *expected_holes;
    }
    node
}

fn writer_words(writer: &Writer, detail: Detail) -> String {
    let deed = match (writer.deed, detail) {
        (WriterDeed::Entry(at), Detail::Full) => format!("entry {} {}", at.seq, at.id),
        (WriterDeed::Entry(at), Detail::Summary | Detail::Normal) => {
            format!("entry {} {}", at.seq, at.id.0.short())
        }
        (WriterDeed::Wip(draft), Detail::Full) => format!("wip {draft}"),
        (WriterDeed::Wip(_), Detail::Summary | Detail::Normal) => "wip".to_owned(),
        (WriterDeed::OutOfBand(receipt), _) => {
            format!("an out-of-band change (receipt {receipt})")
        }
    };
    let deed = format!("last written by {deed}");
    match (
        made_by_words(writer.author.as_ref(), &writer.message),
        &writer.author,
    ) {
        (Some(made), Some(_)) => format!("{deed}, made {made}"),
        (Some(message), None) => format!("{deed}: {message}"),
        (None, _) => deed,
    }
}

fn closing_words(audit: &Audit, view: &View<'_>) -> String {
    let kinds = [
        DriftKind::Content,
        DriftKind::Metadata,
        DriftKind::Missing,
        DriftKind::Unexpected,
        DriftKind::WrongType,
    ];
    let numbers: Vec<String> = kinds
        .iter()
        .map(|kind| {
            (
                kind,
                audit
                    .drifts
                    .iter()
                    .filter(|drift| drift.kind == *kind)
                    .count(),
            )
        })
        .filter(|(_, number)| *number > 0)
        .map(|(kind, number)| format!("{number} {}", drift_kind_words(*kind)))
        .collect();
    let checked = counted(audit.checked, "path");
    let verdict = if audit.checked == 0 && audit.drifts.is_empty() {
        "No entry wrote any of these paths".to_owned()
    } else if audit.drifts.is_empty() {
        view.style
            .paint(Role::Added, &format!("No drift in {checked}"))
    } else {
        let words = format!(
            "Drift at {} of {checked}: {}",
            audit.drifts.len(),
            numbers.join(", ")
        );
        view.style.paint(Role::Failure, &words)
    };
    let mut parts = vec![verdict];
    if !audit.unreadable.is_empty() {
        parts.push(format!("{} not read", audit.unreadable.len()));
    }
    if audit.ignored > 0 {
        parts.push(format!("{} ignored", audit.ignored));
    }
    if view.detail == Detail::Full {
        parts.push(format!("{} hashed", audit.hashed));
        parts.push(format!(
            "{} unchanged since an earlier audit",
            audit.unchanged
        ));
    }
    parts.push(human_duration(audit.duration));
    format!("{}.", parts.join("; "))
}

#[cfg(test)]
mod tests;
