//! What collect would say of a view beside its live tree, by definition, and the upper layer that
//! the overlay would have made.

use std::collections::{BTreeMap, BTreeSet};

use super::disk::{Body, Disk, LIVE, SCRATCH};
use crate::capture::{Provenance, Source};
use crate::change::{Change, Content, Digest, Kind, Metadata, Node, RelPath};
use crate::commit::step::LOCKS;

/// Where a directory of the view had its names from.
#[derive(Clone)]
struct Place {
    path: RelPath,
    shows: bool,
}

struct Hidden {
    path: RelPath,
    live: RelPath,
    instead: Option<RelPath>,
}

/// See the module.
pub struct Capturing<'a> {
    live: &'a Disk,
    view: &'a Disk,
    volume: usize,
    mount: &'a RelPath,
    /// Which of several names an entry is taken to have used, and whether the others are named.
    choice: u8,
    first_live: BTreeMap<u64, RelPath>,
    /// Live names, not of directories, that still are what they were, with their inodes.
    kept: BTreeMap<RelPath, u64>,
    rows: BTreeMap<RelPath, (Change, Provenance)>,
    hidden: Vec<Hidden>,
    moved: BTreeSet<RelPath>,
    /// Files that are at a place where they were not, with the place they had.
    elsewhere: Vec<(RelPath, u64)>,
    /// Upper layer: what the inodes of the view have there, and the disk with all.
    upper: BTreeMap<u64, (RelPath, u64)>,
    pub disk: Disk,
}

pub type Rows = BTreeMap<RelPath, (Change, Provenance)>;

pub fn node(disk: &Disk, ino: u64) -> Node {
    let inode = disk.inode(ino);
    Node {
        kind: match &inode.body {
            Body::File(bytes) => Kind::File {
                size: bytes.len() as u64,
                content: Content::Read(Digest::of(bytes)),
                hole_bytes: 0,
            },
            Body::Directory(_) => Kind::Directory,
            Body::Symlink(target) => Kind::Symlink {
                target: target.clone(),
            },
            Body::Fifo => Kind::Fifo,
        },
        meta: inode.meta.clone(),
        link_of: None,
    }
}

/// The changes of one volume, with the live disk that has the upper layer in its scratch directory.
pub fn capture(
    live: &Disk,
    view: &Disk,
    (volume, mount): (usize, &RelPath),
    choice: u8,
) -> (Rows, Disk) {
    let mut first_live = BTreeMap::new();
    for (path, ino) in live.walk(LIVE) {
        first_live.entry(ino).or_insert(path);
    }
    let mut disk = live.clone();
    disk.next += 1000;
    let empty = Body::Directory(BTreeMap::new());
    let upper = RelPath::new("upper").unwrap();
    for name in ["upper", "stage", "undo"] {
        let name = RelPath::new(name).unwrap();
        let made = disk.make((SCRATCH, &name), empty.clone(), Metadata::default());
        made.unwrap();
    }
    assert!(disk.at(SCRATCH, &upper).is_some());
    let mut work = Capturing {
        live,
        view,
        volume,
        mount,
        choice,
        first_live,
        kept: BTreeMap::new(),
        rows: BTreeMap::new(),
        hidden: Vec::new(),
        moved: BTreeSet::new(),
        elsewhere: Vec::new(),
        upper: BTreeMap::new(),
        disk,
    };
    let top = Place {
        path: RelPath::root(),
        shows: true,
    };
    work.kept = work.kept_places();
    work.visit(&RelPath::root(), LIVE, Some(&top));
    work.list_hidden();
    work.settle();
    work.age_upper();
    (work.rows, work.disk)
}

impl Capturing<'_> {
    fn is_old(&self, ino: u64) -> bool {
        self.first_live.contains_key(&ino)
    }

    fn put(
        &mut self,
        path: &RelPath,
        states: (Option<Node>, Option<Node>),
        source: Source,
        live_path: &RelPath,
    ) {
        let live = self.live.at(LIVE, live_path);
        let mount = |path: &RelPath| self.mount.join(path).unwrap();
        let change = Change {
            path: mount(path),
            before: states.0,
            after: states.1,
            moved_from: None,
        };
        let provenance = Provenance {
            volume: self.volume,
            source,
            live: live.map(|ino| self.live.stat(ino).identity),
            live_path: mount(live_path),
            replaced: None,
            linked: None,
        };
        self.rows.insert(path.clone(), (change, provenance));
    }

    fn set_moved(&mut self, path: &RelPath, from: &RelPath, occupant: Option<u64>) {
        let from = self.mount.join(from).unwrap();
        if let Some((change, provenance)) = self.rows.get_mut(path) {
            change.moved_from = Some(from);
            provenance.replaced = occupant.map(|ino| self.live.stat(ino).identity);
        }
    }

    fn visit(&mut self, path: &RelPath, ino: u64, here: Option<&Place>) {
        let occupant = here.and_then(|place| self.live.at(LIVE, &place.path));
        match self.view.entries(ino) {
            Ok(_) => self.directory(path, ino, here, occupant),
            Err(_) => self.leaf(path, ino, here, occupant),
        }
    }

    fn hide(&mut self, path: &RelPath, here: Option<&Place>, instead: Option<RelPath>) {
        if let Some(place) = here.filter(|place| place.shows)
            && let Some(ino) = self.live.at(LIVE, &place.path)
            && self.live.entries(ino).is_ok()
        {
            self.hidden.push(Hidden {
                path: path.clone(),
                live: place.path.clone(),
                instead,
            });
        }
    }

    fn directory(&mut self, path: &RelPath, ino: u64, here: Option<&Place>, there: Option<u64>) {
        let after = node(self.view, ino);
        let place = if self.is_old(ino) {
            let own = self.first_live[&ino].clone();
            let before = node(self.live, ino);
            let stays = here.is_some_and(|place| place.shows && place.path == own);
            if !stays || before != after {
                let source = Source::MergedDirectory { path: path.clone() };
                self.put(path, (Some(before), Some(after)), source, &own);
                self.make_upper(path, Body::Directory(BTreeMap::new()));
            }
            if !stays {
                self.hide(path, here, Some(own.clone()));
                self.set_moved(path, &own, there);
                self.moved.insert(own.clone());
            }
            Some(Place {
                path: own,
                shows: true,
            })
        } else {
            self.hide(path, here, None);
            let live_path = here.map_or(path, |place| &place.path).clone();
            let before = there.map(|ino| node(self.live, ino));
            let own = self.make_upper(path, Body::Directory(BTreeMap::new()));
            let source = Source::Upper {
                path: path.clone(),
                ino: own,
                origin: None,
            };
            self.put(path, (before, Some(after)), source, &live_path);
            here.filter(|_| there.is_some_and(|ino| self.live.entries(ino).is_ok()))
                .map(|place| Place {
                    path: place.path.clone(),
                    shows: false,
                })
        };
        self.below(path, ino, place.as_ref());
    }

    fn below(&mut self, path: &RelPath, ino: u64, place: Option<&Place>) {
        let names = self.view.entries(ino).unwrap().clone();
        if let Some(place) = place.filter(|place| place.shows)
            && let Some(old) = self.live.at(LIVE, &place.path)
        {
            for (name, _) in self.live.entries(old).unwrap().clone() {
                if !names.contains_key(&name) {
                    let live = place.path.child(&name).unwrap();
                    let gone = path.child(&name).unwrap();
                    let here = Place {
                        path: live.clone(),
                        shows: true,
                    };
                    self.hide(&gone, Some(&here), None);
                    self.gone(&gone, &live);
                }
            }
        }
        for (name, child) in names {
            let here = place.map(|place| Place {
                path: place.path.child(&name).unwrap(),
                shows: place.shows,
            });
            self.visit(&path.child(&name).unwrap(), child, here.as_ref());
        }
    }

    fn gone(&mut self, path: &RelPath, live: &RelPath) {
        let before = self.live.at(LIVE, live).map(|ino| node(self.live, ino));
        self.put(path, (before, None), Source::Gone, live);
    }

    fn leaf(&mut self, path: &RelPath, ino: u64, here: Option<&Place>, there: Option<u64>) {
        self.hide(path, here, None);
        let live_path = here.map_or(path, |place| &place.path).clone();
        let before = there.map(|ino| node(self.live, ino));
        let after = node(self.view, ino);
        let in_place = here.is_some_and(|place| place.shows) && there == Some(ino);
        if in_place {
            let old = node(self.live, ino);
            if old != after {
                let source = match same_bytes(&old, &after) {
                    true => self.live_data(path, &live_path, ino),
                    false => self.whole(path, ino),
                };
                self.put(path, (before, Some(after)), source, &live_path);
            }
            return;
        }
        let old = self.is_old(ino).then(|| node(self.live, ino));
        let shares = old
            .as_ref()
            .is_some_and(|old| same_bytes(old, &after) || self.shares_names(ino));
        let source = match old {
            Some(old) if shares => {
                self.elsewhere.push((path.clone(), ino));
                match same_bytes(&old, &after) {
                    true => self.live_data(path, &self.first_live[&ino].clone(), ino),
                    false => self.whole(path, ino),
                }
            }
            _ => self.whole(path, ino),
        };
        self.put(path, (before, Some(after)), source, &live_path);
    }

    fn live_data(&mut self, path: &RelPath, data: &RelPath, ino: u64) -> Source {
        self.make_upper(path, Body::Fifo);
        Source::LiveData {
            path: path.clone(),
            data: self.mount.join(data).unwrap(),
            ino,
        }
    }

    /// All of the object in the upper layer; a copy of the live one if it shares names with it.
    fn whole(&mut self, path: &RelPath, ino: u64) -> Source {
        let copy_of = self.is_old(ino) && self.shares_names(ino);
        let own = self.make_upper_copy(path, ino);
        Source::Upper {
            path: path.clone(),
            ino: own,
            origin: copy_of.then_some(ino),
        }
    }

    /// Whether a live inode is known as what it is by other names than its new one.
    fn shares_names(&self, ino: u64) -> bool {
        self.live.stat(ino).identity.nlink > 1 || self.kept.values().any(|kept| *kept == ino)
    }

    fn upper_path(path: &RelPath) -> RelPath {
        RelPath::new("upper").unwrap().join(path).unwrap()
    }

    fn make_upper(&mut self, path: &RelPath, body: Body) -> u64 {
        let at = Self::upper_path(path);
        if let Some(found) = self.disk.at(SCRATCH, &at) {
            return found;
        }
        if let Some(parent) = path.parent() {
            self.make_upper(&parent, Body::Directory(BTreeMap::new()));
        }
        let made = self.disk.make((SCRATCH, &at), body, Metadata::default());
        made.unwrap()
    }

    fn make_upper_copy(&mut self, path: &RelPath, ino: u64) -> u64 {
        let at = Self::upper_path(path);
        if let Some((first, own)) = self.upper.get(&ino).cloned() {
            if let Some(parent) = path.parent() {
                self.make_upper(&parent, Body::Directory(BTreeMap::new()));
            }
            let first = Self::upper_path(&first);
            self.disk.link((SCRATCH, &first), (SCRATCH, &at)).unwrap();
            return own;
        }
        let inode = self.view.inode(ino).clone();
        let own = self.make_upper(path, inode.body);
        let mut meta = inode.meta;
        // The overlay keeps them as an attribute.
        meta.flags &= !LOCKS;
        self.disk.set(own, meta).unwrap();
        self.upper.insert(ino, (path.clone(), own));
        own
    }

    fn list_hidden(&mut self) {
        while let Some(hidden) = self.hidden.pop() {
            if self.moved.contains(&hidden.live) {
                continue;
            }
            let old = self.live.at(LIVE, &hidden.live).unwrap();
            for (name, ino) in self.live.entries(old).unwrap().clone() {
                let (path, live) = (
                    hidden.path.child(&name).unwrap(),
                    hidden.live.child(&name).unwrap(),
                );
                let instead = hidden.instead.as_ref().map(|d| d.child(&name).unwrap());
                let shown = instead
                    .as_ref()
                    .is_some_and(|other| self.live.at(LIVE, other).is_some());
                let now = self.view.at(LIVE, &path);
                if self.live.entries(ino).is_ok() {
                    let merged = now.filter(|now| self.view.entries(*now).is_ok());
                    self.hidden.push(Hidden {
                        path: path.clone(),
                        live: live.clone(),
                        instead: merged.and_then(|now| self.first_live.get(&now).cloned()),
                    });
                }
                if !shown && now.is_none() && !self.rows.contains_key(&path) {
                    self.gone(&path, &live);
                }
            }
        }
    }

    /// Decides what was renamed, and which of several names are named.
    fn settle(&mut self) {
        let elsewhere = std::mem::take(&mut self.elsewhere);
        let mut renamed = BTreeSet::new();
        let mut places: Vec<_> = elsewhere.into_iter().collect();
        places.sort();
        for (path, ino) in places {
            // Any of its names may be the one that the overlay remembers.
            let names: Vec<RelPath> = self
                .live
                .walk(LIVE)
                .into_iter()
                .filter(|(_, other)| *other == ino)
                .map(|(name, _)| name)
                .collect();
            let data = names[usize::from(self.choice) % names.len()].clone();
            let still_there = self.kept.get(&data).copied() == Some(ino);
            let first = !still_there && renamed.insert(data.clone());
            let mounted = self.mount.join(&data).unwrap();
            let before = node(self.live, ino);
            let (change, provenance) = self.rows.get_mut(&path).unwrap();
            if let Source::LiveData { data, .. } = &mut provenance.source {
                *data = mounted.clone();
            }
            if first {
                change.before = Some(before);
                change.moved_from = Some(mounted.clone());
                provenance.replaced = provenance.live.take();
                provenance.live = Some(self.live.stat(ino).identity);
                provenance.live_path = mounted;
            }
        }
        self.leave_out_names();
    }

    /// Live paths whose leaf still shows as that name, moved along with directories or not.
    fn kept_places(&self) -> BTreeMap<RelPath, u64> {
        let mut kept = BTreeMap::new();
        let mut pending = vec![(LIVE, Some(RelPath::root()))];
        while let Some((ino, place)) = pending.pop() {
            for (name, child) in self.view.entries(ino).unwrap() {
                let here = place.as_ref().map(|place| place.child(name).unwrap());
                if self.view.entries(*child).is_ok() {
                    pending.push((*child, self.first_live.get(child).cloned()));
                } else if let Some(here) = here
                    && self.live.at(LIVE, &here) == Some(*child)
                {
                    kept.insert(here, *child);
                }
            }
        }
        kept
    }

    /// Of a changed file with several names, those that stay are not all named: the entry used one,
    /// and collect names the others as keeping the live inode, or does not find them.
    fn leave_out_names(&mut self) {
        let mut groups: BTreeMap<u64, Vec<RelPath>> = BTreeMap::new();
        for (path, (change, provenance)) in &self.rows {
            let ino = match provenance.source {
                Source::Upper { origin, .. } => origin,
                Source::LiveData { ino, .. } => Some(ino),
                _ => None,
            };
            let stays = change.moved_from.is_none()
                && provenance.live.map(|live| live.ino) == ino
                && change.before.is_some();
            if let Some(ino) = ino.filter(|_| stays) {
                groups.entry(ino).or_default().push(path.clone());
            }
        }
        for (ino, names) in groups {
            let used = usize::from(self.choice / 4) % names.len();
            for (index, name) in names.iter().enumerate() {
                if index == used || self.choice.is_multiple_of(4) {
                    continue;
                }
                let at = Self::upper_path(name);
                self.disk.remove((SCRATCH, &at)).unwrap();
                if self.choice % 4 == 1 {
                    self.rows.remove(name);
                } else if let Some((_, provenance)) = self.rows.get_mut(name) {
                    provenance.source = Source::LiveData {
                        path: name.clone(),
                        data: provenance.live_path.clone(),
                        ino,
                    };
                }
            }
        }
    }

    /// Gives the directories of the upper layer the times of the view.
    fn age_upper(&mut self) {
        for (path, (change, provenance)) in &self.rows {
            if let (Source::Upper { ino, .. }, Some(after)) = (&provenance.source, &change.after)
                && after.kind == Kind::Directory
            {
                assert_eq!(self.disk.at(SCRATCH, &Self::upper_path(path)), Some(*ino));
                let mut meta = after.meta.clone();
                meta.flags &= !LOCKS;
                self.disk.set(*ino, meta).unwrap();
            }
        }
    }
}

fn same_bytes(old: &Node, new: &Node) -> bool {
    old.kind == new.kind
}
