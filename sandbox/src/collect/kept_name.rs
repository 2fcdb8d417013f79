//! The names that live files keep of those whose copies lost theirs. No filesystem tells the names
//! of a file, so they are looked for: in the directories of the lost ones, then in all of the volume,
//! once for all files.

use std::collections::{BTreeSet, HashMap};

use nix::errno::Errno;

use super::CollectError;
use super::names::each_in;
use super::view::View;
use super::walk::Walk;
use crate::capture::LiveIdentity;
use crate::change::RelPath;
use crate::fs::{Dir, Stat, walk};

/// A name that a live file keeps.
pub(super) struct KeptName {
    /// Where it shows.
    pub(super) place: RelPath,
    /// The live name, below the live root.
    pub(super) live_path: RelPath,
    /// What is there.
    pub(super) live: LiveIdentity,
}

/// Live names, below the volume, by inode number.
type LiveNames = HashMap<u64, Vec<(RelPath, LiveIdentity)>>;

impl Walk<'_> {
    /// For each of the files the first name, in path order, that it keeps. `files` have the directories,
    /// below the root, that are looked at first.
    pub(super) fn kept_names(
        &mut self,
        files: &[(u64, BTreeSet<RelPath>)],
    ) -> Result<HashMap<u64, KeptName>, CollectError> {
        let top = self.live.root().and_then(Dir::open_at);
        let failed = |errno| self.live.failed("search", &RelPath::root(), errno);
        let top = top.map_err(failed)?;
        let view = View::new(&self.found.items);
        let wanted: BTreeSet<u64> = files.iter().map(|(ino, _)| *ino).collect();
        let mut read: HashMap<&RelPath, LiveNames> = HashMap::new();
        let mut kept = HashMap::new();
        let mut missing = BTreeSet::new();
        for (ino, near) in files {
            let mut names = Vec::new();
            for directory in near {
                if !read.contains_key(directory) {
                    let found = self.names_in(&top, directory, &wanted).map_err(failed)?;
                    read.insert(directory, found);
                }
                names.extend(read[directory].get(ino).into_iter().flatten().cloned());
            }
            match self.first_shown(&view, &names)? {
                Some(name) => {
                    kept.insert(*ino, name);
                }
                None => {
                    missing.insert(*ino);
                }
            }
        }
        if missing.is_empty() {
            return Ok(kept);
        }
        let mut names = LiveNames::new();
        let looked = walk::<Errno>(&top, &mut |path, _, stat| {
            note(&mut names, &missing, (path, stat));
            Ok(())
        });
        looked.map_err(failed)?;
        for (ino, names) in names {
            if let Some(name) = self.first_shown(&view, &names)? {
                kept.insert(ino, name);
            }
        }
        Ok(kept)
    }

    /// The names of the wanted files in one live directory, given below the root.
    fn names_in(
        &self,
        top: &Dir,
        directory: &RelPath,
        wanted: &BTreeSet<u64>,
    ) -> Result<LiveNames, Errno> {
        let mut found = LiveNames::new();
        let below = directory.strip_prefix(self.mount_point).unwrap_or_default();
        each_in::<Errno>(top, &below, &mut |path, stat| {
            note(&mut found, wanted, (path, stat));
            Ok(())
        })?;
        Ok(found)
    }

    fn first_shown(
        &self,
        view: &View<'_>,
        names: &[(RelPath, LiveIdentity)],
    ) -> Result<Option<KeptName>, CollectError> {
        let mut first: Option<KeptName> = None;
        for (path, live) in names {
            if let Some((place, live_path)) = self.shown(view, path)?
                && first.as_ref().is_none_or(|first| place < first.place)
            {
                first = Some(KeptName {
                    place,
                    live_path,
                    live: *live,
                });
            }
        }
        Ok(first)
    }
}

/// Takes in a live name if it is one of a wanted file.
fn note(names: &mut LiveNames, wanted: &BTreeSet<u64>, (path, stat): (&RelPath, &Stat)) {
    if wanted.contains(&stat.ino()) && !stat.is_directory() {
        let found = (path.clone(), stat.identity);
        names.entry(stat.ino()).or_default().push(found);
    }
}
