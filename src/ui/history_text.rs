//! Receipts of this host's history, for `history`. Not for all that an entry says (`log_text`).
//! Upholds: text and JSON are made from the same receipt.

use serde::Serialize;

use super::attributes::Detail;
use super::log_text::KindJson;
use super::page::Page;
use super::quantity::{human_duration, human_time};
use super::report_json::{JSON_VERSION, line};
use super::report_text::{description_words, made_by_words};
use super::style::{Role, Style};
use crate::model::report::Description;
use crate::model::{Deed, Draft, EntryRef, Receipt};

/// A receipt, and what the change was that it tells of.
#[derive(Debug, Clone, Copy)]
pub struct HistoryLine<'a> {
    /// The receipt.
    pub receipt: &'a Receipt,
    /// What was applied or made.
    pub behind: Behind<'a>,
}

/// What a receipt tells of.
#[derive(Debug, Clone, Copy)]
pub enum Behind<'a> {
    /// Nothing, or nobody could look.
    Unknown,
    /// A draft that is neither in the wip nor in the journal: it was discarded.
    Gone,
    /// A draft that is not checked in.
    Wip(&'a Draft),
    /// An entry, and its place in the journal.
    Entry(EntryRef, &'a Draft),
}

impl<'a> Behind<'a> {
    /// What it is, where that is known.
    const fn draft(self) -> Option<&'a Draft> {
        match self {
            Self::Unknown | Self::Gone => None,
            Self::Wip(draft) | Self::Entry(_, draft) => Some(draft),
        }
    }
}

/// A receipt for people: a line with the deed, and below it who made the change, why, and what it
/// is; in full with digests and the undo's transaction.
pub fn history_text(history: &HistoryLine<'_>, detail: Detail, style: Style) -> String {
    let mut page = Page::new(style);
    let receipt = history.receipt;
    let body = &receipt.body;
    let time = human_time(body.finished.to_timestamp());
    let took = human_duration(body.finished.since(body.started));
    let congruent = match body.congruent {
        Some(true) => ", same changes as on the origin".to_owned(),
        Some(false) => format!(
            ", {}",
            page.paint(Role::Doubt, "other changes than on the origin")
        ),
        None => String::new(),
    };
    let number = page.paint(Role::Heading, &format!("receipt {}", receipt.seq));
    page.line(
        0,
        &format!(
            "{number}  {time}  {} on {}{}, {took}{congruent}",
            deed_words(&body.deed, detail),
            body.branch,
            became_words(history)
        ),
    );
    if let Some(draft) = history.behind.draft() {
        if let Some(words) = made_by_words(Some(&draft.author), &draft.message) {
            page.line(2, &words);
        }
        page.line(2, &description_words(&Description::from(&draft.kind)));
    }
    if detail == Detail::Full {
        if let Some(changes) = &body.changes {
            page.line(2, &format!("change set {}", changes.full));
            page.line(2, &format!("normal form {}", changes.normal));
        }
        if let Some(tx) = &body.tx {
            page.line(2, &format!("undo {tx}"));
        }
    }
    page.into_text()
}

fn deed_words(deed: &Deed, detail: Detail) -> String {
    let entry = |at: &EntryRef| match detail {
        Detail::Full => format!("entry {} {}", at.seq, at.id),
        Detail::Summary | Detail::Normal => format!("entry {} {}", at.seq, at.id.0.short()),
    };
    match deed {
        Deed::Applied(at) => format!("applied {}", entry(at)),
        Deed::Rebooted(at) => format!("rebooted for {}", entry(at)),
        Deed::Made(draft) if detail == Detail::Full => format!("made wip {draft}"),
        Deed::Made(_) => "made wip".to_owned(),
        Deed::CheckedIn(at) => format!("checked in up to {}", entry(at)),
        Deed::Discarded { receipt, .. } => format!("discarded the wip of receipt {receipt}"),
        Deed::Undone { receipt, now_at } => match now_at {
            Some(at) => format!("undid receipt {receipt}, now at {}", entry(at)),
            None => format!("undid receipt {receipt}"),
        },
        Deed::OutOfBand => "committed out of band".to_owned(),
    }
}

/// What has become of a draft that was made.
fn became_words(history: &HistoryLine<'_>) -> String {
    match (&history.receipt.body.deed, history.behind) {
        (Deed::Made(_), Behind::Entry(at, _)) => {
            format!(", now entry {} {}", at.seq, at.id.0.short())
        }
        (Deed::Made(_), Behind::Gone) => ", not in the journal".to_owned(),
        _ => String::new(),
    }
}

/// A receipt for programs, with everything, as one line of JSON.
pub fn history_json(history: &HistoryLine<'_>) -> Result<String, serde_json::Error> {
    let receipt = history.receipt;
    let behind = history.behind.draft();
    let body = &receipt.body;
    let entry = match &body.deed {
        Deed::Applied(at) | Deed::Rebooted(at) | Deed::CheckedIn(at) => Some(*at),
        Deed::Undone { now_at, .. } => *now_at,
        Deed::Made(_) | Deed::Discarded { .. } | Deed::OutOfBand => None,
    };
    let draft = match &body.deed {
        Deed::Made(draft) | Deed::Discarded { draft, .. } => Some(draft.to_string()),
        Deed::Applied(_)
        | Deed::Rebooted(_)
        | Deed::CheckedIn(_)
        | Deed::Undone { .. }
        | Deed::OutOfBand => None,
    };
    line(&ReceiptJson {
        version: JSON_VERSION,
        kind: "receipt",
        receipt: receipt.seq,
        deed: body.deed.name(),
        branch: body.branch.as_str(),
        seq: entry.map(|at| at.seq),
        id: entry.map(|at| at.id.to_string()),
        draft,
        takes_back: body.deed.takes_back(),
        full: body.changes.map(|changes| changes.full.to_string()),
        normal: body.changes.map(|changes| changes.normal.to_string()),
        undo: body.tx.as_ref().map(ToString::to_string),
        started: body.started.to_string(),
        finished: body.finished.to_string(),
        congruent: body.congruent,
        author: behind.map(|draft| draft.author.as_str()),
        message: behind.map(|draft| draft.message.as_str()),
        entry: behind.map(|draft| KindJson::of(&draft.kind)),
    })
}

#[derive(Serialize)]
struct ReceiptJson<'a> {
    version: u32,
    kind: &'static str,
    receipt: u64,
    deed: &'static str,
    branch: &'a str,
    seq: Option<u64>,
    id: Option<String>,
    draft: Option<String>,
    takes_back: Option<u64>,
    full: Option<String>,
    normal: Option<String>,
    undo: Option<String>,
    started: String,
    finished: String,
    congruent: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<KindJson>,
}
