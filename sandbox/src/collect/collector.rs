//! The whole of collect: every volume, then the decisions over all of them.

use super::CollectError;
use super::object::Reader;
use super::settle::{self, Items};
use super::tree::Tree;
use super::walk::{Digests, Found, Walk};
use crate::capture::Capture;
use crate::change::{RelPath, Timestamp};
use crate::layout::{Layout, Volume};

/// Says what changed in a scratchpad since it was made, or since it was asked before.
pub struct Collector {
    layout: Layout,
    since: Timestamp,
    reader: Reader,
    digests: Digests,
    previous: Option<Items>,
}

/// Says what changed in a scratchpad since it was made; see [`Collector`].
pub fn collect(layout: &Layout, since: Timestamp) -> Result<Capture, CollectError> {
    Collector::new(layout.clone(), since).collect()
}

impl Collector {
    /// Makes a collector for the scratchpad at `layout`, which was made at `since`.
    pub fn new(layout: Layout, since: Timestamp) -> Self {
        Self {
            layout,
            since,
            reader: Reader::new(),
            digests: Digests::new(),
            previous: None,
        }
    }

    /// Reads the upper layers and says what changed since the call before, or against live the
    /// first time. The overlays may be mounted or not; no process should be writing in them.
    pub fn collect(&mut self) -> Result<Capture, CollectError> {
        let mut items = self.walk()?;
        settle::settle(&mut items);
        let capture = settle::capture(&items, &self.layout, self.since)?;
        self.previous = Some(items);
        Ok(capture)
    }

    fn walk(&mut self) -> Result<Items, CollectError> {
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
                found: &mut found,
                hidden: Vec::new(),
                pending: Vec::new(),
            };
            walk.run()?;
            walk.list_hidden()?;
        }
        Ok(found.items)
    }
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
