//! Items → changes: decides what is a rename, what one more name, what no change; pure.

use std::collections::{HashMap, HashSet};

use super::CollectError;
use super::item::{Elsewhere, Item, Items, Role, Row};
use super::meanwhile::{self, Stranded};
use super::view::View;
use crate::capture::{Capture, Finding, FindingReason, Provenance, Source, Window};
use crate::change::{Change, ChangeSet, Content, Kind, Node, RelPath};
use crate::layout::{CommitPolicy, Layout, Volume};

/// Upper inodes with several names: the names in path order.
type Names = HashMap<(usize, u64), Vec<RelPath>>;

/// Decides for every file with the data of another name whether it was renamed or got one more. Of a
/// file with several names nobody can tell which new name was which: they are taken in path order,
/// so that it is the same by whatever name it was reached.
pub(super) fn settle(items: &mut Items) {
    let names = names_of(items);
    let view = View::new(items);
    let mut lost = view.lost_names();
    let elsewhere: Vec<(RelPath, Elsewhere, bool)> = items
        .iter()
        .filter_map(|(path, item)| match &item.role {
            Role::Elsewhere(other) => {
                let still_there = view.shown_at(item.volume, &other.data).is_some();
                Some((path.clone(), (**other).clone(), still_there))
            }
            _ => None,
        })
        .collect();
    let mut renamed = HashSet::new();
    for (path, other, still_there) in elsewhere {
        let Some(item) = items.get_mut(&path) else {
            continue;
        };
        let old = if other.live.nlink > 1 {
            let lost = lost.get_mut(&(item.volume, other.live.ino));
            lost.and_then(|(_, names)| names.pop_first())
        } else {
            let first = !still_there && renamed.insert(other.data.clone());
            first.then(|| other.data.clone())
        };
        item.role = if other.rewritten {
            Role::Whole {
                origin: Some(other.live.ino),
            }
        } else {
            Role::LiveData {
                data: old.as_ref().unwrap_or(&other.data).clone(),
                ino: other.live.ino,
            }
        };
        if let Some(old) = old {
            item.replaced = item.live.take();
            item.live = Some(other.live);
            item.live_path = old.clone();
            item.moved_from = Some(old.clone());
            item.before = Some(other.node);
            if let Some(old) = items.get_mut(&old) {
                old.displaced = true;
            }
        } else if !other.rewritten {
            item.linked = Some(other.live);
        }
    }
    share_copies(items, &names);
    mark_displaced(items);
}

/// Marks what was made anew where something was that went, or went elsewhere, with its directory.
fn mark_displaced(items: &mut Items) {
    let sources: HashSet<RelPath> = items
        .values()
        .filter_map(|item| item.moved_from.clone())
        .collect();
    let replaced: HashSet<RelPath> = items
        .iter()
        .filter(|(_, item)| matches!(item.role, Role::Whole { .. }) && !item.is_leaf())
        .filter(|(_, item)| item.before.is_some())
        .map(|(path, _)| path.clone())
        .collect();
    if sources.is_empty() && replaced.is_empty() {
        return;
    }
    for (path, item) in items.iter_mut() {
        let anew = matches!(item.role, Role::Whole { origin: None }) && item.before.is_some();
        if anew
            && path
                .parent()
                .is_some_and(|parent| replaced.contains(&parent))
        {
            item.displaced = true;
        }
        let mut above = item.live_path.parent().filter(|_| anew);
        while let Some(at) = above {
            item.displaced |= sources.contains(&at);
            above = at.parent();
        }
    }
}

/// Names of one upper inode: when one of them is a live file whose data is as before, perhaps with
/// other attributes, the others are new names of that file; when one is a modified copy, all are.
fn share_copies(items: &mut Items, names: &Names) {
    for group in names.values() {
        let unchanged = group.iter().find_map(|path| {
            let item = items.get(path)?;
            let (data, ino) = match &item.role {
                Role::LiveData { data, ino } if item.keeps_data() => (data, *ino),
                Role::Whole { origin: Some(_) } if !item.is_change() => {
                    (&item.live_path, item.live?.ino)
                }
                _ => return None,
            };
            let mut looked_at = item.live.into_iter().chain(item.linked);
            Some((data.clone(), ino, looked_at.find(|live| live.ino == ino)))
        });
        let origin = group.iter().find_map(|path| match items.get(path)?.role {
            Role::Whole { origin } => origin,
            _ => None,
        });
        for path in group {
            let Some(item) = items.get_mut(path) else {
                continue;
            };
            match (&mut item.role, &unchanged) {
                (Role::Whole { origin: None }, Some((data, ino, live))) => {
                    item.role = Role::LiveData {
                        data: data.clone(),
                        ino: *ino,
                    };
                    item.linked = *live;
                }
                (Role::Whole { origin: own }, _) if own.is_none() => *own = origin,
                _ => {}
            }
        }
    }
}

fn names_of(items: &Items) -> Names {
    let mut names = Names::new();
    for (path, item) in items {
        if item.is_leaf() && item.upper.nlink > 1 {
            let key = (item.volume, item.upper.id);
            names.entry(key).or_default().push(path.clone());
        }
    }
    names.retain(|_, group| group.len() > 1);
    names
}

/// Everything that changed against live, in path order.
pub(super) fn rows(items: &Items, layout: &Layout) -> Vec<Row> {
    let changed = items.iter().filter(|(_, item)| item.is_change());
    let mut rows: Vec<_> = changed
        .map(|(path, item)| row(path, item, layout))
        .collect();
    link_names(&mut rows, items);
    rows
}

/// Splits the rows by what becomes of them, and adds findings and conflicts. `gone` are paths whose
/// live object is not the one that the scratchpad saw.
pub(super) fn finish(
    rows: Vec<Row>,
    layout: &Layout,
    window: Window,
    gone: Vec<Stranded>,
) -> Result<Capture, CollectError> {
    let show_only = |volume: usize| {
        layout
            .volumes
            .get(volume)
            .is_some_and(|v| v.policy == CommitPolicy::ShowOnly)
    };
    let (shown, committed): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|(_, p)| show_only(p.volume));
    let mut findings = shown_volumes(&shown, layout);
    findings.extend(findings_in(&committed, layout));
    let conflicts = meanwhile::conflicts(&committed, layout, window, gone);
    let (changes, provenance) = committed.into_iter().unzip();
    Ok(Capture {
        set: ChangeSet::new(changes)?,
        provenance,
        shown: ChangeSet::new(shown.into_iter().map(|(change, _)| change).collect())?,
        since: window.since,
        present: window.present,
        findings,
        conflicts,
    })
}

/// The volumes whose changes are shown and never committed.
fn shown_volumes(shown: &[Row], layout: &Layout) -> Vec<Finding> {
    let volumes = layout.volumes.iter().enumerate();
    volumes
        .filter(|(index, _)| shown.iter().any(|(_, p)| p.volume == *index))
        .map(|(_, volume)| Finding {
            path: volume.mount_point.clone(),
            reason: FindingReason::ShowOnly,
        })
        .collect()
}

/// What of these changes cannot become real as it is.
fn findings_in(committed: &[Row], layout: &Layout) -> Vec<Finding> {
    let mut findings = Vec::new();
    let torn = torn_volumes(layout);
    let shared: HashSet<RelPath> = committed
        .iter()
        .flat_map(|(c, _)| shared_names(c))
        .collect();
    for (change, provenance) in committed {
        let mut add = |reason| {
            findings.push(Finding {
                path: change.path.clone(),
                reason,
            });
        };
        if change
            .after
            .as_ref()
            .is_some_and(|n| n.kind == Kind::Socket)
        {
            add(FindingReason::SocketOfEndedProcess);
        }
        if torn.contains(&provenance.volume)
            && parts_from_names(change, provenance)
            && !shared.contains(&change.path)
        {
            add(FindingReason::LinksTorn);
        }
    }
    findings
}

/// The volumes whose overlay was mounted without an index, so that writing through one name of a
/// file left the others as they were. The kernel makes the index's directory with the mount.
fn torn_volumes(layout: &Layout) -> HashSet<usize> {
    let is_torn = |volume: &Volume| {
        let work = volume.scratch.join("work");
        work.join("work").is_dir() && !work.join("index").is_dir()
    };
    let volumes = layout.volumes.iter().enumerate();
    volumes
        .filter_map(|(index, volume)| is_torn(volume).then_some(index))
        .collect()
}

/// Whether a file that had further names may have been written through this one. Without an index
/// the kernel says nothing of where a copy of such a file is from (ovl_copy_up_inode: "breaking the
/// association with a lower hard link"), so that a file made anew in its place looks the same.
fn parts_from_names(change: &Change, provenance: &Provenance) -> bool {
    let is_file = |node: &Option<Node>| {
        node.as_ref()
            .is_some_and(|node| matches!(node.kind, Kind::File { .. }))
    };
    matches!(provenance.source, Source::Upper { .. })
        && is_file(&change.before)
        && is_file(&change.after)
        && provenance.live.is_some_and(|live| live.nlink > 1)
}

/// The names that a change tells to be of one new inode: such a file was not copied by being
/// written, since each copy has one name.
fn shared_names(change: &Change) -> Vec<RelPath> {
    let first = change.after.as_ref().and_then(|node| node.link_of.clone());
    first.map_or_else(Vec::new, |first| vec![first, change.path.clone()])
}

/// The change and provenance of one item.
pub(super) fn row(path: &RelPath, item: &Item, layout: &Layout) -> Row {
    let change = Change {
        path: path.clone(),
        before: item.before.clone(),
        after: item.after.clone(),
        moved_from: item.moved_from.clone(),
    };
    let upper = layout
        .volumes
        .get(item.volume)
        .and_then(|v| path.strip_prefix(&v.mount_point))
        .unwrap_or_default();
    let source = match &item.role {
        Role::Gone => Source::Gone,
        Role::Merged => Source::MergedDirectory { path: upper },
        Role::Whole { origin } => Source::Upper {
            path: upper,
            ino: item.upper.id,
            origin: *origin,
        },
        Role::LiveData { data, ino } => Source::LiveData {
            path: upper,
            data: data.clone(),
            ino: *ino,
        },
        Role::Elsewhere(other) => Source::LiveData {
            path: upper,
            data: other.data.clone(),
            ino: other.live.ino,
        },
    };
    let provenance = Provenance {
        volume: item.volume,
        source,
        live: item.live,
        live_path: item.live_path.clone(),
        replaced: item.replaced,
        linked: item.linked,
    };
    (change, provenance)
}

/// Fills `link_of` of both states. `rows` are in path order.
pub(super) fn link_names(rows: &mut [Row], items: &Items) {
    let changed: HashSet<RelPath> = rows.iter().map(|(row, _)| row.path.clone()).collect();
    let mut first_after = unchanged_names(&changed, items);
    let mut first_before = HashMap::new();
    for (change, provenance) in rows {
        let own = items.get(&change.path).filter(|item| item.is_leaf());
        if let (Some(item), Some(after)) = (own, &mut change.after)
            && item.upper.nlink > 1
        {
            let key = (item.volume, item.upper.id);
            set_link(after, key, &change.path, &mut first_after);
            // What it says of its content is what its other name has; whether it was read is
            // chance.
            let kept = after
                .link_of
                .as_ref()
                .is_some_and(|first| !changed.contains(first));
            if let (true, None, Kind::File { content, .. }) =
                (kept, &change.before, &mut after.kind)
            {
                *content = Content::Unread;
            }
        }
        if let (Some(before), Some(live)) = (&mut change.before, provenance.live)
            && live.nlink > 1
            && before.kind != Kind::Directory
        {
            let key = (provenance.volume, live.ino);
            set_link(before, key, &provenance.live_path, &mut first_before);
        }
    }
}

/// For each inode with several names, the first that is not a change: the others are new names of
/// that file.
fn unchanged_names(changed: &HashSet<RelPath>, items: &Items) -> HashMap<(usize, u64), RelPath> {
    let mut first = HashMap::new();
    for (path, item) in items {
        if item.is_leaf() && item.upper.nlink > 1 && !changed.contains(path) {
            let key = (item.volume, item.upper.id);
            first.entry(key).or_insert_with(|| path.clone());
        }
    }
    first
}

fn set_link(
    node: &mut Node,
    key: (usize, u64),
    path: &RelPath,
    first: &mut HashMap<(usize, u64), RelPath>,
) {
    let first = first.entry(key).or_insert_with(|| path.clone());
    node.link_of = (first != path).then(|| first.clone());
}
