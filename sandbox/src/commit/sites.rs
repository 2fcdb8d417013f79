//! The open directories of a transaction: for each volume its live tree and its scratch directory.
//! Upholds: both are reached through one copy of the mount, so that renames work across bind
//! mounts and nothing mounted below is crossed; no link that a tree supplies is followed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::errno::Errno;

use super::step::{Area, Loc};
use crate::change::RelPath;
use crate::fs::{Dir, Place, Stat};
use crate::layout::{CommitPolicy, Layout, VOLUME_SCRATCH_DIR, Volume};

/// How many directories are kept open. A commit goes through paths in order, so that few serve.
const OPEN_DIRECTORIES: usize = 256;

/// A directory could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot open {path}")]
pub struct OpenError {
    /// The directory.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub errno: Errno,
}

/// The open volumes of a transaction.
#[derive(Debug)]
pub struct Sites {
    sites: Vec<Volume>,
    open: Vec<OpenSite>,
    directories: HashMap<Loc, Rc<Dir>>,
    /// The parent directories that were asked for last, one for each area: steps come in path
    /// order, so that most have the same.
    last: [Option<(Loc, Rc<Dir>)>; 2],
}

#[derive(Debug)]
struct OpenSite {
    live: Rc<Dir>,
    scratch: Rc<Dir>,
}

/// The volumes of a layout as commit sees them, each with its scratch directory on the filesystem of
/// the mount; recorded in the intent. Those on which nothing is `committed` count as only shown, so
/// that nobody need open them. A volume whose upper layer is on another filesystem gets a scratch
/// directory of its own on the live one.
pub fn sites_of(layout: &Layout, committed: impl Fn(usize) -> bool) -> Vec<Volume> {
    let site = |(index, volume): (usize, &Volume)| Volume {
        scratch: match volume.policy {
            CommitPolicy::Rename | CommitPolicy::ShowOnly => volume.scratch.clone(),
            CommitPolicy::Copy => volume
                .live(&layout.root)
                .join(VOLUME_SCRATCH_DIR)
                .join(layout.tx.as_str()),
        },
        policy: if committed(index) {
            volume.policy
        } else {
            CommitPolicy::ShowOnly
        },
        ..volume.clone()
    };
    layout.volumes.iter().enumerate().map(site).collect()
}

impl Sites {
    /// Opens the directories of every volume that is committed. No step names one that is only
    /// shown; the live root stands for its trees.
    pub fn open(root: &Path, sites: Vec<Volume>) -> Result<Self, OpenError> {
        let top = Rc::new(Dir::open(root).map_err(|errno| OpenError {
            path: root.to_path_buf(),
            errno,
        })?);
        let open = sites
            .iter()
            .map(|site| match site.policy {
                CommitPolicy::ShowOnly => Ok(OpenSite {
                    live: Rc::clone(&top),
                    scratch: Rc::clone(&top),
                }),
                CommitPolicy::Rename | CommitPolicy::Copy => OpenSite::open(root, site),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            sites,
            open,
            directories: HashMap::new(),
            last: [None, None],
        })
    }

    /// What was opened.
    pub fn sites(&self) -> &[Volume] {
        &self.sites
    }

    /// The live path of a place, for people: below the live root for live ones.
    pub fn name(&self, loc: &Loc) -> PathBuf {
        let site = &self.sites[loc.volume];
        match loc.area {
            Area::Live => site
                .mount_point
                .join(&loc.path)
                .map_or_else(|_| loc.path.to_absolute(), |path| path.to_absolute()),
            Area::Scratch => loc.path.to_path_under(&site.scratch),
        }
    }

    /// The live path below the root.
    pub fn live_path(&self, volume: usize, path: &RelPath) -> RelPath {
        self.sites[volume]
            .mount_point
            .join(path)
            .unwrap_or_else(|_| path.clone())
    }

    /// The top directory of one of a volume's trees.
    pub fn top(&self, volume: usize, area: Area) -> &Dir {
        match area {
            Area::Live => &self.open[volume].live,
            Area::Scratch => &self.open[volume].scratch,
        }
    }

    /// Opens a directory, or takes it from those still open.
    pub fn dir(&mut self, loc: &Loc) -> Result<Rc<Dir>, Errno> {
        if let Some(dir) = self.directories.get(loc) {
            return Ok(Rc::clone(dir));
        }
        let dir = Rc::new(self.top(loc.volume, loc.area).descend(&loc.path)?);
        if self.directories.len() >= OPEN_DIRECTORIES {
            self.directories.clear();
        }
        self.directories.insert(loc.clone(), Rc::clone(&dir));
        Ok(dir)
    }

    /// Closes what is kept open: paths lead elsewhere after a directory was moved.
    pub fn forget_directories(&mut self) {
        self.directories.clear();
        self.last = [None, None];
    }

    /// The directory that holds a place, and the name there; the top itself is an empty name.
    pub fn parent(&mut self, loc: &Loc) -> Result<Parent, Errno> {
        let bytes = loc.path.as_bytes();
        let split = bytes.iter().rposition(|b| *b == b'/');
        let (above, name) = match split {
            Some(at) => (&bytes[..at], &bytes[at + 1..]),
            None => (&bytes[..0], bytes),
        };
        let name = name.to_vec();
        if let Some((last, dir)) = &self.last[loc.area as usize]
            && last.volume == loc.volume
            && last.path.as_bytes() == above
        {
            let dir = Rc::clone(dir);
            return Ok(Parent { dir, name });
        }
        let parent = Loc {
            volume: loc.volume,
            area: loc.area,
            path: loc.path.parent().unwrap_or_default(),
        };
        let dir = self.dir(&parent)?;
        self.last[loc.area as usize] = Some((parent, Rc::clone(&dir)));
        Ok(Parent { dir, name })
    }

    /// What is at a place; `None` when nothing is, also because a directory on the way is missing
    /// or is none.
    pub fn stat(&mut self, loc: &Loc) -> Result<Option<Stat>, Errno> {
        match self.parent(loc) {
            Ok(parent) => parent.place().stat(),
            // ELOOP: a link where the directory was; EXDEV: a mount.
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
            Err(errno) => Err(errno),
        }
    }
}

/// The directory that holds a place, kept open, and the name there.
#[derive(Debug, Clone)]
pub struct Parent {
    dir: Rc<Dir>,
    name: Vec<u8>,
}

impl Parent {
    /// The place.
    pub fn place(&self) -> Place<'_> {
        self.dir.at(&self.name)
    }
}

impl OpenSite {
    fn new(live: Dir, scratch: Dir) -> Self {
        Self {
            live: Rc::new(live),
            scratch: Rc::new(scratch),
        }
    }

    fn open(root: &Path, site: &Volume) -> Result<Self, OpenError> {
        let error = |path: &Path| {
            let path = path.to_path_buf();
            move |errno| OpenError { path, errno }
        };
        let live_path = site.mount_point.to_path_under(root);
        let live = Dir::open(&live_path).map_err(error(&live_path))?;
        if site.policy == CommitPolicy::Copy {
            crate::mounts::make_beside(&site.scratch).map_err(|e| {
                error(&site.scratch)(Errno::from_raw(e.raw_os_error().unwrap_or(5)))
            })?;
        }
        let scratch = Dir::open(&site.scratch).map_err(error(&site.scratch))?;
        if let Some((live, scratch)) = Self::through_one_mount(&live, &live_path, site, &scratch) {
            return Ok(Self::new(live, scratch));
        }
        Ok(Self::new(live, scratch))
    }

    /// Both directories in one detached copy of the live mount; `None` when the kernel refuses or
    /// the scratch directory does not lie below it on the same mount. Then the two are used as
    /// they were opened, and a rename that cannot be fails with `EXDEV` before anything changed.
    fn through_one_mount(
        live: &Dir,
        live_path: &Path,
        site: &Volume,
        scratch: &Dir,
    ) -> Option<(Dir, Dir)> {
        let top = std::fs::canonicalize(live_path).ok()?;
        let below = std::fs::canonicalize(&site.scratch).ok()?;
        let below = below.strip_prefix(&top).ok()?;
        let below = RelPath::from_absolute(&Path::new("/").join(below)).ok()?;
        let copy = live.clone_mount().ok()?;
        let found = copy.descend(&below).ok()?;
        let same = |a: &Dir, b: &Dir| {
            let (a, b) = (a.at(b"").stat().ok()??, b.at(b"").stat().ok()??);
            Some((a.ino(), a.device) == (b.ino(), b.device))
        };
        (same(&found, scratch)?).then_some((copy, found))
    }
}
