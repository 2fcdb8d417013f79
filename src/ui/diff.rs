//! Unified diffs of file content. Not for reading the content (a [`ContentSource`] does). Upholds:
//! content marked secret is never shown, and no input makes this slow or large.

use isconf_sandbox::change::{Change, Content, Kind, Node, RelPath};
use similar::TextDiff;

use super::page::escaped;
use crate::model::contents::ContentSource;

/// Says which paths have content that must not be shown.
pub trait Secrets {
    /// Whether the content of `path` must not be shown.
    fn is_secret(&self, path: &RelPath) -> bool;
}

/// No path is secret.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSecrets;

impl Secrets for NoSecrets {
    fn is_secret(&self, _path: &RelPath) -> bool {
        false
    }
}

/// A predicate over paths.
impl<F: Fn(&RelPath) -> bool> Secrets for F {
    fn is_secret(&self, path: &RelPath) -> bool {
        self(path)
    }
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiffLimits {
    /// The longest content of each side, in bytes.
    pub bytes: u64,
    /// The most lines of each side. Bounds the time: the comparison costs lines times differences.
    pub lines: usize,
    /// Whether added and deleted files are shown in full.
    pub whole_files: bool,
}

impl Default for DiffLimits {
    fn default() -> Self {
        Self {
            bytes: 64 * 1024,
            lines: 4000,
            whole_files: false,
        }
    }
}

/// The content of a changed file, compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentDiff {
    /// A unified diff; control characters are escaped.
    Unified(String),
    /// Not shown: the path is marked secret.
    Secret,
    /// Not shown: a side is not text (UTF-8 without NUL).
    Binary,
    /// Not shown: a side is over the limits.
    TooLarge,
    /// Not shown: a side is not at hand.
    NotAtHand,
}

impl ContentDiff {
    /// Why there is nothing to see, in words; `None` for a diff.
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Unified(_) => None,
            Self::Secret => Some("content not shown: marked secret"),
            Self::Binary => Some("content not shown: not text"),
            Self::TooLarge => Some("content not shown: too large"),
            Self::NotAtHand => Some("content not shown: not at hand"),
        }
    }
}

/// Compares the content of a changed file; `None` when its content did not change, or is not to be
/// shown because a side is missing.
pub fn content_diff(
    change: &Change,
    contents: &dyn ContentSource,
    limits: &DiffLimits,
    secrets: &dyn Secrets,
) -> Option<ContentDiff> {
    let sides = (side(change.before.as_ref()), side(change.after.as_ref()));
    let (before, after) = match sides {
        (Side::Other, _) | (_, Side::Other) | (Side::Absent, Side::Absent) => return None,
        (Side::File(_), Side::File(_)) => sides,
        (Side::Absent, Side::File(_)) | (Side::File(_), Side::Absent) if limits.whole_files => {
            sides
        }
        (Side::Absent, Side::File(_)) | (Side::File(_), Side::Absent) => return None,
    };
    if let (Some(old), Some(new)) = (&change.before, &change.after)
        && !content_differs(&old.kind, &new.kind)
    {
        return None;
    }
    let secret = secrets.is_secret(&change.path)
        || change
            .moved_from
            .as_ref()
            .is_some_and(|from| secrets.is_secret(from));
    if secret {
        return Some(ContentDiff::Secret);
    }
    if before.size().max(after.size()) > limits.bytes {
        return Some(ContentDiff::TooLarge);
    }
    let read = |side: &Side, read: &dyn Fn() -> Option<Vec<u8>>| match side {
        Side::File(_) => read(),
        Side::Absent | Side::Other => Some(Vec::new()),
    };
    let old = read(&before, &|| contents.before(&change.path));
    let new = read(&after, &|| contents.after(&change.path));
    Some(match (old, new) {
        (Some(old), Some(new)) => {
            let from = change.moved_from.as_ref().unwrap_or(&change.path);
            compare(&old, &new, (from, &change.path), limits)
        }
        _ => ContentDiff::NotAtHand,
    })
}

/// Compares two contents, shown under their two paths; pure.
pub fn compare(
    old: &[u8],
    new: &[u8],
    paths: (&RelPath, &RelPath),
    limits: &DiffLimits,
) -> ContentDiff {
    if old.len().max(new.len()) as u64 > limits.bytes {
        return ContentDiff::TooLarge;
    }
    let (Some(old), Some(new)) = (as_text(old), as_text(new)) else {
        return ContentDiff::Binary;
    };
    if old.lines().count().max(new.lines().count()) > limits.lines {
        return ContentDiff::TooLarge;
    }
    let diff = TextDiff::from_lines(old, new);
    let text = diff
        .unified_diff()
        .context_radius(3)
        .header(&paths.0.to_string(), &paths.1.to_string())
        .to_string();
    ContentDiff::Unified(printable(&text))
}

/// Whether two files may hold other bytes; content that was not read did not change when the size
/// is the same (see [`isconf_sandbox::change::Content::Unread`]).
fn content_differs(old: &Kind, new: &Kind) -> bool {
    match (old, new) {
        (
            Kind::File {
                size: s1,
                content: c1,
                ..
            },
            Kind::File {
                size: s2,
                content: c2,
                ..
            },
        ) => s1 != s2 || matches!((c1, c2), (Content::Read(d1), Content::Read(d2)) if d1 != d2),
        (old, new) => old != new,
    }
}

enum Side {
    Absent,
    File(u64),
    Other,
}

impl Side {
    const fn size(&self) -> u64 {
        match self {
            Self::File(size) => *size,
            Self::Absent | Self::Other => 0,
        }
    }
}

const fn side(node: Option<&Node>) -> Side {
    match node {
        None => Side::Absent,
        Some(Node {
            kind: Kind::File { size, .. },
            ..
        }) => Side::File(*size),
        Some(_) => Side::Other,
    }
}

/// The bytes as text: valid UTF-8 without NUL.
fn as_text(bytes: &[u8]) -> Option<&str> {
    str::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
}

/// Escapes everything that could move the cursor; tabs and backslashes stay, so that ordinary text
/// looks as it is.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' | '\\' => shown.push(c),
            c => shown.push_str(&escaped(c.encode_utf8(&mut [0; 4]).as_bytes())),
        }
    }
    shown
}

#[cfg(test)]
mod tests;
