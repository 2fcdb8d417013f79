//! Decides the steps of one volume. Pure: change set and facts in, steps out. Not for doing them
//! (see `prepare` and `apply`).
//!
//! ```text
//! 1 what leaves, deepest first:   removed → undo/N, detached → stage/N
//! 2 what arrives, top first:      place, exchange, attach, direct move
//! 3 further names                 link
//! 4 names that undo gives up      release
//! 5 bytes of inodes that stay     rewrite
//! 6 attributes                    settings
//! ```

mod settings;

use std::collections::BTreeMap;

use self::settings::Part;
use crate::change::{Content, Kind, RelPath};
use crate::commit::facts::Facts;
use crate::commit::intent::{Left, LeftObject, fingerprint};
use crate::commit::item::{Item, Origin, object_of};
use crate::commit::shape::Shape;
use crate::commit::step::{Area, Bytes, Loc, Move, Object, Rewrite, Setting, Steps};
use crate::fs::Stat;

/// What is to be done on one volume: first aside, then live.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct VolumePlan {
    /// The steps to record and do.
    pub steps: Steps,
    /// What has to leave a tree of the upper layer before that is placed as a whole: from and to,
    /// below the scratch directory, in order.
    pub relocations: Vec<(RelPath, RelPath)>,
    /// Bytes to save before they are written over: live path, length, where to.
    pub preimages: Vec<(RelPath, u64, RelPath)>,
    /// What will be live: path below the scratch directory, then live path. To be cleaned of the
    /// overlay's attributes and made durable.
    pub sources: Vec<(RelPath, RelPath)>,
    /// Files whose bytes will be written into live ones; to be made durable.
    pub donors: Vec<RelPath>,
    /// What is left at every path.
    pub left: Vec<Left>,
}

/// Plans one volume.
pub(super) fn plan(volume: usize, shape: &Shape<'_>, facts: &Facts) -> VolumePlan {
    let mut planner = Planner {
        volume,
        shape,
        facts,
        plan: VolumePlan::default(),
        numbers: 0,
        stash: BTreeMap::new(),
        settings: BTreeMap::new(),
        last_old: None,
        last_new: None,
    };
    planner.relocate();
    planner.depart();
    planner.arrive();
    planner.link();
    planner.release();
    planner.rewrite();
    planner.set();
    planner.know_by_number();
    planner.leave();
    planner.plan
}

struct Planner<'a> {
    volume: usize,
    shape: &'a Shape<'a>,
    facts: &'a Facts,
    plan: VolumePlan,
    numbers: u64,
    /// Where detached objects wait, by old path.
    stash: BTreeMap<RelPath, RelPath>,
    settings: BTreeMap<(u64, Part), Setting>,
    /// The directories that were touched last, as old and as new paths: paths come in order, so
    /// that most have the parent of the one before.
    last_old: Option<RelPath>,
    last_new: Option<RelPath>,
}

fn live_object(stat: &Stat) -> Object {
    Object {
        ino: stat.ino(),
        state: (!stat.is_directory()).then_some((stat.identity.mtime, stat.identity.size)),
    }
}

fn below(parts: &[&[u8]]) -> RelPath {
    RelPath::new(parts.join(&b'/')).unwrap_or_default()
}

impl<'a> Planner<'a> {
    fn live(&self, path: &RelPath) -> Loc {
        Loc {
            volume: self.volume,
            area: Area::Live,
            path: path.clone(),
        }
    }

    fn scratch(&self, path: &RelPath) -> Loc {
        Loc {
            volume: self.volume,
            area: Area::Scratch,
            path: path.clone(),
        }
    }

    fn fresh(&mut self, directory: &str) -> RelPath {
        self.numbers += 1;
        below(&[directory.as_bytes(), self.numbers.to_string().as_bytes()])
    }

    /// Where an object of the upper layer is after the relocations so far.
    fn source(&self, upper: &RelPath) -> RelPath {
        let original = below(&[b"upper", upper.as_bytes()]);
        let moved = self.plan.relocations.iter().rev().find_map(|(from, to)| {
            let rest = original.strip_prefix(from)?;
            to.join(&rest).ok()
        });
        moved.unwrap_or(original)
    }

    /// Takes out of new trees what is not to be placed with them.
    fn relocate(&mut self) {
        // Originals, so that `source` can map further paths; deeper ones come later in path order
        // and are found first by going backwards.
        for (index, item) in self.shape.items.iter().enumerate() {
            let in_new_tree = item
                .path
                .parent()
                .and_then(|parent| self.shape.item_at(&parent))
                .is_some_and(Item::is_own_tree);
            let stays = match &item.source {
                Origin::Gone => false,
                Origin::Merged { .. } | Origin::LiveData { .. } => true,
                Origin::Upper { .. } => {
                    self.shape.in_place.contains(&index) || self.shape.links.contains_key(&index)
                }
            };
            if in_new_tree && stays {
                let upper = match &item.source {
                    Origin::Gone => continue,
                    Origin::Upper { upper, .. }
                    | Origin::Merged { upper }
                    | Origin::LiveData { upper, .. } => below(&[b"upper", upper.as_bytes()]),
                };
                let to = self.fresh("stage");
                self.plan.relocations.push((upper, to));
                self.touch_new_parent(&item.path);
            }
        }
    }

    /// Moves out of the live tree what goes, and aside what cannot move directly.
    fn depart(&mut self) {
        let shape = self.shape;
        let mut leaving: BTreeMap<&RelPath, Option<usize>> = BTreeMap::new();
        let displaced: std::collections::BTreeSet<&RelPath> = shape.displacing.values().collect();
        for old in &shape.removed {
            if !displaced.contains(old) && !shape.goes_with_ancestor(old) {
                leaving.insert(old, None);
            }
        }
        for (old, index) in &shape.claimed {
            if !self.moves_directly(old, *index) {
                leaving.insert(old, Some(*index));
            }
        }
        for (old, mover) in leaving.into_iter().rev() {
            let Some(stat) = self.facts.at(old) else {
                continue;
            };
            let to = self.fresh(if mover.is_some() { "stage" } else { "undo" });
            if mover.is_some() {
                self.stash.insert(old.clone(), to.clone());
            } else {
                self.keep_locks(old, stat, None);
            }
            let step = Move::Rename {
                from: self.live(old),
                to: self.scratch(&to),
                object: live_object(stat),
                holders: [self.old_holder(old), None],
            };
            self.plan.steps.moves.push(step);
            self.touch_old_parent(old);
        }
    }

    /// One rename will do when the old place stays reachable until then, nothing else comes to
    /// it, and the new place is free by then.
    fn moves_directly(&self, old: &RelPath, index: usize) -> bool {
        let shape = self.shape;
        let free = shape.occupant(index).is_none_or(|occupant| {
            !self.facts.exists(occupant)
                || (shape.removed.contains(occupant) && !shape.claimed.contains_key(occupant))
        });
        let vacated = shape
            .item_at(old)
            .is_none_or(|other| other.source == Origin::Gone);
        free && vacated && !shape.ancestor_leaves(old)
    }

    fn arrive(&mut self) {
        for (index, item) in self.shape.items.iter().enumerate() {
            if self.shape.is_mover(index) {
                self.move_in(index, item);
            } else if let Origin::Upper { upper, ino, .. } = &item.source
                && !self.shape.is_covered(index)
                && !self.shape.in_place.contains(&index)
                && !self.shape.links.contains_key(&index)
            {
                self.place(index, item, upper, *ino);
            }
        }
    }

    fn move_in(&mut self, index: usize, item: &Item<'_>) {
        let Some(old) = self.shape.moved_from(index) else {
            return;
        };
        let Some(stat) = self.facts.at(old) else {
            return;
        };
        let (from, holder) = match self.stash.get(old) {
            Some(stash) => (self.scratch(stash), None),
            None => (self.live(old), self.old_holder(old)),
        };
        let step = Move::Rename {
            from,
            to: self.live(&item.path),
            object: live_object(stat),
            holders: [holder, self.directory_of(&item.path)],
        };
        self.plan.steps.moves.push(step);
        self.keep_locks(old, stat, Some(item));
        self.touch_old_parent(old);
        self.touch_new_parent(&item.path);
    }

    fn place(&mut self, index: usize, item: &Item<'_>, upper: &RelPath, ino: u64) {
        let Some(node) = &item.change.after else {
            return;
        };
        let source = self.source(upper);
        let object = object_of(ino, node);
        let (live, scratch) = (self.live(&item.path), self.scratch(&source));
        let old = self.shape.displacing.get(&index);
        let step = match old.and_then(|old| Some((old, self.facts.at(old)?))) {
            Some((old, stat)) => {
                self.keep_times(item, ino, old, stat);
                self.keep_locks(old, stat, None);
                Move::Exchange {
                    live,
                    scratch,
                    old: live_object(stat),
                    new: object,
                }
            }
            None => Move::Rename {
                from: scratch,
                to: live,
                object,
                // An inode of the upper layer has no live name before.
                holders: [None, None],
            },
        };
        self.plan.steps.moves.push(step);
        self.plan.sources.push((source, item.path.clone()));
        self.touch_new_parent(&item.path);
    }

    fn link(&mut self) {
        for (index, first) in &self.shape.links {
            let item = &self.shape.items[*index];
            let ino = match &item.source {
                Origin::LiveData { ino, .. } => *ino,
                Origin::Upper { copy_of, .. } => match copy_of {
                    Some(ino) => *ino,
                    None => self.live_inode_at(first),
                },
                Origin::Gone | Origin::Merged { .. } => continue,
            };
            let step = Move::Link {
                existing: self.live(first),
                name: self.live(&item.path),
                ino,
                holder: self.directory_of(&item.path).unwrap_or_default(),
            };
            self.plan.steps.moves.push(step);
            self.touch_new_parent(&item.path);
        }
    }

    /// The inode number of the directory that holds an old path.
    fn old_holder(&self, old: &RelPath) -> Option<u64> {
        self.facts.at(&old.parent()?).map(Stat::ino)
    }

    /// The inode number of the directory that will hold a path.
    fn directory_of(&self, path: &RelPath) -> Option<u64> {
        let parent = path.parent().unwrap_or_default();
        if let Some(item) = self.shape.item_at(&parent)
            && let Origin::Upper { ino, .. } = item.source
        {
            return Some(ino);
        }
        let old = self.shape.old_directory(&parent)?;
        self.facts.at(&old).map(Stat::ino)
    }

    fn live_inode_at(&self, path: &RelPath) -> u64 {
        let item = self.shape.item_at(path);
        item.and_then(|item| item.live).map_or(0, |live| live.ino)
    }

    /// Where the live objects that go are kept, by old path.
    fn departed(&self) -> BTreeMap<RelPath, Loc> {
        let mut tops = BTreeMap::new();
        for step in &self.plan.steps.moves {
            if let Move::Rename { from, to, .. } = step
                && from.area == Area::Live
                && to.path.starts_with(&below(&[b"undo"]))
            {
                tops.insert(from.path.clone(), to.clone());
            }
        }
        for (index, old) in &self.shape.displacing {
            if let Origin::Upper { upper, .. } = &self.shape.items[*index].source {
                tops.insert(old.clone(), self.scratch(&self.source(upper)));
            }
        }
        tops
    }

    /// The undo area must not count as a name of files that keep other names in the live tree.
    fn release(&mut self) {
        let mut kept: BTreeMap<u64, Vec<(Loc, RelPath)>> = BTreeMap::new();
        let tops = self.departed();
        let mut olds = self.shape.old_paths();
        olds.extend(&self.facts.unnamed);
        for old in olds {
            let stat = self
                .facts
                .at(old)
                .filter(|s| s.identity.nlink > 1 && !s.is_directory());
            let Some(stat) = stat.filter(|_| self.shape.final_place(old).is_none()) else {
                continue;
            };
            let mut above = Some(old.clone());
            while let Some(at) = above {
                if let Some(top) = tops.get(&at) {
                    let rest = old.strip_prefix(&at).unwrap_or_default();
                    let path = top.path.join(&rest).unwrap_or_default();
                    let name = Loc {
                        path,
                        ..top.clone()
                    };
                    kept.entry(stat.ino())
                        .or_default()
                        .push((name, old.clone()));
                    break;
                }
                above = at.parent();
            }
        }
        let names: BTreeMap<u64, u64> = self
            .facts
            .live
            .values()
            .flatten()
            .map(|stat| (stat.ino(), stat.identity.nlink))
            .collect();
        for (ino, locs) in kept {
            let Some(handle) = self.facts.handles.get(&ino) else {
                continue;
            };
            if names.get(&ino).is_some_and(|n| *n > locs.len() as u64) {
                for (name, old) in locs {
                    let handle = handle.clone();
                    // Inside a directory that goes: its time must be right when it comes back.
                    self.touch_old_parent(&old);
                    self.plan
                        .steps
                        .moves
                        .push(Move::Release { name, ino, handle });
                }
            }
        }
    }

    fn rewrite(&mut self) {
        let mut done = std::collections::BTreeSet::new();
        for index in &self.shape.in_place {
            let item = &self.shape.items[*index];
            let old = self.shape.old_item(*index);
            let (Origin::Upper { upper, .. }, Some(stat)) =
                (&item.source, self.facts.at(&old.from))
            else {
                continue;
            };
            if !done.insert(stat.ino()) {
                continue;
            }
            let donor = self.source(upper);
            let keep = self.fresh("undo");
            let after_size = match item.change.after.as_ref().map(|node| &node.kind) {
                Some(Kind::File { size, .. }) => *size,
                _ => continue,
            };
            let size = stat.identity.size;
            self.plan
                .preimages
                .push((old.from.clone(), size, keep.clone()));
            self.plan.donors.push(donor.clone());
            self.plan.steps.rewrites.push(Rewrite {
                volume: self.volume,
                ino: stat.ino(),
                before: Bytes {
                    path: old.from.clone(),
                    source: keep,
                    size,
                },
                after: Bytes {
                    path: item.path.clone(),
                    source: donor,
                    size: after_size,
                },
            });
            self.set_all(old, item, stat.ino());
        }
    }

    fn leave(&mut self) {
        for (index, item) in self.shape.items.iter().enumerate() {
            let object = item.change.after.as_ref().map(|after| {
                let is_directory = after.kind == Kind::Directory;
                let ino = match &item.source {
                    Origin::Upper { copy_of, .. } if self.shape.in_place.contains(&index) => {
                        copy_of.unwrap_or_default()
                    }
                    Origin::Upper { ino, .. } => match self.shape.links.get(&index) {
                        Some(first) => self.live_inode_at(first),
                        None => *ino,
                    },
                    Origin::LiveData { ino, .. } => *ino,
                    Origin::Merged { .. } | Origin::Gone => item.live.map_or(0, |live| live.ino),
                };
                let only_place = matches!(item.source, Origin::Merged { .. })
                    && item.change.before.as_ref().is_some_and(|before| {
                        fingerprint(&before.meta, true) == fingerprint(&after.meta, true)
                    });
                LeftObject {
                    ino,
                    size: match after.kind {
                        Kind::File { size, .. } => Some(size),
                        _ => None,
                    },
                    meta: (!only_place).then(|| fingerprint(&after.meta, is_directory)),
                    content: match after.kind {
                        Kind::File {
                            content: Content::Read(digest),
                            ..
                        } => Some(digest),
                        _ => None,
                    },
                }
            });
            self.plan.left.push(Left {
                volume: self.volume,
                path: item.path.clone(),
                object,
            });
        }
    }
}
