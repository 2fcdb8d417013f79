//! Walks through whole trees. Upholds: by descriptor, no link followed, no mount crossed.

use nix::errno::Errno;

use super::{Dir, Place, Stat};
use crate::change::RelPath;

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
