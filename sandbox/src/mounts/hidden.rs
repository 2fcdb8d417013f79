//! Chooses the name of the hidden directory at the top of a volume. Not for making it (`scratch`).
//! Upholds: where ordinary users may write, as in `/tmp`, none of them can keep a scratch directory
//! away by taking its name first.
//!
//! The other name cannot be guessed, and a directory of root's own that has such a name is used
//! again, so that one whiteout hides everything of ours on that volume.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::change::RelPath;
use crate::layout::{Layout, TxId, VOLUME_SCRATCH_DIR, Volume, is_hidden_name};

/// `<mount>/.isconf`, or what it is called there, if the volume's scratch lies below such a directory
/// and not below the home.
pub(super) fn hidden_directory(volume: &Volume, layout: &Layout) -> Option<PathBuf> {
    if volume.scratch.starts_with(&layout.directory) {
        return None;
    }
    volume.scratch.parent()?.parent().map(Path::to_path_buf)
}

/// The tops of volumes on which the usual name is somebody else's, each with the name to use.
pub(crate) fn other_names(layout: &Layout) -> Vec<(RelPath, OsString)> {
    let hidden = layout
        .volumes
        .iter()
        .filter_map(|volume| hidden_directory(volume, layout));
    let other_name = |hidden: PathBuf| {
        let top = hidden.parent()?;
        // A top that cannot be looked at cannot hold a scratch directory either, which says so.
        let name = choose(top, &layout.tx).ok().flatten()?;
        Some((RelPath::from_absolute(top).ok()?, name))
    };
    hidden.filter_map(other_name).collect()
}

/// The top of the volume with another name, for when the usual one was somebody else's after all: who
/// may write there can take it between a look and the making. `None` where nobody else may, and
/// where it was another name that failed.
pub(crate) fn name_instead(volume: &Volume, layout: &Layout) -> Option<(RelPath, OsString)> {
    let hidden = hidden_directory(volume, layout)?;
    let top = hidden.parent()?;
    let is_usual = hidden.file_name()? == VOLUME_SCRATCH_DIR;
    let is_open = is_open_to_others(&std::fs::symlink_metadata(top).ok()?);
    let top = RelPath::from_absolute(top).ok()?;
    (is_usual && is_open).then(|| (top, layout.tx.hidden_name()))
}

/// Whether others than root can make names in that directory.
fn is_open_to_others(top: &Metadata) -> bool {
    top.uid() != 0 || top.mode() & 0o022 != 0
}

/// The name to use below `top`; `None` for the usual one.
fn choose(top: &Path, tx: &TxId) -> io::Result<Option<OsString>> {
    if !is_open_to_others(&std::fs::symlink_metadata(top)?) {
        return Ok(None);
    }
    let is_taken = match std::fs::symlink_metadata(top.join(VOLUME_SCRATCH_DIR)) {
        Ok(status) if is_roots_own(&status) => return Ok(None),
        Ok(_) => true,
        Err(e) if e.kind() == io::ErrorKind::NotFound => false,
        Err(e) => return Err(e),
    };
    // Also where the usual name is free: whoever had it may have gone since.
    let in_use = in_use(top)?;
    Ok(in_use.or_else(|| is_taken.then(|| tx.hidden_name())))
}

/// The first directory of root's own that has such a name.
fn in_use(top: &Path) -> io::Result<Option<OsString>> {
    let mut found: Option<OsString> = None;
    for entry in std::fs::read_dir(top)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_hidden_name(name.as_bytes())
            && entry.metadata().is_ok_and(|status| is_roots_own(&status))
            && found.as_ref().is_none_or(|first| name < *first)
        {
            found = Some(name);
        }
    }
    Ok(found)
}

/// Whether it is a directory that only root can have made, and nobody else can look into.
pub(super) fn is_roots_own(status: &Metadata) -> bool {
    status.is_dir() && status.uid() == 0 && status.mode() & 0o077 == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A directory like `/tmp`; `None` where this is not root.
    fn top() -> Option<tempfile::TempDir> {
        let top = tempfile::tempdir().unwrap();
        fs::set_permissions(top.path(), Permissions::from_mode(0o1777)).unwrap();
        (fs::metadata(top.path()).unwrap().uid() == 0).then_some(top)
    }

    fn make(top: &Path, name: &str, mode: u32) {
        fs::create_dir(top.join(name)).unwrap();
        fs::set_permissions(top.join(name), Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_name_that_is_taken_is_left_to_whoever_has_it() {
        let Some(top) = top() else { return };
        let (top, tx) = (top.path(), TxId::from_parts(1, 0xabc));
        assert_eq!(choose(top, &tx).unwrap(), None);
        symlink("/", top.join(VOLUME_SCRATCH_DIR)).unwrap();
        let other = choose(top, &tx).unwrap().unwrap();
        assert_eq!(other, ".isconf-0000000000000abc");
        make(top, ".isconf-1111111111111111", 0o755);
        make(top, ".isconf-xyz", 0o700);
        assert_eq!(choose(top, &tx).unwrap(), Some(other));
        // It is found again, also when the other name became free.
        make(top, ".isconf-2222222222222222", 0o700);
        let known = Some(".isconf-2222222222222222".into());
        assert_eq!(choose(top, &tx).unwrap(), known);
        fs::remove_file(top.join(VOLUME_SCRATCH_DIR)).unwrap();
        assert_eq!(choose(top, &tx).unwrap(), known);
        make(top, VOLUME_SCRATCH_DIR, 0o700);
        assert_eq!(choose(top, &tx).unwrap(), None);
    }

    #[test]
    fn only_the_usual_name_where_others_may_write_has_another_instead() {
        let Some(top) = top() else { return };
        let volume = |name: &str| Volume {
            mount_point: RelPath::from_absolute(top.path()).unwrap(),
            fs_type: "tmpfs".to_owned(),
            device: (0, 1),
            scratch: top.path().join(name).join("tx/v1"),
            policy: crate::layout::CommitPolicy::Rename,
        };
        let layout = Layout {
            tx: TxId::from_parts(1, 0xabc),
            directory: PathBuf::from("/home/scratch/tx"),
            root: PathBuf::from("/"),
            volumes: Vec::new(),
        };
        let (place, name) = name_instead(&volume(".isconf"), &layout).unwrap();
        assert_eq!(place, volume("").mount_point);
        assert_eq!(name, ".isconf-0000000000000abc");
        assert_eq!(name_instead(&volume(name.to_str().unwrap()), &layout), None);
        fs::set_permissions(top.path(), Permissions::from_mode(0o755)).unwrap();
        assert_eq!(name_instead(&volume(".isconf"), &layout), None);
    }
}
