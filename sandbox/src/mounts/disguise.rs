//! What a scratchpad tells of its host in place of the truth: another host name, other contents of
//! some files. Not for why. Upholds: nothing of it shows in an upper layer, so that it is no change
//! of the command's; the live host keeps its name.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;

use super::step::{Step, Target, c_string};
use crate::change::RelPath;

/// What is told in place of the truth.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Disguise {
    /// The host name, in the scratchpad's own uts namespace (uts_namespaces(7)).
    pub host_name: OsString,
    /// Regular files that exist, on the way to which is no link, each with what is read there. They
    /// cannot be replaced inside: a rename over a mount point fails with `EBUSY`.
    pub files: Vec<(RelPath, Vec<u8>)>,
}

/// The contents could not be written down.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub struct DisguiseError {
    /// Where.
    path: PathBuf,
    /// Why not.
    #[source]
    source: std::io::Error,
}

impl Disguise {
    /// The steps that show it, behind all others and before the root is entered. `directory` is the
    /// transaction's.
    pub(super) fn steps(&self, directory: &Path) -> Vec<Step> {
        let name = Step::Name {
            name: self.host_name.clone(),
        };
        let shown = self.files.iter().enumerate().map(|(number, (path, _))| {
            let source = content_path(directory, number);
            Step::Bind {
                source: c_string(source.as_os_str().as_bytes().to_vec()),
                target: Target::of(path),
                flags: MsFlags::MS_RDONLY
                    | MsFlags::MS_NOSUID
                    | MsFlags::MS_NODEV
                    | MsFlags::MS_NOEXEC,
            }
        });
        std::iter::once(name).chain(shown).collect()
    }

    /// Writes the contents down where the steps take them from; they go with the transaction's
    /// directory. Not synced: a power cut ends the scratchpad.
    pub(crate) fn write(&self, directory: &Path) -> Result<(), DisguiseError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| DisguiseError { path, source }
        };
        let top = directory.join(DIRECTORY);
        let mut builder = fs::DirBuilder::new();
        // It is there when the mounts are planned anew.
        builder.recursive(true).mode(0o700);
        builder.create(&top).map_err(failed(&top))?;
        for (number, (_, content)) in self.files.iter().enumerate() {
            let path = content_path(directory, number);
            let mut options = fs::OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o444);
            let mut file = options.open(&path).map_err(failed(&path))?;
            file.write_all(content).map_err(failed(&path))?;
        }
        Ok(())
    }
}

/// Where the contents are, in the transaction's directory.
const DIRECTORY: &str = "disguise";

fn content_path(directory: &Path, number: usize) -> PathBuf {
    directory.join(DIRECTORY).join(number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_written_where_the_steps_take_them_from_and_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = RelPath::new(*b"etc/machine-id").unwrap();
        let disguise = Disguise {
            host_name: "other".into(),
            files: vec![(path.clone(), b"longer".to_vec()), (path, b"id".to_vec())],
        };
        for _again in 0..2 {
            disguise.write(directory.path()).unwrap();
        }
        let steps = disguise.steps(directory.path());
        let [Step::Name { name }, _, Step::Bind { source, target, .. }] = &steps[..] else {
            panic!("{steps:?}");
        };
        assert_eq!(name, "other");
        assert_eq!(target.to_inside(), Path::new("/etc/machine-id"));
        let source = Path::new(std::ffi::OsStr::from_bytes(source.to_bytes()));
        assert_eq!(fs::read(source).unwrap(), b"id");
    }
}
