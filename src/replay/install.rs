//! Writes a snapshot's objects below a root: what a `snap` entry does inside a scratchpad. Not for
//! the live root, which only a commit changes. Upholds: content is verified before it has its
//! name, and no link of the tree is followed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;

use isconf_sandbox::change::{
    Content, Digest, FLAG_APPEND, FLAG_IMMUTABLE, Kind, Metadata, Node, RelPath,
};
use isconf_sandbox::fs::{Dir, Place, Stat, change_flags, read_metadata, set_metadata};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag};

use super::holes::Holes;
use crate::store::{Store, StoreError};

/// Why a snapshot could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A system call failed.
    #[error("cannot {operation} {path}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: RelPath,
        /// Why it failed.
        #[source]
        errno: Errno,
    },
    /// A directory stands where another kind of object is to be, or the other way round.
    #[error("{path} is a {found} here, and the entry has a {wanted}")]
    OtherKind {
        /// Where.
        path: RelPath,
        /// What is here.
        found: &'static str,
        /// What the entry has.
        wanted: &'static str,
    },
    /// The content is not here, or damaged.
    #[error("the content of {path} is not at hand")]
    Content {
        /// Whose content.
        path: RelPath,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// Writing the content failed.
    #[error("cannot write {path}")]
    Write {
        /// Which file.
        path: RelPath,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The manifest lists an object that cannot be made, such as a socket or a file without
    /// content.
    #[error("the entry's manifest has an object that cannot be made: {0}")]
    Unmakable(RelPath),
}

/// The name under which a file is written before it replaces another. Long and odd enough to be
/// nobody's; a scratchpad has one installer at a time.
const ASIDE: &[u8] = b".isconf-install-8c1f0b7e";

/// The flags that forbid to rename and to link, and so are set last of all.
const LOCKS: u32 = FLAG_IMMUTABLE | FLAG_APPEND;

/// Installs `nodes`, in path order, below `root`. Objects at or below one of `paths` are made as
/// they are listed; the other objects are parents, made only when they are missing.
pub fn install(
    root: &Dir,
    nodes: &[(RelPath, Node)],
    paths: &[RelPath],
    store: &Store,
) -> Result<(), InstallError> {
    let mut installer = Installer {
        root,
        store,
        links: links_of(nodes),
        first_names: BTreeSet::new(),
        left_alone: BTreeSet::new(),
        locked: Vec::new(),
        late: Vec::new(),
    };
    for (path, node) in nodes {
        let wanted = paths.iter().any(|top| path.starts_with(top));
        installer.object(path, node, wanted)?;
    }
    installer.finish_files()?;
    installer.finish_directories()
}

struct Installer<'a> {
    root: &'a Dir,
    store: &'a Store,
    /// The further names of each file that has some.
    links: BTreeMap<&'a RelPath, Vec<&'a RelPath>>,
    /// Files that further names may be links of.
    first_names: BTreeSet<&'a RelPath>,
    /// Those of them that are here already as they should be, under all their names and no other.
    left_alone: BTreeSet<&'a RelPath>,
    /// Files that get [`LOCKS`] when all their names are there.
    locked: Vec<(&'a RelPath, &'a Node)>,
    /// Directories whose attributes are set when everything below them is there.
    late: Vec<(&'a RelPath, &'a Node)>,
}

impl<'a> Installer<'a> {
    fn object(
        &mut self,
        path: &'a RelPath,
        node: &'a Node,
        wanted: bool,
    ) -> Result<(), InstallError> {
        let Some((dir, name)) = self.parent_of(path)? else {
            return Ok(());
        };
        let place = dir.at(name);
        let found = place.stat().map_err(failed("look at", path))?;
        let found_directory = found.as_ref().is_some_and(|stat| stat.is_directory());
        if !wanted && found.is_some() {
            return Ok(());
        }
        if self.is_as_wanted(place, (path, node), found.as_ref())? {
            return Ok(());
        }
        if let Some(stat) = found.as_ref().filter(|stat| stat.locks != 0) {
            change_flags(place, stat, LOCKS, 0).map_err(failed("unlock", path))?;
        }
        match (&node.kind, &found) {
            (Kind::Directory, None) => {
                place
                    .create_dir(0o700)
                    .map_err(failed("make the directory", path))?;
                self.late.push((path, node));
                return Ok(());
            }
            (Kind::Directory, Some(_)) if found_directory => {
                self.late.push((path, node));
                return Ok(());
            }
            (wanted, Some(_)) if found_directory || *wanted == Kind::Directory => {
                let found = if found_directory { "directory" } else { "file" };
                let wanted = wanted.name();
                return Err(InstallError::OtherKind {
                    path: path.clone(),
                    found,
                    wanted,
                });
            }
            _ => {}
        }
        self.make(dir.at(ASIDE), path, node)?;
        dir.at(ASIDE)
            .rename_over(place)
            .map_err(failed("put in place", path))?;
        if node.link_of.is_none() && node.meta.flags & LOCKS != 0 {
            self.locked.push((path, node));
        }
        Ok(())
    }

    /// Whether a file with several names, or one of its further names, is here already as it should
    /// be. To make such a file anew would be a change even where all of it is equal: what the
    /// collection compares with the live tree is one name at a time.
    fn is_as_wanted(
        &mut self,
        place: Place<'_>,
        (path, node): (&'a RelPath, &'a Node),
        found: Option<&Stat>,
    ) -> Result<bool, InstallError> {
        if let Some(first) = &node.link_of {
            return Ok(self.left_alone.contains(first));
        }
        let (Some(links), Some(stat)) = (self.links.get(path), found) else {
            return Ok(false);
        };
        if !is_same_file(place, node, stat).map_err(failed("compare", path))? {
            return Ok(false);
        }
        if stat.identity.nlink != links.len() as u64 + 1 {
            return Ok(false);
        }
        for link in links {
            if self.inode_at(link)? != Some(stat.ino()) {
                return Ok(false);
            }
        }
        self.first_names.insert(path);
        self.left_alone.insert(path);
        Ok(true)
    }

    /// The inode of a name; `None` when nothing is there.
    fn inode_at(&self, path: &'a RelPath) -> Result<Option<u64>, InstallError> {
        let (dir, name) = match self.parent_of(path) {
            Ok(Some(found)) => found,
            Ok(None)
            | Err(InstallError::System {
                errno: Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP,
                ..
            }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let stat = dir.at(name).stat().map_err(failed("look at", path))?;
        Ok(stat.map(|stat| stat.ino()))
    }

    /// The open directory that holds `path`, and the name in it; `None` for the root itself.
    fn parent_of(&self, path: &'a RelPath) -> Result<Option<(Dir, &'a [u8])>, InstallError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(None);
        };
        let dir = self.root.enter(&parent).map_err(failed("open", &parent))?;
        Ok(Some((dir, name)))
    }

    fn make(
        &mut self,
        aside: Place<'_>,
        path: &'a RelPath,
        node: &Node,
    ) -> Result<(), InstallError> {
        // A leftover of an interrupted installer would be in the same scratchpad, and so gone.
        if let Some(first) = &node.link_of {
            let Some((dir, name)) = self.owned_parent_of(first)? else {
                return Err(InstallError::Unmakable(path.clone()));
            };
            return dir.at(name).link_to(aside).map_err(failed("link", path));
        }
        match &node.kind {
            Kind::File {
                content: Content::Read(digest),
                size,
                hole_bytes,
            } => {
                let written = self.file(aside, path, *digest, *hole_bytes > 0)?;
                if written != *size {
                    return Err(InstallError::Unmakable(path.clone()));
                }
                self.first_names.insert(path);
            }
            Kind::Symlink { target } => {
                aside
                    .create_symlink(target)
                    .map_err(failed("make the link", path))?;
            }
            Kind::Fifo => self.special(aside, path, SFlag::S_IFIFO, 0)?,
            Kind::CharDevice { major, minor } => {
                self.special(aside, path, SFlag::S_IFCHR, device(*major, *minor))?;
            }
            Kind::BlockDevice { major, minor } => {
                self.special(aside, path, SFlag::S_IFBLK, device(*major, *minor))?;
            }
            Kind::File { .. } | Kind::Directory | Kind::Socket => {
                return Err(InstallError::Unmakable(path.clone()));
            }
        }
        let unlocked = Metadata {
            flags: node.meta.flags & !LOCKS,
            ..node.meta.clone()
        };
        self.attributes(aside, path, &unlocked)
    }

    fn owned_parent_of<'p>(
        &self,
        path: &'p RelPath,
    ) -> Result<Option<(Dir, &'p [u8])>, InstallError> {
        if !self.first_names.contains(path) {
            return Ok(None);
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(None);
        };
        let dir = self.root.enter(&parent).map_err(failed("open", &parent))?;
        Ok(Some((dir, name)))
    }

    fn file(
        &self,
        aside: Place<'_>,
        path: &RelPath,
        digest: Digest,
        is_sparse: bool,
    ) -> Result<u64, InstallError> {
        let fd = aside.create(0o600).map_err(failed("create", path))?;
        let mut file = File::from(fd);
        let content = |source| InstallError::Content {
            path: path.clone(),
            source,
        };
        // No sync: the scratchpad needs none, and a commit syncs what it takes.
        if !is_sparse {
            return self.store.copy_to(&digest, &mut file).map_err(content);
        }
        let mut holes = Holes::new(&file);
        let written = self.store.copy_to(&digest, &mut holes).map_err(content)?;
        let finished = holes.finish();
        finished.map_err(|source| InstallError::Write {
            path: path.clone(),
            source,
        })?;
        Ok(written)
    }

    fn special(
        &self,
        aside: Place<'_>,
        path: &RelPath,
        kind: SFlag,
        device: u64,
    ) -> Result<(), InstallError> {
        nix::sys::stat::mknodat(
            aside.dir,
            aside.name,
            kind,
            Mode::from_bits_truncate(0o600),
            device,
        )
        .map_err(failed("make the node", path))
    }

    fn attributes(
        &self,
        place: Place<'_>,
        path: &RelPath,
        wanted: &Metadata,
    ) -> Result<(), InstallError> {
        let stat = place.stat().map_err(failed("look at", path))?;
        let stat = stat.ok_or_else(|| failed("look at", path)(Errno::ENOENT))?;
        set_metadata(place, &stat, wanted).map_err(failed("set the attributes of", path))
    }

    /// Locks the files that are to be. Nothing but their flags changes.
    fn finish_files(&self) -> Result<(), InstallError> {
        for (path, node) in &self.locked {
            if let Some((dir, name)) = self.parent_of(path)? {
                let place = dir.at(name);
                let stat = place.stat().map_err(failed("look at", path))?;
                let stat = stat.ok_or_else(|| failed("look at", path)(Errno::ENOENT))?;
                change_flags(place, &stat, LOCKS, node.meta.flags).map_err(failed("lock", path))?;
            }
        }
        Ok(())
    }

    /// Sets the directories' attributes, the deepest first, so that making what is in them does
    /// not touch a time that is already set.
    fn finish_directories(&self) -> Result<(), InstallError> {
        for (path, node) in self.late.iter().rev() {
            // From within: a mount point cannot be opened from the directory that holds it.
            let within = self.root.enter(path).map_err(failed("open", path))?;
            self.attributes(within.at(b""), path, &node.meta)?;
        }
        Ok(())
    }
}

/// The further names of each file that has some.
fn links_of(nodes: &[(RelPath, Node)]) -> BTreeMap<&RelPath, Vec<&RelPath>> {
    let mut links: BTreeMap<&RelPath, Vec<&RelPath>> = BTreeMap::new();
    for (path, node) in nodes {
        if let Some(first) = &node.link_of {
            links.entry(first).or_default().push(path);
        }
    }
    links
}

/// Whether what is here is a file with these attributes and this content.
fn is_same_file(place: Place<'_>, node: &Node, stat: &Stat) -> Result<bool, Errno> {
    let Kind::File {
        content: Content::Read(digest),
        size,
        ..
    } = &node.kind
    else {
        return Ok(false);
    };
    let is_file = SFlag::from_bits_truncate(stat.identity.mode) & SFlag::S_IFMT == SFlag::S_IFREG;
    if !is_file || stat.identity.size != *size || read_metadata(place, stat)? != node.meta {
        return Ok(false);
    }
    let file = File::from(place.open(OFlag::O_RDONLY)?);
    let found = Digest::of_reader(file);
    let found = found.map_err(|e| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
    Ok(found.0 == *digest)
}

fn device(major: u32, minor: u32) -> u64 {
    nix::sys::stat::makedev(u64::from(major), u64::from(minor))
}

fn failed<'a>(
    operation: &'static str,
    path: &'a RelPath,
) -> impl FnOnce(Errno) -> InstallError + use<'a> {
    move |errno| InstallError::System {
        operation,
        path: path.clone(),
        errno,
    }
}
