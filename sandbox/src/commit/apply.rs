//! Doing the steps of a transaction, first or again. Not for deciding them (see `plan`). Upholds:
//! what is about to be replaced is what the run saw, else it is put back; every step can be
//! repeated without harm.

use nix::errno::Errno;
use std::collections::HashMap;

use super::continuations::continuations;
use super::crash_point;
use super::ground::Ground;
use super::step::{Area, Attributes, Loc, Move, Object, Rewrite, Setting, Steps};
use super::step_error::StepError;
use crate::change::{FLAG_IMMUTABLE, RelPath};
use crate::fs::Stat;

/// Whether the steps were never begun, or may be done in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Nothing was done yet.
    First,
    /// Some of it may be done: every step is looked at first.
    Again,
}

/// What is known of a step before it is done again.
enum Progress {
    Done,
    ToDo,
}

impl Progress {
    fn done_unless(still_to_do: bool) -> Self {
        match still_to_do {
            true => Self::ToDo,
            false => Self::Done,
        }
    }
}

/// Does all steps in order, and tells how many of how many are done; gives how many moves there were to
/// do. After an error some steps are
/// done and the rest is not.
pub(super) fn apply<G: Ground>(
    ground: &mut G,
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
        ground,
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

struct Work<'a, G> {
    ground: &'a mut G,
    pass: Pass,
    later: HashMap<usize, usize>,
}

impl<G: Ground> Work<'_, G> {
    fn failed(
        &self,
        operation: &'static str,
        loc: &Loc,
    ) -> impl FnOnce(Errno) -> StepError + use<G> {
        let path = self.ground.name(loc);
        move |errno| StepError::Failed {
            operation,
            path,
            errno,
        }
    }

    fn stat(&mut self, loc: &Loc) -> Result<Option<Stat>, StepError> {
        let error = self.failed("look at", loc);
        self.ground.stat(loc).map_err(error)
    }

    fn holds(&mut self, loc: &Loc, ino: u64) -> Result<bool, StepError> {
        Ok(self.stat(loc)?.is_some_and(|stat| stat.ino() == ino))
    }

    /// Whether a name stands for the inode, and lies in the directory with the other.
    fn holds_in(&mut self, loc: &Loc, ino: u64, holder: Option<u64>) -> Result<bool, StepError> {
        Ok(self.holds(loc, ino)?
            && match holder {
                Some(holder) => self.is_in(loc, holder)?,
                None => true,
            })
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
        let path = self.ground.name(loc);
        Err(StepError::Foreign { path, found })
    }

    /// Clears the flags that would refuse the steps. An object that is not at its old place any
    /// more was unlocked before it left. What was locked last, before a crash, is at its new place.
    fn unlock(&mut self, settings: &[Setting]) -> Result<(), StepError> {
        for setting in settings {
            let after = setting.after.as_ref().filter(|_| self.pass == Pass::Again);
            for (path, attributes) in [setting.before.as_ref(), after].into_iter().flatten() {
                if attributes.locks() == 0 {
                    continue;
                }
                let loc = live(setting.volume, path);
                if let Some(stat) = self.stat(&loc)?
                    && stat.ino() == setting.ino
                    && stat.locks != 0
                {
                    let error = self.failed("unlock", &loc);
                    self.ground.unlock(&loc, &stat).map_err(error)?;
                }
            }
        }
        Ok(())
    }

    /// Gives whether there was anything to do.
    fn do_move(&mut self, all: &[Move], index: usize, step: &Move) -> Result<bool, StepError> {
        if self.pass == Pass::Again && matches!(self.progress(all, index)?, Progress::Done) {
            return Ok(false);
        }
        let done = match step {
            Move::Rename {
                from, to, object, ..
            } => self.ground.rename(from, to, *object),
            Move::Exchange {
                live, scratch, old, ..
            } => self.ground.exchange(live, scratch, *old),
            Move::Link { existing, name, .. } => {
                let error = self.failed("link", name);
                self.ground.link(existing, name).map_err(error)
            }
            Move::Unlink { name, .. } | Move::Release { name, .. } => {
                let error = self.failed("unlink", name);
                self.ground.unlink(name).map_err(error)
            }
            Move::Recall { name, handle, .. } => {
                let error = self.failed("recall", name);
                self.ground.recall(name, handle).map_err(error)
            }
        };
        done.map_err(|error| self.explain(error, &step.names()))?;
        Ok(true)
    }

    /// Names the flag that refused a step at one of the places, if that is why.
    fn explain(&mut self, error: StepError, places: &[&Loc]) -> StepError {
        let StepError::Failed {
            operation,
            errno: Errno::EPERM,
            ..
        } = error
        else {
            return error;
        };
        let parent = |loc: &Loc| Loc {
            path: loc.path.parent().unwrap_or_default(),
            ..loc.clone()
        };
        for loc in places.iter().flat_map(|loc| [(*loc).clone(), parent(loc)]) {
            // Only to say more of an error; without an answer that stays.
            let locks = self.ground.stat(&loc).ok().flatten().map_or(0, |s| s.locks);
            if locks != 0 {
                return StepError::Locked {
                    operation,
                    path: self.ground.name(&loc),
                    flag: match locks & FLAG_IMMUTABLE {
                        0 => "append-only",
                        _ => "immutable",
                    },
                };
            }
        }
        error
    }

    /// Tells by inode numbers whether a move is done.
    fn progress(&mut self, all: &[Move], index: usize) -> Result<Progress, StepError> {
        match &all[index] {
            Move::Rename {
                from,
                to,
                object,
                holders,
            } => {
                if self.holds_in(to, object.ino, holders[1])? || self.has_gone_on(all, index)? {
                    return Ok(Progress::Done);
                }
                if !self.holds_in(from, object.ino, holders[0])? {
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
                    return Ok(Progress::Done);
                }
                if !self.holds(scratch, new.ino)? {
                    return match self.has_gone_on(all, index)? {
                        true => Ok(Progress::Done),
                        false => self.foreign(scratch),
                    };
                }
                match self.holds(live, old.ino)? {
                    true => Ok(Progress::ToDo),
                    false => self.foreign(live),
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
                let there = self.holds_in(name, *ino, Some(*holder))?;
                Ok(Progress::done_unless(there))
            }
            Move::Release { name, ino, .. } => Ok(Progress::done_unless(self.holds(name, *ino)?)),
            Move::Recall { name, ino, .. } => {
                let done = self.holds(name, *ino)? || self.has_gone_on(all, index)?;
                Ok(Progress::done_unless(!done))
            }
        }
    }

    /// Whether a later move goes on with the object of this one, and is done.
    fn has_gone_on(&mut self, all: &[Move], index: usize) -> Result<bool, StepError> {
        match self.later.get(&index).copied() {
            Some(next) => self.gone_on(&all[index], &all[next]),
            None => Ok(false),
        }
    }

    /// Whether the move `next`, which goes on with what `step` moved to the scratch directory, is done.
    fn gone_on(&mut self, step: &Move, next: &Move) -> Result<bool, StepError> {
        Ok(match next {
            Move::Rename {
                from,
                to,
                object,
                holders,
            } => {
                self.holds_in(to, object.ino, holders[1])?
                    && !self.holds_in(from, object.ino, holders[0])?
            }
            Move::Exchange { scratch, old, .. } => self.holds(scratch, old.ino)?,
            // Released: neither the scratch name nor, then, the old live one has it.
            Move::Release { name, .. } => self.stat(name)?.is_none() && self.departed(step)?,
            _ => false,
        })
    }

    /// Whether the live name that a move takes an object from does not have it any more.
    fn departed(&mut self, step: &Move) -> Result<bool, StepError> {
        Ok(match step {
            Move::Rename {
                from,
                object,
                holders,
                ..
            } => !self.holds_in(from, object.ino, holders[0])?,
            Move::Exchange { live, old, .. } => !self.holds(live, old.ino)?,
            _ => false,
        })
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
        let mut done = self.ground.overwrite(&source, &loc, step.after.size);
        // Taking back must not fail at what was never reached: whoever locked it since stopped the
        // rewrite itself.
        if self.pass == Pass::Again && done == Err(Errno::EPERM) {
            let error = self.failed("read", &loc);
            let same = self.ground.has_bytes(&source, &loc, step.after.size);
            if same.map_err(error)? {
                done = Ok(());
            }
        }
        done.map_err(error)
            .map_err(|error| self.explain(error, &[&loc]))
    }

    fn set(&mut self, step: &Setting) -> Result<(), StepError> {
        let Some((path, attributes)) = &step.after else {
            return Ok(());
        };
        let loc = live(step.volume, path);
        let Some(stat) = self.stat(&loc)?.filter(|stat| stat.ino() == step.ino) else {
            return self.foreign(&loc).map(drop);
        };
        if *attributes == Attributes::Mtime(stat.identity.mtime) {
            // Taking back must not fail at what was never reached, and may be locked since.
            return Ok(());
        }
        if let (Pass::Again, Attributes::All(wanted)) = (self.pass, attributes) {
            let error = self.failed("look at", &loc);
            // Neither may it clear what somebody locked since; our own flags are off by now.
            if self
                .ground
                .has_metadata(&loc, &stat, wanted)
                .map_err(error)?
            {
                return Ok(());
            }
        }
        let error = self.failed("set the attributes of", &loc);
        let done = self.ground.set(&loc, &stat, attributes);
        done.map_err(error)
            .map_err(|error| self.explain(error, &[&loc]))
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
