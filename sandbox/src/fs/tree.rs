//! Whole trees: walking and removing. Upholds: by descriptor, no link followed, no mount crossed.

use nix::errno::Errno;

use super::{Dir, Place, Stat, change_flags};
use crate::change::{FLAG_APPEND, FLAG_IMMUTABLE, RelPath};

/// Calls `visit` with the path (below `top`) and the state of everything below the directory
/// `top`, a directory before what is in it. Ends at the first error; a name that vanishes on the
/// way is left out. `ENAMETOOLONG` for what is deeper than a path can say.
pub fn walk<E: From<Errno>>(
    top: &Dir,
    visit: &mut dyn FnMut(&RelPath, Place<'_>, &Stat) -> Result<(), E>,
) -> Result<(), E> {
    let mut pending = vec![RelPath::root()];
    while let Some(path) = pending.pop() {
        let dir = match top.descend(&path) {
            Ok(dir) => dir,
            Err(Errno::ENOENT) => continue,
            Err(errno) => return Err(errno.into()),
        };
        for name in dir.names()? {
            let place = dir.at(&name);
            let Some(stat) = place.stat()? else { continue };
            let child = path.child(&name).map_err(|_| Errno::ENAMETOOLONG)?;
            visit(&child, place, &stat)?;
            if stat.is_directory() {
                pending.push(child);
            }
        }
    }
    Ok(())
}

/// Removes the object at `place` with everything below it, immutable ones too. Nothing there is
/// no error.
pub fn remove_tree(place: Place<'_>) -> Result<(), Errno> {
    let Some(stat) = place.stat()? else {
        return Ok(());
    };
    if stat.locks != 0 {
        change_flags(place, &stat, FLAG_IMMUTABLE | FLAG_APPEND, 0)?;
    }
    if stat.is_directory() {
        remove_below(&place.open_dir()?)?;
        absent_is_fine(place.remove_dir())
    } else {
        absent_is_fine(place.unlink())
    }
}

/// Removes everything in a directory. Iterative over names, recursive over depth: one open
/// directory a level.
pub fn remove_below(dir: &Dir) -> Result<(), Errno> {
    for name in dir.names()? {
        remove_tree(dir.at(&name))?;
    }
    Ok(())
}

/// Somebody else removed it first: what we wanted.
fn absent_is_fine(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::ENOENT) => Ok(()),
        other => other,
    }
}
