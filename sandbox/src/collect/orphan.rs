//! Files with several names, written under a name that the file does not have any more. What was
//! written belongs to the names that it keeps: one that was renamed after, or one that nobody
//! touched, which the upper layer does not have at all; the overlay's index has the file then.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::fstat;

use super::CollectError;
use super::item::{Elsewhere, Item, Role, UpperInode, same_state};
use super::kept_name::KeptName;
use super::leaf::set_holes;
use super::meanwhile::Stranded;
use super::object::{Failed, Object};
use super::tree::Tree;
use super::view::View;
use super::walk::{Side, Walk, upper_node};
use crate::capture::LiveIdentity;
use crate::change::{Content, Digest, Kind, Node, RelPath};
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

/// A file of the index that is not what its live one is.
struct ChangedOrphan {
    /// What its inode is called.
    id: u64,
    /// The live inode.
    ino: u64,
    before: Node,
    after: Node,
    /// The data is the live one's.
    has_live_data: bool,
    lost: Vec<Lost>,
}

/// Which live inodes the items of a volume hide, by inode number.
#[derive(Default)]
struct Hiding {
    /// Those that any item was, or replaced.
    known: HashSet<u64>,
    /// The items at whose live paths they do not show.
    items: HashMap<u64, Vec<RelPath>>,
    /// Their names at which there are now directories from elsewhere.
    replaced: HashMap<u64, Vec<RelPath>>,
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
        if self.strays.is_empty() {
            return Ok(());
        }
        // What becomes of a stray below hides no other name.
        let hiding = self.hiding();
        for stray in std::mem::take(&mut self.strays) {
            let ino = match self.inode(&stray.origin)? {
                Inode::Number(ino) if hiding.known.contains(&ino) => ino,
                Inode::Unknown => continue,
                Inode::Number(_) | Inode::Gone => {
                    self.strand(stray.path);
                    continue;
                }
            };
            let Some(lost) = self.lost(ino, &hiding)?.into_iter().next() else {
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

    /// Which items of this volume hide which live inodes.
    fn hiding(&self) -> Hiding {
        let view = View::new(&self.found.items);
        let mut hiding = Hiding::default();
        let items = self.found.items.iter();
        for (path, item) in items.filter(|(_, item)| item.volume == self.volume) {
            if let Some(live) = item.live {
                hiding.known.insert(live.ino);
                if item.before.is_some() && !item.shows_live() {
                    hiding.items.entry(live.ino).or_default().push(path.clone());
                }
            }
            if let Some(live) = item.replaced {
                hiding.known.insert(live.ino);
                let name = view.hidden_by(path, item);
                hiding.replaced.entry(live.ino).or_default().extend(name);
            }
        }
        hiding
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
    fn lost(&mut self, ino: u64, hiding: &Hiding) -> Result<Vec<Lost>, CollectError> {
        let paths = hiding.items.get(&ino).into_iter().flatten();
        let lost = paths.filter_map(|path| {
            let item = self.found.items.get(path)?;
            Some(Lost {
                path: item.live_path.clone(),
                node: item.before.clone()?,
                live: item.live?,
            })
        });
        let mut lost: Vec<Lost> = lost.collect();
        for path in hiding.replaced.get(&ino).into_iter().flatten() {
            let below = path.strip_prefix(self.mount_point).unwrap_or_default();
            if let Some(object) = self.live_at(&below)?.filter(|o| o.stat.st_ino == ino) {
                let (node, live) = (object.live_node(), object.identity());
                lost.push(Lost {
                    path: path.clone(),
                    node,
                    live,
                });
            }
        }
        Ok(lost)
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
        let mut orphans = Vec::new();
        for name in names.map_err(|e| tree.failed("list", &top, e))? {
            let path = RelPath::new(name.to_bytes()).unwrap_or_default();
            orphans.extend(self.orphan(&mut tree, &path)?);
        }
        if orphans.is_empty() {
            return Ok(());
        }
        let hiding = self.hiding();
        let mut changed = Vec::new();
        for orphan in orphans {
            let lost = self.lost(orphan.ino, &hiding)?;
            let has_more = |first: &Lost| first.live.nlink > lost.len() as u64;
            if lost.first().is_some_and(has_more) {
                changed.extend(self.changed(orphan, lost)?);
            }
        }
        let searched = changed.iter().map(|one| (one.ino, one.near()));
        let mut kept = self.kept_names(&searched.collect::<Vec<_>>())?;
        for one in changed {
            if let Some(name) = kept.remove(&one.ino) {
                self.adopt(one, name)?;
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

    /// What a file without a name was and is, if it changed.
    fn changed(
        &mut self,
        orphan: Orphan,
        lost: Vec<Lost>,
    ) -> Result<Option<ChangedOrphan>, CollectError> {
        let Orphan {
            id,
            object,
            attributes,
            ino,
        } = orphan;
        let Some(first) = lost.first() else {
            return Ok(None);
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
        let changed = !same_state(&before, &after);
        Ok(changed.then_some(ChangedOrphan {
            id,
            ino,
            before,
            after,
            has_live_data: attributes.metacopy,
            lost,
        }))
    }

    /// Adds the item of a file without a name under one that it keeps.
    fn adopt(&mut self, one: ChangedOrphan, kept: KeptName) -> Result<(), CollectError> {
        let KeptName {
            place,
            live_path,
            live,
        } = kept;
        let role = match one.has_live_data {
            true => Role::LiveData {
                data: live_path.clone(),
                ino: one.ino,
            },
            false => Role::Whole {
                origin: Some(one.ino),
            },
        };
        let item = Item {
            volume: self.volume,
            before: Some(one.before),
            after: Some(one.after),
            moved_from: None,
            live: Some(live),
            live_path,
            replaced: None,
            linked: None,
            displaced: false,
            role,
            upper: UpperInode {
                id: one.id,
                nlink: 1,
            },
        };
        self.insert(place, item);
        Ok(())
    }
}

impl ChangedOrphan {
    /// The directories, below the root, in which it had names.
    fn near(&self) -> BTreeSet<RelPath> {
        let parents = self.lost.iter().filter_map(|name| name.path.parent());
        parents.collect()
    }
}
