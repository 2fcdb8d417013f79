//! Copies an upper layer that lies on another filesystem next to the live tree, so that the same
//! renames work. Slower by every byte; only for volumes whose policy is to copy. Not visible: the
//! copies lie in the transaction's own directory. Upholds: the copies have every attribute that
//! the change set says.

use std::collections::BTreeMap;
use std::path::Path;

use nix::errno::Errno;

use super::item::{Item, Origin};
use super::prepare::PrepareError;
use super::sites::{Sites, sites_of};
use super::step::{Area, LOCKS};
use crate::change::RelPath;
use crate::fs::{Dir, Place, copy_node, remove_tree, set_mtime};
use crate::layout::{CommitPolicy, Layout};

/// Copies what the items take from the upper layer at `upper` below the volume's scratch
/// directory, and makes the items name the copies. Can be repeated.
pub(super) fn mirror(
    sites: &mut Sites,
    volume: usize,
    upper: &Path,
    items: &mut [Item<'_>],
) -> Result<(), PrepareError> {
    let error = |path: &Path| {
        let path = path.to_path_buf();
        move |errno| PrepareError { path, errno }
    };
    let from = Dir::open(upper).map_err(error(upper))?;
    let near = sites.sites()[volume].scratch.clone();
    let scratch = sites.top(volume, Area::Scratch);
    let make = || {
        remove_tree(scratch.at(b"upper"))?;
        scratch.at(b"upper").create_dir(0o700)?;
        scratch.at(b"upper").open_dir()
    };
    let to = make().map_err(error(&near))?;
    let mut copies = BTreeMap::new();
    for item in items.iter_mut() {
        if let Origin::Upper { upper, ino, .. } = &mut item.source
            && let Some(node) = &item.change.after
        {
            let mut meta = node.meta.clone();
            // They would refuse the renames to come; the plan sets them last.
            meta.flags &= !LOCKS;
            let fail = error(&upper.to_path_under(&near.join("upper")));
            *ino = copy(&from, &to, upper, &meta, &mut copies).map_err(fail)?;
        }
    }
    // Deepest first is last in path order: what came into a directory disturbed its time.
    for item in items.iter().rev().filter(|item| item.is_own_tree()) {
        if let (Origin::Upper { upper, .. }, Some(node)) = (&item.source, &item.change.after) {
            let fail = error(&upper.to_path_under(&near.join("upper")));
            to.descend(upper)
                .and_then(|dir| set_mtime(dir.at(b""), node.meta.mtime))
                .map_err(fail)?;
        }
    }
    Ok(())
}

/// Removes the copies of a commit that did not happen.
pub(super) fn drop_copies(layout: &Layout) {
    let copied = |(index, _): &(usize, _)| layout.volumes[*index].policy == CommitPolicy::Copy;
    let sites = sites_of(layout, |_| true).into_iter().enumerate();
    for (_, site) in sites.filter(copied) {
        // The commit's own error is what the caller has to know; the next start removes what
        // nobody claims.
        let _ = remove_near(&site.scratch);
    }
}

fn remove_near(scratch: &Path) -> std::io::Result<()> {
    use std::os::unix::ffi::OsStrExt as _;
    let (Some(hidden), Some(name)) = (scratch.parent(), scratch.file_name()) else {
        return Ok(());
    };
    let dir = match Dir::open(hidden) {
        Err(Errno::ENOENT) => return Ok(()),
        other => other?,
    };
    remove_tree(dir.at(name.as_bytes()))?;
    crate::mounts::remove_hidden_if_empty(hidden)
}

/// Copies one object and gives the inode number of the copy; a further name of an inode that was
/// copied already becomes a link.
fn copy(
    from: &Dir,
    to: &Dir,
    path: &RelPath,
    meta: &crate::change::Metadata,
    copies: &mut BTreeMap<u64, (RelPath, u64)>,
) -> Result<u64, Errno> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::EINVAL);
    };
    let source = from.descend(&parent)?;
    let source = source.at(name);
    let stat = source.stat()?.ok_or(Errno::ENOENT)?;
    let target = make_parents(to, &parent)?;
    let target: Place<'_> = target.at(name);
    if let Some((first, ino)) = copies.get(&stat.ino()).filter(|_| !stat.is_directory()) {
        let holder = to.descend(&first.parent().unwrap_or_default())?;
        holder
            .at(first.file_name().unwrap_or_default())
            .link_to(target)?;
        return Ok(*ino);
    }
    copy_node(source, &stat, target, meta)?;
    let ino = target.stat()?.ok_or(Errno::ENOENT)?.ino();
    copies.insert(stat.ino(), (path.clone(), ino));
    Ok(ino)
}

/// The directories of the upper layer that are not copied themselves, as empty shells.
pub(super) fn make_parents(top: &Dir, path: &RelPath) -> Result<Dir, Errno> {
    match top.descend(path) {
        Err(Errno::ENOENT) => {}
        found => return found,
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::ENOENT);
    };
    let parent = make_parents(top, &parent)?;
    parent.at(name).create_dir(0o700)?;
    parent.at(name).open_dir()
}
