//! Objects and their differences in words. Not for a change as a whole (`report_text`). Upholds:
//! metadata is shown as old → new, the same way in reports and drift.

use isconf_sandbox::change::{self, Content, Kind, Metadata, Node};

use super::page::escaped;
use super::quantity::{exact_time, human_bytes};

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Detail {
    /// One line an entry.
    Summary,
    /// Every changed path; directories of which only the time changed are counted.
    #[default]
    Normal,
    /// Also digests, times and values of extended attributes.
    Full,
}

/// Whether the values of an object may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Everything.
    All,
    /// No content, not even its digest (a short secret could be guessed from it), and no values of
    /// extended attributes.
    Secret,
}

impl Shown {
    pub(super) const fn of(is_secret: bool) -> Self {
        if is_secret { Self::Secret } else { Self::All }
    }
}

/// The letters of chattr(1) for the flags that we keep.
const FLAG_LETTERS: [(u32, char); 13] = [
    (change::FLAG_SECRM, 's'),
    (change::FLAG_UNRM, 'u'),
    (change::FLAG_COMPR, 'c'),
    (change::FLAG_SYNC, 'S'),
    (change::FLAG_IMMUTABLE, 'i'),
    (change::FLAG_APPEND, 'a'),
    (change::FLAG_NODUMP, 'd'),
    (change::FLAG_NOATIME, 'A'),
    (change::FLAG_JOURNAL_DATA, 'j'),
    (change::FLAG_NOTAIL, 't'),
    (change::FLAG_DIRSYNC, 'D'),
    (change::FLAG_TOPDIR, 'T'),
    (change::FLAG_NOCOW, 'C'),
];

/// The object as it is: `file 0644 0:0, 12 B`.
pub(super) fn described(node: &Node, detail: Detail, shown: Shown) -> String {
    let meta = &node.meta;
    let kind = kind_words(&node.kind);
    let mut parts = vec![match node.kind {
        // The mode of a symlink says nothing and cannot be set (symlink(7)).
        Kind::Symlink { .. } => format!("{kind} {}:{}", meta.uid, meta.gid),
        _ => format!("{kind} {:04o} {}:{}", meta.mode, meta.uid, meta.gid),
    }];
    parts.extend(substance(&node.kind, detail, shown));
    if let Some(other) = &node.link_of {
        parts.push(format!("hard link of {other}"));
    }
    for (name, value) in &meta.xattrs {
        parts.push(format!("xattr {}", xattr(name, value, detail, shown)));
    }
    if meta.flags != 0 {
        parts.push(format!("flags {}", flag_letters(meta.flags)));
    }
    if detail == Detail::Full {
        parts.push(format!("mtime {}", exact_time(meta.mtime)));
    }
    parts.join(", ")
}

/// What is gone: kind and size.
pub(super) fn remembered(node: &Node, detail: Detail, shown: Shown) -> String {
    if detail == Detail::Full {
        return described(node, detail, shown);
    }
    let mut parts = vec![kind_words(&node.kind)];
    parts.extend(substance(&node.kind, detail, shown));
    parts.join(", ")
}

/// Everything in which `after` differs from `before`, substance first.
pub(super) fn differences(
    before: &Node,
    after: &Node,
    detail: Detail,
    shown: Shown,
) -> Vec<String> {
    let mut parts = Vec::new();
    parts.extend(substance_difference(
        &before.kind,
        &after.kind,
        detail,
        shown,
    ));
    let mut before_meta = before.meta.clone();
    if matches!(after.kind, Kind::Symlink { .. }) {
        // As in `described`.
        before_meta.mode = after.meta.mode;
    }
    parts.extend(metadata_differences(
        &before_meta,
        &after.meta,
        detail,
        shown,
    ));
    if before.link_of != after.link_of {
        parts.push(match &after.link_of {
            Some(other) => format!("now a hard link of {other}"),
            None => "no longer a hard link".to_owned(),
        });
    }
    parts
}

/// The attributes in which two objects differ; the mtime only in full detail, because nearly every
/// change moves it.
fn metadata_differences(
    before: &Metadata,
    after: &Metadata,
    detail: Detail,
    shown: Shown,
) -> Vec<String> {
    let mut parts = Vec::new();
    if before.mode != after.mode {
        parts.push(format!("mode {:04o} → {:04o}", before.mode, after.mode));
    }
    if (before.uid, before.gid) != (after.uid, after.gid) {
        parts.push(format!(
            "owner {}:{} → {}:{}",
            before.uid, before.gid, after.uid, after.gid
        ));
    }
    parts.extend(xattr_differences(before, after, detail, shown));
    if before.flags != after.flags {
        parts.push(format!(
            "flags {} → {}",
            flag_letters(before.flags),
            flag_letters(after.flags)
        ));
    }
    if detail == Detail::Full && before.mtime != after.mtime {
        parts.push(format!(
            "mtime {} → {}",
            exact_time(before.mtime),
            exact_time(after.mtime)
        ));
    }
    parts
}

fn xattr_differences(
    before: &Metadata,
    after: &Metadata,
    detail: Detail,
    shown: Shown,
) -> Vec<String> {
    let mut parts = Vec::new();
    for (name, old) in &before.xattrs {
        match after.xattrs.get(name) {
            None => parts.push(format!("xattr -{}", escaped(name))),
            Some(new) if new != old => parts.push(format!(
                "xattr ~{}",
                match (detail, shown) {
                    (Detail::Full, Shown::All) => format!(
                        "{}=\"{}\" → \"{}\"",
                        escaped(name),
                        escaped(old),
                        escaped(new)
                    ),
                    _ => escaped(name),
                }
            )),
            Some(_) => {}
        }
    }
    for (name, value) in &after.xattrs {
        if !before.xattrs.contains_key(name) {
            parts.push(format!("xattr +{}", xattr(name, value, detail, shown)));
        }
    }
    parts
}

fn xattr(name: &[u8], value: &[u8], detail: Detail, shown: Shown) -> String {
    match (detail, shown) {
        (Detail::Full, Shown::All) => format!("{}=\"{}\"", escaped(name), escaped(value)),
        _ => escaped(name),
    }
}

/// The letters of chattr(1), `-` for none.
pub(super) fn flag_letters(flags: u32) -> String {
    let letters: String = FLAG_LETTERS
        .iter()
        .filter(|(flag, _)| flags & flag != 0)
        .map(|(_, letter)| letter)
        .collect();
    if letters.is_empty() {
        "-".to_owned()
    } else {
        letters
    }
}

/// The kind's name in words.
pub(super) fn kind_words(kind: &Kind) -> String {
    kind.name().replace('_', " ")
}

/// What the object holds: size, link target or device number.
fn substance(kind: &Kind, detail: Detail, shown: Shown) -> Vec<String> {
    match kind {
        Kind::File {
            size,
            content,
            hole_bytes,
        } => {
            let mut parts = vec![human_bytes(*size)];
            if *hole_bytes > 0 {
                parts.push(format!("{} of holes", human_bytes(*hole_bytes)));
            }
            if let (Detail::Full, Shown::All, Content::Read(digest)) = (detail, shown, content) {
                parts.push(format!("sha256 {digest}"));
            }
            parts
        }
        Kind::Symlink { target } => vec![format!("to {}", escaped(target))],
        Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
            vec![format!("device {major}:{minor}")]
        }
        Kind::Directory | Kind::Fifo | Kind::Socket => Vec::new(),
    }
}

fn substance_difference(before: &Kind, after: &Kind, detail: Detail, shown: Shown) -> Vec<String> {
    match (before, after) {
        (
            Kind::File {
                size: s1,
                content: c1,
                hole_bytes: h1,
            },
            Kind::File {
                size: s2,
                content: c2,
                hole_bytes: h2,
            },
        ) => {
            let mut parts = content_difference((*s1, *c1), (*s2, *c2), detail, shown);
            if h1 != h2 {
                parts.push(format!("holes {} → {}", human_bytes(*h1), human_bytes(*h2)));
            }
            parts
        }
        (before, after) if before == after => Vec::new(),
        (before, after) => vec![format!(
            "{} → {}",
            with_substance(before, detail, shown),
            with_substance(after, detail, shown)
        )],
    }
}

fn content_difference(
    before: (u64, Content),
    after: (u64, Content),
    detail: Detail,
    shown: Shown,
) -> Vec<String> {
    let mut parts = Vec::new();
    let other_bytes = matches!(
        (before.1, after.1),
        (Content::Read(old), Content::Read(new)) if old != new
    );
    if before.0 != after.0 {
        parts.push(format!(
            "{} → {}",
            human_bytes(before.0),
            human_bytes(after.0)
        ));
    } else if other_bytes {
        parts.push(format!("{}, other bytes", human_bytes(after.0)));
    }
    if detail == Detail::Full && shown == Shown::All && before != after {
        parts.push(format!(
            "sha256 {} → {}",
            content_text(before.1),
            content_text(after.1)
        ));
    }
    parts
}

fn content_text(content: Content) -> String {
    match content {
        Content::Read(digest) => digest.to_string(),
        Content::Unread => "not read".to_owned(),
    }
}

fn with_substance(kind: &Kind, detail: Detail, shown: Shown) -> String {
    let parts = substance(kind, detail, shown).join(", ");
    format!("{} {parts}", kind_words(kind))
        .trim_end()
        .to_owned()
}
