//! What a report says of the origin: the same there, or what was different. Not for JSON.

use isconf_sandbox::change::{Change, DifferenceKind, RelPath};

use super::attributes::{Detail, Shown, described, differences, kind_words};
use super::change_text::label_word;
use super::page::Page;
use super::quantity::exact_time;
use super::report_text::View;
use super::style::Role;
use crate::model::report::{Congruence, Divergence};

/// Writes the lines; none where nothing was compared, unless all is to be said.
pub(super) fn congruence_into(page: &mut Page, congruence: &Congruence, view: &View<'_>) {
    match congruence {
        Congruence::Same => page.line(2, "Same changes as on the origin."),
        Congruence::Unknown if view.detail == Detail::Full => {
            page.line(2, "Not compared with the origin.");
        }
        Congruence::Unknown => {}
        Congruence::Differs(paths) => {
            let end = if paths.is_empty() { "." } else { ":" };
            let words = format!("Other changes than on the origin{end}");
            page.line(2, &page.paint(Role::Doubt, &words));
            for divergence in paths {
                page.line(4, &divergence_words(divergence, view));
            }
        }
    }
}

fn divergence_words(divergence: &Divergence, view: &View<'_>) -> String {
    let word =
        |change: Option<&Change>| change.map_or("unchanged", |change| label_word(change.label()));
    let (origin, here) = (divergence.origin.as_ref(), divergence.here.as_ref());
    let shown = Shown::of(view.secrets.is_secret(&divergence.path));
    let mut states = match (
        origin.and_then(|change| change.after.as_ref()),
        here.and_then(|change| change.after.as_ref()),
    ) {
        (Some(there), Some(now)) => differences(there, now, view.detail, shown),
        (Some(node), None) | (None, Some(node)) => vec![described(node, view.detail, shown)],
        (None, None) => Vec::new(),
    };
    if let (Some(there), Some(now)) = (origin, here) {
        let unsaid = |aspect| unsaid(aspect, there, now, view.detail);
        states.extend(divergence.aspects.iter().copied().filter_map(unsaid));
    }
    let mut words = format!(
        "{}: {} there, {} here",
        divergence.path,
        word(origin),
        word(here)
    );
    if !states.is_empty() {
        words.push_str(&format!(": {}", states.join(", ")));
    }
    words
}

/// What the states after the change do not tell, or tell only in full detail.
fn unsaid(aspect: DifferenceKind, there: &Change, here: &Change, detail: Detail) -> Option<String> {
    match aspect {
        DifferenceKind::Mtime if detail != Detail::Full => {
            let time = |change: &Change| {
                let after = change.after.as_ref();
                after.map_or_else(String::new, |node| exact_time(node.meta.mtime))
            };
            Some(format!("mtime {} → {}", time(there), time(here)))
        }
        DifferenceKind::Before => {
            let kind = |change: &Change| {
                let before = change.before.as_ref();
                before.map_or("nothing".to_owned(), |node| kind_words(&node.kind))
            };
            Some(format!("{} there before, {} here", kind(there), kind(here)))
        }
        DifferenceKind::MovedFrom => {
            let from = |change: &Change| {
                let from: Option<&RelPath> = change.moved_from.as_ref();
                from.map_or("not renamed".to_owned(), |path| {
                    format!("renamed from {path}")
                })
            };
            Some(format!("{} there, {} here", from(there), from(here)))
        }
        _ => None,
    }
}
