//! The whole of collect: every volume, then the decisions over all of them.

use std::collections::HashSet;

use super::CollectError;
use super::inodes::Inodes;
use super::item::{Item, Items, Row};
use super::leaf::HASHED_BEFORE_BYTES;
use super::names::Names;
use super::object::Reader;
use super::settle;
use super::step;
use super::tree::Tree;
use super::walk::{Digests, Found, Walk};
use crate::capture::{Capture, Provenance, Source, Window};
use crate::change::{Content, Kind, Node, RelPath, Timestamp};
use crate::layout::{Layout, Volume};

/// Says what changed in a scratchpad since it was made, or since it was asked before.
pub struct Collector {
    layout: Layout,
    since: Timestamp,
    reader: Reader,
    digests: Digests,
    names: Names,
    inodes: Inodes,
    previous: Option<Items>,
}

/// Says what changed in a scratchpad since it was made; see [`Collector`].
pub fn collect(layout: &Layout, since: Timestamp) -> Result<Capture, CollectError> {
    Collector::of_one_look(layout.clone(), since).collect()
}

/// Shows where it reads; what it remembers is large and of no use to people.
impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector")
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}

impl Collector {
    /// Makes a collector for the scratchpad at `layout`, which was made at `since`.
    pub fn new(layout: Layout, since: Timestamp) -> Self {
        Self {
            layout,
            since,
            reader: Reader::new(),
            digests: Digests::new(),
            names: Names::new(),
            inodes: Inodes::new(),
            previous: None,
        }
    }

    /// Like [`new`](Self::new), for who asks once: that costs less.
    pub fn of_one_look(layout: Layout, since: Timestamp) -> Self {
        Self {
            inodes: Inodes::of_one_look(),
            ..Self::new(layout, since)
        }
    }

    /// Reads the upper layers and says what changed since the call before, or against live the
    /// first time. Only the first capture can be committed: the provenance of a later one is
    /// against live, and what an earlier entry changed has to be there first. The overlays may be mounted or not; no process should be writing in them.
    pub fn collect(&mut self) -> Result<Capture, CollectError> {
        self.collect_in(|since| Window {
            since,
            present: None,
        })
    }

    /// Like [`Self::collect`]. `window` is asked after everything was looked at; it is given when the
    /// scratchpad was made.
    pub(crate) fn collect_in(
        &mut self,
        window: impl FnOnce(Timestamp) -> Window,
    ) -> Result<Capture, CollectError> {
        let Found {
            mut items,
            covered,
            gone,
            ..
        } = self.walk()?;
        settle::settle(&mut items);
        let previous = self.previous.take();
        let mut rows = match &previous {
            None => settle::rows(&items, &self.layout),
            Some(previous) => self.step(previous, (&items, &covered))?,
        };
        self.read_linked(&mut rows, &items, previous.as_ref())?;
        self.previous = Some(items);
        settle::finish(rows, &self.layout, window(self.since), gone)
    }

    /// What changed between two looks.
    fn step(
        &mut self,
        previous: &Items,
        current: (&Items, &[(usize, RelPath)]),
    ) -> Result<Vec<Row>, CollectError> {
        let Self { layout, reader, .. } = self;
        let mut read_live = |volume: usize, path: &RelPath| {
            let Some(volume) = layout.volumes.get(volume) else {
                return Ok(None);
            };
            let mut tree = Tree::open_beneath_mounts(&volume.live(&layout.root))?;
            let below = path.strip_prefix(&volume.mount_point).unwrap_or_default();
            let object = tree.object(reader, &below)?;
            Ok(object.map(|object| object.live_node()))
        };
        step::rows(previous, current, layout, &mut read_live)
    }

    /// Reads the content of live files that got one more name, where nothing else says what it is:
    /// at a name that has no other to refer to, or that was another file before.
    fn read_linked(
        &mut self,
        rows: &mut [Row],
        items: &Items,
        previous: Option<&Items>,
    ) -> Result<(), CollectError> {
        let inode = |item: &Item| (item.volume, item.upper.id);
        let seen = previous.into_iter().flatten().map(|(_, item)| inode(item));
        let seen: HashSet<(usize, u64)> = seen.collect();
        let mut open: Option<(usize, Tree)> = None;
        for (change, provenance) in rows {
            let Source::LiveData { data, ino, .. } = &provenance.source else {
                continue;
            };
            let new_name = change.moved_from.is_none() && !has_inode(provenance, *ino);
            let linked = change.after.as_ref().is_some_and(|n| n.link_of.is_some());
            let item = items.get(&change.path);
            let was_here = item.is_some_and(|item| seen.contains(&inode(item)))
                && change.before.as_ref().map(size) == change.after.as_ref().map(size);
            if !new_name || was_here || (linked && change.before.is_none()) {
                continue;
            }
            let Some(volume) = self.layout.volumes.get(provenance.volume) else {
                continue;
            };
            let tree = match &mut open {
                Some((index, tree)) if *index == provenance.volume => tree,
                other => {
                    let tree = Tree::open_beneath_mounts(&volume.live(&self.layout.root))?;
                    &mut other.insert((provenance.volume, tree)).1
                }
            };
            let below = |path: &RelPath| path.strip_prefix(&volume.mount_point);
            let old_path = below(&provenance.live_path);
            let (reader, data) = (&mut self.reader, below(data));
            read_content(reader, tree, data, change.after.as_mut(), u64::MAX)?;
            let old = change.before.as_mut().filter(|_| previous.is_none());
            read_content(reader, tree, old_path, old, HASHED_BEFORE_BYTES)?;
        }
        Ok(())
    }

    fn walk(&mut self) -> Result<Found, CollectError> {
        let masks = masks(&self.layout);
        let mut found = Found::default();
        for (index, volume) in self.layout.volumes.iter().enumerate() {
            let mut walk = Walk {
                volume: index,
                mount_point: &volume.mount_point,
                masks: &masks,
                upper: Tree::open(&volume.upper())?,
                live: Tree::open_beneath_mounts(&volume.live(&self.layout.root))?,
                reader: &mut self.reader,
                digests: &mut self.digests,
                names: &mut self.names,
                inodes: &mut self.inodes,
                found: &mut found,
                hidden: Vec::new(),
                pending: Vec::new(),
                strays: Vec::new(),
            };
            walk.run()?;
            walk.list_hidden()?;
            walk.name_strays()?;
            walk.list_orphans(&volume.work().join("index"))?;
            walk.list_names()?;
        }
        Ok(found)
    }
}

/// The length of a file.
fn size(node: &Node) -> Option<u64> {
    match node.kind {
        Kind::File { size, .. } => Some(size),
        _ => None,
    }
}

/// Whether the live object at the change's place is that inode.
fn has_inode(provenance: &Provenance, ino: u64) -> bool {
    provenance.live.is_some_and(|live| live.ino == ino)
}

/// Fills in the content of a file's state from the file at `path` of the tree, up to a length.
fn read_content(
    reader: &mut Reader,
    tree: &mut Tree,
    path: Option<RelPath>,
    node: Option<&mut Node>,
    limit: u64,
) -> Result<(), CollectError> {
    let (
        Some(path),
        Some(Node {
            kind: Kind::File { size, content, .. },
            ..
        }),
    ) = (path, node)
    else {
        return Ok(());
    };
    if *size <= limit
        && let Some(object) = tree.object(reader, &path)?
    {
        let digest = reader.digest(&object);
        *content = Content::Read(digest.map_err(|f| tree.failed(f.operation, &path, f.errno))?);
    }
    Ok(())
}

/// The directories of ours that the scratchpad hides from the inside, below the live root: for
/// each volume what holds its transactions.
fn masks(layout: &Layout) -> Vec<RelPath> {
    let mask = |volume: &Volume| {
        let scratch = volume.scratch.as_path();
        let transaction = scratch
            .ancestors()
            .find(|a| a.file_name().is_some_and(|n| n == layout.tx.as_str()));
        let holder = transaction.and_then(|t| t.parent()).unwrap_or(scratch);
        let below = holder.strip_prefix(&layout.root).ok()?;
        RelPath::from_absolute(&std::path::Path::new("/").join(below)).ok()
    };
    layout.volumes.iter().filter_map(mask).collect()
}
