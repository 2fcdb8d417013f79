//! Making durable: what will be used, before; what was changed, after. Upholds: nothing is visible
//! that could be empty after a power cut, and no success is told that could vanish.

use std::collections::BTreeSet;
use std::path::PathBuf;

use nix::errno::Errno;

use super::prepare::Fresh;
use super::sites::Sites;
use super::step::{Area, Loc, Move, Steps};
use crate::change::RelPath;

/// Up to this many objects each is synced by itself: the sync of a filesystem also writes what
/// others have left dirty, which was measured as seconds. Beyond it the one sync is cheaper than
/// one journal commit a file.
const SINGLE_SYNCS: usize = 64;

/// Something could not be made durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot make {path} durable: {errno}")]
pub struct SyncError {
    /// The object, or the volume's top directory.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub errno: Errno,
}

/// Before the intent: without it redo would place files that a power cut left empty.
pub(super) fn before(sites: &mut Sites, volume: usize, fresh: &Fresh) -> Result<(), SyncError> {
    if fresh.files.len() + fresh.directories.len() > SINGLE_SYNCS {
        return filesystem(sites, volume);
    }
    let loc = |path: &RelPath| Loc {
        volume,
        area: Area::Scratch,
        path: path.clone(),
    };
    for path in &fresh.files {
        one(sites, &loc(path))?;
    }
    for path in &fresh.directories {
        directory(sites, &loc(path))?;
    }
    Ok(())
}

/// After the steps: without it the receipt could be durable while the change is not. A missing
/// sync of the scratch side of a rename is safe: both sides are one transaction of the filesystem.
pub(super) fn after(sites: &mut Sites, steps: &Steps) -> Result<(), SyncError> {
    let mut directories = BTreeSet::new();
    let mut objects = BTreeSet::new();
    for step in &steps.moves {
        for name in step.names() {
            let placed_from = matches!(step, Move::Rename { from, .. } if from == name);
            if name.area == Area::Live || !placed_from {
                directories.extend(parent(name));
            }
        }
    }
    let live = |volume, path: &RelPath| Loc {
        volume,
        area: Area::Live,
        path: path.clone(),
    };
    for step in &steps.rewrites {
        objects.insert(live(step.volume, &step.after.path));
    }
    for step in &steps.settings {
        if let Some((path, _)) = &step.after {
            objects.insert(live(step.volume, path));
        }
    }
    if directories.len() + objects.len() > SINGLE_SYNCS {
        let volumes: BTreeSet<usize> = directories
            .iter()
            .chain(&objects)
            .map(|l| l.volume)
            .collect();
        return volumes.into_iter().try_for_each(|v| filesystem(sites, v));
    }
    let lasting = |loc: &&Loc| !objects.contains(*loc);
    for loc in directories.iter().filter(lasting) {
        directory(sites, loc)?;
    }
    objects.iter().try_for_each(|loc| one(sites, loc))
}

fn parent(loc: &Loc) -> Option<Loc> {
    Some(Loc {
        path: loc.path.parent()?,
        ..loc.clone()
    })
}

fn filesystem(sites: &Sites, volume: usize) -> Result<(), SyncError> {
    let top = sites.top(volume, Area::Live);
    top.sync_filesystem().map_err(|errno| SyncError {
        path: sites.sites()[volume].mount_point.to_absolute(),
        errno,
    })
}

/// A directory that went with the steps has nothing left to sync.
fn directory(sites: &mut Sites, loc: &Loc) -> Result<(), SyncError> {
    match sites.dir(loc).and_then(|dir| dir.sync()) {
        Ok(()) | Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(()),
        Err(errno) => Err(SyncError {
            path: sites.name(loc),
            errno,
        }),
    }
}

fn one(sites: &mut Sites, loc: &Loc) -> Result<(), SyncError> {
    let result = sites.parent(loc).and_then(|parent| {
        let Some(stat) = parent.place().stat()? else {
            return Ok(());
        };
        if stat.has_inode_flags() {
            parent.place().sync()
        } else {
            // Links, pipes and devices cannot be opened for it.
            sites.top(loc.volume, loc.area).sync_filesystem()
        }
    });
    result.map_err(|errno| SyncError {
        path: sites.name(loc),
        errno,
    })
}
