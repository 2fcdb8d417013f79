//! A filesystem in memory: inodes, and two trees of names, the live one and the scratch directory.
//! Refuses what Linux refuses, and ages directories as Linux does.

use std::collections::BTreeMap;

use nix::errno::Errno;

use crate::capture::LiveIdentity;
use crate::change::{FLAG_APPEND, FLAG_IMMUTABLE, Metadata, RelPath, Timestamp};
use crate::commit::step::{Area, LOCKS};
use crate::fs::Stat;

pub const LIVE: u64 = 1;
pub const SCRATCH: u64 = 2;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    File(Vec<u8>),
    Directory(BTreeMap<Vec<u8>, u64>),
    Symlink(Vec<u8>),
    Fifo,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    pub body: Body,
    pub meta: Metadata,
    pub ctime: i64,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    pub inodes: BTreeMap<u64, Inode>,
    pub next: u64,
    pub clock: i64,
    /// Whether exchanged directories age, as on xfs.
    pub ages: bool,
}

/// What is at a path, as far as it must be the same: body, attributes, first path of the inode,
/// number of names.
pub type Tree = BTreeMap<RelPath, (Option<Body>, Metadata, RelPath, usize)>;

impl Disk {
    pub fn new(ages: bool) -> Self {
        let directory = || Inode {
            body: Body::Directory(BTreeMap::new()),
            meta: Metadata {
                mode: 0o755,
                ..Metadata::default()
            },
            ctime: 0,
        };
        Self {
            inodes: [(LIVE, directory()), (SCRATCH, directory())].into(),
            next: 10,
            clock: 1,
            ages,
        }
    }

    fn tick(&mut self) -> Timestamp {
        self.clock += 1;
        Timestamp {
            secs: self.clock,
            nanos: 7,
        }
    }

    pub fn top(area: Area) -> u64 {
        match area {
            Area::Live => LIVE,
            Area::Scratch => SCRATCH,
        }
    }

    pub fn inode(&self, ino: u64) -> &Inode {
        &self.inodes[&ino]
    }

    pub fn entries(&self, ino: u64) -> Result<&BTreeMap<Vec<u8>, u64>, Errno> {
        match &self.inodes.get(&ino).ok_or(Errno::ENOENT)?.body {
            Body::Directory(entries) => Ok(entries),
            _ => Err(Errno::ENOTDIR),
        }
    }

    pub fn find(&self, top: u64, path: &RelPath) -> Result<Option<u64>, Errno> {
        let mut at = top;
        for name in path.components() {
            match self.entries(at)?.get(name) {
                Some(ino) => at = *ino,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// What is at a path; nothing where a directory on the way is missing or none.
    pub fn at(&self, top: u64, path: &RelPath) -> Option<u64> {
        self.find(top, path).ok().flatten()
    }

    /// The number of names in both trees.
    pub fn links(&self, ino: u64) -> usize {
        let directories = self.inodes.values().filter_map(|inode| match &inode.body {
            Body::Directory(entries) => Some(entries),
            _ => None,
        });
        directories
            .flat_map(BTreeMap::values)
            .filter(|other| **other == ino)
            .count()
    }

    pub fn stat(&self, ino: u64) -> Stat {
        let inode = self.inode(ino);
        let (kind, size) = match &inode.body {
            Body::File(bytes) => (libc::S_IFREG, bytes.len()),
            Body::Directory(entries) => (libc::S_IFDIR, entries.len()),
            Body::Symlink(target) => (libc::S_IFLNK, target.len()),
            Body::Fifo => (libc::S_IFIFO, 0),
        };
        let time = |secs| Timestamp { secs, nanos: 7 };
        Stat {
            identity: LiveIdentity {
                ino,
                nlink: self.links(ino) as u64,
                ctime: time(inode.ctime),
                mtime: inode.meta.mtime,
                size: size as u64,
                mode: kind | inode.meta.mode,
                uid: inode.meta.uid,
                gid: inode.meta.gid,
            },
            rdev: (0, 0),
            device: (8, 1),
            blocks: 0,
            locks: inode.meta.flags & LOCKS,
        }
    }

    /// The directory of a path and the name in it.
    fn place(&self, top: u64, path: &RelPath) -> Result<(u64, Vec<u8>), Errno> {
        let parent = path.parent().ok_or(Errno::EBUSY)?;
        let parent = self.find(top, &parent)?.ok_or(Errno::ENOENT)?;
        self.entries(parent)?;
        Ok((parent, path.file_name().ok_or(Errno::EBUSY)?.to_vec()))
    }

    fn is_locked(&self, ino: u64, flags: u32) -> bool {
        self.inode(ino).meta.flags & flags != 0
    }

    fn may_enter(&self, directory: u64) -> Result<(), Errno> {
        match self.is_locked(directory, FLAG_IMMUTABLE) {
            true => Err(Errno::EPERM),
            false => Ok(()),
        }
    }

    /// Whether a name of the object may be taken from the directory.
    fn may_leave(&self, directory: u64, ino: u64) -> Result<(), Errno> {
        let locks = FLAG_IMMUTABLE | FLAG_APPEND;
        match self.is_locked(directory, locks) || self.is_locked(ino, locks) {
            true => Err(Errno::EPERM),
            false => Ok(()),
        }
    }

    fn put(&mut self, directory: u64, name: &[u8], ino: Option<u64>) {
        let mtime = self.tick();
        if let Some(inode) = self.inodes.get_mut(&directory)
            && let Body::Directory(entries) = &mut inode.body
        {
            match ino {
                Some(ino) => entries.insert(name.to_vec(), ino),
                None => entries.remove(name),
            };
            inode.meta.mtime = mtime;
            inode.ctime = mtime.secs;
        }
    }

    fn changed(&mut self, ino: u64) {
        let now = self.tick().secs;
        if let Some(inode) = self.inodes.get_mut(&ino) {
            inode.ctime = now;
        }
    }

    fn is_below(&self, ino: u64, top: u64) -> bool {
        ino == top
            || self
                .entries(top)
                .is_ok_and(|entries| entries.values().any(|child| self.is_below(ino, *child)))
    }

    /// `RENAME_NOREPLACE`.
    pub fn rename(&mut self, from: (u64, &RelPath), to: (u64, &RelPath)) -> Result<(), Errno> {
        let (source, old) = self.place(from.0, from.1)?;
        let (target, new) = self.place(to.0, to.1)?;
        let ino = *self.entries(source)?.get(&old).ok_or(Errno::ENOENT)?;
        if self.entries(target)?.contains_key(&new) {
            return Err(Errno::EEXIST);
        }
        if self.is_below(target, ino) {
            return Err(Errno::EINVAL);
        }
        self.may_leave(source, ino)?;
        self.may_enter(target)?;
        self.put(source, &old, None);
        self.put(target, &new, Some(ino));
        self.changed(ino);
        Ok(())
    }

    pub fn exchange(&mut self, one: (u64, &RelPath), two: (u64, &RelPath)) -> Result<(), Errno> {
        let (first, a) = self.place(one.0, one.1)?;
        let (second, b) = self.place(two.0, two.1)?;
        let x = *self.entries(first)?.get(&a).ok_or(Errno::ENOENT)?;
        let y = *self.entries(second)?.get(&b).ok_or(Errno::ENOENT)?;
        if self.is_below(second, x) || self.is_below(first, y) {
            return Err(Errno::EINVAL);
        }
        self.may_leave(first, x)?;
        self.may_leave(second, y)?;
        self.put(first, &a, Some(y));
        self.put(second, &b, Some(x));
        for ino in [x, y] {
            self.changed(ino);
            if self.ages && self.entries(ino).is_ok() {
                let mtime = self.tick();
                self.inodes.get_mut(&ino).unwrap().meta.mtime = mtime;
            }
        }
        Ok(())
    }

    pub fn link(&mut self, from: (u64, &RelPath), to: (u64, &RelPath)) -> Result<(), Errno> {
        let ino = self.find(from.0, from.1)?.ok_or(Errno::ENOENT)?;
        self.link_inode(ino, to)
    }

    pub fn link_inode(&mut self, ino: u64, to: (u64, &RelPath)) -> Result<(), Errno> {
        let (target, name) = self.place(to.0, to.1)?;
        if self.entries(ino).is_ok() || self.is_locked(ino, LOCKS) {
            return Err(Errno::EPERM);
        }
        if self.entries(target)?.contains_key(&name) {
            return Err(Errno::EEXIST);
        }
        self.may_enter(target)?;
        self.put(target, &name, Some(ino));
        self.changed(ino);
        Ok(())
    }

    /// Takes a name away; a directory only when it is empty.
    pub fn remove(&mut self, at: (u64, &RelPath)) -> Result<(), Errno> {
        let (parent, name) = self.place(at.0, at.1)?;
        let ino = *self.entries(parent)?.get(&name).ok_or(Errno::ENOENT)?;
        if self.entries(ino).is_ok_and(|entries| !entries.is_empty()) {
            return Err(Errno::ENOTEMPTY);
        }
        self.may_leave(parent, ino)?;
        self.put(parent, &name, None);
        self.changed(ino);
        if self.links(ino) == 0 {
            self.inodes.remove(&ino);
        }
        Ok(())
    }

    pub fn make(&mut self, at: (u64, &RelPath), body: Body, meta: Metadata) -> Result<u64, Errno> {
        let (parent, name) = self.place(at.0, at.1)?;
        if self.entries(parent)?.contains_key(&name) {
            return Err(Errno::EEXIST);
        }
        self.may_enter(parent)?;
        self.next += 1;
        let ino = self.next;
        let ctime = self.tick().secs;
        self.inodes.insert(ino, Inode { body, meta, ctime });
        self.put(parent, &name, Some(ino));
        Ok(ino)
    }

    /// Writes over a file.
    pub fn write(&mut self, ino: u64, new: Vec<u8>) -> Result<(), Errno> {
        if self.is_locked(ino, LOCKS) {
            return Err(Errno::EPERM);
        }
        let mtime = self.tick();
        let inode = self.inodes.get_mut(&ino).ok_or(Errno::ENOENT)?;
        match &mut inode.body {
            Body::File(bytes) => *bytes = new,
            _ => return Err(Errno::EISDIR),
        }
        inode.meta.mtime = mtime;
        inode.ctime = mtime.secs;
        Ok(())
    }

    /// Sets all attributes, flags first off and last on.
    pub fn set(&mut self, ino: u64, meta: Metadata) -> Result<(), Errno> {
        let ctime = self.tick().secs;
        let inode = self.inodes.get_mut(&ino).ok_or(Errno::ENOENT)?;
        inode.meta = meta;
        inode.ctime = ctime;
        Ok(())
    }

    /// Everything below a top, parents first.
    pub fn walk(&self, top: u64) -> BTreeMap<RelPath, u64> {
        let mut found = BTreeMap::from([(RelPath::root(), top)]);
        let mut pending = vec![(RelPath::root(), top)];
        while let Some((path, ino)) = pending.pop() {
            let Ok(entries) = self.entries(ino) else {
                continue;
            };
            for (name, child) in entries {
                let path = path.child(name).unwrap();
                found.insert(path.clone(), *child);
                pending.push((path, *child));
            }
        }
        found
    }

    /// The live tree as a value; `others` are left out.
    pub fn tree(&self) -> Tree {
        let mut first = BTreeMap::new();
        let mut tree = Tree::new();
        for (path, ino) in self.walk(LIVE) {
            let inode = self.inode(ino);
            let body = match &inode.body {
                Body::Directory(_) => None,
                body => Some(body.clone()),
            };
            let same_as = first.entry(ino).or_insert_with(|| path.clone()).clone();
            let links = body.as_ref().map_or(1, |_| self.links(ino));
            tree.insert(path, (body, inode.meta.clone(), same_as, links));
        }
        tree
    }

    /// The inode numbers of the live tree.
    pub fn numbers(&self) -> BTreeMap<RelPath, u64> {
        self.walk(LIVE)
    }
}
