//! What changed between two looks at one scratchpad: the change set of one entry of several. Pure
//! but for the live objects it asks for.
//!
//! The view of a look is what its items say, and live where they say nothing. An object of the new
//! view is compared with the one it was in the old view: by its upper inode where it has one in
//! both, by the live object behind it else, by its name where neither helps.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::CollectError;
use super::item::{Item, Items, Role, Row, UpperInode, same_kind, same_state};
use super::settle::{link_names, row};
use super::view::{LostNames, Shown, View};
use crate::capture::{Provenance, Source};
use crate::change::{Change, Content, Kind, Node, RelPath};
use crate::layout::Layout;

/// Reads a live object of a volume.
pub(super) type ReadLive<'a> =
    dyn FnMut(usize, &RelPath) -> Result<Option<Node>, CollectError> + 'a;

/// Two looks, one after the other.
pub(super) struct Step<'a> {
    previous: View<'a>,
    current: View<'a>,
    /// Where the inodes of the upper layers were.
    inodes: HashMap<(usize, u64), Vec<&'a RelPath>>,
    /// Where the objects of the new view were in the old one; only those whose place says so.
    origins: HashMap<&'a RelPath, RelPath>,
    /// The live names that were lost until the new view.
    lost: LostNames,
    /// The renames of this step: from where, to where.
    moves: BTreeMap<RelPath, &'a RelPath>,
}

/// The changes from `previous` to `current`, in path order.
pub(super) fn rows(
    previous: &Items,
    (current, covered): (&Items, &[(usize, RelPath)]),
    layout: &Layout,
    read_live: &mut ReadLive<'_>,
) -> Result<Vec<Row>, CollectError> {
    let mut step = Step {
        previous: View::new(previous),
        current: View::new(current),
        inodes: inodes(previous),
        lost: LostNames::new(),
        origins: HashMap::new(),
        moves: BTreeMap::new(),
    };
    step.lost = step.current.lost_names();
    // Directories first: their files go along with them.
    for leaves in [false, true] {
        let found: Vec<&RelPath> = current
            .iter()
            .filter(|(_, item)| item.is_leaf() == leaves)
            .filter_map(|(path, item)| step.place(path, item).then_some(path))
            .collect();
        step.stay(&found);
    }
    let mut rows: BTreeMap<RelPath, Row> = BTreeMap::new();
    for (path, item) in current {
        if let Some(found) = step.compare(path, item, layout, read_live)? {
            rows.insert(path.clone(), found);
        }
    }
    for found in step.vanished(covered, read_live)? {
        rows.entry(found.0.path.clone()).or_insert(found);
    }
    let mut rows: Vec<Row> = rows.into_values().collect();
    link_names(&mut rows, current);
    Ok(rows)
}

fn inodes(items: &Items) -> HashMap<(usize, u64), Vec<&RelPath>> {
    let mut inodes: HashMap<_, Vec<_>> = HashMap::new();
    for (path, item) in items {
        if item.after.is_some() {
            let key = (item.volume, item.upper.id);
            inodes.entry(key).or_default().push(path);
        }
    }
    inodes
}

impl<'a> Step<'a> {
    /// Finds out where the object at `path` of the new view was in the old one; says whether it is
    /// known to be the same one. Parents come before children.
    fn place(&mut self, path: &'a RelPath, item: &'a Item) -> bool {
        let default = self.default_origin(path);
        let before = self.origin_by_inode(path, item, &default);
        let before = before.or_else(|| self.origin_by_live(path, item, &default));
        let is_known = before.is_some();
        let origin = before.unwrap_or_else(|| default.clone());
        if origin != default {
            self.moves.insert(origin.clone(), path);
        }
        self.origins.insert(path, origin);
        is_known
    }

    /// Takes for renamed what is where it was, while the directory that it was in is elsewhere:
    /// another one took its place. `known` are objects that are the same ones, parents first.
    fn stay(&mut self, known: &[&'a RelPath]) {
        for path in known {
            let Some(origin) = self.origins.get(*path) else {
                continue;
            };
            if !self.moves.contains_key(origin) && self.now_at(origin) != **path {
                let origin = origin.clone();
                self.moves.insert(origin, path);
            }
        }
    }

    /// Where it was if it only went along with the directory that holds it.
    fn default_origin(&self, path: &RelPath) -> RelPath {
        // A name that nobody touched can lie in directories that nobody touched.
        let above = std::iter::successors(path.parent(), RelPath::parent);
        let known = above.filter_map(|at| Some((self.origins.get(&at)?, path.strip_prefix(&at)?)));
        let mut joined = known.filter_map(|(origin, rest)| origin.join(&rest).ok());
        joined.next().unwrap_or_else(|| path.clone())
    }

    fn origin_by_inode(&self, path: &RelPath, item: &Item, default: &RelPath) -> Option<RelPath> {
        item.after.as_ref()?;
        let names = self.inodes.get(&(item.volume, item.upper.id))?;
        if names.contains(&default) {
            return Some(default.clone());
        }
        let from = names
            .iter()
            .filter(|name| **name != path)
            .find(|name| !self.keeps(name, item) && !self.moves.contains_key(**name))?;
        // The bytes of a file that was renamed are those it had; else it was replaced. One that
        // keeps other names is known by them.
        let old = self.previous.items.get(*from)?.after.as_ref()?;
        let has_others = matches!(old.kind, Kind::File { .. }) && names.len() > 1;
        let is_same = |new: &Node| has_others || same_kind(&old.kind, &new.kind);
        let same = item.after.as_ref().is_some_and(is_same);
        same.then(|| (*from).clone())
    }

    /// Whether the old name of the item's inode is one still.
    fn keeps(&self, name: &RelPath, item: &Item) -> bool {
        let now = self.current.items.get(&self.now_at(name));
        now.is_some_and(|now| now.after.is_some() && now.upper.id == item.upper.id)
    }

    /// Where the live object was that is at `path` now.
    fn origin_by_live(&self, path: &RelPath, item: &Item, default: &RelPath) -> Option<RelPath> {
        let free = |from: &RelPath| !self.moves.contains_key(from);
        if !item.is_leaf() {
            let from = self
                .previous
                .shown_at(item.volume, item.moved_from.as_ref()?)?;
            return Some(from).filter(free);
        }
        let ino = match item.role {
            Role::LiveData { ino, .. } | Role::Whole { origin: Some(ino) } => ino,
            _ => return None,
        };
        let shown = |name: &RelPath| self.previous.shown_at(item.volume, name);
        let stays = item.live.is_some_and(|live| live.ino == ino);
        if stays && shown(&item.live_path).as_ref() == Some(default) {
            return Some(default.clone());
        }
        let (links, lost) = self.lost.get(&(item.volume, ino))?;
        let places: BTreeSet<RelPath> = lost.iter().filter_map(shown).collect();
        // Rewritten under its only name: as good as new.
        let only_name = (*links + places.len() as u64).saturating_sub(lost.len() as u64) < 2;
        if only_name && matches!(item.role, Role::Whole { .. }) {
            return None;
        }
        let mut places = places.into_iter();
        places.find(|from| free(from) && (from == path || !self.keeps(from, item)))
    }

    /// The change of the object at `path` of the new view, if it is one.
    fn compare(
        &self,
        path: &RelPath,
        item: &Item,
        layout: &Layout,
        read_live: &mut ReadLive<'_>,
    ) -> Result<Option<Row>, CollectError> {
        let origin = self.origins.get(path).unwrap_or(path);
        let moved_to = self.moves.get(origin);
        let moved = moved_to.is_some_and(|to| *to == path);
        // What was here went elsewhere, by itself or with its directory: this is another, however
        // equal.
        let went_along = self.now_at(origin) != *path;
        if went_along && item.after.is_none() {
            return Ok(None);
        }
        let displaced = !moved && (moved_to.is_some() || went_along);
        let (mut before, old_inode) = match self.previous.shown(origin) {
            Shown::Nothing => (None, None),
            Shown::Item(old) => (old.after.clone(), Some(old.upper)),
            Shown::Live(_, live) if live == item.live_path => (item.before.clone(), None),
            Shown::Live(volume, live) => (read_live(volume, &live)?, None),
        };
        let (mut change, provenance) = row(path, item, layout);
        if let (Some(old), Some(new)) = (&mut before, &mut change.after) {
            old.link_of = None;
            if old_inode.is_some_and(|inode| inode.id == item.upper.id) {
                forget_kept_content(old, new);
            }
        }
        change.moved_from = moved.then(|| origin.clone());
        let differs = match (&before, &change.after) {
            (None, None) => false,
            (Some(old), Some(new)) => {
                moved || displaced || !same_state(old, new) || relinked(old_inode, item)
            }
            (None, Some(_)) | (Some(_), None) => true,
        };
        change.before = before;
        Ok(differs.then_some((change, provenance)))
    }

    /// What the old view showed and the new one has no item for.
    /// `covered` are live objects that do not show where they were, while something else does.
    fn vanished(
        &self,
        covered: &[(usize, RelPath)],
        read_live: &mut ReadLive<'_>,
    ) -> Result<Vec<Row>, CollectError> {
        let mut gone: Vec<Row> = Vec::new();
        for (path, item) in self.previous.items {
            let now = self.now_at(path);
            let there = self.is_there(&now, read_live)?;
            if let (Some(node), false) = (&item.after, there) {
                let from = (item.volume, item.live_path.clone());
                gone.push(vanished(now, from, node.clone()));
            }
        }
        // Below a directory that an earlier entry renamed: unchanged until now, so without item.
        let hidden = self.current.items.iter().filter_map(|(path, item)| {
            let live = self.current.hidden_by(path, item)?;
            Some((item.volume, live))
        });
        for (volume, live) in hidden.chain(covered.iter().cloned()) {
            let Some(place) = self.previous.shown_at(volume, &live) else {
                continue;
            };
            if self.previous.items.contains_key(&place)
                || self.current.shown_at(volume, &live).is_some()
            {
                continue;
            }
            let now = self.now_at(&place);
            if !self.is_there(&now, read_live)?
                && let Some(node) = read_live(volume, &live)?
            {
                gone.push(vanished(now, (volume, live), node));
            }
        }
        Ok(gone)
    }

    /// Whether the new view shows anything at `path`.
    fn is_there(&self, path: &RelPath, read_live: &mut ReadLive<'_>) -> Result<bool, CollectError> {
        Ok(match self.current.shown(path) {
            Shown::Nothing => false,
            Shown::Item(item) => item.after.is_some(),
            Shown::Live(volume, live) => read_live(volume, &live)?.is_some(),
        })
    }

    /// Where something of the old view would be in the new one, had it gone along.
    fn now_at(&self, path: &RelPath) -> RelPath {
        let mut above = path.parent();
        while let Some(at) = above {
            if let (Some(to), Some(rest)) = (self.moves.get(&at), path.strip_prefix(&at))
                && let Ok(now) = to.join(&rest)
            {
                return now;
            }
            above = at.parent();
        }
        path.clone()
    }
}

fn vanished(path: RelPath, (volume, live_path): (usize, RelPath), mut before: Node) -> Row {
    before.link_of = None;
    let change = Change {
        path,
        before: Some(before),
        after: None,
        moved_from: None,
    };
    let provenance = Provenance {
        volume,
        source: Source::Gone,
        live: None,
        live_path,
        replaced: None,
        linked: None,
    };
    (change, provenance)
}

/// Whether a name became one of another inode that has several.
fn relinked(old: Option<UpperInode>, item: &Item) -> bool {
    old.is_some_and(|old| {
        item.is_leaf() && old.id != item.upper.id && (old.nlink > 1 || item.upper.nlink > 1)
    })
}

/// A file whose content an earlier entry wrote and this one left alone: not read, as it would be
/// had the earlier one been committed. Writing sets the time of modification.
fn forget_kept_content(old: &mut Node, new: &mut Node) {
    if !same_kind(&old.kind, &new.kind) || old.meta.mtime != new.meta.mtime {
        return;
    }
    for node in [old, new] {
        if let Kind::File { content, .. } = &mut node.kind {
            *content = Content::Unread;
        }
    }
}
