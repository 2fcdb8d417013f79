//! The steps of a commit done on a [`Disk`], which can refuse all after so many changes, as a crash
//! would.

use std::path::PathBuf;

use nix::errno::Errno;

use super::disk::{Body, Disk};
use crate::change::Metadata;
use crate::commit::ground::Ground;
use crate::commit::step::{Area, Attributes, LOCKS, Loc, Object};
use crate::commit::step_error::StepError;
use crate::fs::Stat;
use crate::sys::inspect::FileHandle;

/// A disk for each volume, and how many more changes they take.
pub struct Fragile {
    pub disks: Vec<Disk>,
    pub left: usize,
}

/// The error that stands for the crash.
pub const CRASH: Errno = Errno::EIO;

pub fn handle_of(ino: u64) -> FileHandle {
    FileHandle {
        kind: 1,
        bytes: ino.to_le_bytes().to_vec(),
    }
}

impl Fragile {
    fn spend(&mut self) -> Result<(), Errno> {
        self.left = self.left.checked_sub(1).ok_or(CRASH)?;
        Ok(())
    }

    fn ino(&self, loc: &Loc) -> Result<u64, Errno> {
        self.disks[loc.volume]
            .find(Disk::top(loc.area), &loc.path)?
            .ok_or(Errno::ENOENT)
    }

    fn failed(&self, operation: &'static str, loc: &Loc) -> impl Fn(Errno) -> StepError + use<> {
        let path = self.name(loc);
        move |errno| StepError::Failed {
            operation,
            path: path.clone(),
            errno,
        }
    }

    fn set_meta(&mut self, loc: &Loc, change: impl FnOnce(&mut Metadata)) -> Result<(), Errno> {
        self.spend()?;
        let ino = self.ino(loc)?;
        let disk = &mut self.disks[loc.volume];
        let mut meta = disk.inode(ino).meta.clone();
        change(&mut meta);
        disk.set(ino, meta)
    }
}

fn at(loc: &Loc) -> (u64, &crate::change::RelPath) {
    (Disk::top(loc.area), &loc.path)
}

impl Ground for Fragile {
    fn name(&self, loc: &Loc) -> PathBuf {
        match loc.area {
            Area::Live => loc.path.to_absolute(),
            Area::Scratch => loc.path.to_path_under("/scratch".as_ref()),
        }
    }

    fn stat(&mut self, loc: &Loc) -> Result<Option<Stat>, Errno> {
        let disk = &self.disks[loc.volume];
        let found = disk.at(Disk::top(loc.area), &loc.path);
        Ok(found.map(|ino| disk.stat(ino)))
    }

    fn rename(&mut self, from: &Loc, to: &Loc, object: Object) -> Result<(), StepError> {
        let error = self.failed("rename", from);
        self.spend().map_err(&error)?;
        self.disks[from.volume]
            .rename(at(from), at(to))
            .map_err(&error)?;
        let found = self.stat(to).map_err(&error)?;
        if object.is(found.as_ref()) {
            return Ok(());
        }
        self.disks[to.volume]
            .rename(at(to), at(from))
            .map_err(&error)?;
        Err(StepError::Displaced {
            path: from.path.clone(),
            expected: object,
            found: found.map(|stat| Box::new(stat.identity)),
        })
    }

    fn exchange(&mut self, live: &Loc, scratch: &Loc, old: Object) -> Result<(), StepError> {
        let error = self.failed("exchange", live);
        self.spend().map_err(&error)?;
        self.disks[live.volume]
            .exchange(at(live), at(scratch))
            .map_err(&error)?;
        let found = self.stat(scratch).map_err(&error)?;
        if old.is(found.as_ref()) {
            return Ok(());
        }
        self.disks[live.volume]
            .exchange(at(live), at(scratch))
            .map_err(&error)?;
        Err(StepError::Displaced {
            path: live.path.clone(),
            expected: old,
            found: found.map(|stat| Box::new(stat.identity)),
        })
    }

    fn link(&mut self, existing: &Loc, name: &Loc) -> Result<(), Errno> {
        self.spend()?;
        self.disks[name.volume].link(at(existing), at(name))
    }

    fn unlink(&mut self, name: &Loc) -> Result<(), Errno> {
        self.spend()?;
        self.disks[name.volume].remove(at(name))
    }

    fn recall(&mut self, name: &Loc, handle: &FileHandle) -> Result<(), Errno> {
        self.spend()?;
        let bytes = handle.bytes.clone().try_into().map_err(|_| Errno::EINVAL)?;
        let ino = u64::from_le_bytes(bytes);
        let disk = &mut self.disks[name.volume];
        if !disk.inodes.contains_key(&ino) {
            return Err(Errno::ESTALE);
        }
        disk.link_inode(ino, at(name))
    }

    fn unlock(&mut self, loc: &Loc, _: &Stat) -> Result<(), Errno> {
        self.set_meta(loc, |meta| meta.flags &= !LOCKS)
    }

    fn overwrite(&mut self, source: &Loc, target: &Loc, size: u64) -> Result<(), Errno> {
        let volume = target.volume;
        let (source, target) = (self.ino(source)?, self.ino(target)?);
        let Body::File(bytes) = &self.disks[volume].inode(source).body else {
            return Err(Errno::EISDIR);
        };
        let bytes = bytes.get(..size as usize).ok_or(Errno::ENODATA)?.to_vec();
        // A crash in the middle leaves some of them.
        self.spend()?;
        self.disks[volume].write(target, bytes[..bytes.len() / 2].to_vec())?;
        self.spend()?;
        self.disks[volume].write(target, bytes)
    }

    fn has_bytes(&mut self, source: &Loc, target: &Loc, size: u64) -> Result<bool, Errno> {
        let disk = &self.disks[target.volume];
        let bytes = |ino: u64| match &disk.inode(ino).body {
            Body::File(bytes) => Ok(bytes),
            _ => Err(Errno::EISDIR),
        };
        let (source, target) = (bytes(self.ino(source)?)?, bytes(self.ino(target)?)?);
        Ok(source.get(..size as usize) == Some(target))
    }

    fn has_metadata(&mut self, loc: &Loc, _: &Stat, wanted: &Metadata) -> Result<bool, Errno> {
        let mut found = self.disks[loc.volume].inode(self.ino(loc)?).meta.clone();
        found.flags &= !LOCKS | wanted.flags;
        Ok(found == *wanted)
    }

    fn set(&mut self, loc: &Loc, _: &Stat, attributes: &Attributes) -> Result<(), Errno> {
        match attributes {
            Attributes::All(all) => {
                // One call after another.
                self.set_meta(loc, |meta| meta.flags &= !LOCKS)?;
                self.set_meta(loc, |meta| meta.mode = all.mode)?;
                self.set_meta(loc, |meta| *meta = all.clone())
            }
            Attributes::Mtime(mtime) => {
                if self.disks[loc.volume].inode(self.ino(loc)?).meta.flags & LOCKS != 0 {
                    return Err(Errno::EPERM);
                }
                self.set_meta(loc, |meta| meta.mtime = *mtime)
            }
            Attributes::Locks(flags) => {
                let locks = *flags & LOCKS;
                self.set_meta(loc, |meta| meta.flags = meta.flags & !LOCKS | locks)
            }
        }
    }
}
