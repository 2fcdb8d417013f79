//! What becomes of the old tree of one volume: which live objects move, which go, which keep their
//! inode, and where everything else ends up. Pure. Not for the steps (see `plan`).

use std::collections::{BTreeMap, BTreeSet};

use super::facts::Facts;
use super::item::{Item, Origin, Refusal};
use crate::change::RelPath;
use crate::fs::Stat;

/// The old tree and its future.
#[derive(Debug)]
pub(super) struct Shape<'a> {
    pub items: &'a [Item<'a>],
    by_path: BTreeMap<&'a RelPath, usize>,
    /// Old path of each live object that moves, with the item that takes it.
    pub claimed: BTreeMap<RelPath, usize>,
    /// For each item: whether it comes with the directory that holds it, and the old place of
    /// what shows at its path.
    surroundings: Vec<Surroundings>,
    /// The items that take one, with the old path.
    movers: BTreeMap<usize, RelPath>,
    /// Old paths whose objects go out of the live tree.
    pub removed: BTreeSet<RelPath>,
    /// Items that are exchanged with the object at this old path (which is in `removed`).
    pub displacing: BTreeMap<usize, RelPath>,
    /// Items whose live inode stays and gets new bytes.
    pub in_place: BTreeSet<usize>,
    /// Items in place whose inode is known from another item, under a name that goes.
    stand_ins: BTreeMap<usize, usize>,
    /// Items that are one more name of a live inode, which has this item or old path.
    pub links: BTreeMap<usize, RelPath>,
}

#[derive(Debug)]
struct Surroundings {
    covered: bool,
    occupant: Option<RelPath>,
}

impl<'a> Shape<'a> {
    /// Works it out. `bound` are the files that are mounted somewhere.
    pub fn new(
        items: &'a [Item<'a>],
        facts: &Facts,
        bound: &BTreeSet<RelPath>,
    ) -> Result<Self, Refusal> {
        let mut shape = Self::unknown(items);
        shape.look_around();
        shape.find_in_place(facts, bound);
        shape.find_rewrite_links();
        shape.find_moved();
        shape.find_removed(facts);
        shape.find_displaced(facts);
        shape.find_links()?;
        Ok(shape)
    }

    /// The item of a path of the new tree.
    pub fn item_at(&self, path: &RelPath) -> Option<&'a Item<'a>> {
        self.by_path.get(path).map(|i| &self.items[*i])
    }

    fn unknown(items: &'a [Item<'a>]) -> Self {
        let by_path = items.iter().enumerate().map(|(i, item)| (&item.path, i));
        Self {
            items,
            by_path: by_path.collect(),
            surroundings: Vec::new(),
            claimed: BTreeMap::new(),
            movers: BTreeMap::new(),
            stand_ins: BTreeMap::new(),
            removed: BTreeSet::new(),
            displacing: BTreeMap::new(),
            in_place: BTreeSet::new(),
            links: BTreeMap::new(),
        }
    }

    /// The old places of what shows at the items' paths, which have to be looked at too.
    pub fn occupants(items: &'a [Item<'a>]) -> Vec<RelPath> {
        let mut shape = Self::unknown(items);
        shape.look_around();
        let occupants = shape.surroundings.into_iter();
        occupants.filter_map(|around| around.occupant).collect()
    }

    /// Paths come in order, so that most have the parent of the one before.
    fn look_around(&mut self) {
        let mut last: Option<(RelPath, bool, Option<RelPath>)> = None;
        let mut found = Vec::with_capacity(self.items.len());
        for item in self.items {
            let (Some(parent), Some(name)) = (item.path.parent(), item.path.file_name()) else {
                found.push(Surroundings {
                    covered: false,
                    occupant: Some(RelPath::root()),
                });
                continue;
            };
            if last.as_ref().is_none_or(|(path, ..)| *path != parent) {
                let is_own = self.item_at(&parent).is_some_and(Item::is_own_tree);
                let old = self.old_directory(&parent);
                last = Some((parent, is_own, old));
            }
            let (is_own, old) = match &last {
                Some((_, is_own, old)) => (*is_own, old.as_ref()),
                None => (false, None),
            };
            found.push(Surroundings {
                covered: is_own && matches!(item.source, Origin::Upper { .. }),
                occupant: old.and_then(|old| old.child(name).ok()),
            });
        }
        self.surroundings = found;
    }

    fn find_in_place(&mut self, facts: &Facts, bound: &BTreeSet<RelPath>) {
        // How many of a live inode's names the set replaces or removes itself.
        // One that was renamed is the old place of two items, of which one says that it is gone.
        let mut names: BTreeMap<u64, BTreeSet<&RelPath>> = BTreeMap::new();
        for item in self.items.iter().filter(|i| !i.stays_live()) {
            if let Some(live) = item.live {
                names.entry(live.ino).or_default().insert(&item.from);
            }
        }
        let old_stats = self.items.iter().filter_map(|item| facts.at(&item.from));
        let by_inode: BTreeMap<u64, &Stat> = old_stats.map(|stat| (stat.ino(), stat)).collect();
        let mut inodes = BTreeSet::new();
        for item in self.items {
            let Some((ino, _)) = item.copy() else {
                continue;
            };
            let Some(stat) = by_inode.get(&ino).filter(|stat| stat.is_file()) else {
                continue;
            };
            let outside = stat.identity.nlink > names.get(&ino).map_or(0, |n| n.len() as u64);
            if outside || facts.held.contains(&item.from) || bound.contains(&item.from) {
                inodes.insert(ino);
            }
        }
        let mut strays = Vec::new();
        for (index, item) in self.items.iter().enumerate() {
            let Some((ino, _)) = item.copy().filter(|(ino, _)| inodes.contains(ino)) else {
                continue;
            };
            if facts.at(&item.from).is_some_and(|stat| stat.ino() == ino) {
                self.in_place.insert(index);
            } else {
                strays.push(index);
            }
        }
        strays.into_iter().for_each(|index| self.adopt(index));
    }

    /// A modified copy under a new name, of an inode of which another name goes and others stay:
    /// the name moves, and the inode is written in place.
    fn adopt(&mut self, stray: usize) {
        let Some((ino, upper)) = self.items[stray].copy() else {
            return;
        };
        let same = |index: &usize| self.items[*index].copy() == Some((ino, upper));
        if self.in_place.iter().any(same) {
            return;
        }
        let leaving = self.items.iter().enumerate().find(|(_, item)| {
            item.source == Origin::Gone
                && item.live.is_some_and(|live| live.ino == ino)
                && !self.claimed.contains_key(&item.from)
        });
        if let Some((index, item)) = leaving {
            self.in_place.insert(stray);
            self.stand_ins.insert(stray, index);
            self.claim(item.from.clone(), stray);
        }
    }

    /// The old paths that the set has to do with, and those of what it replaces; each once.
    pub fn old_paths(&self) -> BTreeSet<&RelPath> {
        let items = self.items.iter().map(|item| &item.from);
        items.chain(&self.removed).collect()
    }

    fn find_moved(&mut self) {
        for (index, item) in self.items.iter().enumerate() {
            let keeps = item.stays_live() || self.in_place.contains(&index);
            // The same path in a new directory is another place.
            let moves = self.occupant(index) != Some(&item.from);
            if item.change.moved_from.is_some() && keeps && moves {
                self.claim(item.from.clone(), index);
            }
        }
        // A second name made and the first removed is a move as well.
        let gone: BTreeSet<&RelPath> = self
            .items
            .iter()
            .filter(|i| i.source == Origin::Gone)
            .map(|i| &i.from)
            .collect();
        for (index, item) in self.items.iter().enumerate() {
            if let Origin::LiveData { data, .. } = &item.source
                && gone.contains(data)
                && !self.claimed.contains_key(data)
                && !self.movers.contains_key(&index)
            {
                self.claim(data.clone(), index);
            }
        }
    }

    fn claim(&mut self, old: RelPath, index: usize) {
        if let std::collections::btree_map::Entry::Vacant(free) = self.claimed.entry(old) {
            self.movers.insert(index, free.key().clone());
            free.insert(index);
        }
    }

    /// Whether the item takes a live object from another place.
    pub fn is_mover(&self, index: usize) -> bool {
        self.movers.contains_key(&index)
    }

    /// The old place of the live object that the item takes.
    pub fn moved_from(&self, index: usize) -> Option<&RelPath> {
        self.movers.get(&index)
    }

    /// The item that knows the state before of the live inode that this one keeps.
    pub fn old_item(&self, index: usize) -> &'a Item<'a> {
        &self.items[self.stand_ins.get(&index).copied().unwrap_or(index)]
    }

    /// Whether an object comes to the item's path in a step of its own.
    fn arrives(&self, index: usize) -> bool {
        let item = &self.items[index];
        self.movers.contains_key(&index)
            || self.links.contains_key(&index)
            || match &item.source {
                Origin::Gone | Origin::Merged { .. } => false,
                Origin::Upper { .. } => !self.is_covered(index) && !self.in_place.contains(&index),
                Origin::LiveData { data, .. } => self.occupant(index) != Some(data),
            }
    }

    fn find_removed(&mut self, facts: &Facts) {
        for item in self.items.iter().filter(|i| i.source == Origin::Gone) {
            // An old name below a directory that moved is gone because the object moved along; one
            // that was deleted there is named by its new path.
            let moved_along = item.path == item.from
                && item
                    .from
                    .parent()
                    .is_some_and(|p| self.is_below_claimed(&p));
            if !moved_along && !self.claimed.contains_key(&item.from) && facts.exists(&item.from) {
                self.removed.insert(item.from.clone());
            }
        }
    }

    fn is_below_claimed(&self, old: &RelPath) -> bool {
        self.claimed.contains_key(old)
            || old
                .parent()
                .is_some_and(|parent| self.is_below_claimed(&parent))
    }

    fn find_displaced(&mut self, facts: &Facts) {
        for (index, item) in self.items.iter().enumerate() {
            if !self.arrives(index) {
                continue;
            }
            let Some(old) = self.occupant(index).cloned() else {
                continue;
            };
            if self.claimed.contains_key(&old) || !facts.exists(&old) {
                continue;
            }
            self.removed.insert(old.clone());
            let from_upper = matches!(item.source, Origin::Upper { .. })
                && !self.in_place.contains(&index)
                && !self.links.contains_key(&index);
            if from_upper {
                self.displacing.insert(index, old);
            }
        }
    }

    /// Finds further names of an inode that is rewritten in place.
    fn find_rewrite_links(&mut self) {
        let rewritten: BTreeMap<u64, usize> = self
            .in_place
            .iter()
            .filter_map(|i| match self.items[*i].source {
                Origin::Upper { ino, .. } => Some((ino, *i)),
                _ => None,
            })
            .rev()
            .collect();
        for (index, item) in self.items.iter().enumerate() {
            if let Origin::Upper { ino, .. } = item.source
                && !self.in_place.contains(&index)
                && let Some(first) = rewritten.get(&ino)
            {
                self.links.insert(index, self.items[*first].path.clone());
            }
        }
    }

    /// Finds items whose live inode is neither at their path nor moved there.
    fn find_links(&mut self) -> Result<(), Refusal> {
        for (index, item) in self.items.iter().enumerate() {
            let Origin::LiveData { data, .. } = &item.source else {
                continue;
            };
            if self.movers.contains_key(&index) {
                continue;
            }
            match self.final_place(data) {
                Some(place) if place == item.path => {}
                Some(place) => {
                    self.links.insert(index, place);
                }
                None => {
                    return Err(Refusal::DataGone {
                        path: item.path.clone(),
                        data: data.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether the item comes with the directory that holds it, in one step.
    pub fn is_covered(&self, index: usize) -> bool {
        self.surroundings[index].covered
    }

    /// The old place of what shows at the item's path before that itself changes; `None` when
    /// nothing of the old tree shows there.
    pub fn occupant(&self, index: usize) -> Option<&RelPath> {
        self.surroundings[index].occupant.as_ref()
    }

    /// The old place of the live directory that a directory of the new tree is; `None` when it is
    /// a new one.
    pub fn old_directory(&self, path: &RelPath) -> Option<RelPath> {
        match self.item_at(path) {
            Some(item) => match item.source {
                Origin::Merged { .. } => Some(item.from.clone()),
                _ => None,
            },
            None => self.old_place(path),
        }
    }

    /// The old place of the live object that a path of the new tree is if no item says otherwise;
    /// `None` where none shows.
    pub fn old_place(&self, path: &RelPath) -> Option<RelPath> {
        match path.parent() {
            None => Some(RelPath::root()),
            Some(parent) => self.old_directory(&parent)?.child(path.file_name()?).ok(),
        }
    }

    /// Where the object at an old path ends up; `None` when it leaves the live tree.
    pub fn final_place(&self, old: &RelPath) -> Option<RelPath> {
        let mut at = old.clone();
        loop {
            if let Some(index) = self.claimed.get(&at) {
                return self.items[*index].path.join(&old.strip_prefix(&at)?).ok();
            }
            if self.removed.contains(&at) {
                return None;
            }
            match at.parent() {
                Some(parent) => at = parent,
                None => return Some(old.clone()),
            }
        }
    }

    /// Whether an ancestor of an old path goes out of the live tree and takes it along.
    pub fn goes_with_ancestor(&self, old: &RelPath) -> bool {
        old.parent()
            .is_some_and(|parent| self.final_place(&parent).is_none())
    }

    /// Whether an ancestor of an old path moves or goes, so that the path is not where it was
    /// when things are placed; perhaps to the same path, in another directory.
    pub fn ancestor_leaves(&self, old: &RelPath) -> bool {
        std::iter::successors(old.parent(), RelPath::parent)
            .any(|above| self.claimed.contains_key(&above) || self.removed.contains(&above))
    }
}
