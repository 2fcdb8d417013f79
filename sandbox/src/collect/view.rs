//! What one look at a scratchpad shows at a path, and where it shows a live object; pure.

use std::collections::{BTreeSet, HashMap};

use super::item::Items;
use super::item::{Item, Role};
use crate::change::RelPath;

/// The items of a look; where they say nothing, live shows.
pub(super) struct View<'a> {
    pub(super) items: &'a Items,
    /// What was renamed: from where in live, to where.
    renamed: HashMap<&'a RelPath, &'a RelPath>,
}

/// By volume and inode: how many names there are in live, and some of them.
pub(super) type LostNames = HashMap<(usize, u64), (u64, BTreeSet<RelPath>)>;

/// What a view shows at a path.
pub(super) enum Shown<'a> {
    Nothing,
    Item(&'a Item),
    /// The live object of this volume at this path below the root, if there is one.
    Live(usize, RelPath),
}

impl<'a> View<'a> {
    pub(super) fn new(items: &'a Items) -> Self {
        let mut renamed = HashMap::new();
        for (path, item) in items {
            if let Some(from) = &item.moved_from {
                renamed.entry(from).or_insert(path);
            }
        }
        Self { items, renamed }
    }

    /// What is at `path`.
    pub(super) fn shown(&self, path: &RelPath) -> Shown<'a> {
        let mut above = Some(path.clone());
        while let Some(at) = above {
            let Some(item) = self.items.get(&at) else {
                above = at.parent();
                continue;
            };
            if at == *path {
                return Shown::Item(item);
            }
            let rest = path.strip_prefix(&at).unwrap_or_default();
            return match (&item.role, item.live_path.join(&rest)) {
                (Role::Merged, Ok(live)) => Shown::Live(item.volume, live),
                _ => Shown::Nothing,
            };
        }
        Shown::Nothing
    }

    /// Where the live object at `live` is.
    pub(super) fn shown_at(&self, volume: usize, live: &RelPath) -> Option<RelPath> {
        let place = self.renamed_to(live).unwrap_or_else(|| live.clone());
        let shows = match self.shown(&place) {
            Shown::Item(item) => item.shows_live() && item.live_path == *live,
            Shown::Live(at, path) => at == volume && path == *live,
            Shown::Nothing => false,
        };
        shows.then_some(place)
    }

    /// Where a live path is, by what was renamed, itself or the nearest directory above.
    fn renamed_to(&self, live: &RelPath) -> Option<RelPath> {
        if self.renamed.is_empty() {
            return None;
        }
        let mut above = std::iter::successors(Some(live.clone()), RelPath::parent);
        above.find_map(|from| {
            let to = self.renamed.get(&from)?;
            to.join(&live.strip_prefix(&from)?).ok()
        })
    }

    /// The live path whose object does not show at `path` because of this item.
    pub(super) fn hidden_by(&self, path: &RelPath, item: &Item) -> Option<RelPath> {
        if item.moved_from.is_none() {
            return (!item.shows_live()).then(|| item.live_path.clone());
        }
        let (parent, name) = (path.parent()?, path.file_name()?);
        let parent = self.items.get(&parent)?;
        parent.live_path.child(name).ok()
    }

    /// The live names that objects do not have any more.
    pub(super) fn lost_names(&self) -> LostNames {
        let mut lost = LostNames::new();
        for (path, item) in self.items {
            let live = match item.moved_from {
                Some(_) => item.replaced,
                None => item.live,
            };
            if let Some(live) = live
                && let Some(name) = self.hidden_by(path, item)
            {
                let (links, names) = lost.entry((item.volume, live.ino)).or_default();
                *links = live.nlink;
                names.insert(name);
            }
        }
        lost
    }
}
