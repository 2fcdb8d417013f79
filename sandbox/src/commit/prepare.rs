//! Makes the upper layer's objects fit to be live, all aside: nothing here is visible. Can be
//! repeated. Upholds: no attribute of the overlay ever becomes live, and an application's own are
//! what it set.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::plan::VolumePlan;
use super::shape::Shape;
use super::sites::Sites;
use super::step::{Area, Loc};
use crate::change::{Node, RelPath};
use crate::fs::{
    Place, Stat, copy_data, punch_again, remove_tree, set_mtime, set_xattrs_exactly, walk,
};

/// Something could not be prepared. Nothing live was touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot prepare {path}")]
pub struct PrepareError {
    /// The object.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub errno: Errno,
}

/// What has to be durable before anything is visible, below the scratch directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Fresh {
    /// Regular files.
    pub files: Vec<RelPath>,
    /// Directories.
    pub directories: BTreeSet<RelPath>,
}

/// Prepares what the plan of one volume needs.
pub(super) fn prepare(
    sites: &mut Sites,
    volume: usize,
    plan: &VolumePlan,
    shape: &Shape<'_>,
) -> Result<Fresh, PrepareError> {
    let mut work = Work {
        sites,
        volume,
        shape,
        fresh: Fresh::default(),
    };
    work.directories()?;
    work.drop_index()?;
    for (from, to) in &plan.relocations {
        work.relocate(from, to)?;
    }
    let donors = plan
        .steps
        .rewrites
        .iter()
        .map(|r| (&r.after.source, &r.after.path));
    for (source, target) in plan.sources.iter().map(|(s, t)| (s, t)).chain(donors) {
        work.punch(source, target)?;
    }
    for (source, target) in &plan.sources {
        work.clean(source, target)?;
    }
    work.fresh.files.extend(plan.donors.iter().cloned());
    for (live, size, keep) in &plan.preimages {
        work.keep_bytes(live, *size, keep)?;
    }
    Ok(work.fresh)
}

struct Work<'a> {
    sites: &'a mut Sites,
    volume: usize,
    shape: &'a Shape<'a>,
    fresh: Fresh,
}

impl Work<'_> {
    fn loc(&self, area: Area, path: &RelPath) -> Loc {
        Loc {
            volume: self.volume,
            area,
            path: path.clone(),
        }
    }

    fn error(&self, loc: &Loc) -> impl Fn(Errno) -> PrepareError + use<> {
        let path = self.sites.name(loc);
        move |errno| PrepareError {
            path: path.clone(),
            errno,
        }
    }

    fn directories(&mut self) -> Result<(), PrepareError> {
        for name in [&b"undo"[..], b"stage"] {
            let path = RelPath::new(name).unwrap_or_default();
            let error = self.error(&self.loc(Area::Scratch, &path));
            let top = self.sites.top(self.volume, Area::Scratch);
            match top.at(name).create_dir(0o700) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => return Err(error(errno)),
            }
            self.fresh.directories.insert(path);
        }
        self.fresh.directories.insert(RelPath::root());
        Ok(())
    }

    /// The overlay's index holds one more name of every copied-up file with several names, which
    /// would count in the live tree. The overlay is gone by now, and so is its use.
    fn drop_index(&mut self) -> Result<(), PrepareError> {
        let path = RelPath::new(&b"work/index"[..]).unwrap_or_default();
        let loc = self.loc(Area::Scratch, &path);
        let error = self.error(&loc);
        let dir = match self.sites.dir(&loc) {
            Ok(dir) => dir,
            Err(Errno::ENOENT) => return Ok(()),
            Err(errno) => return Err(error(errno)),
        };
        for name in dir.names().map_err(&error)? {
            match dir.at(&name).unlink() {
                Ok(()) | Err(Errno::EISDIR) => {}
                Err(errno) => return Err(error(errno)),
            }
        }
        Ok(())
    }

    fn relocate(&mut self, from: &RelPath, to: &RelPath) -> Result<(), PrepareError> {
        let (from, to) = (self.loc(Area::Scratch, from), self.loc(Area::Scratch, to));
        let error = self.error(&from);
        let source = match self.sites.parent(&from) {
            Err(Errno::ENOENT) => return Ok(()),
            found => found.map_err(&error)?,
        };
        let target = self.sites.parent(&to).map_err(&error)?;
        match source.place().rename_to(target.place()) {
            // A copied layer has no stubs, and so nothing that has to leave.
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(error(errno)),
        }
        self.sites.forget_directories();
        Ok(())
    }

    /// Cleans one object that will be placed, with everything below it.
    fn clean(&mut self, source: &RelPath, target: &RelPath) -> Result<(), PrepareError> {
        let loc = self.loc(Area::Scratch, source);
        let error = self.error(&loc);
        let parent = self.sites.parent(&loc).map_err(&error)?;
        let place = parent.place();
        let stat = place
            .stat()
            .and_then(|s| s.ok_or(Errno::ENOENT))
            .map_err(&error)?;
        let node = self.node(target).ok_or(Errno::ENOENT).map_err(&error)?;
        set_xattrs_exactly(place, &node.meta.xattrs).map_err(&error)?;
        self.note_parents(source);
        if !stat.is_directory() {
            if stat.is_file() {
                self.fresh.files.push(source.clone());
            }
            return Ok(());
        }
        let top = place.open_dir().map_err(&error)?;
        self.fresh.directories.insert(source.clone());
        let mut disturbed = BTreeSet::new();
        walk::<Errno>(&top, &mut |path, place, stat| {
            let live = target.join(path).map_err(|_| Errno::ENAMETOOLONG)?;
            let Some(node) = self.node(&live).filter(|_| !stat.is_whiteout()) else {
                // A whiteout, or something that collect left out: it must not become live.
                disturbed.extend(path.parent());
                return remove_tree(place);
            };
            set_xattrs_exactly(place, &node.meta.xattrs)?;
            let at = source.join(path).map_err(|_| Errno::ENAMETOOLONG)?;
            if stat.is_directory() {
                self.fresh.directories.insert(at);
            } else if stat.is_file() {
                self.fresh.files.push(at);
            }
            Ok(())
        })
        .map_err(&error)?;
        for path in disturbed {
            let live = target.join(&path).unwrap_or_default();
            if let Some(node) = self.node(&live) {
                let mtime = node.meta.mtime;
                let dir = top.descend(&path).map_err(&error)?;
                set_mtime(dir.at(b""), mtime).map_err(&error)?;
            }
        }
        Ok(())
    }

    /// Makes holes again where a file that the overlay copied had them: it copies a whole MiB around
    /// each piece of data (ovl_copy_up_file). Before attributes are set, which this can take away.
    fn punch(&mut self, source: &RelPath, target: &RelPath) -> Result<(), PrepareError> {
        let Some((item, (ino, _))) = self
            .shape
            .item_at(target)
            .and_then(|item| Some((item, item.copy()?)))
        else {
            return Ok(());
        };
        let (live, copy) = (
            self.loc(Area::Live, &item.from),
            self.loc(Area::Scratch, source),
        );
        let error = self.error(&copy);
        let old = self.sites.stat(&live).map_err(&error)?;
        let has_holes = |stat: &Stat| stat.is_file() && stat.blocks * 512 < stat.identity.size;
        let Some(stat) = self.sites.stat(&copy).map_err(&error)? else {
            return Ok(());
        };
        if !stat.is_file() || !old.is_some_and(|old| old.ino() == ino && has_holes(&old)) {
            return Ok(());
        }
        let old = self.sites.parent(&live).map_err(&error)?;
        let new = self.sites.parent(&copy).map_err(&error)?;
        let punch = || {
            let from = old.place().open(OFlag::O_RDONLY)?;
            let to = new.place().open(OFlag::O_RDWR)?;
            punch_again(from.as_fd(), to.as_fd(), stat.identity.size)?;
            set_mtime(new.place(), stat.identity.mtime)
        };
        match punch() {
            // No holes here: the file is right without.
            Err(Errno::EOPNOTSUPP) => Ok(()),
            done => done.map_err(&error),
        }
    }

    /// The state after of a path, when it comes from the upper layer.
    fn node(&self, path: &RelPath) -> Option<&Node> {
        let item = self.shape.item_at(path)?;
        if item.stays_live() {
            return None;
        }
        item.change.after.as_ref()
    }

    fn note_parents(&mut self, path: &RelPath) {
        let mut at = path.parent();
        while let Some(path) = at {
            at = path.parent();
            if !self.fresh.directories.insert(path) {
                break;
            }
        }
    }

    /// Saves the bytes of a live file that will be written over.
    fn keep_bytes(
        &mut self,
        live: &RelPath,
        size: u64,
        keep: &RelPath,
    ) -> Result<(), PrepareError> {
        let (live, to) = (self.loc(Area::Live, live), self.loc(Area::Scratch, keep));
        let error = self.error(&live);
        let source = self.sites.parent(&live).map_err(&error)?;
        let target = self.sites.parent(&to).map_err(&error)?;
        remove_tree(target.place()).map_err(&error)?;
        let copy = |from: Place<'_>, to: Place<'_>| {
            let from = from.open(OFlag::O_RDONLY)?;
            copy_data(from.as_fd(), to.create(0o600)?.as_fd(), size)
        };
        copy(source.place(), target.place()).map_err(&error)?;
        self.fresh.files.push(keep.clone());
        Ok(())
    }
}
