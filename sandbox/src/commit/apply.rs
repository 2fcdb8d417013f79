//! Doing the steps of a transaction, first or again. Not for deciding them (see `plan`). Upholds:
//! what is about to be replaced is what the run saw, else it is put back; every step can be
//! repeated without harm.

use nix::errno::Errno;
use nix::fcntl::OFlag;
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::path::PathBuf;

use super::continuations::continuations;
use super::crash_point;
use super::sites::Sites;
use super::step::{Area, Attributes, LOCKS, Loc, Move, Object, Rewrite, Setting, Steps};
use crate::capture::LiveIdentity;
use crate::change::RelPath;
use crate::fs::{Stat, change_flags, overwrite_data, set_metadata, set_mtime};
use crate::sys::files;

/// Whether the steps were never begun, or may be done in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Nothing was done yet.
    First,
    /// Some of it may be done: every step is looked at first.
    Again,
}

/// A step could not be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// A system call refused it.
    #[error("cannot {operation} {path}: {errno}")]
    Failed {
        /// What was tried: `place`, `exchange`, `remove`, ...
        operation: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        errno: Errno,
    },
    /// The live tree is an overlay without `redirect_dir`, which moves no directory of its lower
    /// layers (`EXDEV`, kernel documentation of overlayfs).
    #[error("cannot move the directory {path}: the live root is an overlay that cannot")]
    Immovable {
        /// The directory.
        path: PathBuf,
    },
    /// What was there is not what the run saw; it was put back.
    #[error("{path} is no longer what it was: found {found:?}")]
    Displaced {
        /// Where.
        path: RelPath,
        /// What was expected.
        expected: Object,
        /// What was found; `None` for nothing.
        found: Option<Box<LiveIdentity>>,
    },
    /// While doing it again: neither the state before nor the state after.
    #[error("{path} is neither as before nor as after the transaction")]
    Foreign {
        /// Where.
        path: PathBuf,
        /// The inode number found there; `None` for nothing.
        found: Option<u64>,
    },
}

/// What is known of a step before it is done again.
enum Progress {
    Done,
    ToDo,
}

/// Does all steps in order, and tells how many of how many are done; gives how many moves there were to
/// do. After an error some steps are
/// done and the rest is not.
pub fn apply(
    sites: &mut Sites,
    steps: &Steps,
    pass: Pass,
    tell: &mut dyn FnMut(u64, u64),
) -> Result<usize, StepError> {
    let total = (steps.moves.len() + steps.rewrites.len() + steps.settings.len()) as u64;
    let mut done = 0;
    let mut tell_one = || {
        done += 1;
        tell(done, total);
    };
    let mut work = Work {
        later: continuations(&steps.moves),
        sites,
        pass,
    };
    work.unlock(&steps.settings)?;
    crash_point("commit.apply.unlocked");
    let mut moved = 0;
    for (index, step) in steps.moves.iter().enumerate() {
        crash_point("commit.apply.before_move");
        moved += usize::from(work.do_move(&steps.moves, index, step)?);
        crash_point("commit.apply.after_move");
        tell_one();
    }
    for rewrite in &steps.rewrites {
        crash_point("commit.apply.before_rewrite");
        work.rewrite(rewrite)?;
        crash_point("commit.apply.after_rewrite");
        tell_one();
    }
    for setting in &steps.settings {
        crash_point("commit.apply.before_setting");
        work.set(setting)?;
        crash_point("commit.apply.after_setting");
        tell_one();
    }
    crash_point("commit.apply.done");
    Ok(moved)
}

struct Work<'a> {
    sites: &'a mut Sites,
    pass: Pass,
    later: HashMap<usize, usize>,
}

impl Work<'_> {
    fn failed(
        &self,
        operation: &'static str,
        loc: &Loc,
    ) -> impl FnOnce(Errno) -> StepError + use<> {
        let path = self.sites.name(loc);
        move |errno| StepError::Failed {
            operation,
            path,
            errno,
        }
    }

    fn stat(&mut self, loc: &Loc) -> Result<Option<Stat>, StepError> {
        let error = self.failed("look at", loc);
        self.sites.stat(loc).map_err(error)
    }

    fn holds(&mut self, loc: &Loc, ino: u64) -> Result<bool, StepError> {
        Ok(self.stat(loc)?.is_some_and(|stat| stat.ino() == ino))
    }

    fn is_in(&mut self, loc: &Loc, holder: u64) -> Result<bool, StepError> {
        let parent = Loc {
            path: loc.path.parent().unwrap_or_default(),
            ..loc.clone()
        };
        self.holds(&parent, holder)
    }

    fn foreign(&mut self, loc: &Loc) -> Result<Progress, StepError> {
        let found = self.stat(loc)?.map(|stat| stat.ino());
        let path = self.sites.name(loc);
        Err(StepError::Foreign { path, found })
    }

    /// Clears the flags that would refuse the steps. An object that is not at its old place any
    /// more was unlocked before it left.
    fn unlock(&mut self, settings: &[Setting]) -> Result<(), StepError> {
        for setting in settings {
            let Some((path, attributes)) = &setting.before else {
                continue;
            };
            if attributes.locks() == 0 {
                continue;
            }
            let loc = live(setting.volume, path);
            if let Some(stat) = self.stat(&loc)?
                && stat.ino() == setting.ino
                && stat.locks != 0
            {
                let error = self.failed("unlock", &loc);
                self.sites
                    .parent(&loc)
                    .and_then(|parent| change_flags(parent.place(), &stat, LOCKS, 0))
                    .map_err(error)?;
            }
        }
        Ok(())
    }

    /// Gives whether there was anything to do.
    fn do_move(&mut self, all: &[Move], index: usize, step: &Move) -> Result<bool, StepError> {
        if self.pass == Pass::Again && matches!(self.progress(all, index)?, Progress::Done) {
            return Ok(false);
        }
        match step {
            Move::Rename { from, to, object } => self.rename(from, to, *object),
            Move::Exchange {
                live, scratch, old, ..
            } => self.exchange(live, scratch, *old),
            Move::Link { existing, name, .. } => self.link(existing, name),
            Move::Unlink { name, .. } | Move::Release { name, .. } => self.unlink(name),
            Move::Recall { name, handle, .. } => {
                let error = self.failed("recall", name);
                let top = self.sites.top(name.volume, name.area).as_fd();
                let found = files::open_by_handle(top, handle);
                found
                    .and_then(|file| {
                        let parent = self.sites.parent(name)?;
                        let place = parent.place();
                        nix::unistd::linkat(
                            &file,
                            c"",
                            place.dir,
                            place.name,
                            nix::fcntl::AtFlags::AT_EMPTY_PATH,
                        )
                    })
                    .map_err(error)
            }
        }?;
        Ok(true)
    }

    /// Tells by inode numbers whether a move is done.
    fn progress(&mut self, all: &[Move], index: usize) -> Result<Progress, StepError> {
        match &all[index] {
            Move::Rename { from, to, object } => {
                if self.holds(to, object.ino)? {
                    return Ok(Progress::Done);
                }
                if let Some(next) = self.later.get(&index).copied()
                    && matches!(self.gone_on(all, next)?, Progress::Done)
                {
                    return Ok(Progress::Done);
                }
                if !self.holds(from, object.ino)? {
                    return self.foreign(from);
                }
                match self.stat(to)? {
                    None => Ok(Progress::ToDo),
                    Some(_) => self.foreign(to),
                }
            }
            Move::Exchange {
                live,
                scratch,
                old,
                new,
            } => {
                // The scratch side is asked first: a live path may lead elsewhere by now.
                if self.holds(scratch, old.ino)? {
                    Ok(Progress::Done)
                } else if self.holds(scratch, new.ino)? {
                    match self.holds(live, old.ino)? {
                        true => Ok(Progress::ToDo),
                        false => self.foreign(live),
                    }
                } else if let Some(next) = self.later.get(&index).copied()
                    && matches!(self.gone_on(all, next)?, Progress::Done)
                {
                    Ok(Progress::Done)
                } else {
                    self.foreign(scratch)
                }
            }
            Move::Link { name, ino, .. } => match self.stat(name)? {
                None => Ok(Progress::ToDo),
                Some(stat) if stat.ino() == *ino => Ok(Progress::Done),
                Some(_) => self.foreign(name),
            },
            // Never made, or taken away already: the same path may be another old name by now,
            // which its directory tells.
            Move::Unlink {
                name, ino, holder, ..
            } => {
                let there = self.holds(name, *ino)? && self.is_in(name, *holder)?;
                Ok(if there {
                    Progress::ToDo
                } else {
                    Progress::Done
                })
            }
            Move::Release { name, ino, .. } => Ok(match self.holds(name, *ino)? {
                true => Progress::ToDo,
                false => Progress::Done,
            }),
            Move::Recall { name, ino, .. } => {
                if self.holds(name, *ino)? {
                    return Ok(Progress::Done);
                }
                match self.later.get(&index).copied() {
                    Some(next) => self.gone_on(all, next),
                    None => Ok(Progress::ToDo),
                }
            }
        }
    }

    /// Whether the move that goes on with an object from the scratch directory is done.
    fn gone_on(&mut self, all: &[Move], next: usize) -> Result<Progress, StepError> {
        let done = match &all[next] {
            Move::Rename { from, to, object } => {
                self.holds(to, object.ino)? && !self.holds(from, object.ino)?
            }
            Move::Exchange { scratch, old, .. } => self.holds(scratch, old.ino)?,
            // Released: neither the scratch name nor, then, the old live one has it.
            Move::Release { name, .. } => self.stat(name)?.is_none() && self.departed(all, name)?,
            _ => false,
        };
        Ok(if done { Progress::Done } else { Progress::ToDo })
    }

    /// Whether the live name that an object came from to `name` does not have it any more.
    fn departed(&mut self, all: &[Move], name: &Loc) -> Result<bool, StepError> {
        for step in all {
            match step {
                Move::Rename { from, to, object } if to == name => {
                    return Ok(!self.holds(from, object.ino)?);
                }
                Move::Exchange {
                    live, scratch, old, ..
                } if scratch == name => return Ok(!self.holds(live, old.ino)?),
                _ => {}
            }
        }
        Ok(false)
    }

    fn rename(&mut self, from: &Loc, to: &Loc, object: Object) -> Result<(), StepError> {
        let (operation, named) = match (from.area, to.area) {
            (Area::Scratch, Area::Live) => ("place", to),
            (Area::Live, Area::Scratch) => ("remove", from),
            _ => ("move", from),
        };
        let source = self
            .sites
            .parent(from)
            .map_err(self.failed(operation, named))?;
        let target = self
            .sites
            .parent(to)
            .map_err(self.failed(operation, named))?;
        match source.place().rename_to(target.place()) {
            Err(Errno::EXDEV) if object.state.is_none() => {
                let path = self.sites.name(named);
                return Err(StepError::Immovable { path });
            }
            done => done.map_err(self.failed(operation, named))?,
        }
        let moved = target
            .place()
            .stat()
            .map_err(self.failed(operation, named))?;
        if object.state.is_none() {
            self.sites.forget_directories();
        }
        if object.is(moved.as_ref()) {
            return Ok(());
        }
        // Not what the run saw: back with it, before anybody misses it.
        target
            .place()
            .rename_to(source.place())
            .map_err(self.failed(operation, named))?;
        self.sites.forget_directories();
        Err(self.displaced(from, object, moved))
    }

    fn exchange(&mut self, live: &Loc, scratch: &Loc, old: Object) -> Result<(), StepError> {
        let ours = self
            .sites
            .parent(scratch)
            .map_err(self.failed("exchange", live))?;
        let theirs = self
            .sites
            .parent(live)
            .map_err(self.failed("exchange", live))?;
        let swap = || ours.place().exchange_with(theirs.place());
        swap().map_err(self.failed("exchange", live))?;
        let displaced = ours.place().stat().map_err(self.failed("exchange", live))?;
        if old.state.is_none() || displaced.is_some_and(|stat| stat.is_directory()) {
            self.sites.forget_directories();
        }
        if old.is(displaced.as_ref()) {
            return Ok(());
        }
        swap().map_err(self.failed("exchange", live))?;
        self.sites.forget_directories();
        Err(self.displaced(live, old, displaced))
    }

    fn displaced(&self, loc: &Loc, expected: Object, found: Option<Stat>) -> StepError {
        StepError::Displaced {
            path: self.sites.live_path(loc.volume, &loc.path),
            expected,
            found: found.map(|stat| Box::new(stat.identity)),
        }
    }

    fn link(&mut self, existing: &Loc, name: &Loc) -> Result<(), StepError> {
        let error = self.failed("link", name);
        let link = |sites: &mut Sites| {
            let old = sites.parent(existing)?;
            let new = sites.parent(name)?;
            old.place().link_to(new.place())
        };
        link(self.sites).map_err(error)
    }

    fn unlink(&mut self, name: &Loc) -> Result<(), StepError> {
        let error = self.failed("unlink", name);
        self.sites
            .parent(name)
            .and_then(|parent| parent.place().unlink())
            .map_err(error)
    }

    /// Writes the bytes after over those of the live inode. Repeating it is harmless: the source
    /// stays.
    fn rewrite(&mut self, step: &Rewrite) -> Result<(), StepError> {
        let loc = live(step.volume, &step.after.path);
        if !self.holds(&loc, step.ino)? {
            return self.foreign(&loc).map(drop);
        }
        let source = Loc {
            volume: step.volume,
            area: Area::Scratch,
            path: step.after.source.clone(),
        };
        let error = self.failed("rewrite", &loc);
        let write = |sites: &mut Sites| {
            let from = sites.parent(&source)?.place().open(OFlag::O_RDONLY)?;
            let to = sites.parent(&loc)?.place().open(OFlag::O_RDWR)?;
            overwrite_data(from.as_fd(), to.as_fd(), step.after.size)
        };
        write(self.sites).map_err(error)
    }

    fn set(&mut self, step: &Setting) -> Result<(), StepError> {
        let Some((path, attributes)) = &step.after else {
            return Ok(());
        };
        let loc = live(step.volume, path);
        let Some(stat) = self.stat(&loc)?.filter(|stat| stat.ino() == step.ino) else {
            return self.foreign(&loc).map(drop);
        };
        let error = self.failed("set the attributes of", &loc);
        let set = |sites: &mut Sites| {
            let parent = sites.parent(&loc)?;
            match attributes {
                Attributes::All(meta) => set_metadata(parent.place(), &stat, meta),
                Attributes::Mtime(mtime) => set_mtime(parent.place(), *mtime),
                Attributes::Locks(flags) => change_flags(parent.place(), &stat, LOCKS, *flags),
            }
        };
        set(self.sites).map_err(error)
    }
}

/// A place in a volume's live tree.
fn live(volume: usize, path: &RelPath) -> Loc {
    Loc {
        volume,
        area: Area::Live,
        path: path.clone(),
    }
}

impl Object {
    /// Whether `found` is this object, unchanged.
    pub fn is(&self, found: Option<&Stat>) -> bool {
        found.is_some_and(|stat| {
            stat.ino() == self.ino
                && self.state.is_none_or(|(mtime, size)| {
                    stat.identity.mtime == mtime && stat.identity.size == size
                })
        })
    }
}
