//! The settings of a plan: attributes of inodes that stay, times of directories that steps disturb,
//! and flags that refuse steps. Pure. Upholds: one setting an inode, and the change set's own win.

use super::Planner;
use crate::change::{RelPath, Timestamp};
use crate::commit::item::{Item, Origin};
use crate::commit::step::{Attributes, LOCKS, Move, Setting};
use crate::fs::Stat;

/// What a setting sets. Settings of one inode are done in this order: what is locked refuses the
/// others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Everything.
    All,
    /// The time of modification.
    Mtime,
    /// The flags that refuse changes.
    Locks,
}

impl Planner<'_> {
    /// Attributes of objects that stay, and flags that refuse changes of objects that are placed.
    pub(super) fn set(&mut self) {
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
                    // Not the upper inode, but a live one with these bytes, which is set once.
                    let stays = self.shape.in_place.contains(&index)
                        || self.shape.links.contains_key(&index);
                    if locks != 0 && !stays {
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
    pub(super) fn know_by_number(&mut self) {
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
    pub(super) fn set_all(&mut self, old_item: &Item<'_>, item: &Item<'_>, ino: u64) {
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

    /// xfs sets the time of modification of directories that are exchanged: their `..` changes.
    pub(super) fn keep_times(&mut self, item: &Item<'_>, ino: u64, old: &RelPath, stat: &Stat) {
        if let Some(after) = item
            .change
            .after
            .as_ref()
            .filter(|_| item.becomes_directory())
        {
            let after = Some((item.path.clone(), Attributes::Mtime(after.meta.mtime)));
            self.add_setting(ino, None, after);
        }
        if stat.is_directory() {
            let before = Some((old.clone(), Attributes::Mtime(stat.identity.mtime)));
            self.add_setting(stat.ino(), before, None);
        }
    }

    /// A live object that is immutable or append-only must be opened up to leave its place, and
    /// be so again when it comes back.
    pub(super) fn keep_locks(&mut self, old: &RelPath, stat: &Stat, arrives: Option<&Item<'_>>) {
        if stat.locks == 0 {
            return;
        }
        let before = Some((old.clone(), Attributes::Locks(stat.locks)));
        let after = arrives.map(|item| (item.path.clone(), Attributes::Locks(stat.locks)));
        self.add_setting(stat.ino(), before, after);
    }

    /// One setting of attributes an inode, and one of locks: all attributes include the others.
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
        let has_all = self.settings.contains_key(&(ino, Part::All));
        match new.part() {
            // The change set's own come last, and win over what only keeps a time or a lock.
            Part::All => {
                self.settings.remove(&(ino, Part::Mtime));
                self.settings.remove(&(ino, Part::Locks));
            }
            Part::Mtime | Part::Locks if has_all => return,
            Part::Mtime | Part::Locks => {}
        }
        self.settings.insert((ino, new.part()), new);
    }

    /// A directory in which something changes has its time of modification again afterwards, and
    /// its flags, which refuse the steps.
    fn keep_directory(&mut self, old: RelPath, stat: &Stat, after: Option<RelPath>) {
        let both = |attributes: Attributes| {
            let after = after.clone().map(|path| (path, attributes.clone()));
            (Some((old.clone(), attributes)), after)
        };
        let (before_time, after_time) = both(Attributes::Mtime(stat.identity.mtime));
        let (before_locks, after_locks) = both(Attributes::Locks(stat.locks));
        self.add_setting(stat.ino(), before_time, after_time);
        if stat.locks != 0 {
            self.add_setting(stat.ino(), before_locks, after_locks);
        }
    }

    /// A directory that something leaves gets its time of modification back, unless the change
    /// set says another.
    pub(super) fn touch_old_parent(&mut self, old: &RelPath) {
        let Some(parent) = old.parent().filter(|p| self.last_old.as_ref() != Some(p)) else {
            return;
        };
        self.last_old = Some(parent.clone());
        let Some(stat) = self.facts.at(&parent) else {
            return;
        };
        let after = self.shape.final_place(&parent);
        self.keep_directory(parent, stat, after);
    }

    /// The same for a directory that something comes to.
    pub(super) fn touch_new_parent(&mut self, path: &RelPath) {
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
            self.keep_directory(old, stat, Some(parent));
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

    /// What it sets.
    fn part(&self) -> Part {
        let sides = [&self.before, &self.after].into_iter().flatten();
        let parts = sides.map(|(_, attributes)| match attributes {
            Attributes::All(_) => Part::All,
            Attributes::Mtime(_) => Part::Mtime,
            Attributes::Locks(_) => Part::Locks,
        });
        parts.min().unwrap_or(Part::Mtime)
    }
}
