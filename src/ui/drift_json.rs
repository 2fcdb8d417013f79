//! Drift for programs, as `docs/drift.schema.json` describes. Not for people (`drift_text` shows
//! them the same facts). Upholds: output for programs is versioned and has a schema.

use isconf_sandbox::change::Change;
use serde::Serialize;

use super::diff::content_diff;
use super::drift_text::drift_kind_words;
use super::object_json::{BytesJson, DiffJson, NodeJson};
use super::quantity::errno_name;
use super::report_json::{JSON_VERSION, line};
use super::report_text::View;
use crate::model::Author;
use crate::model::contents::ContentSource;
use crate::model::drift::{Audit, Drift, Field, Writer, WriterDeed};

/// What an audit found, as one line of JSON with every path. `contents` as for the text.
pub fn audit_json(
    audit: &Audit,
    view: &View<'_>,
    contents: Option<&dyn ContentSource>,
) -> Result<String, serde_json::Error> {
    let unreadable = audit.unreadable.iter().map(|unreadable| UnreadableJson {
        path: BytesJson::path(&unreadable.path),
        errno: errno_name(unreadable.errno),
    });
    line(&AuditJson {
        version: JSON_VERSION,
        kind: "drift",
        drifts: audit
            .drifts
            .iter()
            .map(|drift| DriftedJson::of(drift, view, contents))
            .collect(),
        unreadable: unreadable.collect(),
        checked: audit.checked,
        ignored: audit.ignored,
        hashed: audit.hashed,
        unchanged: audit.unchanged,
        seconds: audit.duration.as_secs_f64(),
    })
}

#[derive(Serialize)]
struct AuditJson<'a> {
    version: u32,
    kind: &'static str,
    drifts: Vec<DriftedJson<'a>>,
    unreadable: Vec<UnreadableJson>,
    checked: u64,
    ignored: u64,
    hashed: u64,
    unchanged: u64,
    seconds: f64,
}

#[derive(Serialize)]
struct UnreadableJson {
    path: BytesJson,
    errno: String,
}

#[derive(Serialize)]
struct DriftedJson<'a> {
    path: BytesJson,
    drift: String,
    fields: Vec<FieldJson>,
    expected: Option<NodeJson>,
    found: Option<NodeJson>,
    written_by: WriterJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<DiffJson>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum FieldJson {
    Mode,
    Owner,
    Mtime,
    Xattr(BytesJson),
    Flags,
}

#[derive(Serialize)]
struct WriterJson<'a> {
    #[serde(flatten)]
    deed: WriterDeedJson,
    author: Option<&'a str>,
    message: &'a str,
}

#[derive(Serialize)]
#[serde(tag = "in", rename_all = "snake_case")]
enum WriterDeedJson {
    Journal { seq: u64, id: String },
    Wip { draft: String },
    OutOfBand { receipt: u64 },
}

impl<'a> DriftedJson<'a> {
    fn of(drift: &'a Drift, view: &View<'_>, contents: Option<&dyn ContentSource>) -> Self {
        let secret = view.secrets.is_secret(&drift.path);
        let change = Change {
            path: drift.path.clone(),
            before: drift.expected.clone(),
            after: drift.found.clone(),
            moved_from: None,
        };
        Self {
            path: BytesJson::path(&drift.path),
            drift: drift_kind_words(drift.kind).replace(' ', "_"),
            fields: drift.fields.iter().map(FieldJson::of).collect(),
            expected: drift
                .expected
                .as_ref()
                .map(|node| NodeJson::of(node, secret)),
            found: drift.found.as_ref().map(|node| NodeJson::of(node, secret)),
            written_by: WriterJson::of(&drift.writer),
            diff: contents
                .and_then(|contents| {
                    content_diff(&change, contents, &view.diff_limits, view.secrets)
                })
                .map(DiffJson::of),
        }
    }
}

impl FieldJson {
    fn of(field: &Field) -> Self {
        match field {
            Field::Mode => Self::Mode,
            Field::Owner => Self::Owner,
            Field::Mtime => Self::Mtime,
            Field::Xattr(name) => Self::Xattr(BytesJson::of(name)),
            Field::Flags => Self::Flags,
        }
    }
}

impl<'a> WriterJson<'a> {
    fn of(writer: &'a Writer) -> Self {
        Self {
            deed: match writer.deed {
                WriterDeed::Entry(at) => WriterDeedJson::Journal {
                    seq: at.seq,
                    id: at.id.to_string(),
                },
                WriterDeed::Wip(draft) => WriterDeedJson::Wip {
                    draft: draft.to_string(),
                },
                WriterDeed::OutOfBand(receipt) => WriterDeedJson::OutOfBand { receipt },
            },
            author: writer.author.as_ref().map(Author::as_str),
            message: &writer.message,
        }
    }
}
