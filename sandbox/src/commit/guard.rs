//! Finds conflicts: live paths that are no longer what the scratchpad saw. Not for stopping races
//! after it has looked (see `apply`, which checks what it displaces). Upholds: all conflicts are
//! named, none is overwritten.

use nix::errno::Errno;

use super::facts::{Facts, LookError};
use super::item::Item;
use super::shape::Shape;
use super::sites::Sites;
use super::step::{Area, Loc};
use crate::capture::LiveIdentity;
use crate::change::{RelPath, Timestamp};
use crate::fs::{Stat, walk};

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

/// Compares every changed path with what the scratchpad saw. Pure.
pub(super) fn compare(
    sites: &Sites,
    volume: usize,
    items: &[Item<'_>],
    facts: &Facts,
    since: Timestamp,
    conflicts: &mut Conflicts,
) {
    let mut report = |path: &RelPath, kind, expected, found: Option<&Stat>| {
        conflicts.push(Conflict {
            path: sites.live_path(volume, path),
            kind,
            expected,
            found: found.map(|stat| stat.identity),
        });
    };
    for item in items {
        let found = facts.at(&item.from);
        if let Some(kind) = difference(item, found, since) {
            report(&item.from, kind, item.live, found);
        }
    }
}

/// Compares what moved objects replace with what the scratchpad saw. Pure.
pub(super) fn compare_replaced(
    sites: &Sites,
    volume: usize,
    shape: &Shape<'_>,
    facts: &Facts,
    since: Timestamp,
    conflicts: &mut Conflicts,
) {
    let olds: std::collections::BTreeSet<&RelPath> = shape.items.iter().map(|i| &i.from).collect();
    for (index, item) in shape.items.iter().enumerate() {
        // What is an old place too was looked at as that.
        let occupant = shape.occupant(index).filter(|old| !olds.contains(*old));
        if item.change.moved_from.is_some()
            && let Some(old) = occupant
            && let Some(kind) = differs(item.replaced.as_ref(), facts.at(old), since)
        {
            conflicts.push(Conflict {
                path: sites.live_path(volume, old),
                kind,
                expected: item.replaced,
                found: facts.at(old).map(|stat| stat.identity),
            });
        }
    }
}

fn difference(item: &Item<'_>, found: Option<&Stat>, since: Timestamp) -> Option<ConflictKind> {
    differs(item.live.as_ref(), found, since).or_else(|| {
        let found = found.filter(|stat| stat.is_directory())?;
        let changed = item
            .live
            .is_some_and(|live| live.mode != found.identity.mode)
            || differs_in_owner(item, found);
        changed.then_some(ConflictKind::Changed)
    })
}

fn differs(
    expected: Option<&LiveIdentity>,
    found: Option<&Stat>,
    since: Timestamp,
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
        && (now.ctime >= since
            || (now.ctime, now.mtime, now.size, now.mode)
                != (expected.ctime, expected.mtime, expected.size, expected.mode));
    changed.then_some(ConflictKind::Changed)
}

fn differs_in_owner(item: &Item<'_>, found: &Stat) -> bool {
    item.change
        .before
        .as_ref()
        .is_some_and(|node| (node.meta.uid, node.meta.gid) != (found.uid, found.gid))
}

/// Looks below every live directory that goes as a whole for something that the scratchpad did not
/// see: it would go as well.
pub(super) fn walk_removed(
    sites: &mut Sites,
    volume: usize,
    shape: &Shape<'_>,
    facts: &Facts,
    conflicts: &mut Conflicts,
) -> Result<(), LookError> {
    let known: std::collections::BTreeSet<&RelPath> = shape.items.iter().map(|i| &i.from).collect();
    let tops = shape.removed.iter().filter(|old| {
        !shape.goes_with_ancestor(old) && facts.at(old).is_some_and(Stat::is_directory)
    });
    for top in tops {
        let loc = Loc {
            volume,
            area: Area::Live,
            path: top.clone(),
        };
        let mut found = Vec::new();
        let dir = sites.parent(&loc).and_then(|p| p.place().open_dir());
        let error = |errno| LookError {
            path: sites.live_path(volume, top),
            errno,
        };
        let dir = dir.map_err(error)?;
        walk::<Errno>(&dir, &mut |path, _, stat| {
            let old = top.join(path).map_err(|_| Errno::ENAMETOOLONG)?;
            let stays = shape.final_place(&old).is_some();
            // What the set names is compared by itself.
            if !stays && !known.contains(&old) {
                found.push((old, stat.identity));
            }
            Ok(())
        })
        .map_err(error)?;
        for (old, identity) in found {
            conflicts.push(Conflict {
                path: sites.live_path(volume, &old),
                kind: ConflictKind::Appeared,
                expected: None,
                found: Some(identity),
            });
        }
    }
    Ok(())
}
