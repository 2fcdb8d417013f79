//! Takes files, links and whole directories as they are now: their attributes into a manifest,
//! their content into the store. Not for installing them (see `install`). Upholds: targets get
//! what was there at the moment of `snap`, whatever happens to it afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use isconf_sandbox::change::{Content, Digest, InvalidPath, Kind, Node, RelPath};
use isconf_sandbox::fs::{Dir, Place, Stat, read_metadata};
use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::model::Snap;
use crate::model::progress::{Progress, Unit};
use crate::store::{Batch, Store, StoreError};

/// Why a snapshot could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Nothing is there.
    #[error("{}: No such file or directory", .0.display())]
    Missing(PathBuf),
    /// It is something that no entry can install.
    #[error("{} is a {kind}, which cannot be snapped", path.display())]
    Kind {
        /// Where.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// The path cannot be an entry's.
    #[error("{} cannot be snapped", path.display())]
    Path {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: InvalidPath,
    },
    /// The whole root, which no target could take.
    #[error("/ cannot be snapped: name what is to be the same everywhere")]
    WholeRoot,
    /// It is, holds or lies in isconf's own home, with this host's keys and records.
    #[error("{} cannot be snapped, because isconf keeps its own files in {}", path.display(), home.display())]
    OwnFiles {
        /// Which path.
        path: PathBuf,
        /// isconf's home.
        home: PathBuf,
    },
    /// A system call failed.
    #[error("cannot read {}", path.display())]
    System {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        errno: Errno,
    },
    /// The file grew or shrank while it was read.
    #[error("{} changed while it was read", .0.display())]
    Changing(PathBuf),
    /// What is read is never as long as the file says, so it is no content that can be recorded.
    #[error(
        "{} cannot be snapped: the kernel makes it anew whenever it is read, as in /proc and /sys",
        .0.display()
    )]
    Made(PathBuf),
    /// The contents could not be made durable.
    #[error("cannot store what was read")]
    Durable(#[source] StoreError),
    /// The content could not be stored.
    #[error("cannot store the content of {}", path.display())]
    Store {
        /// Whose.
        path: PathBuf,
        /// Why.
        #[source]
        source: StoreError,
    },
}

/// What was found, ready to be recorded.
#[derive(Debug)]
pub struct Snapshot {
    /// The paths as they are recorded: absolute, the directories above them without links.
    pub paths: Vec<RelPath>,
    /// Every object and the parents of each path, in path order.
    pub nodes: Vec<(RelPath, Node)>,
    /// Sockets and the like below a directory, which are left out.
    pub left_out: Vec<RelPath>,
}

impl Snapshot {
    /// The number of objects without parents, and the sum of the files' lengths.
    pub fn size(&self) -> (u64, u64) {
        let below = |path: &RelPath| self.paths.iter().any(|top| path.starts_with(top));
        let wanted = self.nodes.iter().filter(|(path, _)| below(path));
        wanted.fold((0, 0), |(count, bytes), (_, node)| {
            match (&node.kind, &node.link_of) {
                (Kind::File { size, .. }, None) => (count + 1, bytes + size),
                _ => (count + 1, bytes),
            }
        })
    }

    /// The record, once the manifest is stored under `manifest`.
    pub fn into_record(self, manifest: isconf_sandbox::change::Digest) -> Snap {
        let (count, total_bytes) = self.size();
        Snap {
            paths: self.paths,
            manifest,
            count,
            total_bytes,
        }
    }
}

/// Checks one argument of `snap` without reading it: exists, and is of a kind that can be snapped.
/// Neither is the root, nor has to do with isconf's `home`. Returns the path to record: the directory above with its links resolved, the last name as it
/// is, so that a link is snapped as a link.
pub fn check(cwd: &Path, argument: &Path, home: &Path) -> Result<RelPath, SnapshotError> {
    let asked = cwd.join(argument);
    let meta = match std::fs::symlink_metadata(&asked) {
        Ok(meta) => meta,
        Err(e) if is_absent(&e) => return Err(SnapshotError::Missing(asked)),
        Err(e) => {
            return Err(SnapshotError::System {
                path: asked,
                errno: errno_of(&e),
            });
        }
    };
    let kind = meta.file_type();
    if !(kind.is_file() || kind.is_dir() || kind.is_symlink()) {
        return Err(SnapshotError::Kind {
            path: asked,
            kind: "device, pipe or socket",
        });
    }
    let real = match (asked.parent(), asked.file_name()) {
        (Some(parent), Some(name)) => std::fs::canonicalize(parent).map(|p| p.join(name)),
        // `/`, or a path that ends in `..`: there is no last name to keep.
        _ => std::fs::canonicalize(&asked),
    };
    let real = real.map_err(|e| SnapshotError::System {
        path: asked,
        errno: errno_of(&e),
    })?;
    if real == Path::new("/") {
        return Err(SnapshotError::WholeRoot);
    }
    // One that cannot be resolved is compared as it was configured.
    let own = std::fs::canonicalize(home).unwrap_or_else(|_| home.to_path_buf());
    if real.starts_with(&own) || own.starts_with(&real) {
        return Err(SnapshotError::OwnFiles {
            path: real,
            home: own,
        });
    }
    RelPath::from_absolute(&real).map_err(|source| SnapshotError::Path { path: real, source })
}

/// Reads everything at and below `paths` (as [`check`] gave them) of the live root and stores every
/// file's content, durably; without a store it only looks. Memory does not grow with the size of
/// files.
pub fn take(
    paths: Vec<RelPath>,
    store: Option<&Store>,
    progress: &mut dyn Progress,
) -> Result<Snapshot, SnapshotError> {
    let root = Dir::open(Path::new("/")).map_err(|errno| SnapshotError::System {
        path: PathBuf::from("/"),
        errno,
    })?;
    let batch = store.map(Store::batch).transpose();
    let mut taker = Taker {
        batch: batch.map_err(SnapshotError::Durable)?,
        progress,
        read: 0,
        root,
        nodes: BTreeMap::new(),
        names: BTreeMap::new(),
        left_out: Vec::new(),
    };
    taker.begin(&paths);
    for path in &paths {
        taker.parents(path)?;
        taker.tree(path)?;
    }
    // How long a sync takes cannot be told.
    taker.progress.end();
    if let Some(batch) = taker.batch.take() {
        batch.finish().map_err(SnapshotError::Durable)?;
    }
    taker.link_names();
    Ok(Snapshot {
        paths,
        nodes: taker.nodes.into_iter().collect(),
        left_out: taker.left_out,
    })
}

struct Taker<'a> {
    /// What is stored; the contents share their syncs.
    batch: Option<Batch<'a>>,
    progress: &'a mut dyn Progress,
    /// Bytes copied and hashed, or hashed only.
    read: u64,
    root: Dir,
    nodes: BTreeMap<RelPath, Node>,
    /// The names of each file that has several, by device and inode.
    names: BTreeMap<((u32, u32), u64), BTreeSet<RelPath>>,
    left_out: Vec<RelPath>,
}

impl Taker<'_> {
    /// Tells what is to be done, with the number of bytes if that is worth finding out.
    fn begin(&mut self, paths: &[RelPath]) {
        if self.progress.is_watched() {
            let total = paths.iter().map(|path| self.bytes_below(path)).sum();
            self.progress
                .begin("reading files", Unit::Bytes, Some(total));
        }
    }

    /// The sum of the files' lengths; what cannot be looked at is an error later.
    fn bytes_below(&self, top: &RelPath) -> u64 {
        let (mut total, mut pending) = (0, vec![top.clone()]);
        while let Some(path) = pending.pop() {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                continue;
            };
            match self.root.enter(&parent).and_then(|dir| dir.at(name).stat()) {
                Ok(Some(stat)) if stat.is_directory() => {
                    let names = self.root.enter(&path).and_then(|dir| dir.names());
                    let children = names.unwrap_or_default().into_iter();
                    pending.extend(children.filter_map(|name| path.child(&name).ok()));
                }
                Ok(Some(stat)) if stat.is_file() => total += stat.identity.size,
                Ok(_) | Err(_) => {}
            }
        }
        total
    }

    fn parents(&mut self, path: &RelPath) -> Result<(), SnapshotError> {
        let mut above = path.parent();
        while let Some(parent) = above.filter(|p| !p.is_root()) {
            if !self.nodes.contains_key(&parent) {
                self.object(&parent)?;
            }
            above = parent.parent();
        }
        Ok(())
    }

    fn tree(&mut self, top: &RelPath) -> Result<(), SnapshotError> {
        let mut pending = vec![top.clone()];
        while let Some(path) = pending.pop() {
            if !self.object(&path)? {
                continue;
            }
            let dir = self.root.enter(&path).map_err(failed(&path))?;
            for name in dir.names().map_err(failed(&path))? {
                let child = path.child(&name).map_err(|source| SnapshotError::Path {
                    path: path.to_absolute(),
                    source,
                })?;
                pending.push(child);
            }
        }
        Ok(())
    }

    /// Records one object; says whether it is a directory.
    fn object(&mut self, path: &RelPath) -> Result<bool, SnapshotError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(true);
        };
        let dir = self.root.enter(&parent).map_err(failed(path))?;
        let place = dir.at(name);
        let Some(stat) = place.stat().map_err(failed(path))? else {
            return Err(SnapshotError::Missing(path.to_absolute()));
        };
        if stat.kind_bits() == nix::libc::S_IFSOCK {
            self.left_out.push(path.clone());
            return Ok(false);
        }
        let node = if stat.is_directory() {
            // From within: a mount point cannot be opened from the directory that holds it.
            let within = self.root.enter(path).map_err(failed(path))?;
            self.node(path, within.at(b""), &stat)?
        } else {
            self.node(path, place, &stat)?
        };
        self.nodes.insert(path.clone(), node);
        Ok(stat.is_directory())
    }

    fn node(
        &mut self,
        path: &RelPath,
        place: Place<'_>,
        stat: &Stat,
    ) -> Result<Node, SnapshotError> {
        let meta = read_metadata(place, stat).map_err(failed(path))?;
        let (major, minor) = stat.rdev;
        let kind = match stat.kind_bits() {
            nix::libc::S_IFDIR => Kind::Directory,
            nix::libc::S_IFLNK => Kind::Symlink {
                target: place.read_link().map_err(failed(path))?,
            },
            nix::libc::S_IFIFO => Kind::Fifo,
            nix::libc::S_IFCHR => Kind::CharDevice { major, minor },
            nix::libc::S_IFBLK => Kind::BlockDevice { major, minor },
            _ => self.content(path, place, stat)?,
        };
        if matches!(kind, Kind::File { .. }) && stat.identity.nlink > 1 {
            let inode = (stat.device, stat.identity.ino);
            self.names.entry(inode).or_default().insert(path.clone());
        }
        Ok(Node {
            kind,
            meta,
            link_of: None,
        })
    }

    /// Says of each further name of a file which the first one is, in path order.
    fn link_names(&mut self) {
        for names in self.names.values() {
            let Some(first) = names.first() else { continue };
            for further in names.iter().skip(1) {
                if let Some(node) = self.nodes.get_mut(further) {
                    node.link_of = Some(first.clone());
                }
            }
        }
    }

    fn content(
        &mut self,
        path: &RelPath,
        place: Place<'_>,
        stat: &Stat,
    ) -> Result<Kind, SnapshotError> {
        let fd = place.open(OFlag::O_RDONLY).map_err(failed(path))?;
        let mut file = File::from(fd);
        let store = |source| SnapshotError::Store {
            path: path.to_absolute(),
            source,
        };
        // What is stored is read twice: copied, and then hashed.
        let times = if self.batch.is_some() { 2 } else { 1 };
        let mut tell = |bytes| {
            self.read += bytes;
            self.progress.done(self.read / times);
        };
        let (digest, size) = match &mut self.batch {
            Some(batch) => batch.add_file(&mut file, &mut tell).map_err(store)?,
            None => {
                Digest::of_reader_telling(&file, &mut tell).map_err(|e| SnapshotError::System {
                    path: path.to_absolute(),
                    errno: errno_of(&e),
                })?
            }
        };
        let again = place.stat().map_err(failed(path))?;
        // A file that somebody writes has another length afterwards.
        if size != stat.identity.size && again.map(|s| s.identity.size) == Some(stat.identity.size)
        {
            return Err(SnapshotError::Made(path.to_absolute()));
        }
        if size != stat.identity.size
            || again.map(|s| s.identity.ctime) != Some(stat.identity.ctime)
        {
            return Err(SnapshotError::Changing(path.to_absolute()));
        }
        let hole_bytes = size.saturating_sub(stat.blocks.saturating_mul(512));
        Ok(Kind::File {
            size,
            content: Content::Read(digest),
            hole_bytes,
        })
    }
}

fn failed<'a>(path: &'a RelPath) -> impl FnOnce(Errno) -> SnapshotError + use<'a> {
    move |errno| SnapshotError::System {
        path: path.to_absolute(),
        errno,
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(nix::libc::ENOENT | nix::libc::ENOTDIR)
    )
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(nix::libc::EIO))
}
