//! Sums over a change set, for one line of a report; pure.

use super::{ChangeSet, Kind, Label, Node};

/// How many paths of each label, and by how much files grew and shrank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Paths labelled [`Label::Added`].
    pub added: usize,
    /// Paths labelled [`Label::Modified`].
    pub modified: usize,
    /// Paths labelled [`Label::Metadata`].
    pub metadata: usize,
    /// Paths labelled [`Label::Rewritten`].
    pub rewritten: usize,
    /// Paths labelled [`Label::Deleted`].
    pub deleted: usize,
    /// Paths labelled [`Label::Moved`].
    pub moved: usize,
    /// Bytes of length that files have more than before, new files included.
    pub bytes_added: u64,
    /// Bytes of length that files have less than before, deleted files included. The old path of
    /// a renamed file is not a deleted file here.
    pub bytes_removed: u64,
}

impl ChangeSet {
    /// Sums up the set.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        let mut moved: Vec<_> = self
            .changes()
            .iter()
            .filter_map(|c| c.moved_from.as_ref())
            .collect();
        moved.sort();
        for change in self.changes() {
            *totals.of(change.label()) += 1;
            let before = change.before.as_ref().map_or(0, length);
            let after = change.after.as_ref().map_or(0, length);
            let went_on = change.after.is_none() && moved.binary_search(&&change.path).is_ok();
            if !went_on {
                let (more, less) = (after.saturating_sub(before), before.saturating_sub(after));
                totals.bytes_added = totals.bytes_added.saturating_add(more);
                totals.bytes_removed = totals.bytes_removed.saturating_add(less);
            }
        }
        totals
    }
}

impl Totals {
    fn of(&mut self, label: Label) -> &mut usize {
        match label {
            Label::Added => &mut self.added,
            Label::Modified => &mut self.modified,
            Label::Metadata => &mut self.metadata,
            Label::Rewritten => &mut self.rewritten,
            Label::Deleted => &mut self.deleted,
            Label::Moved => &mut self.moved,
        }
    }
}

/// The length of a file; further names of an inode add nothing.
const fn length(node: &Node) -> u64 {
    match (&node.kind, &node.link_of) {
        (Kind::File { size, .. }, None) => *size,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;

    fn file(size: u64) -> Option<Node> {
        Some(Node {
            kind: Kind::File {
                size,
                content: Content::Read(Digest::of(&size.to_le_bytes())),
                hole_bytes: 0,
            },
            meta: Metadata::default(),
            link_of: None,
        })
    }

    fn change(path: &str, before: Option<Node>, after: Option<Node>, from: Option<&str>) -> Change {
        Change {
            path: RelPath::new(path).unwrap(),
            before,
            after,
            moved_from: from.map(|p| RelPath::new(p).unwrap()),
        }
    }

    #[test]
    fn labels_and_lengths_are_summed() {
        let set = ChangeSet::new(vec![
            change("new", None, file(10), None),
            change("gone", file(3), None, None),
            change("grown", file(5), file(9), None),
            change("old", file(7), None, None),
            change("there", file(7), file(7), Some("old")),
        ])
        .unwrap();
        let totals = set.totals();
        assert_eq!((totals.added, totals.deleted), (1, 2));
        assert_eq!((totals.modified, totals.moved), (1, 1));
        assert_eq!((totals.bytes_added, totals.bytes_removed), (14, 3));
    }
}
