//! Removes whole trees. Upholds: by descriptor, no link followed, no mount crossed; mode, flags and
//! depth keep nothing from being removed.

use nix::dir::Type;
use nix::errno::Errno;

use super::dir::Listed;
use super::{Dir, Place, change_flags};
use crate::change::{FLAG_APPEND, FLAG_IMMUTABLE};

/// How many directories are open at a time while a tree is removed; what is deeper is moved up
/// first. Far below the usual limit of 1024 descriptors.
const MAX_OPEN_DEPTH: usize = 100;

/// Removes the object at `place` with everything below it, immutable ones too. Nothing there is no
/// error, nor is what somebody else removes meanwhile.
pub fn remove_tree(place: Place<'_>) -> Result<(), Errno> {
    let Some(stat) = place.stat()? else {
        return Ok(());
    };
    // What holds the object is not part of the tree, and keeps its own flags.
    unlock(place)?;
    if !stat.is_directory() {
        return absent_is_fine(place.unlink());
    }
    clear(&place.open_dir()?)?;
    absent_is_fine(place.remove_dir())
}

/// Empties the directory. Trees that are too deep are moved up into it and removed in another pass.
fn clear(top: &Dir) -> Result<(), Errno> {
    let mut sweep = Sweep { top, moved: 0 };
    loop {
        let before = sweep.moved;
        sweep.empty(top, 0)?;
        if sweep.moved == before {
            return Ok(());
        }
    }
}

/// One removal under way.
struct Sweep<'a> {
    top: &'a Dir,
    /// How many subtrees were moved to the top, which also makes their names there.
    moved: u64,
}

impl Sweep<'_> {
    fn empty(&mut self, directory: &Dir, depth: usize) -> Result<(), Errno> {
        for Listed { name, kind } in directory.entries()? {
            let place = directory.at(&name);
            match kind {
                Some(Type::Directory) => self.remove_directory(place, depth)?,
                // Some filesystems do not tell the kind.
                Some(_) | None => match removing(place, Place::unlink) {
                    Err(Errno::EISDIR) => self.remove_directory(place, depth)?,
                    other => other?,
                },
            }
        }
        Ok(())
    }

    fn remove_directory(&mut self, place: Place<'_>, depth: usize) -> Result<(), Errno> {
        match removing(place, Place::remove_dir) {
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => {}
            other => return other,
        }
        if depth == MAX_OPEN_DEPTH {
            self.moved += 1;
            let name = format!("deep-{}-{}", std::process::id(), self.moved);
            return place.rename_to(self.top.at(name.as_bytes()));
        }
        self.empty(&place.open_dir()?, depth + 1)?;
        absent_is_fine(place.remove_dir())
    }
}

/// Removes a name; where `chattr +i` or `+a` of the object or of the directory that holds it is in
/// the way, takes that off first.
fn removing<'p>(
    place: Place<'p>,
    remove: fn(&Place<'p>) -> Result<(), Errno>,
) -> Result<(), Errno> {
    absent_is_fine(match remove(&place) {
        Err(Errno::EPERM) => {
            unlock(place.dir.at(b""))?;
            unlock(place)?;
            remove(&place)
        }
        other => other,
    })
}

/// Takes the flags off that forbid changes.
fn unlock(place: Place<'_>) -> Result<(), Errno> {
    match place.stat()? {
        Some(stat) if stat.locks != 0 => {
            change_flags(place, &stat, FLAG_IMMUTABLE | FLAG_APPEND, 0)
        }
        Some(_) | None => Ok(()),
    }
}

/// Somebody else removed it first: what we wanted.
fn absent_is_fine(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::ENOENT) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn remove(path: &Path) {
        let parent = Dir::open(path.parent().unwrap()).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        remove_tree(parent.at(name.as_bytes())).unwrap();
        assert!(std::fs::symlink_metadata(path).is_err());
    }

    #[test]
    fn a_tree_deeper_than_descriptors_and_paths_go_is_removed() {
        let host = tempfile::tempdir().unwrap();
        let top = host.path().join("top");
        std::fs::create_dir(&top).unwrap();
        let mut at = Dir::open(&top).unwrap();
        let name = [b'n'; 200];
        for _ in 0..2 * MAX_OPEN_DEPTH + 50 {
            at.at(&name).create_dir(0o000).unwrap();
            at.at(b"file").create(0o000).unwrap();
            at = match at.at(&name).open_dir() {
                Ok(next) => next,
                // Not root: a directory without rights cannot be entered.
                Err(Errno::EACCES) => break,
                Err(errno) => panic!("{errno}"),
            };
        }
        remove(&top);
    }

    #[test]
    fn links_are_removed_and_not_followed() {
        let host = tempfile::tempdir().unwrap();
        let (top, kept) = (host.path().join("top"), host.path().join("kept"));
        std::fs::create_dir(&top).unwrap();
        std::fs::write(&kept, b"").unwrap();
        std::os::unix::fs::symlink(host.path(), top.join("up")).unwrap();
        remove(&top);
        assert!(kept.exists());
        std::os::unix::fs::symlink(&kept, &top).unwrap();
        remove(&top);
        assert!(kept.exists());
        remove(&top);
    }
}
