//! The change set: what an entry changed, path by path, as one value. Not for how to make it real
//! (see `commit`). Upholds: report, commit, history, audit and peers all use this one value.

use super::{Kind, Node, RelPath};

/// One path that changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Change {
    /// Where.
    pub path: RelPath,
    /// The state before; `None` when nothing was there.
    pub before: Option<Node>,
    /// The state after; `None` when nothing is there any more.
    pub after: Option<Node>,
    /// For a file or directory that was renamed as a whole: where it was. Everything below a
    /// renamed directory came with it, and appears here only where it changed as well; `before` of
    /// such a path is its state at its old place.
    pub moved_from: Option<RelPath>,
}

/// What happened to a path, in one word; made from the states by [`Change::label`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Label {
    /// Was not there, is now.
    Added,
    /// Content, link target, device number or kind differs.
    Modified,
    /// Only attributes differ.
    Metadata,
    /// Only the time of modification differs: rewritten with the same bytes.
    Rewritten,
    /// Was there, is not any more.
    Deleted,
    /// Renamed as a whole (its content or attributes may differ as well).
    Moved,
}

/// All changes of one entry, ordered by the bytes of their paths, each path once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ChangeSet {
    changes: Vec<Change>,
}

/// Two changes of one set name the same path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("two changes of the same path: {0}")]
pub struct DuplicatePath(pub RelPath);

impl ChangeSet {
    /// Puts the changes in order. Fails when a path appears twice.
    pub fn new(mut changes: Vec<Change>) -> Result<Self, DuplicatePath> {
        changes.sort_by(|a, b| a.path.cmp(&b.path));
        match changes.windows(2).find(|w| w[0].path == w[1].path) {
            Some(pair) => Err(DuplicatePath(pair[0].path.clone())),
            None => Ok(Self { changes }),
        }
    }

    /// Takes changes that are known to be in order, each path once.
    pub(super) fn in_order(changes: Vec<Change>) -> Self {
        debug_assert!(changes.windows(2).all(|w| w[0].path < w[1].path));
        Self { changes }
    }

    /// The changes in path order.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The change of `path`, if it changed.
    pub fn get(&self, path: &RelPath) -> Option<&Change> {
        self.changes
            .binary_search_by(|c| c.path.cmp(path))
            .ok()
            .map(|i| &self.changes[i])
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The number of changed paths.
    pub fn len(&self) -> usize {
        self.changes.len()
    }
}

impl Change {
    /// What happened, in one word.
    pub fn label(&self) -> Label {
        match (&self.before, &self.after) {
            _ if self.moved_from.is_some() => Label::Moved,
            (None, _) => Label::Added,
            (Some(_), None) => Label::Deleted,
            (Some(before), Some(after)) if !same_substance(&before.kind, &after.kind) => {
                Label::Modified
            }
            (Some(before), Some(after)) => {
                let mut aged = before.meta.clone();
                aged.mtime = after.meta.mtime;
                if aged == after.meta && before.meta.mtime != after.meta.mtime {
                    Label::Rewritten
                } else {
                    Label::Metadata
                }
            }
        }
    }
}

/// Whether two kinds hold the same bytes, target or device; holes are no substance. Content that
/// was not read on either side is content that did not change (see [`Content::Unread`]).
///
/// [`Content::Unread`]: super::Content::Unread
fn same_substance(before: &Kind, after: &Kind) -> bool {
    use super::Content::{Read, Unread};
    match (before, after) {
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
        ) => {
            s1 == s2
                && match (c1, c2) {
                    (Read(d1), Read(d2)) => d1 == d2,
                    (Unread, _) | (_, Unread) => true,
                }
        }
        (before, after) => before == after,
    }
}
