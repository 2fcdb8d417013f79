//! Making durable: what will be used, before; what was changed, after. Upholds: nothing is visible
//! that could be empty after a power cut, and no success is told that could vanish.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::prepare::Fresh;
use super::sites::Sites;
use super::step::{Area, Loc, Move, Steps};
use crate::change::RelPath;
use crate::fs::{Dir, is_left_out, sync_at, sync_together};

/// Up to this many objects each is synced by itself: the sync of a filesystem also writes what
/// others have left dirty, which was measured as seconds. Beyond it the one sync is cheaper than
/// one journal commit a file.
const SINGLE_SYNCS: usize = 64;

/// Something could not be made durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot make {path} durable")]
pub struct SyncError {
    /// The object, or the volume's top directory.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub errno: Errno,
}

/// Begins to write what a command left dirty while the changes are still being compared and
/// prepared: that is work for the processor, this for the disk. Promises nothing, so that a commit
/// without it is as safe: [`before`] comes behind it and finds less to do. Measured with 100,000
/// new files: most of a second of the three that the commit took.
#[derive(Debug, Default)]
pub(super) struct HeadStart(Vec<(PathBuf, JoinHandle<Result<(), Errno>>)>);

impl HeadStart {
    /// Begins on the volumes with so many changes that their whole filesystem will be synced.
    pub fn begin(sites: &Sites, changes: impl Iterator<Item = usize>) -> Self {
        let many = changes.enumerate().filter(|(_, n)| *n > SINGLE_SYNCS);
        let begun = many.filter_map(|(volume, _)| {
            let top = sites.top(volume, Area::Live);
            // Without another descriptor or thread there is no head start.
            let top = Dir::from(top.as_fd().try_clone_to_owned().ok()?);
            // The name of the sync behind it, which would otherwise never be missed.
            let sync = move || sync_at("before.filesystem", || top.sync_filesystem());
            let thread = thread::Builder::new().spawn(sync).ok()?;
            Some((sites.sites()[volume].mount_point.to_absolute(), thread))
        });
        Self(begun.collect())
    }

    /// Waits for it. An error is one of the commit: the kernel tells it once for a descriptor and
    /// its copies, so that the sync behind this one would not hear of it.
    pub fn finish(self) -> Result<(), SyncError> {
        let wait = |(path, thread): (PathBuf, JoinHandle<Result<(), Errno>>)| {
            let done = thread.join().unwrap_or(Err(Errno::EIO));
            done.map_err(|errno| SyncError { path, errno })
        };
        // All of them are waited for, whichever fails.
        let done: Vec<_> = self.0.into_iter().map(wait).collect();
        done.into_iter().collect()
    }
}

/// What has to be durable besides the new objects.
pub(super) struct Others {
    /// The intent, without its name.
    pub intent: File,
    /// The caller's files.
    pub companions: Vec<File>,
}

/// Before the intent has its name: without it redo would place files that a power cut left empty, or
/// find no intent behind the name. None of it is visible yet, so that the order among them does not
/// matter.
pub(super) fn before(
    sites: &mut Sites,
    fresh: &[(usize, Fresh)],
    others: Others,
) -> Result<(), SyncError> {
    let named = |name: &'static str| move |file: File| (PathBuf::from(name), file.into());
    let intent = wanted([others.intent], "intent.bytes").map(named("the intent"));
    let companions = wanted(others.companions, "companion.bytes");
    let companions = companions.map(named("what goes with the change"));
    let mut open: Vec<Open> = intent.chain(companions).collect();
    for (volume, fresh) in fresh {
        if fresh.files.len() + fresh.directories.len() > SINGLE_SYNCS {
            filesystem(sites, *volume, "before.filesystem")?;
            continue;
        }
        let loc = |path: &RelPath| Loc {
            volume: *volume,
            area: Area::Scratch,
            path: path.clone(),
        };
        for path in wanted(&fresh.files, "before.files") {
            open.extend(object(sites, &loc(path))?);
        }
        for path in wanted(&fresh.directories, "before.directories") {
            open.extend(directory(sites, &loc(path))?);
        }
        // A process may have a thousand files open, and there may be many volumes.
        if open.len() > SINGLE_SYNCS {
            together(std::mem::take(&mut open))?;
        }
    }
    together(open)
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
    let many = directories.len() + objects.len() > SINGLE_SYNCS;
    let touched = directories.iter().chain(&objects).map(|l| l.volume);
    for volume in touched.collect::<BTreeSet<usize>>() {
        if many || renames_need_both_sides(sites, volume)? {
            filesystem(sites, volume, "after.filesystem")?;
            directories.retain(|loc| loc.volume != volume);
            objects.retain(|loc| loc.volume != volume);
        }
    }
    let lasting = |loc: &&Loc| !objects.contains(*loc);
    let mut open = Vec::new();
    for loc in wanted(&directories, "after.directories").filter(lasting) {
        open.extend(directory(sites, loc)?);
    }
    for loc in wanted(&objects, "after.objects") {
        open.extend(object(sites, loc)?);
    }
    together(open)
}

/// Before the record that some of the steps were done and are to be taken back. Without it an fsync of
/// that record can make one side of a rename durable, or the name of a file without its bytes, where
/// the fsync of one object writes names of others: on btrfs, also below an overlay. A missing one is
/// safe on the others; a commit that fails has the time.
pub(super) fn begun(sites: &Sites, steps: &Steps) -> Result<(), SyncError> {
    let moved = steps.moves.iter().flat_map(Move::names);
    let volumes: BTreeSet<usize> = moved.map(|name| name.volume).collect();
    let mut volumes = volumes.into_iter();
    volumes.try_for_each(|volume| filesystem(sites, volume, "begun.filesystem"))
}

fn parent(loc: &Loc) -> Option<Loc> {
    Some(Loc {
        path: loc.path.parent()?,
        ..loc.clone()
    })
}

/// Whether single syncs would leave names behind that a rename took away.
fn renames_need_both_sides(sites: &Sites, volume: usize) -> Result<bool, SyncError> {
    let top = sites.top(volume, Area::Live);
    top.renames_need_both_sides().map_err(|errno| SyncError {
        path: sites.sites()[volume].mount_point.to_absolute(),
        errno,
    })
}

/// All of these, but none when a test leaves their sync out.
fn wanted<I: IntoIterator>(all: I, name: &str) -> impl Iterator<Item = I::Item> + use<I> {
    let most = if is_left_out(name) { 0 } else { usize::MAX };
    all.into_iter().take(most)
}

fn filesystem(sites: &Sites, volume: usize, name: &'static str) -> Result<(), SyncError> {
    let top = sites.top(volume, Area::Live);
    sync_at(name, || top.sync_filesystem()).map_err(|errno| SyncError {
        path: sites.sites()[volume].mount_point.to_absolute(),
        errno,
    })
}

/// Something open that is to be synced, and its name.
type Open = (PathBuf, OwnedFd);

/// Opens a directory; one that went with the steps has nothing left to sync.
fn directory(sites: &mut Sites, loc: &Loc) -> Result<Option<Open>, SyncError> {
    let opened = sites.dir(loc).and_then(|dir| {
        let copy = dir.as_fd().try_clone_to_owned();
        copy.map_err(|e| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
    });
    let path = sites.name(loc);
    match opened {
        Ok(dir) => Ok(Some((path, dir))),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
        Err(errno) => Err(SyncError { path, errno }),
    }
}

/// Opens a file or directory; what cannot be opened for it is made durable at once.
fn object(sites: &mut Sites, loc: &Loc) -> Result<Option<Open>, SyncError> {
    let result = sites.parent(loc).and_then(|parent| {
        let Some(stat) = parent.place().stat()? else {
            return Ok(None);
        };
        if stat.has_inode_flags() {
            parent.place().open(OFlag::O_RDONLY).map(Some)
        } else {
            // Links, pipes and devices cannot be opened for it.
            let top = sites.top(loc.volume, loc.area);
            sync_at("unopened.filesystem", || top.sync_filesystem())?;
            Ok(None)
        }
    });
    let path = sites.name(loc);
    match result {
        Ok(opened) => Ok(opened.map(|opened| (path, opened))),
        Err(errno) => Err(SyncError { path, errno }),
    }
}

/// Syncs all of them.
fn together(open: Vec<Open>) -> Result<(), SyncError> {
    let (paths, files): (Vec<_>, Vec<_>) = open.into_iter().unzip();
    sync_together(&files).map_err(|(index, errno)| SyncError {
        path: paths.into_iter().nth(index).unwrap_or_default(),
        errno,
    })
}
