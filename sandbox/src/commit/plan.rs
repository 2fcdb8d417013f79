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

use std::collections::BTreeMap;

use super::facts::Facts;
use super::intent::{Left, LeftObject, fingerprint};
use super::item::{Item, Origin, object_of};
use super::shape::Shape;
use super::step::{Area, Attributes, Bytes, LOCKS, Loc, Move, Object, Rewrite, Setting, Steps};
use crate::change::{Kind, RelPath, Timestamp};
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
    settings: BTreeMap<u64, Setting>,
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
            };
            self.plan.steps.moves.push(step);
            self.touch_old_parent(old);
        }
    }

    /// One rename will do when the old place stays reachable until then, nothing else comes to
    /// it, and the new place is free by then.
    fn moves_directly(&self, old: &RelPath, index: usize) -> bool {
        let shape = self.shape;
        let item = &shape.items[index];
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
        let from = match self.stash.get(old) {
            Some(stash) => self.scratch(stash),
            None => self.live(old),
        };
        let step = Move::Rename {
            from,
            to: self.live(&item.path),
            object: live_object(stat),
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
                holder: self.directory_of(&item.path),
            };
            self.plan.steps.moves.push(step);
            self.touch_new_parent(&item.path);
        }
    }

    /// The inode number of the directory that will hold a path.
    fn directory_of(&self, path: &RelPath) -> u64 {
        let parent = path.parent().unwrap_or_default();
        if let Some(item) = self.shape.item_at(&parent)
            && let Origin::Upper { ino, .. } = item.source
        {
            return ino;
        }
        let old = self.shape.old_directory(&parent);
        old.and_then(|old| self.facts.at(&old)).map_or(0, Stat::ino)
    }

    fn live_inode_at(&self, path: &RelPath) -> u64 {
        let item = self.shape.item_at(path);
        item.and_then(|item| item.live).map_or(0, |live| live.ino)
    }

    /// The undo area must not count as a name of files that keep other names in the live tree.
    fn release(&mut self) {
        let mut kept: BTreeMap<u64, Vec<Loc>> = BTreeMap::new();
        for step in &self.plan.steps.moves {
            match step {
                Move::Rename { from, to, object }
                    if from.area == Area::Live && to.path.starts_with(&below(&[b"undo"])) =>
                {
                    kept.entry(object.ino).or_default().push(to.clone());
                }
                Move::Exchange { scratch, old, .. } => {
                    kept.entry(old.ino).or_default().push(scratch.clone());
                }
                _ => {}
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
                for name in locs {
                    let handle = handle.clone();
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

    /// Attributes of objects that stay, and flags that refuse changes of objects that are placed.
    fn set(&mut self) {
        for (index, item) in self.shape.items.iter().enumerate() {
            let Some(after) = &item.change.after else {
                continue;
            };
            match &item.source {
                Origin::Gone => {}
                Origin::Merged { .. } => {
                    if let Some(live) = item.live {
                        self.set_all(item, item, live.ino);
                    }
                }
                Origin::LiveData { ino, .. } => {
                    if item.live.is_some_and(|live| live.ino == *ino) {
                        self.set_all(item, item, *ino);
                    }
                }
                Origin::Upper { ino, .. } => {
                    let locks = after.meta.flags & LOCKS;
                    if locks != 0 && !self.shape.in_place.contains(&index) {
                        let after = Some((item.path.clone(), Attributes::All(after.meta.clone())));
                        self.add_setting(*ino, None, after);
                    }
                }
            }
        }
        self.plan.steps.settings = std::mem::take(&mut self.settings).into_values().collect();
    }

    /// What moves and is written or aged as well looks otherwise when it moves back, which is
    /// before its bytes and times go back: it is told by its inode number alone.
    fn know_by_number(&mut self) {
        let steps = &mut self.plan.steps;
        let aging = steps
            .settings
            .iter()
            .filter(|s| s.mtime(&s.before) != s.mtime(&s.after));
        let changing: std::collections::BTreeSet<u64> = aging
            .map(|setting| setting.ino)
            .chain(steps.rewrites.iter().map(|rewrite| rewrite.ino))
            .collect();
        for step in &mut steps.moves {
            let objects = match step {
                Move::Rename { object, .. } => vec![object],
                Move::Exchange { old, new, .. } => vec![old, new],
                _ => continue,
            };
            for object in objects {
                if changing.contains(&object.ino) {
                    object.state = None;
                }
            }
        }
    }

    /// Sets what differs between the states before and after of an inode that stays.
    fn set_all(&mut self, old_item: &Item<'_>, item: &Item<'_>, ino: u64) {
        let (Some(before), Some(after)) = (&old_item.change.before, &item.change.after) else {
            return;
        };
        let mut before = before.meta.clone();
        // What the directory really has now: others may have worked in it.
        if let Some(stat) = self
            .facts
            .at(&old_item.from)
            .filter(|stat| stat.ino() == ino)
        {
            before.mtime = stat.identity.mtime;
        }
        let mut aged = before.clone();
        aged.mtime = after.meta.mtime;
        let rewritten = matches!(item.source, Origin::Upper { .. });
        let (old, new) = if aged == after.meta && !rewritten && after.meta.flags & LOCKS == 0 {
            (
                Attributes::Mtime(before.mtime),
                Attributes::Mtime(after.meta.mtime),
            )
        } else {
            (Attributes::All(before), Attributes::All(after.meta.clone()))
        };
        let old = Some((old_item.from.clone(), old));
        self.add_setting(ino, old, Some((item.path.clone(), new)));
    }

    /// A live object that is immutable or append-only must be opened up to leave its place, and
    /// be so again when it comes back.
    fn keep_locks(&mut self, old: &RelPath, stat: &Stat, arrives: Option<&Item<'_>>) {
        if stat.locks == 0 {
            return;
        }
        let before = Some((old.clone(), Attributes::Locks(stat.locks)));
        let after = arrives.map(|item| (item.path.clone(), Attributes::Locks(stat.locks)));
        self.add_setting(stat.ino(), before, after);
    }

    /// One setting an inode: all attributes include the others.
    fn add_setting(
        &mut self,
        ino: u64,
        before: Option<(RelPath, Attributes)>,
        after: Option<(RelPath, Attributes)>,
    ) {
        let new = Setting {
            volume: self.volume,
            ino,
            before,
            after,
        };
        match self.settings.get(&ino) {
            // The change set's own come last, and win over what only keeps a time.
            Some(old) if old.rank() > new.rank() => {}
            _ => {
                self.settings.insert(ino, new);
            }
        }
    }

    /// A directory that something leaves gets its time of modification back, unless the change
    /// set says another.
    fn touch_old_parent(&mut self, old: &RelPath) {
        let Some(parent) = old.parent().filter(|p| self.last_old.as_ref() != Some(p)) else {
            return;
        };
        self.last_old = Some(parent.clone());
        let Some(stat) = self.facts.at(&parent) else {
            return;
        };
        let mtime = Attributes::Mtime(stat.identity.mtime);
        let after = self
            .shape
            .final_place(&parent)
            .map(|path| (path, mtime.clone()));
        self.add_setting(stat.ino(), Some((parent, mtime)), after);
    }

    /// The same for a directory that something comes to.
    fn touch_new_parent(&mut self, path: &RelPath) {
        let Some(parent) = path.parent().filter(|p| self.last_new.as_ref() != Some(p)) else {
            return;
        };
        self.last_new = Some(parent.clone());
        if let Some(item) = self.shape.item_at(&parent)
            && let (Origin::Upper { ino, .. }, Some(after)) = (&item.source, &item.change.after)
        {
            let after = Some((parent, Attributes::Mtime(after.meta.mtime)));
            self.add_setting(*ino, None, after);
        } else if let Some(old) = self.shape.old_directory(&parent)
            && let Some(stat) = self.facts.at(&old)
        {
            let mtime = Attributes::Mtime(stat.identity.mtime);
            let before = Some((old, mtime.clone()));
            self.add_setting(stat.ino(), before, Some((parent, mtime)));
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

impl Setting {
    /// The time of modification that one side has, when both sides say.
    fn mtime(&self, side: &Option<(RelPath, Attributes)>) -> Option<Timestamp> {
        match (&self.before, &self.after, side) {
            (Some(_), Some(_), Some((_, Attributes::All(meta)))) => Some(meta.mtime),
            (Some(_), Some(_), Some((_, Attributes::Mtime(mtime)))) => Some(*mtime),
            _ => None,
        }
    }

    /// How much it sets.
    fn rank(&self) -> u8 {
        let rank = |side: &Option<(RelPath, Attributes)>| match side {
            Some((_, Attributes::All(_))) => 3,
            Some((_, Attributes::Locks(_))) => 2,
            Some((_, Attributes::Mtime(_))) => 1,
            None => 0,
        };
        rank(&self.before).max(rank(&self.after))
    }
}
