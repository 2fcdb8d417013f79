//! Objects, changes and bytes as JSON. Not for whole documents (`report_json`, `drift_json`).
//! Upholds: JSON is lossless, by one rule for all bytes ([`BytesJson`]).

use isconf_sandbox::change::{Change, Content, Kind, Node, RelPath, Timestamp};
use serde::Serialize;

use super::attributes::flag_letters;
use super::change_text::label_word;
use super::diff::{ContentDiff, Secrets};
use super::page::escaped;
use super::quantity::exact_time;

/// BytesJson: a string when they are UTF-8, exactly; else an object with their hexadecimal digits and
/// how they are shown to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum BytesJson {
    Text(String),
    Raw { hex: String, shown: String },
}

impl BytesJson {
    pub(super) fn of(bytes: &[u8]) -> Self {
        match str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Raw {
                hex: hex(bytes),
                shown: escaped(bytes),
            },
        }
    }

    /// The absolute path.
    pub(super) fn path(path: &RelPath) -> Self {
        use std::os::unix::ffi::OsStrExt;
        Self::of(path.to_absolute().as_os_str().as_bytes())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A time: RFC 3339 in UTC with nanoseconds.
pub(super) fn time(at: Timestamp) -> String {
    exact_time(at)
}

/// An object, by the names of the JSON schema.
#[derive(Debug, Serialize)]
pub(super) struct NodeJson {
    kind: &'static str,
    mode: String,
    uid: u32,
    gid: u32,
    mtime: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hole_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<BytesJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    major: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minor: Option<u32>,
    xattrs: Vec<XattrJson>,
    flags: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_of: Option<BytesJson>,
}

/// An extended attribute; the value is left out for a secret path.
#[derive(Debug, Serialize)]
struct XattrJson {
    name: BytesJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<BytesJson>,
}

impl NodeJson {
    pub(super) fn of(node: &Node, secret: bool) -> Self {
        let meta = &node.meta;
        let (size, hole_bytes, sha256) = match &node.kind {
            Kind::File {
                size,
                content,
                hole_bytes,
            } => (
                Some(*size),
                Some(*hole_bytes),
                digest(*content).filter(|_| !secret),
            ),
            _ => (None, None, None),
        };
        let (major, minor) = match &node.kind {
            Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
                (Some(*major), Some(*minor))
            }
            _ => (None, None),
        };
        let target = match &node.kind {
            Kind::Symlink { target } => Some(BytesJson::of(target)),
            _ => None,
        };
        let xattr = |(name, value): (&Vec<u8>, &Vec<u8>)| XattrJson {
            name: BytesJson::of(name),
            value: (!secret).then(|| BytesJson::of(value)),
        };
        Self {
            kind: node.kind.name(),
            mode: format!("{:04o}", meta.mode),
            uid: meta.uid,
            gid: meta.gid,
            mtime: time(meta.mtime),
            size,
            hole_bytes,
            sha256,
            target,
            major,
            minor,
            xattrs: meta.xattrs.iter().map(xattr).collect(),
            flags: flag_letters(meta.flags),
            link_of: node.link_of.as_ref().map(BytesJson::path),
        }
    }
}

fn digest(content: Content) -> Option<String> {
    match content {
        Content::Read(digest) => Some(digest.to_string()),
        Content::Unread => None,
    }
}

/// A change, by the names of the JSON schema.
#[derive(Debug, Serialize)]
pub(super) struct ChangeJson {
    path: BytesJson,
    change: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    moved_from: Option<BytesJson>,
    before: Option<NodeJson>,
    after: Option<NodeJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<DiffJson>,
}

impl ChangeJson {
    pub(super) fn of(change: &Change, secrets: &dyn Secrets, diff: Option<ContentDiff>) -> Self {
        let secret = secrets.is_secret(&change.path)
            || change
                .moved_from
                .as_ref()
                .is_some_and(|from| secrets.is_secret(from));
        Self {
            path: BytesJson::path(&change.path),
            change: label_word(change.label()),
            moved_from: change.moved_from.as_ref().map(BytesJson::path),
            before: change
                .before
                .as_ref()
                .map(|node| NodeJson::of(node, secret)),
            after: change.after.as_ref().map(|node| NodeJson::of(node, secret)),
            diff: diff.map(DiffJson::of),
        }
    }
}

/// A content diff: its text, or why there is none.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DiffJson {
    Unified(String),
    NotShown(&'static str),
}

impl DiffJson {
    pub(super) fn of(diff: ContentDiff) -> Self {
        match diff {
            ContentDiff::Unified(text) => Self::Unified(text),
            ContentDiff::Secret => Self::NotShown("secret"),
            ContentDiff::Binary => Self::NotShown("not_text"),
            ContentDiff::TooLarge => Self::NotShown("too_large"),
            ContentDiff::NotAtHand => Self::NotShown("not_at_hand"),
        }
    }
}
