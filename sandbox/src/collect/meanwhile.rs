//! Which live objects somebody changed before they were looked at, and what is still known of each
//! as the scratchpad saw it; pure. Upholds: a state that nobody looked at is not made up.

use std::collections::{BTreeMap, HashSet};

use super::item::Row;
use crate::capture::{Glimpse, LiveIdentity, Meanwhile, Source, Window};
use crate::change::{Change, Kind, RelPath};
use crate::layout::{CommitPolicy, Layout};

/// A copy of a live object that is not at its place any more: somebody else moved or removed it.
pub(super) struct Stranded {
    /// Where it was, below the live root.
    pub(super) path: RelPath,
    /// What it was, by the copy.
    pub(super) kind: Kind,
    /// What is there now.
    pub(super) found: Option<LiveIdentity>,
}

impl Stranded {
    /// A directory, and what is there now.
    pub(super) fn directory(path: &RelPath, found: Option<LiveIdentity>) -> Self {
        Self {
            path: path.clone(),
            kind: Kind::Directory,
            found,
        }
    }
}

/// The conflicts of these changes, in path order.
pub(super) fn conflicts(
    rows: &[Row],
    layout: &Layout,
    window: Window,
    stranded: Vec<Stranded>,
) -> Vec<Meanwhile> {
    let mut found: BTreeMap<RelPath, Meanwhile> = BTreeMap::new();
    let gone = stranded.into_iter().map(|gone| Meanwhile {
        path: gone.path,
        seen: Glimpse {
            kind: Some(format_of(&gone.kind)),
            ..Glimpse::default()
        },
        found: gone.found,
    });
    let foreign = foreign_clocks(layout);
    let late = rows.iter().flat_map(|row| {
        let ours = !foreign.contains(&row.1.volume);
        let window = Window {
            present: window.present.filter(|_| ours),
            ..window
        };
        changed(row, window)
    });
    for one in gone.chain(late) {
        found.entry(one.path.clone()).or_insert(one);
    }
    found.into_values().collect()
}

/// The volumes whose times of change may be of another clock than this kernel's, so that they say
/// nothing about ours: what has its scratch directory elsewhere can be a network filesystem.
fn foreign_clocks(layout: &Layout) -> HashSet<usize> {
    let volumes = layout.volumes.iter().enumerate();
    volumes
        .filter_map(|(index, volume)| (volume.policy != CommitPolicy::Rename).then_some(index))
        .collect()
}

/// The live objects of one change that somebody changed: at its old place, at its new one, and the
/// file that got one more name.
fn changed(row: &Row, window: Window) -> Vec<Meanwhile> {
    let (change, provenance) = row;
    let is_late = |live: &&LiveIdentity| window.holds(live.ctime);
    // A directory's times change with every name in it; that is no conflict as long as nobody
    // changed what this would change.
    if only_aged(change) {
        return Vec::new();
    }
    let old = provenance.live.as_ref().filter(is_late);
    let old = old.map(|live| Meanwhile {
        path: provenance.live_path.clone(),
        seen: glimpse(row, live, window),
        found: Some(*live),
    });
    let replaced = provenance.replaced.as_ref().filter(is_late);
    let replaced = replaced.map(|live| Meanwhile {
        path: change.path.clone(),
        seen: Glimpse::default(),
        found: Some(*live),
    });
    // Writing the file that got the name changes what the name shows.
    let linked = provenance.linked.as_ref().filter(is_late);
    let linked = linked.and_then(|live| match &provenance.source {
        Source::LiveData { data, .. } => Some(Meanwhile {
            path: data.clone(),
            seen: glimpse(row, live, window),
            found: Some(*live),
        }),
        _ => None,
    });
    old.into_iter().chain(replaced).chain(linked).collect()
}

/// What the copy of a changed live object tells of it as it was when it was copied. Type and inode
/// stay. What can be set on either side is known where both sides are the same. What the command
/// wrote is not known.
fn glimpse((change, provenance): &Row, live: &LiveIdentity, window: Window) -> Glimpse {
    let is_copy = match provenance.source {
        Source::Gone | Source::Upper { origin: None, .. } => false,
        Source::Upper {
            origin: Some(ino), ..
        }
        | Source::LiveData { ino, .. } => ino == live.ino,
        Source::MergedDirectory { .. } => true,
    };
    let Some(copy) = change.after.as_ref().filter(|_| is_copy) else {
        return Glimpse::default();
    };
    let unwritten =
        matches!(provenance.source, Source::LiveData { .. }) && copy.meta.mtime < window.since;
    let size = match copy.kind {
        Kind::File { size, .. } if unwritten => Some(size),
        // Nothing can change the target of a link.
        Kind::Symlink { .. } => Some(live.size),
        _ => None,
    };
    let owner = (copy.meta.uid, copy.meta.gid);
    let permissions = live.mode & !libc::S_IFMT;
    Glimpse {
        kind: Some(live.mode & libc::S_IFMT),
        ino: Some(live.ino),
        permissions: (copy.meta.mode == permissions).then_some(permissions),
        owner: (owner == (live.uid, live.gid)).then_some(owner),
        size,
    }
}

/// Whether a directory stays in place and only its time of modification changes.
fn only_aged(change: &Change) -> bool {
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => {
            let mut aged = before.meta.clone();
            aged.mtime = after.meta.mtime;
            before.kind == Kind::Directory
                && after.kind == Kind::Directory
                && change.moved_from.is_none()
                && aged == after.meta
        }
        _ => false,
    }
}

/// The type bits of `st_mode` (inode(7)).
const fn format_of(kind: &Kind) -> u32 {
    match kind {
        Kind::File { .. } => libc::S_IFREG,
        Kind::Directory => libc::S_IFDIR,
        Kind::Symlink { .. } => libc::S_IFLNK,
        Kind::Fifo => libc::S_IFIFO,
        Kind::Socket => libc::S_IFSOCK,
        Kind::CharDevice { .. } => libc::S_IFCHR,
        Kind::BlockDevice { .. } => libc::S_IFBLK,
    }
}
