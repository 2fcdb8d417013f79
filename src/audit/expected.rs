//! What the live filesystem should be, as far as entries wrote it: a fold over change sets. Pure.
//! Upholds: the fold of an entry's change set over the state before it is the state after it.

use std::collections::BTreeMap;

use isconf_sandbox::change::{Change, ChangeSet, Content, Kind, Label, Node, RelPath};

use crate::model::drift::Writer;

/// What should be at one path, and who wrote it last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected<'a> {
    /// The state; `None` when nothing should be there.
    pub node: Option<&'a Node>,
    /// The entry that wrote it.
    pub writer: &'a Writer,
}

/// Every path that entries wrote, with its expected state.
#[derive(Debug, Clone, Default)]
pub struct ExpectedState {
    paths: BTreeMap<RelPath, Slot>,
    writers: Vec<Writer>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Slot {
    node: Option<Node>,
    writer: usize,
}

impl ExpectedState {
    /// The state of a host whose history is empty: nothing is expected.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what one entry did. Entries are added in the order of the history, without those that
    /// were undone. Costs the number of changes plus that of the expected paths below moved or
    /// deleted directories.
    pub fn apply(&mut self, writer: Writer, set: &ChangeSet) {
        let writer_index = self.writers.len();
        self.writers.push(writer);
        self.apply_moves(writer_index, set);
        for change in set.changes() {
            self.apply_change(writer_index, change);
        }
    }

    /// What should be at `path`; `None` when no entry wrote it.
    pub fn get(&self, path: &RelPath) -> Option<Expected<'_>> {
        self.paths.get(path).map(|slot| self.expected(slot))
    }

    /// All paths in order.
    pub fn iter(&self) -> impl Iterator<Item = (&RelPath, Expected<'_>)> + Clone {
        self.paths
            .iter()
            .map(|(path, slot)| (path, self.expected(slot)))
    }

    /// The number of paths.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Whether no entry wrote anything.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    fn expected<'a>(&'a self, slot: &'a Slot) -> Expected<'a> {
        Expected {
            node: slot.node.as_ref(),
            writer: &self.writers[slot.writer],
        }
    }

    /// Takes every renamed object with all below it out of its old place, then puts each into its
    /// new one: so that two that changed places do not meet. Old places are those before the entry
    /// (a directory and an object in it may both have been renamed), hence the deepest first.
    fn apply_moves(&mut self, writer: usize, set: &ChangeSet) {
        let mut moves: Vec<(&RelPath, &RelPath)> = set
            .changes()
            .iter()
            .filter_map(|change| Some((change.moved_from.as_ref()?, &change.path)))
            .collect();
        moves.sort_by_key(|(from, _)| std::cmp::Reverse(from.depth()));
        let taken: Vec<_> = moves
            .iter()
            .map(|(from, to)| (*to, self.take_subtree(from)))
            .collect();
        for (from, _) in &moves {
            self.paths
                .insert((*from).clone(), Slot { node: None, writer });
        }
        for (to, _) in &taken {
            drop(self.take_subtree(to));
        }
        for (to, subtree) in taken {
            for (below, slot) in subtree {
                // A path that became too long to be named cannot be looked at either.
                if let Ok(path) = to.join(&below) {
                    self.paths.insert(path, slot);
                }
            }
        }
    }

    fn apply_change(&mut self, writer: usize, change: &Change) {
        let Some(after) = &change.after else {
            drop(self.take_subtree(&change.path));
            self.paths
                .insert(change.path.clone(), Slot { node: None, writer });
            return;
        };
        let slot = self.paths.get(&change.path);
        let old = slot.and_then(|slot| slot.node.as_ref());
        // What stood here before was moved away by the entry itself, so this is another object.
        let replaces_moved = slot.is_some_and(|slot| slot.node.is_none() && slot.writer == writer);
        if is_directory(after)
            && change.label() == Label::Rewritten
            && old.is_none()
            && !replaces_moved
        {
            // Something in it changed, which moved its mtime: the entry did not write the
            // directory itself, and whoever changes its mode later has done nothing to the entry.
            return;
        }
        let node = with_known_content(after, [old, change.before.as_ref()]);
        if !is_directory(after) {
            drop(self.take_subtree(&change.path));
        }
        self.paths.insert(
            change.path.clone(),
            Slot {
                node: Some(node),
                writer,
            },
        );
    }

    /// Takes out `path` and all below it; the keys of the answer are relative to it.
    fn take_subtree(&mut self, path: &RelPath) -> Vec<(RelPath, Slot)> {
        // The first name that can be in a directory; what sorts between the directory and it are
        // its siblings (`a!`, `a-b`).
        let below: Vec<RelPath> = match path.child(b"\x01") {
            Ok(first) => self
                .paths
                .range(first..)
                .take_while(|(candidate, _)| candidate.starts_with(path))
                .map(|(candidate, _)| candidate.clone())
                .collect(),
            // Nothing can be below a path that is as long as paths may be.
            Err(_) => Vec::new(),
        };
        std::iter::once(path.clone())
            .chain(below)
            .filter_map(|key| {
                let relative = key.strip_prefix(path)?;
                Some((relative, self.paths.remove(&key)?))
            })
            .collect()
    }
}

/// The node with the digest of its content taken from an earlier state, when it was not read
/// because it did not change.
fn with_known_content(node: &Node, earlier: [Option<&Node>; 2]) -> Node {
    let mut node = node.clone();
    if let Kind::File { size, content, .. } = &mut node.kind
        && *content == Content::Unread
    {
        let known = earlier
            .into_iter()
            .flatten()
            .find_map(|old| match &old.kind {
                Kind::File {
                    size: old_size,
                    content: Content::Read(digest),
                    ..
                } if old_size == size => Some(*digest),
                _ => None,
            });
        if let Some(digest) = known {
            *content = Content::Read(digest);
        }
    }
    node
}

fn is_directory(node: &Node) -> bool {
    node.kind == Kind::Directory
}

#[cfg(test)]
mod tests;
