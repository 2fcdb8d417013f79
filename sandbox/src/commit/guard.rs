//! Finds conflicts: live paths that are no longer what the scratchpad saw. Not for stopping races
//! after it has looked (see `apply`, which checks what it displaces). Upholds: all conflicts are
//! named, none is overwritten.

use std::collections::{BTreeMap, BTreeSet};

use nix::errno::Errno;

use super::facts::{Facts, LookError};
use super::item::{Item, Origin};
use super::shape::Shape;
use super::sites::Sites;
use super::step::{Area, Loc};
use crate::capture::{LiveIdentity, Window};
use crate::change::{Metadata, RelPath, Timestamp};
use crate::fs::{Stat, walk};
use crate::upper::is_volatile_name;

/// The most conflicts that are listed.
pub const MAX_CONFLICTS: usize = 100;

/// A live path that is no longer what the scratchpad saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The live path.
    pub path: RelPath,
    /// How it differs.
    pub kind: ConflictKind,
    /// What the scratchpad saw; `None` for nothing.
    pub expected: Option<LiveIdentity>,
    /// What is there; `None` for nothing.
    pub found: Option<LiveIdentity>,
}

/// How a live path differs from what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConflictKind {
    /// Its content or attributes changed.
    Changed,
    /// Something is there now.
    Appeared,
    /// Nothing is there any more.
    Vanished,
    /// Another object is there.
    Replaced,
}

impl ConflictKind {
    /// The kind in one word, for people and for JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Appeared => "appeared",
            Self::Vanished => "vanished",
            Self::Replaced => "replaced",
        }
    }
}

/// Conflicts, of which only the first [`MAX_CONFLICTS`] are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conflicts {
    /// The first ones.
    pub list: Vec<Conflict>,
    /// How many there are in all.
    pub total: usize,
}

impl Conflicts {
    /// Adds one.
    pub(super) fn push(&mut self, conflict: Conflict) {
        self.total += 1;
        if self.list.len() < MAX_CONFLICTS {
            self.list.push(conflict);
        }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.total == 0
    }
}

/// Compares every changed path of the volume mounted at `mount` with what the scratchpad saw.
/// Pure.
pub(super) fn compare(
    mount: &RelPath,
    items: &[Item<'_>],
    facts: &Facts,
    window: Window,
    conflicts: &mut Conflicts,
) {
    for item in items {
        let found = facts.at(&item.from);
        if let Some(kind) = difference(item, facts, window) {
            conflicts.push(Conflict {
                path: live_path(mount, &item.from),
                kind,
                expected: item.live,
                found: found.map(|stat| stat.identity),
            });
        }
    }
}

/// Compares the live files that get one more name, and are not changed else, with what the
/// scratchpad saw: the new name is to show that. Pure.
pub(super) fn compare_linked(
    mount: &RelPath,
    items: &[Item<'_>],
    facts: &Facts,
    window: Window,
    conflicts: &mut Conflicts,
) {
    let mut known: BTreeSet<&RelPath> = items.iter().map(|item| &item.from).collect();
    for item in items {
        let (Origin::LiveData { data, .. }, Some(linked)) = (&item.source, &item.linked) else {
            continue;
        };
        let found = facts.at(data);
        if known.insert(data)
            && let Some(kind) = differs(Some(linked), found, window)
        {
            conflicts.push(Conflict {
                path: live_path(mount, data),
                kind,
                expected: Some(*linked),
                found: found.map(|stat| stat.identity),
            });
        }
    }
}

/// The path below the live root of a path of the volume mounted at `mount`.
fn live_path(mount: &RelPath, path: &RelPath) -> RelPath {
    mount.join(path).unwrap_or_else(|_| path.clone())
}

/// Compares what moved objects replace with what the scratchpad saw. Pure.
pub(super) fn compare_replaced(
    mount: &RelPath,
    shape: &Shape<'_>,
    facts: &Facts,
    window: Window,
    conflicts: &mut Conflicts,
) {
    let olds: std::collections::BTreeSet<&RelPath> = shape.items.iter().map(|i| &i.from).collect();
    for (index, item) in shape.items.iter().enumerate() {
        // What is an old place too was looked at as that.
        let occupant = shape.occupant(index).filter(|old| !olds.contains(*old));
        if item.change.moved_from.is_some()
            && let Some(old) = occupant
            && let Some(kind) = differs(item.replaced.as_ref(), facts.at(old), window)
        {
            conflicts.push(Conflict {
                path: live_path(mount, old),
                kind,
                expected: item.replaced,
                found: facts.at(old).map(|stat| stat.identity),
            });
        }
    }
}

fn difference(item: &Item<'_>, facts: &Facts, window: Window) -> Option<ConflictKind> {
    let found = facts.at(&item.from);
    differs(item.live.as_ref(), found, window).or_else(|| {
        let found = found.filter(|stat| stat.is_directory())?;
        let changed = item
            .live
            .is_some_and(|live| live.mode != found.identity.mode)
            || differs_in_owner(item, found)
            || was_locked(item, found)
            || has_other_attributes(item, facts);
        changed.then_some(ConflictKind::Changed)
    })
}

fn differs(
    expected: Option<&LiveIdentity>,
    found: Option<&Stat>,
    window: Window,
) -> Option<ConflictKind> {
    let (expected, found) = match (expected, found) {
        (None, None) => return None,
        (None, Some(_)) => return Some(ConflictKind::Appeared),
        (Some(_), None) => return Some(ConflictKind::Vanished),
        (Some(expected), Some(found)) => (expected, found),
    };
    let now = &found.identity;
    let type_of = |mode: u32| mode & libc::S_IFMT;
    if now.ino != expected.ino || type_of(now.mode) != type_of(expected.mode) {
        return Some(ConflictKind::Replaced);
    }
    // In a directory others may add and remove names meanwhile; that what is below is still so is
    // looked at path by path, and by the walk where all of it goes.
    let changed = !found.is_directory()
        && (window.holds(now.ctime)
            || (now.ctime, now.mtime, now.size, now.mode)
                != (expected.ctime, expected.mtime, expected.size, expected.mode));
    changed.then_some(ConflictKind::Changed)
}

fn differs_in_owner(item: &Item<'_>, found: &Stat) -> bool {
    item.change.before.as_ref().is_some_and(|node| {
        (node.meta.uid, node.meta.gid) != (found.identity.uid, found.identity.gid)
    })
}

/// Whether somebody set an extended attribute or an inode flag of a directory. The steps would set
/// them as the entry left them.
fn has_other_attributes(item: &Item<'_>, facts: &Facts) -> bool {
    let (Some(before), Some(now)) = (&item.change.before, facts.touched.get(&item.from)) else {
        return false;
    };
    let kept = |metadata: &Metadata| {
        let xattrs = metadata.xattrs.clone().into_iter();
        let kept = xattrs.filter(|(name, _)| !is_volatile_name(name));
        (kept.collect::<Vec<_>>(), metadata.flags)
    };
    kept(&before.meta) != kept(now)
}

/// Whether somebody locked the object. Its steps would open it up, as they do for an entry that
/// itself changed what is locked.
fn was_locked(item: &Item<'_>, found: &Stat) -> bool {
    let before = item.change.before.as_ref();
    before.is_some_and(|node| found.locks & !node.meta.flags != 0)
}

/// What is below a live directory that goes as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Below {
    /// It stays, or is compared by itself.
    Known,
    /// It goes and the scratchpad saw it, though the set does not name it.
    Unnamed,
    /// The scratchpad did not see it.
    Differs(ConflictKind),
}

/// Tells, of what is below live directories that go as a whole, what the scratchpad did not see.
pub(super) struct Strangers<'a> {
    shape: &'a Shape<'a>,
    since: Timestamp,
    /// What the set names or replaces, which is compared by itself.
    known: BTreeSet<&'a RelPath>,
    /// For what is replaced: the item that comes to its place.
    replaced_by: BTreeMap<&'a RelPath, usize>,
}

impl<'a> Strangers<'a> {
    /// Prepares for one volume.
    pub fn new(shape: &'a Shape<'a>, since: Timestamp) -> Self {
        let moved = |index: &usize| shape.items[*index].change.moved_from.is_some();
        let replaced = (0..shape.items.len()).filter(moved);
        let replaced = replaced.filter_map(|index| shape.occupant(index));
        let occupants = (0..shape.items.len())
            .filter(|index| shape.items[*index].source != Origin::Gone)
            .filter_map(|index| Some((shape.occupant(index)?, index)));
        Self {
            shape,
            since,
            known: shape
                .items
                .iter()
                .map(|item| &item.from)
                .chain(replaced)
                .collect(),
            replaced_by: occupants.collect(),
        }
    }

    /// The live directories that go as a whole.
    pub fn tops(&self, facts: &Facts) -> Vec<&'a RelPath> {
        let shape = self.shape;
        let goes = |old: &&RelPath| {
            !shape.goes_with_ancestor(old) && facts.at(old).is_some_and(Stat::is_directory)
        };
        shape.removed.iter().filter(goes).collect()
    }

    /// What the object at `old`, below `top`, is. `is_live` tells whether anything is at a live path.
    pub fn judge(
        &self,
        top: &RelPath,
        (old, stat): (&RelPath, &Stat),
        is_live: &mut dyn FnMut(&RelPath) -> Result<bool, Errno>,
    ) -> Result<Below, Errno> {
        if self.known.contains(old) || self.shape.final_place(old).is_some() {
            return Ok(Below::Known);
        }
        // A directory that took this one's place has, or had, something of the same name: the set,
        // in which a path stands once, then tells what became of that.
        let covered = match self.now_at(top, old) {
            Some(path) => self.is_taken(&path, is_live)?,
            None => false,
        };
        Ok(match covered {
            false => Below::Differs(ConflictKind::Appeared),
            // Nobody looked at it before, so there is nothing to compare a time that is ahead with.
            true if stat.identity.ctime >= self.since => Below::Differs(ConflictKind::Changed),
            true => Below::Unnamed,
        })
    }

    /// The path of the new tree at which `old` was.
    fn now_at(&self, top: &RelPath, old: &RelPath) -> Option<RelPath> {
        let index = self.replaced_by.get(top)?;
        let rest = old.strip_prefix(top)?;
        self.shape.items[*index].path.join(&rest).ok()
    }

    /// Whether the set says something of a path of the new tree, or an old object shows there.
    fn is_taken(
        &self,
        path: &RelPath,
        is_live: &mut dyn FnMut(&RelPath) -> Result<bool, Errno>,
    ) -> Result<bool, Errno> {
        match (self.shape.item_at(path), self.shape.old_place(path)) {
            (Some(_), _) => Ok(true),
            (None, Some(old)) => is_live(&old),
            (None, None) => Ok(false),
        }
    }
}

/// Looks below every live directory that goes as a whole for something that the scratchpad did not
/// see: it would go as well. Adds to the facts what goes without being named.
pub(super) fn walk_removed(
    sites: &mut Sites,
    volume: usize,
    strangers: &Strangers<'_>,
    facts: &mut Facts,
    conflicts: &mut Conflicts,
) -> Result<(), LookError> {
    for top in strangers.tops(facts) {
        let loc = live(volume, top);
        let error = |sites: &Sites, path: &RelPath, errno| LookError {
            path: sites.live_path(volume, path),
            errno,
        };
        let dir = sites.parent(&loc).and_then(|p| p.place().open_dir());
        let dir = dir.map_err(|errno| error(sites, top, errno))?;
        let mut is_live = |path: &RelPath| Ok(sites.stat(&live(volume, path))?.is_some());
        let (mut found, mut unnamed) = (Vec::new(), Vec::new());
        let walked = walk::<Errno>(&dir, &mut |path, _, stat| {
            let old = top.join(path).map_err(|_| Errno::ENAMETOOLONG)?;
            match strangers.judge(top, (&old, stat), &mut is_live)? {
                Below::Known => {}
                Below::Unnamed => unnamed.push((old, *stat)),
                Below::Differs(kind) => found.push((old, kind, stat.identity)),
            }
            Ok(())
        });
        walked.map_err(|errno| error(sites, top, errno))?;
        for one in unnamed {
            facts.note_unnamed(sites, volume, one)?;
        }
        for (old, kind, identity) in found {
            conflicts.push(Conflict {
                path: sites.live_path(volume, &old),
                kind,
                expected: None,
                found: Some(identity),
            });
        }
    }
    Ok(())
}

fn live(volume: usize, path: &RelPath) -> Loc {
    Loc {
        volume,
        area: Area::Live,
        path: path.clone(),
    }
}
