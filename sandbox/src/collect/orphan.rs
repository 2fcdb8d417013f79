//! Files with several names, written under a name that the file does not have any more. What was
//! written belongs to the names that it keeps: one that was renamed after, or one that nobody
//! touched, which the upper layer does not have at all; the overlay's index has the file then.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::fstat;

use super::CollectError;
use super::item::{Elsewhere, Item, Role, UpperInode, same_state};
use super::leaf::set_holes;
use super::meanwhile::Stranded;
use super::object::{Failed, Object};
use super::tree::Tree;
use super::view::View;
use super::walk::{Side, Walk, upper_node};
use crate::capture::LiveIdentity;
use crate::change::{Content, Digest, Kind, Node, RelPath};
use crate::fs::{Dir, Stat, walk};
use crate::sys::files;
use crate::sys::inspect::FileHandle;
use crate::upper::{Attributes, Origin};

/// A complete file that is a copy of a live one of another name, or of one that is gone.
pub(super) struct Stray {
    /// Where it is, below the live root.
    pub(super) path: RelPath,
    /// The live inode.
    pub(super) origin: FileHandle,
    /// The digest of a file's content; the others are told by what they are.
    pub(super) digest: Option<Digest>,
}

/// What a file handle leads to.
enum Inode {
    Number(u64),
    Gone,
    /// There are no handles here, or we may not use them.
    Unknown,
}

/// A file of the index, with the live inode that it is a copy of.
struct Orphan {
    /// What its inode is called.
    id: u64,
    object: Object,
    attributes: Attributes,
    ino: u64,
}

/// A name that a live file had.
struct Lost {
    path: RelPath,
    node: Node,
    live: LiveIdentity,
}

impl Walk<'_> {
    /// Finds out which live file each stray was, when that matters: its data is still the same, or
    /// other names share it.
    pub(super) fn name_strays(&mut self) -> Result<(), CollectError> {
        for stray in std::mem::take(&mut self.strays) {
            let ino = match self.inode(&stray.origin)? {
                Inode::Number(ino) if self.is_known(ino) => ino,
                Inode::Unknown => continue,
                Inode::Number(_) | Inode::Gone => {
                    self.strand(stray.path);
                    continue;
                }
            };
            let Some(lost) = self.lost(ino)?.into_iter().next() else {
                continue;
            };
            let after = self.found.items.get(&stray.path);
            let same = match after.and_then(|item| item.after.as_ref().map(|node| &node.kind)) {
                Some(Kind::File { size, .. }) => {
                    *size == lost.live.size && self.live_digest(&lost.path)? == stray.digest
                }
                Some(kind) => *kind == lost.node.kind,
                None => continue,
            };
            if !same && stray.digest.is_none() {
                continue;
            }
            if (same || lost.live.nlink > 1)
                && let Some(item) = self.found.items.get_mut(&stray.path)
            {
                item.role = Role::Elsewhere(Box::new(Elsewhere {
                    data: lost.path,
                    node: lost.node,
                    live: lost.live,
                    rewritten: !same,
                }));
            }
        }
        Ok(())
    }

    /// Notes that the live object which the one at `path` is a copy of is not there any more.
    fn strand(&mut self, path: RelPath) {
        let item = self.found.items.get(&path);
        let after = item.and_then(|item| item.after.as_ref());
        let (Some(item), Some(after)) = (item, after) else {
            return;
        };
        self.found.gone.push(Stranded {
            kind: after.kind.clone(),
            found: item.live,
            path,
        });
    }

    /// Whether any item of this volume was that live inode.
    fn is_known(&self, ino: u64) -> bool {
        let is_it = |live: Option<LiveIdentity>| live.is_some_and(|live| live.ino == ino);
        let mut items = self.found.items.values();
        items.any(|item| item.volume == self.volume && (is_it(item.live) || is_it(item.replaced)))
    }

    /// The live inode with a handle.
    fn inode(&self, handle: &FileHandle) -> Result<Inode, CollectError> {
        let opened = files::open_by_handle(self.live.filesystem(), handle);
        match opened.and_then(|fd: OwnedFd| fstat(&fd)) {
            Ok(stat) => Ok(Inode::Number(stat.st_ino)),
            Err(Errno::ESTALE) => Ok(Inode::Gone),
            Err(Errno::EPERM | Errno::EOPNOTSUPP | Errno::EINVAL) => Ok(Inode::Unknown),
            Err(errno) => {
                Err(self
                    .live
                    .failed("open by its handle a file of", &RelPath::root(), errno))
            }
        }
    }

    /// The names of this volume that a live file had and does not have now.
    fn lost(&mut self, ino: u64) -> Result<Vec<Lost>, CollectError> {
        let items = self.found.items.values();
        let lost = items.filter_map(|item| {
            let live = item.live.filter(|live| live.ino == ino)?;
            let node = item.before.clone()?;
            (item.volume == self.volume && !item.shows_live()).then(|| Lost {
                path: item.live_path.clone(),
                node,
                live,
            })
        });
        let mut lost: Vec<Lost> = lost.collect();
        for path in self.replaced(ino) {
            let below = path.strip_prefix(self.mount_point).unwrap_or_default();
            if let Some(object) = self.live_at(&below)?.filter(|o| o.stat.st_ino == ino) {
                let (node, live) = (object.live_node(), object.identity());
                lost.push(Lost { path, node, live });
            }
        }
        Ok(lost)
    }

    /// The names of a live file at which there are now directories from elsewhere.
    fn replaced(&self, ino: u64) -> Vec<RelPath> {
        let view = View::new(&self.found.items);
        let items = self.found.items.iter();
        let replaced = items.filter(|(_, item)| {
            item.volume == self.volume && item.replaced.is_some_and(|live| live.ino == ino)
        });
        replaced
            .filter_map(|(path, item)| view.hidden_by(path, item))
            .collect()
    }

    fn live_digest(&mut self, path: &RelPath) -> Result<Option<Digest>, CollectError> {
        let below = path.strip_prefix(self.mount_point).unwrap_or_default();
        match self.live_at(&below)? {
            Some(live) => self.digest(Side::Live, &below, &live).map(Some),
            None => Ok(None),
        }
    }

    /// Adds an item for one name of every changed file of which the upper layer has no name.
    /// `index` is the overlay's own directory of files with several names.
    pub(super) fn list_orphans(&mut self, index: &Path) -> Result<(), CollectError> {
        let mut tree = match Tree::open(index) {
            Err(CollectError::System {
                errno: Errno::ENOENT,
                ..
            }) => return Ok(()),
            other => other?,
        };
        let top = RelPath::root();
        let names = tree.names(&top);
        for name in names.map_err(|e| tree.failed("list", &top, e))? {
            let path = RelPath::new(name.to_bytes()).unwrap_or_default();
            let Some(orphan) = self.orphan(&mut tree, &path)? else {
                continue;
            };
            let lost = self.lost(orphan.ino)?;
            let Some(first) = lost.first() else { continue };
            if first.live.nlink > lost.len() as u64 {
                self.adopt(orphan, &lost)?;
            }
        }
        Ok(())
    }

    /// The file of the index, if it has no other name.
    fn orphan(&mut self, tree: &mut Tree, path: &RelPath) -> Result<Option<Orphan>, CollectError> {
        let Some(mut object) = tree.object(self.reader, path)? else {
            return Ok(None);
        };
        if object.is_directory() || object.stat.st_nlink != 1 {
            return Ok(None);
        }
        let attributes =
            Attributes::parse(std::mem::take(&mut object.attributes)).map_err(|source| {
                CollectError::Attribute {
                    path: tree.show(path),
                    source,
                }
            })?;
        let ino = match &attributes.origin {
            Some(Origin::Handle(handle)) => self.inode(handle)?,
            Some(Origin::Unnamed) | None => Inode::Unknown,
        };
        Ok(match ino {
            Inode::Number(ino) => Some(Orphan {
                id: self.called(tree, path, &object)?,
                object,
                attributes,
                ino,
            }),
            Inode::Gone | Inode::Unknown => None,
        })
    }

    /// What the inode of a file of the index is called.
    fn called(
        &mut self,
        tree: &mut Tree,
        path: &RelPath,
        object: &Object,
    ) -> Result<u64, CollectError> {
        let number = (self.volume, object.stat.st_ino);
        let name = CString::new(path.as_bytes()).unwrap_or_default();
        let dir = tree.root();
        let called = dir.and_then(|dir| self.inodes.called(number, dir, &name));
        called.map_err(|e| tree.failed("get the handle of", path, e))
    }

    fn adopt(&mut self, orphan: Orphan, lost: &[Lost]) -> Result<(), CollectError> {
        let Orphan {
            id,
            object,
            attributes,
            ino,
        } = orphan;
        let Some(first) = lost.first() else {
            return Ok(());
        };
        let mut before = first.node.clone();
        if let Kind::File { content, .. } = &mut before.kind {
            // It may have been compared with what took the name.
            *content = Content::Unread;
        }
        let mut after = upper_node(&object, &attributes, Some(&before));
        if attributes.metacopy {
            set_holes(&mut after, &before);
        } else if let Kind::File { content, .. } = &mut after.kind {
            let read = |f: Failed| self.upper.failed(f.operation, &first.path, f.errno);
            *content = Content::Read(self.reader.digest(&object).map_err(read)?);
            let old = self.live_digest(&first.path)?;
            if let (Kind::File { content, .. }, Some(old)) = (&mut before.kind, old) {
                *content = Content::Read(old);
            }
        }
        if same_state(&before, &after) {
            return Ok(());
        }
        let Some((path, live_path, stat)) = self.kept_name(ino, lost)? else {
            return Ok(());
        };
        let role = if attributes.metacopy {
            Role::LiveData {
                data: live_path.clone(),
                ino,
            }
        } else {
            Role::Whole { origin: Some(ino) }
        };
        let item = Item {
            volume: self.volume,
            before: Some(before),
            after: Some(after),
            moved_from: None,
            live: Some(stat.identity),
            live_path,
            replaced: None,
            linked: None,
            displaced: false,
            role,
            upper: UpperInode { id, nlink: 1 },
        };
        self.insert(path, item);
        Ok(())
    }

    /// The first name, in path order, that a live file keeps: where it shows, and its live path.
    /// Reads the directories of the names that it lost first, then all of the volume, since no
    /// filesystem tells the names of a file.
    fn kept_name(
        &mut self,
        ino: u64,
        lost: &[Lost],
    ) -> Result<Option<(RelPath, RelPath, Stat)>, CollectError> {
        let failed = |walk: &Self, errno| walk.live.failed("search", &RelPath::root(), errno);
        let top = self.live.root().and_then(Dir::open_at);
        let top = top.map_err(|e| failed(self, e))?;
        let near: BTreeSet<RelPath> = lost.iter().filter_map(|name| name.path.parent()).collect();
        let mut names = Vec::new();
        for directory in near {
            let below = directory.strip_prefix(self.mount_point).unwrap_or_default();
            let dir = match top.descend(&below) {
                Ok(dir) => dir,
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => continue,
                Err(errno) => return Err(failed(self, errno)),
            };
            for name in dir.names().map_err(|e| failed(self, e))? {
                let stat = dir.at(&name).stat().map_err(|e| failed(self, e))?;
                let stat = stat.filter(|stat| stat.ino() == ino && !stat.is_directory());
                if let (Some(stat), Ok(path)) = (stat, below.child(&name)) {
                    names.push((path, stat));
                }
            }
        }
        if let Some(found) = self.first_shown(names)? {
            return Ok(Some(found));
        }
        let mut names = Vec::new();
        walk::<Errno>(&top, &mut |path, _, stat| {
            if stat.ino() == ino && !stat.is_directory() {
                names.push((path.clone(), *stat));
            }
            Ok(())
        })
        .map_err(|e| failed(self, e))?;
        self.first_shown(names)
    }

    fn first_shown(
        &self,
        names: Vec<(RelPath, Stat)>,
    ) -> Result<Option<(RelPath, RelPath, Stat)>, CollectError> {
        let view = View::new(&self.found.items);
        let mut shown = Vec::new();
        for (path, stat) in names {
            let live = self.absolute(&path)?;
            let ours = self.masks.iter().any(|mask| live.starts_with(mask));
            if let Some(place) = view.shown_at(self.volume, &live).filter(|_| !ours) {
                shown.push((place, live, stat));
            }
        }
        shown.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(shown.into_iter().next())
    }
}
