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
    walk_down(top, visit, || Err(Errno::ENAMETOOLONG.into()))
}

/// As [`walk`], but leaves out what is deeper than a path can say: for looking through trees in which
/// any user can make such a one.
pub fn walk_where_paths_reach<E: From<Errno>>(
    top: &Dir,
    visit: &mut dyn FnMut(&RelPath, Place<'_>, &Stat) -> Result<(), E>,
) -> Result<(), E> {
    walk_down(top, visit, || Ok(()))
}

fn walk_down<E: From<Errno>>(
    top: &Dir,
    visit: &mut dyn FnMut(&RelPath, Place<'_>, &Stat) -> Result<(), E>,
    too_deep: fn() -> Result<(), E>,
) -> Result<(), E> {
    let mut pending = vec![RelPath::root()];
    while let Some(path) = pending.pop() {
        let dir = match top.descend(&path) {
            Ok(dir) => dir,
            // Removed since it was listed, or replaced by something else.
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => continue,
            Err(errno) => return Err(errno.into()),
        };
        for name in dir.names()? {
            let place = dir.at(&name);
            let Some(stat) = place.stat()? else { continue };
            let Ok(child) = path.child(&name) else {
                too_deep()?;
                continue;
            };
            visit(&child, place, &stat)?;
            if stat.is_directory() {
                pending.push(child);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::MAX_PATH_BYTES;

    #[test]
    fn what_no_path_can_name_is_an_error_or_left_out() {
        let host = tempfile::tempdir().unwrap();
        let mut at = Dir::open(host.path()).unwrap();
        let name = [b'n'; 250];
        let depth = MAX_PATH_BYTES / 251;
        for _ in 0..depth + 5 {
            at.at(&name).create_dir(0o700).unwrap();
            at = at.at(&name).open_dir().unwrap();
        }
        let top = Dir::open(host.path()).unwrap();
        let mut seen = 0;
        let mut count = |_: &RelPath, _: Place<'_>, _: &Stat| {
            seen += 1;
            Ok(())
        };
        assert_eq!(walk::<Errno>(&top, &mut count), Err(Errno::ENAMETOOLONG));
        assert_eq!(walk_where_paths_reach::<Errno>(&top, &mut count), Ok(()));
        assert_eq!(seen, 2 * depth);
        let parent = Dir::open(host.path()).unwrap();
        crate::fs::remove_tree(parent.at(&name)).unwrap();
    }
}
