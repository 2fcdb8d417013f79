//! What the steps of a transaction are done on: the volumes' trees. A trait, so that the steps can
//! be tried on a tree in memory, too. Not for deciding which step is next (see `apply`). Upholds:
//! what is replaced is what the run saw, else it is put back.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};

use super::sites::Sites;
use super::step::{Area, Attributes, LOCKS, Loc, Object};
use super::step_error::StepError;
use crate::change::{Digest, Metadata};
use crate::fs::{Stat, change_flags, overwrite_data, read_metadata, set_metadata, set_mtime};
use crate::sys::files;
use crate::sys::inspect::FileHandle;

/// The trees of all volumes of a transaction. Every method makes one visible change at most.
pub(super) trait Ground {
    /// The path of a place, for people.
    fn name(&self, loc: &Loc) -> PathBuf;
    /// What is at a place; `None` when nothing is.
    fn stat(&mut self, loc: &Loc) -> Result<Option<Stat>, Errno>;
    /// Moves the object to a free name; another object is put back.
    fn rename(&mut self, from: &Loc, to: &Loc, object: Object) -> Result<(), StepError>;
    /// Exchanges two objects; a displaced one that is not `old` is put back.
    fn exchange(&mut self, live: &Loc, scratch: &Loc, old: Object) -> Result<(), StepError>;
    /// Gives an object one more name.
    fn link(&mut self, existing: &Loc, name: &Loc) -> Result<(), Errno>;
    /// Takes a name away.
    fn unlink(&mut self, name: &Loc) -> Result<(), Errno>;
    /// Gives the inode with a handle a name.
    fn recall(&mut self, name: &Loc, handle: &FileHandle) -> Result<(), Errno>;
    /// Clears the flags that refuse changes.
    fn unlock(&mut self, loc: &Loc, stat: &Stat) -> Result<(), Errno>;
    /// Writes the first `size` bytes of a file over those of another, whose inode stays.
    fn overwrite(&mut self, source: &Loc, target: &Loc, size: u64) -> Result<(), Errno>;
    /// Whether the bytes of a file are the first `size` ones of another, and no more.
    fn has_bytes(&mut self, source: &Loc, target: &Loc, size: u64) -> Result<bool, Errno>;
    /// Whether the object, of which `stat` was just read, has these attributes; it may be locked
    /// besides.
    fn has_metadata(&mut self, loc: &Loc, stat: &Stat, wanted: &Metadata) -> Result<bool, Errno>;
    /// Sets attributes of the object, of which `stat` was just read.
    fn set(&mut self, loc: &Loc, stat: &Stat, attributes: &Attributes) -> Result<(), Errno>;
}

fn failed(
    sites: &Sites,
    operation: &'static str,
    loc: &Loc,
) -> impl Fn(Errno) -> StepError + use<> {
    let path = sites.name(loc);
    move |errno| StepError::Failed {
        operation,
        path: path.clone(),
        errno,
    }
}

fn displaced(sites: &Sites, loc: &Loc, expected: Object, found: Option<Stat>) -> StepError {
    StepError::Displaced {
        path: sites.live_path(loc.volume, &loc.path),
        expected,
        found: found.map(|stat| Box::new(stat.identity)),
    }
}

impl Ground for Sites {
    fn name(&self, loc: &Loc) -> PathBuf {
        Self::name(self, loc)
    }

    fn stat(&mut self, loc: &Loc) -> Result<Option<Stat>, Errno> {
        Self::stat(self, loc)
    }

    fn rename(&mut self, from: &Loc, to: &Loc, object: Object) -> Result<(), StepError> {
        let (operation, named) = match (from.area, to.area) {
            (Area::Scratch, Area::Live) => ("place", to),
            (Area::Live, Area::Scratch) => ("remove", from),
            _ => ("move", from),
        };
        let error = failed(self, operation, named);
        let source = self.parent(from).map_err(&error)?;
        let target = self.parent(to).map_err(&error)?;
        match source.place().rename_to(target.place()) {
            Err(Errno::EXDEV) if object.state.is_none() => {
                let path = self.name(named);
                return Err(StepError::Immovable { path });
            }
            done => done.map_err(&error)?,
        }
        let moved = target.place().stat().map_err(&error)?;
        if object.state.is_none() {
            self.forget_directories();
        }
        if object.is(moved.as_ref()) {
            return Ok(());
        }
        // Not what the run saw: back with it, before anybody misses it.
        target.place().rename_to(source.place()).map_err(&error)?;
        self.forget_directories();
        Err(displaced(self, from, object, moved))
    }

    fn exchange(&mut self, live: &Loc, scratch: &Loc, old: Object) -> Result<(), StepError> {
        let error = failed(self, "exchange", live);
        let ours = self.parent(scratch).map_err(&error)?;
        let theirs = self.parent(live).map_err(&error)?;
        let swap = || ours.place().exchange_with(theirs.place());
        swap().map_err(&error)?;
        let displaced_now = ours.place().stat().map_err(&error)?;
        if old.state.is_none() || displaced_now.is_some_and(|stat| stat.is_directory()) {
            self.forget_directories();
        }
        if old.is(displaced_now.as_ref()) {
            return Ok(());
        }
        swap().map_err(&error)?;
        self.forget_directories();
        Err(displaced(self, live, old, displaced_now))
    }

    fn link(&mut self, existing: &Loc, name: &Loc) -> Result<(), Errno> {
        let old = self.parent(existing)?;
        let new = self.parent(name)?;
        old.place().link_to(new.place())
    }

    fn unlink(&mut self, name: &Loc) -> Result<(), Errno> {
        self.parent(name)?.place().unlink()
    }

    fn recall(&mut self, name: &Loc, handle: &FileHandle) -> Result<(), Errno> {
        let top = self.top(name.volume, name.area).as_fd();
        let file = files::open_by_handle(top, handle)?;
        let parent = self.parent(name)?;
        let place = parent.place();
        nix::unistd::linkat(&file, c"", place.dir, place.name, AtFlags::AT_EMPTY_PATH)
    }

    fn unlock(&mut self, loc: &Loc, stat: &Stat) -> Result<(), Errno> {
        change_flags(self.parent(loc)?.place(), stat, LOCKS, 0)
    }

    fn overwrite(&mut self, source: &Loc, target: &Loc, size: u64) -> Result<(), Errno> {
        let from = self.parent(source)?.place().open(OFlag::O_RDONLY)?;
        let to = self.parent(target)?.place().open(OFlag::O_RDWR)?;
        overwrite_data(from.as_fd(), to.as_fd(), size)
    }

    fn has_bytes(&mut self, source: &Loc, target: &Loc, size: u64) -> Result<bool, Errno> {
        if self
            .stat(target)?
            .is_none_or(|stat| stat.identity.size != size)
        {
            return Ok(false);
        }
        let from = self.parent(source)?.place().open(OFlag::O_RDONLY)?;
        let to = self.parent(target)?.place().open(OFlag::O_RDONLY)?;
        let digest = |file: OwnedFd| {
            Digest::of_reader(File::from(file).take(size))
                .map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)))
        };
        Ok(digest(from)? == digest(to)?)
    }

    fn has_metadata(&mut self, loc: &Loc, stat: &Stat, wanted: &Metadata) -> Result<bool, Errno> {
        let mut found = read_metadata(self.parent(loc)?.place(), stat)?;
        found.flags &= !LOCKS | wanted.flags;
        Ok(found == *wanted)
    }

    fn set(&mut self, loc: &Loc, stat: &Stat, attributes: &Attributes) -> Result<(), Errno> {
        let parent = self.parent(loc)?;
        match attributes {
            Attributes::All(meta) => set_metadata(parent.place(), stat, meta),
            Attributes::Mtime(mtime) => set_mtime(parent.place(), *mtime),
            Attributes::Locks(flags) => change_flags(parent.place(), stat, LOCKS, *flags),
        }
    }
}
