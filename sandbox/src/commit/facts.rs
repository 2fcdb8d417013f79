//! Looking at the live tree: what planning and the search for conflicts have to know. Changes
//! nothing, decides nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::item::{Item, Origin};
use super::sites::Sites;
use super::step::{Area, LOCKS, Loc};
use crate::change::{Metadata, RelPath};
use crate::fs::{Stat, read_metadata};
use crate::sys::{files, inspect};

/// What is live on one volume, at every path that the changes have to do with.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// By path from the mount point; `None` when nothing is there.
    pub live: HashMap<RelPath, Option<Stat>>,
    /// Live paths of modified files whose inode must stay: somebody has them open for writing.
    pub held: BTreeSet<RelPath>,
    /// Live paths of files with several names that go without being named by the set.
    pub unnamed: BTreeSet<RelPath>,
    /// All attributes of live directories that somebody did something to since they were looked at:
    /// their times tell of names that came and went, too.
    pub touched: HashMap<RelPath, Metadata>,
    /// File handles of live files with several names, by inode number.
    pub handles: BTreeMap<u64, inspect::FileHandle>,
}

impl Facts {
    /// What is at a path; `None` also when nobody asked.
    pub fn at(&self, path: &RelPath) -> Option<&Stat> {
        self.live.get(path).and_then(Option::as_ref)
    }

    /// Takes in what goes without being named, if it has other names.
    pub fn note_unnamed(
        &mut self,
        sites: &mut Sites,
        volume: usize,
        (path, stat): (RelPath, Stat),
    ) -> Result<(), LookError> {
        if stat.identity.nlink < 2 || stat.is_directory() {
            return Ok(());
        }
        note_handle(sites, volume, &path, &stat, self);
        if let Some(parent) = path.parent()
            && !self.live.contains_key(&parent)
        {
            let stat = look(sites, volume, &parent)?;
            self.live.insert(parent, stat);
        }
        self.live.insert(path.clone(), Some(stat));
        self.unnamed.insert(path);
        Ok(())
    }

    /// Whether something is at a path.
    pub fn exists(&self, path: &RelPath) -> bool {
        self.at(path).is_some()
    }
}

/// A live path could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot look at {path}")]
pub struct LookError {
    /// The path.
    pub path: RelPath,
    /// Why.
    #[source]
    pub errno: Errno,
}

/// Looks at the live side of all changes of a volume.
pub(super) fn gather(
    sites: &mut Sites,
    volume: usize,
    items: &[Item<'_>],
) -> Result<Facts, LookError> {
    let mut facts = Facts::default();
    let mut last = None;
    for item in items {
        let data = match &item.source {
            Origin::LiveData { data, .. } => Some(data),
            _ => None,
        };
        for path in [Some(&item.from), Some(&item.path), data]
            .into_iter()
            .flatten()
        {
            if facts.live.contains_key(path) {
                continue;
            }
            let stat = look(sites, volume, path)?;
            facts.live.insert(path.clone(), stat);
            // Paths come in order, so that most have the parent of the one before.
            let parent = path.parent().filter(|parent| last.as_ref() != Some(parent));
            if let Some(parent) = parent {
                if !facts.live.contains_key(&parent) {
                    let stat = look(sites, volume, &parent)?;
                    facts.live.insert(parent.clone(), stat);
                }
                last = Some(parent);
            }
        }
        if let Some(stat) = facts.at(&item.from).copied() {
            let modified = matches!(item.source, Origin::Upper { copy_of: Some(ino), .. }
                if ino == stat.ino());
            if modified && stat.is_file() && is_held(sites, volume, &item.from, &stat) {
                facts.held.insert(item.from.clone());
            }
        }
        note_touched(sites, volume, item, &mut facts)?;
        for path in [&item.from, &item.path] {
            if let Some(stat) = facts.at(path).copied()
                && stat.identity.nlink > 1
                && !stat.is_directory()
                && !facts.handles.contains_key(&stat.ino())
            {
                note_handle(sites, volume, path, &stat, &mut facts);
            }
        }
    }
    Ok(facts)
}

/// Reads the attributes of a directory that has another time of change than when it was looked at.
fn note_touched(
    sites: &mut Sites,
    volume: usize,
    item: &Item<'_>,
    facts: &mut Facts,
) -> Result<(), LookError> {
    let found = facts.at(&item.from).copied();
    let touched = |stat: &Stat| {
        stat.is_directory()
            && item
                .live
                .is_some_and(|live| live.ctime != stat.identity.ctime)
    };
    let Some(stat) = found.filter(touched) else {
        return Ok(());
    };
    let parent = sites.parent(&live(volume, &item.from));
    let metadata = parent.and_then(|parent| read_metadata(parent.place(), &stat));
    let metadata = metadata.map_err(|errno| LookError {
        path: sites.live_path(volume, &item.from),
        errno,
    })?;
    facts.touched.insert(item.from.clone(), metadata);
    Ok(())
}

/// Looks at further live paths, those that the changes of moved directories replace.
pub(super) fn gather_occupants(
    sites: &mut Sites,
    volume: usize,
    paths: Vec<RelPath>,
    facts: &mut Facts,
) -> Result<(), LookError> {
    for path in paths {
        if facts.live.contains_key(&path) {
            continue;
        }
        let stat = look(sites, volume, &path)?;
        if let Some(stat) = stat.filter(|s| s.identity.nlink > 1 && !s.is_directory()) {
            note_handle(sites, volume, &path, &stat, facts);
        }
        facts.live.insert(path, stat);
    }
    Ok(())
}

fn live(volume: usize, path: &RelPath) -> Loc {
    Loc {
        volume,
        area: Area::Live,
        path: path.clone(),
    }
}

fn look(sites: &mut Sites, volume: usize, path: &RelPath) -> Result<Option<Stat>, LookError> {
    sites.stat(&live(volume, path)).map_err(|errno| LookError {
        path: sites.live_path(volume, path),
        errno,
    })
}

/// Whether some process has the file open for writing. Where the filesystem has no leases the
/// answer is no: the inode is then replaced, as a careful editor would.
fn is_held(sites: &mut Sites, volume: usize, path: &RelPath, stat: &Stat) -> bool {
    // A lease needs a file that can be opened; an immutable one cannot be open for writing.
    if stat.locks & LOCKS != 0 {
        return false;
    }
    let open = |sites: &mut Sites| {
        let parent = sites.parent(&live(volume, path))?;
        let file = parent.place().open(OFlag::O_RDONLY)?;
        files::is_open_for_writing(file.as_fd())
    };
    open(sites).unwrap_or(false)
}

/// Remembers how to find an inode after the undo area gave up its name of it. Where the filesystem
/// has no handles the undo area keeps the name, and the number of names is one too many.
fn note_handle(sites: &mut Sites, volume: usize, path: &RelPath, stat: &Stat, facts: &mut Facts) {
    let handle = sites.parent(&live(volume, path)).and_then(|parent| {
        let place = parent.place();
        let name = std::ffi::CString::new(place.name).map_err(|_| Errno::EINVAL)?;
        inspect::file_handle(place.dir.as_fd(), &name)
    });
    if let Ok(handle) = handle {
        facts.handles.insert(stat.ino(), handle);
    }
}

/// The files that are mounted somewhere or have something mounted on them, as paths from the mount
/// point of the volume mounted at `mount_point`: their inodes must stay. From the text of
/// `/proc/self/mountinfo`, proc_pid_mountinfo(5). Pure.
pub(super) fn bound_files(mountinfo: &str, mount_point: &Path) -> BTreeSet<RelPath> {
    let mounts: Vec<Mount> = mountinfo.lines().filter_map(Mount::parse).collect();
    let Some(own) = mounts
        .iter()
        .rev()
        .find(|m| m.point.to_absolute() == mount_point)
    else {
        return BTreeSet::new();
    };
    let mut bound = BTreeSet::new();
    for mount in &mounts {
        if mount.device == own.device
            && let Some(path) = mount.root.strip_prefix(&own.root)
            && !path.is_root()
        {
            bound.insert(path);
        }
        if let Some(path) = mount.point.strip_prefix(&own.point)
            && !path.is_root()
        {
            bound.insert(path);
        }
    }
    bound
}

struct Mount {
    device: String,
    root: RelPath,
    point: RelPath,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(' ').skip(2);
        let device = fields.next()?.to_owned();
        let mut path = || RelPath::from_absolute(&unescape(fields.next()?)).ok();
        Some(Self {
            device,
            root: path()?,
            point: path()?,
        })
    }
}

/// Turns `\040` and the like into the bytes they stand for.
fn unescape(text: &str) -> std::path::PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, tail)) = rest.split_first() {
        let octal = tail
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        if let Some(byte) = octal {
            bytes.push(byte);
            rest = &tail[3..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_and_targets_of_bind_mounts_are_found() {
        let text = "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            30 21 8:1 /etc/host\\040s /srv/c/hosts rw - ext4 /dev/sda1 rw\n\
            31 21 0:9 / /proc rw - proc proc rw\n\
            garbage\n";
        let bound = bound_files(text, Path::new("/"));
        let path = |s: &str| RelPath::new(s).unwrap();
        assert!(bound.contains(&path("etc/host s")));
        assert!(bound.contains(&path("srv/c/hosts")));
        assert!(!bound.contains(&path("etc")));
    }
}
