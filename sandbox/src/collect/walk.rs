//! Walks the upper layer of one volume, beside the live tree that it covers.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::stat::FileStat;

use super::CollectError;
use super::hidden::Hidden;
use super::inodes::Inodes;
use super::item::{Item, Role, UpperInode};
use super::meanwhile::Stranded;
use super::names::Names;
use super::object::{Failed, Object, Reader, stat};
use super::orphan::Stray;
use super::tree::Tree;
use crate::capture::LiveIdentity;
use crate::change::{
    Digest, FLAG_APPEND, FLAG_IMMUTABLE, FLAG_NOATIME, FLAG_SYNC, InvalidPath, Node, RelPath,
};
use crate::sys::inspect;
use crate::upper::{Attributes, Opaque, Origin};

/// The inode flags that a copy-up carries over as flags (`OVL_COPY_FSFLAGS_MASK`, kernel source).
/// `FLAG_IMMUTABLE` and `FLAG_APPEND` become an attribute. All others are lost by it, so a modified
/// copy without them still has them.
const CARRIED_FLAGS: u32 = FLAG_SYNC | FLAG_NOATIME;

/// The live attributes that a copy-up drops: an earlier entry's own `trusted.overlay.*`.
const DROPPED_ATTRIBUTES: &[u8] = b"trusted.overlay.";

/// Digests by inode, as long as it did not change: upper inodes are looked at after every entry.
pub(super) type Digests = HashMap<(Side, usize, u64), (LiveIdentity, Digest)>;

/// Which of the two trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Side {
    Upper,
    Live,
}

/// What was found on all volumes so far.
#[derive(Default)]
pub(super) struct Found {
    pub(super) items: BTreeMap<RelPath, Item>,
    /// Live objects, by volume, that do not show where they were, while something else does.
    pub(super) covered: Vec<(usize, RelPath)>,
    /// Live paths of directories that were renamed with what is in them.
    pub(super) moved: HashSet<RelPath>,
    /// Live objects that somebody else moved or removed.
    pub(super) gone: Vec<Stranded>,
}

/// The walk of one volume.
pub(super) struct Walk<'a> {
    pub(super) volume: usize,
    pub(super) mount_point: &'a RelPath,
    /// Our own scratch directories, which a whiteout of ours hides from the inside.
    pub(super) masks: &'a [RelPath],
    pub(super) upper: Tree,
    pub(super) live: Tree,
    pub(super) reader: &'a mut Reader,
    pub(super) digests: &'a mut Digests,
    pub(super) names: &'a mut Names,
    pub(super) inodes: &'a mut Inodes,
    pub(super) found: &'a mut Found,
    pub(super) hidden: Vec<Hidden>,
    pub(super) pending: Vec<Task>,
    /// Copies of live files of other names, which are looked for when all names are known.
    pub(super) strays: Vec<Stray>,
}

/// A directory of the upper layer that is still to be read. All paths are below the volume.
pub(super) struct Task {
    upper: RelPath,
    live: Option<Place>,
    whiteout_files: bool,
}

/// The live directory behind an upper one.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) path: RelPath,
    /// Whether it shows through, or is only what was there before.
    pub(super) shows: bool,
}

/// One entry of the upper layer. All paths are below the volume but `path`.
pub(super) struct Here<'a> {
    pub(super) path: RelPath,
    pub(super) upper: RelPath,
    pub(super) live: Option<Place>,
    pub(super) dir: BorrowedFd<'a>,
    pub(super) live_dir: Option<BorrowedFd<'a>>,
    pub(super) name: &'a CStr,
}

/// An entry that is not a directory, with what is known of it.
pub(super) struct Leaf {
    pub(super) object: Object,
    pub(super) attributes: Attributes,
    pub(super) live: Option<Object>,
}

impl Walk<'_> {
    /// Reads the whole upper layer.
    pub(super) fn run(&mut self) -> Result<(), CollectError> {
        self.root()?;
        while let Some(task) = self.pending.pop() {
            self.directory(&task)?;
        }
        Ok(())
    }

    /// The top directory: always there on both sides, always merged.
    fn root(&mut self) -> Result<(), CollectError> {
        let top = RelPath::root();
        let upper = self.open(Side::Upper, &top)?;
        let live = self.open(Side::Live, &top)?;
        let here = Here {
            path: self.mount_point.clone(),
            upper: top.clone(),
            live: Some(Place {
                path: top,
                shows: true,
            }),
            dir: upper.as_fd(),
            live_dir: Some(live.as_fd()),
            name: c".",
        };
        let found = stat(here.dir, here.name).map_err(|f| self.upper_failed(&here, f))?;
        match found {
            Some(found) => self.object(&here, found, false),
            None => Ok(()),
        }
    }

    fn open(&mut self, side: Side, path: &RelPath) -> Result<OwnedFd, CollectError> {
        let tree = match side {
            Side::Upper => &mut self.upper,
            Side::Live => &mut self.live,
        };
        let fd = tree.directory(path).and_then(|fd| {
            fd.try_clone_to_owned()
                .map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EMFILE)))
        });
        fd.map_err(|e| tree.failed("open", path, e))
    }

    fn directory(&mut self, task: &Task) -> Result<(), CollectError> {
        let names = self.upper.names(&task.upper);
        let names = names.map_err(|e| self.upper.failed("list", &task.upper, e))?;
        let dir = self.open(Side::Upper, &task.upper)?;
        let live_dir = match &task.live {
            Some(place) => self.open_live(&place.path)?,
            None => None,
        };
        for name in &names {
            let child = |of: &RelPath| of.child(name.to_bytes());
            let upper = child(&task.upper).map_err(|e| self.bad_path(&task.upper, e))?;
            let live = match &task.live {
                Some(place) => Some(Place {
                    path: child(&place.path).map_err(|e| self.bad_path(&task.upper, e))?,
                    shows: place.shows,
                }),
                None => None,
            };
            let here = Here {
                path: self.absolute(&upper)?,
                upper,
                live,
                dir: dir.as_fd(),
                live_dir: live_dir.as_ref().map(AsFd::as_fd),
                name,
            };
            self.entry(&here, task.whiteout_files)?;
        }
        Ok(())
    }

    /// Opens a live directory; `None` when it is not there any more.
    fn open_live(&mut self, path: &RelPath) -> Result<Option<OwnedFd>, CollectError> {
        match self.open(Side::Live, path) {
            Err(CollectError::System {
                errno: Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP,
                ..
            }) => Ok(None),
            other => other.map(Some),
        }
    }

    fn entry(&mut self, here: &Here<'_>, whiteout_files: bool) -> Result<(), CollectError> {
        let found = stat(here.dir, here.name).map_err(|f| self.upper_failed(here, f))?;
        match found {
            // Removed by a process that still runs in the scratchpad.
            None => Ok(()),
            Some(found) if is_whiteout(&found) => self.whiteout(here),
            Some(found) => self.object(here, found, whiteout_files),
        }
    }

    fn object(
        &mut self,
        here: &Here<'_>,
        found: FileStat,
        whiteout_files: bool,
    ) -> Result<(), CollectError> {
        let mut object = match self.reader.read_known(here.dir, here.name, found) {
            Err(Failed {
                errno: Errno::ENOENT,
                ..
            }) => return Ok(()),
            other => other.map_err(|f| self.upper_failed(here, f))?,
        };
        let attributes =
            Attributes::parse(std::mem::take(&mut object.attributes)).map_err(|source| {
                CollectError::Attribute {
                    path: self.upper.show(&here.upper),
                    source,
                }
            })?;
        if whiteout_files && attributes.whiteout && object.stat.st_size == 0 {
            return self.whiteout(here);
        }
        let live = self.live_here(here)?;
        let leaf = Leaf {
            object,
            attributes,
            live,
        };
        if leaf.object.is_directory() {
            self.found_directory(here, leaf)
        } else {
            self.found_leaf(here, leaf)
        }
    }

    /// The live object of the same name.
    fn live_here(&mut self, here: &Here<'_>) -> Result<Option<Object>, CollectError> {
        match (&here.live, here.live_dir) {
            (Some(place), Some(dir)) => self
                .reader
                .read(dir, here.name)
                .map_err(|f| self.live.failed(f.operation, &place.path, f.errno)),
            _ => Ok(None),
        }
    }

    /// The live object at a path of the volume.
    pub(super) fn live_at(&mut self, path: &RelPath) -> Result<Option<Object>, CollectError> {
        self.live.object(self.reader, path)
    }

    fn whiteout(&mut self, here: &Here<'_>) -> Result<(), CollectError> {
        if self.masks.contains(&here.path) {
            return Ok(());
        }
        let Some(live) = self.live_here(here)? else {
            return Ok(());
        };
        if let Some(place) = &here.live {
            self.hide(here, place, &live, None);
            let item = self.gone(&place.path, &live)?;
            self.insert(here.path.clone(), item);
        }
        Ok(())
    }

    /// Notes that a live directory does not show any more (once: below a hidden one nothing does).
    pub(super) fn hide(
        &mut self,
        here: &Here<'_>,
        place: &Place,
        live: &Object,
        below: Option<RelPath>,
    ) {
        if place.shows && live.is_directory() {
            self.hidden.push(Hidden {
                path: here.path.clone(),
                live: place.path.clone(),
                shown_instead: below,
            });
        }
    }

    /// The item of a live object that is gone.
    pub(super) fn gone(&self, live_path: &RelPath, live: &Object) -> Result<Item, CollectError> {
        Ok(Item {
            volume: self.volume,
            before: Some(live.live_node()),
            after: None,
            moved_from: None,
            live: Some(live.identity()),
            live_path: self.absolute(live_path)?,
            replaced: None,
            linked: None,
            displaced: false,
            role: Role::Gone,
            upper: UpperInode::default(),
        })
    }

    pub(super) fn insert(&mut self, path: RelPath, item: Item) {
        self.found.items.insert(path, item);
    }

    fn found_directory(&mut self, here: &Here<'_>, leaf: Leaf) -> Result<(), CollectError> {
        let default = here.live.as_ref();
        let elsewhere = match (&leaf.attributes.redirect, leaf.attributes.opaque) {
            (Some(_), Opaque::Yes) | (None, _) => None,
            (Some(redirect), _) => self.lower_of(here, redirect)?,
        };
        if let Some((path, live)) = elsewhere
            && live.is_directory()
        {
            return self.moved_directory(here, &leaf, &path, &live);
        }
        let merged = leaf.attributes.opaque != Opaque::Yes && default.is_some_and(|p| p.shows);
        if merged && self.is_replaced(here, &leaf)? {
            let found = leaf.live.as_ref().map(Object::identity);
            self.found.gone.push(Stranded::directory(&here.path, found));
        }
        let merged = merged && leaf.live.as_ref().is_some_and(Object::is_directory);
        if !merged && let (Some(place), Some(live)) = (default, &leaf.live) {
            self.hide(here, place, live, None);
        }
        let role = if merged {
            Role::Merged
        } else {
            Role::Whole { origin: None }
        };
        let before = leaf.live.as_ref().map(Object::live_node);
        let copy_of = if merged { before.as_ref() } else { None };
        let item = self.item(here, &leaf, (before.clone(), copy_of), role)?;
        self.insert(here.path.clone(), item);
        self.pending.push(Task {
            upper: here.upper.clone(),
            live: match (default, &leaf.live) {
                (Some(place), Some(live)) if live.is_directory() => Some(Place {
                    path: place.path.clone(),
                    shows: merged,
                }),
                _ => None,
            },
            whiteout_files: leaf.attributes.opaque == Opaque::HasWhiteouts,
        });
        Ok(())
    }

    /// Whether an upper directory is a copy of another live one than that of its name.
    fn is_replaced(&self, here: &Here<'_>, leaf: &Leaf) -> Result<bool, CollectError> {
        let (Some(Origin::Handle(_)), Some(dir)) = (&leaf.attributes.origin, here.live_dir) else {
            return Ok(false);
        };
        if leaf.live.is_none() {
            return Ok(true);
        }
        match inspect::file_handle(dir, here.name) {
            Ok(handle) => Ok(!leaf
                .attributes
                .origin
                .as_ref()
                .is_some_and(|o| o.matches(&handle))),
            Err(Errno::ENOENT) => Ok(true),
            Err(Errno::EOPNOTSUPP) => Ok(false),
            Err(errno) => Err(self.live.failed("get the handle of", &here.upper, errno)),
        }
    }

    /// A live directory that now has another place, with all that is in it.
    fn moved_directory(
        &mut self,
        here: &Here<'_>,
        leaf: &Leaf,
        from: &RelPath,
        live: &Object,
    ) -> Result<(), CollectError> {
        let from_path = self.absolute(from)?;
        if let (Some(place), Some(replaced)) = (&here.live, &leaf.live) {
            self.hide(here, place, replaced, Some(from.clone()));
        }
        let before = live.live_node();
        let copy_of = Some(before.clone());
        let mut item = self.item(here, leaf, (Some(before), copy_of.as_ref()), Role::Merged)?;
        item.moved_from = Some(from_path.clone());
        item.live = Some(live.identity());
        item.live_path = from_path.clone();
        item.replaced = leaf.live.as_ref().map(Object::identity);
        self.insert(here.path.clone(), item);
        self.found.moved.insert(from_path);
        self.pending.push(Task {
            upper: here.upper.clone(),
            live: Some(Place {
                path: from.clone(),
                shows: true,
            }),
            whiteout_files: leaf.attributes.opaque == Opaque::HasWhiteouts,
        });
        Ok(())
    }

    /// The item for what is here. `states` are the state before, and the live state that the upper
    /// object is a copy of, if it is one.
    pub(super) fn item(
        &mut self,
        here: &Here<'_>,
        leaf: &Leaf,
        states: (Option<Node>, Option<&Node>),
        role: Role,
    ) -> Result<Item, CollectError> {
        let (before, copy_of) = states;
        let live_path = match &here.live {
            Some(place) => self.absolute(&place.path)?,
            None => here.path.clone(),
        };
        let number = (self.volume, leaf.object.stat.st_ino);
        let called = self.inodes.called(number, here.dir, here.name);
        let failed = |e| self.upper.failed("get the handle of", &here.upper, e);
        Ok(Item {
            volume: self.volume,
            before,
            after: Some(upper_node(&leaf.object, &leaf.attributes, copy_of)),
            moved_from: None,
            live: leaf.live.as_ref().map(Object::identity),
            live_path,
            replaced: None,
            linked: None,
            displaced: false,
            role,
            upper: UpperInode {
                id: called.map_err(failed)?,
                nlink: leaf.object.stat.st_nlink,
            },
        })
    }

    /// A path of the volume as a path below the live root.
    pub(super) fn absolute(&self, path: &RelPath) -> Result<RelPath, CollectError> {
        self.mount_point
            .join(path)
            .map_err(|source| self.bad_path(path, source))
    }

    pub(super) fn bad_path(&self, directory: &RelPath, source: InvalidPath) -> CollectError {
        CollectError::Path {
            directory: self.upper.show(directory),
            source,
        }
    }

    pub(super) fn upper_failed(&self, here: &Here<'_>, failed: Failed) -> CollectError {
        self.upper
            .failed(failed.operation, &here.upper, failed.errno)
    }
}

/// A character device 0:0 stands for "nothing here".
fn is_whiteout(found: &FileStat) -> bool {
    found.st_mode & libc::S_IFMT == libc::S_IFCHR && found.st_rdev == 0
}

/// The state of an upper object as the merged view shows it.
pub(super) fn upper_node(object: &Object, attributes: &Attributes, copy_of: Option<&Node>) -> Node {
    let mut xattrs = attributes.application.clone();
    let mut flags = object.flags & !(FLAG_IMMUTABLE | FLAG_APPEND) | attributes.protection;
    if let Some(live) = copy_of {
        flags |= live.meta.flags & !(FLAG_IMMUTABLE | FLAG_APPEND | CARRIED_FLAGS);
        for (name, value) in &live.meta.xattrs {
            if name.starts_with(DROPPED_ATTRIBUTES) && !xattrs.contains_key(name) {
                xattrs.insert(name.clone(), value.clone());
            }
        }
    }
    object.node(xattrs, flags)
}
