//! Files with several names that the upper layer has in the overlay's index only, because they were
//! written under a name that they lost: they get the name that the change set gives them, so that
//! all that comes after finds them there. Touches scratch only, and can be repeated.

use std::collections::BTreeMap;
use std::path::Path;

use nix::errno::Errno;

use super::item::{Item, Origin};
use super::mirror::make_parents;
use super::prepare::PrepareError;
use crate::change::RelPath;
use crate::fs::Dir;
use crate::layout::Volume;

/// Moves the files that the items want and that only the index has to their places in the upper
/// layer. The overlay is not mounted any more.
pub(super) fn adopt(volume: &Volume, items: &[Item<'_>]) -> Result<(), PrepareError> {
    let wanted: BTreeMap<u64, &RelPath> = items
        .iter()
        .filter_map(|item| match &item.source {
            Origin::Upper {
                upper,
                ino,
                copy_of: Some(_),
            } => Some((*ino, upper)),
            _ => None,
        })
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let index = volume.work().join("index");
    let error = |path: &Path| {
        let path = path.to_path_buf();
        move |errno| PrepareError { path, errno }
    };
    let from = match Dir::open(&index) {
        Ok(from) => from,
        Err(Errno::ENOENT) => return Ok(()),
        Err(errno) => return Err(error(&index)(errno)),
    };
    let upper = volume.upper();
    let top = Dir::open(&upper).map_err(error(&upper))?;
    for name in from.names().map_err(error(&index))? {
        let place = from.at(&name);
        let stat = place.stat().map_err(error(&index))?;
        let alone = stat.filter(|stat| stat.identity.nlink == 1 && !stat.is_directory());
        let Some(path) = alone.and_then(|stat| wanted.get(&stat.ino())) else {
            continue;
        };
        let (Some(parent), Some(file_name)) = (path.parent(), path.file_name()) else {
            continue;
        };
        make_parents(&top, &parent)
            .and_then(|parent| place.rename_to(parent.at(file_name)))
            .map_err(error(&path.to_path_under(&upper)))?;
    }
    Ok(())
}
