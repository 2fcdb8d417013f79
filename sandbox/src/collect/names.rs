//! All names of changed files with several: a file that was written by one name looks different by
//! every other, and no name is more than another. Without it a preview, which finds all names of a
//! file in the upper layer, would say otherwise than the run, which finds the one that was used.
//! No filesystem tells the names of a file, so they are looked for: near those that are known,
//! then everywhere.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use nix::errno::Errno;

use super::CollectError;
use super::item::{Item, Role, UpperInode};
use super::view::View;
use super::walk::Walk;
use crate::capture::LiveIdentity;
use crate::change::RelPath;
use crate::fs::{Dir, Place, Stat, walk_where_paths_reach};

/// The live names of inodes, by volume and inode number, below the volume: an earlier look's, as a
/// search can mean to read all of a volume. Others' changes since are conflicts.
pub(super) type Names = HashMap<(usize, u64), BTreeSet<RelPath>>;

/// A live file with several names of which something changed.
struct Group {
    /// How many names it has.
    links: u64,
    /// The known live ones, below the volume.
    known: BTreeSet<RelPath>,
    /// The paths of the view that are the file now.
    places: Vec<RelPath>,
}

/// A name that shows in the view and that nobody touched.
struct Untouched {
    /// Where it shows.
    place: RelPath,
    /// The live name, below the volume.
    name: RelPath,
    /// The same below the live root.
    live_path: RelPath,
}

/// Why a search ended.
enum End {
    /// Every name was found.
    Complete,
    Failed(Errno),
}

impl From<Errno> for End {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno)
    }
}

impl Walk<'_> {
    /// Adds an item for every name that a changed file has and nobody touched.
    pub(super) fn list_names(&mut self) -> Result<(), CollectError> {
        let mut groups = self.groups();
        groups.retain(|_, group| group.links > group.known.len() as u64);
        if groups.is_empty() {
            return Ok(());
        }
        let mut unknown: BTreeMap<u64, Group> = BTreeMap::new();
        for (ino, mut group) in groups {
            let names = self.names.get(&(self.volume, ino));
            group.known.extend(names.into_iter().flatten().cloned());
            unknown.insert(ino, group);
        }
        self.search(&mut unknown)?;
        for (ino, (group, places)) in self.untouched(unknown)? {
            self.add_names(ino, &group, places)?;
            self.names.insert((self.volume, ino), group.known);
        }
        Ok(())
    }

    /// The live files of this volume with several names of which something changed.
    fn groups(&self) -> BTreeMap<u64, Group> {
        let mut groups: BTreeMap<u64, Group> = BTreeMap::new();
        let mut changed = BTreeSet::new();
        let own = |item: &&Item| item.volume == self.volume;
        for (path, item) in &self.found.items {
            let Some((ino, links)) = copied(item).filter(|_| own(&item)) else {
                continue;
            };
            let group = groups.entry(ino).or_insert_with(|| Group {
                links,
                known: BTreeSet::new(),
                places: Vec::new(),
            });
            group.places.push(path.clone());
            if item.is_change() {
                changed.insert(ino);
            }
        }
        // A new name of what cannot have a redirect is known by the upper inode alone.
        let place = |group: &Group| group.places.first().cloned();
        let shared: HashMap<u64, u64> = groups
            .iter()
            .filter_map(|(ino, group)| {
                let item = self.found.items.get(&place(group)?)?;
                Some((item.upper.id, *ino))
            })
            .collect();
        for item in self.found.items.values().filter(own) {
            if let (Role::Whole { origin: None }, true) = (&item.role, item.is_leaf()) {
                changed.extend(shared.get(&item.upper.id));
            }
        }
        // What an earlier entry changed counts too: this one may have made it as it was.
        let earlier = |ino: u64| self.names.contains_key(&(self.volume, ino));
        groups.retain(|ino, group| group.links > 1 && (changed.contains(ino) || earlier(*ino)));
        for item in self.found.items.values().filter(own) {
            if let Some(live) = item.live
                && let Some(group) = groups.get_mut(&live.ino)
            {
                group
                    .known
                    .extend(item.live_path.strip_prefix(self.mount_point));
            }
        }
        groups
    }

    /// Looks for the names that are not known, first in the directories of those that are.
    fn search(&mut self, groups: &mut BTreeMap<u64, Group>) -> Result<(), CollectError> {
        let failed = |walk: &Self, errno| walk.live.failed("search", &RelPath::root(), errno);
        let top = self.live.root().and_then(Dir::open_at);
        let top = top.map_err(|e| failed(self, e))?;
        let known = groups.values().flat_map(|group| &group.known);
        let near: BTreeSet<RelPath> = known.filter_map(RelPath::parent).collect();
        let mut missing = groups.values().filter(|group| !group.is_complete()).count();
        let mut note = |path: RelPath, stat: &Stat| {
            if let Some(group) = groups.get_mut(&stat.ino()).filter(|_| !stat.is_directory()) {
                let was_complete = group.is_complete();
                group.known.insert(path);
                missing -= usize::from(!was_complete && group.is_complete());
            }
            missing == 0
        };
        let mut visit = |path: &RelPath, stat: &Stat| match note(path.clone(), stat) {
            true => Err(End::Complete),
            false => Ok(()),
        };
        let looked = near
            .iter()
            .try_for_each(|directory| each_in(&top, directory, &mut visit));
        let looked = looked.and_then(|()| {
            walk_where_paths_reach(&top, &mut |path, _: Place<'_>, stat| visit(path, stat))
        });
        match looked {
            // Not all need be there: a name can lie where something else is mounted, or too deep.
            Ok(()) | Err(End::Complete) => Ok(()),
            Err(End::Failed(errno)) => Err(failed(self, errno)),
        }
    }

    /// Where a live name, given below the volume, shows, and its path below the live root; `None` where
    /// it does not show, or is isconf's own.
    pub(super) fn shown(
        &self,
        view: &View<'_>,
        name: &RelPath,
    ) -> Result<Option<(RelPath, RelPath)>, CollectError> {
        let live_path = self.absolute(name)?;
        let ours = self.masks.iter().any(|mask| live_path.starts_with(mask));
        let place = view.shown_at(self.volume, &live_path).filter(|_| !ours);
        Ok(place.map(|place| (place, live_path)))
    }

    /// The names of each file that show in the view and have no item.
    fn untouched(
        &self,
        groups: BTreeMap<u64, Group>,
    ) -> Result<BTreeMap<u64, (Group, Vec<Untouched>)>, CollectError> {
        let view = View::new(&self.found.items);
        let mut found = BTreeMap::new();
        for (ino, group) in groups {
            let mut names = Vec::new();
            for name in &group.known {
                let shown = self.shown(&view, name)?;
                let untouched = shown.filter(|(place, _)| !self.found.items.contains_key(place));
                if let Some((place, live_path)) = untouched {
                    names.push(Untouched {
                        place,
                        name: name.clone(),
                        live_path,
                    });
                }
            }
            found.insert(ino, (group, names));
        }
        Ok(found)
    }

    /// Adds the items of one file, as its other names say what it is.
    fn add_names(
        &mut self,
        ino: u64,
        group: &Group,
        names: Vec<Untouched>,
    ) -> Result<(), CollectError> {
        let links = (group.places.len() + names.len()) as u64;
        let Some(upper) = self.share_inode(group, links) else {
            return Ok(());
        };
        for one in names {
            let Some(live) = self.live_at(&one.name)? else {
                continue;
            };
            if live.stat.st_ino != ino {
                continue;
            }
            let item = self.name_item(group, upper, (live.identity(), one.live_path));
            if let Some(item) = item {
                self.insert(one.place, item);
            }
        }
        Ok(())
    }

    /// Gives the known names the same number of names, also where the overlay has no index, and
    /// gives that inode.
    fn share_inode(&mut self, group: &Group, links: u64) -> Option<UpperInode> {
        let mut shared = None;
        for path in &group.places {
            if let Some(item) = self.found.items.get_mut(path) {
                item.upper.nlink = item.upper.nlink.max(links);
                shared = shared.or(Some(item.upper));
            }
        }
        shared
    }

    /// The item of one more name, made from one that was touched.
    fn name_item(
        &self,
        group: &Group,
        upper: UpperInode,
        (live, live_path): (LiveIdentity, RelPath),
    ) -> Option<Item> {
        let touched = group.places.iter();
        let touched = touched.filter_map(|path| self.found.items.get(path));
        let touched = touched.min_by_key(|item| !item.shows_live())?;
        let before = match &touched.role {
            Role::Elsewhere(other) => Some(other.node.clone()),
            _ => touched.before.clone(),
        };
        Some(Item {
            volume: self.volume,
            before,
            after: touched.after.clone(),
            moved_from: None,
            live: Some(live),
            live_path: live_path.clone(),
            replaced: None,
            linked: None,
            displaced: false,
            role: Role::LiveData {
                data: live_path,
                ino: live.ino,
            },
            upper,
        })
    }
}

impl Group {
    fn is_complete(&self) -> bool {
        self.known.len() as u64 >= self.links
    }
}

/// Tells of every name in a directory below `top`, with what it stands for, until an error. One that
/// is gone has none.
pub(super) fn each_in<E: From<Errno>>(
    top: &Dir,
    directory: &RelPath,
    visit: &mut dyn FnMut(&RelPath, &Stat) -> Result<(), E>,
) -> Result<(), E> {
    let dir = match top.descend(directory) {
        Ok(dir) => dir,
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    for name in dir.names()? {
        if let (Some(stat), Ok(path)) = (dir.at(&name).stat()?, directory.child(&name)) {
            visit(&path, &stat)?;
        }
    }
    Ok(())
}

/// The live inode that a leaf is, changed or not, and its number of names.
fn copied(item: &Item) -> Option<(u64, u64)> {
    let live = match &item.role {
        Role::Elsewhere(other) => other.live,
        Role::Whole { origin: Some(ino) } | Role::LiveData { ino, .. } => {
            item.live.filter(|live| live.ino == *ino)?
        }
        Role::Gone | Role::Merged | Role::Whole { origin: None } => return None,
    };
    item.is_leaf().then_some((live.ino, live.nlink))
}
