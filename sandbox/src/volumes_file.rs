//! The file `volumes` of a transaction: where its scratch directories are on every volume. Not for
//! what its bytes mean (`layout`). Upholds: nothing but a scratch directory of the transaction is
//! ever removed or committed from, whatever a file says.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;

use crate::change::DecodeError;
use crate::fs::{Dir, write_durably};
use crate::layout::{
    Layout, TxId, Volume, decode_volumes, decode_whole_volumes, encode_volumes, is_hidden_name,
};

/// The file's name.
const VOLUMES: &str = "volumes";

/// The most that is read: 1000 volumes with paths of the longest kind.
const MAX_VOLUMES_BYTES: u64 = 16 * 1024 * 1024;

/// The list of a transaction's scratch directories cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VolumesError {
    /// The system refused an operation.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is damaged, or of another version.
    #[error("{} is no list of scratch directories that this version understands", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: DecodeError,
    },
    /// It names something that is no scratch directory of its transaction.
    #[error("{} names {}, which is no scratch directory of its own", path.display(), scratch.display())]
    NotItsOwn {
        /// The file.
        path: PathBuf,
        /// What it names.
        scratch: PathBuf,
    },
    /// The directory has not the name of a transaction.
    #[error("{} is no transaction", .0.display())]
    NoTransaction(PathBuf),
}

/// Writes the list before the scratch directories are made. Not synced: it guards against kill(1),
/// after which the page cache is still there; after a power cut the worst is a hidden directory
/// that stays.
pub(crate) fn write(directory: &Path, volumes: &[Volume]) -> Result<(), VolumesError> {
    let path = directory.join(VOLUMES);
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(&encode_volumes(volumes)))
        .map_err(|source| failed("write", path, source))
}

/// Replaces the list by that of a scratchpad which is to be kept, durably.
pub(crate) fn keep(directory: &Path, volumes: &[Volume]) -> Result<(), VolumesError> {
    let bytes = encode_volumes(volumes);
    let aside = b"volumes.new";
    Dir::open(directory)
        .and_then(|dir| write_durably(&dir, VOLUMES.as_bytes(), aside, &bytes))
        .map_err(|errno: Errno| failed("write", directory.join(VOLUMES), errno.into()))
}

/// The scratch directories of a transaction that is to be removed; none when the list was not
/// written yet, and those that are whole in one that was cut short by a kill or a power cut.
pub(crate) fn scratches(directory: &Path, tx: &TxId) -> Result<Vec<PathBuf>, VolumesError> {
    let volumes = read(directory, tx, decode_whole_volumes)?.unwrap_or_default();
    Ok(volumes.into_iter().map(|volume| volume.scratch).collect())
}

/// Where everything of a kept scratchpad lies, whose transaction has this directory.
pub fn kept_layout(directory: &Path) -> Result<Layout, VolumesError> {
    let name = directory.file_name().and_then(|name| name.to_str());
    let tx: Option<TxId> = name.and_then(|name| name.parse().ok());
    let tx = tx.ok_or_else(|| VolumesError::NoTransaction(directory.to_path_buf()))?;
    let volumes = read(directory, &tx, decode_volumes)?;
    let missing = || failed("read", directory.join(VOLUMES), Errno::ENOENT.into());
    Ok(Layout {
        volumes: volumes.ok_or_else(missing)?,
        tx,
        directory: directory.to_path_buf(),
        root: PathBuf::from("/"),
    })
}

/// Reads and checks the list; `None` when there is none.
fn read(
    directory: &Path,
    tx: &TxId,
    decode: fn(&[u8]) -> Result<Vec<Volume>, DecodeError>,
) -> Result<Option<Vec<Volume>>, VolumesError> {
    let path = directory.join(VOLUMES);
    let mut bytes = Vec::new();
    match File::open(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file
            .and_then(|file| file.take(MAX_VOLUMES_BYTES).read_to_end(&mut bytes))
            .map_err(|source| failed("read", path.clone(), source))?,
    };
    let volumes = match decode(&bytes) {
        Ok(volumes) => volumes,
        Err(source) => return Err(VolumesError::Damaged { path, source }),
    };
    let is_foreign = |volume: &&Volume| !is_scratch(&volume.scratch, directory, tx);
    match volumes.iter().find(is_foreign) {
        Some(Volume { scratch, .. }) => Err(VolumesError::NotItsOwn {
            path,
            scratch: scratch.clone(),
        }),
        None => Ok(Some(volumes)),
    }
}

const fn failed(operation: &'static str, path: PathBuf, source: io::Error) -> VolumesError {
    VolumesError::File {
        operation,
        path,
        source,
    }
}

/// Whether the path is `<directory>/vN` or `<mount>/.isconf/<tx>/vN`: nothing else is removed,
/// whatever a file says.
fn is_scratch(path: &Path, directory: &Path, tx: &TxId) -> bool {
    let is_plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    let is_volume = path
        .file_name()
        .and_then(|name| name.as_bytes().strip_prefix(b"v"))
        .is_some_and(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit));
    let Some(parent) = path.parent() else {
        return false;
    };
    let is_hidden = parent.ends_with(tx.as_str())
        && parent
            .parent()
            .and_then(Path::file_name)
            .is_some_and(|name| is_hidden_name(name.as_bytes()));
    path.is_absolute()
        && path.components().all(is_plain)
        && is_volume
        && (parent == directory || is_hidden)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::RelPath;
    use crate::layout::CommitPolicy;

    #[test]
    fn a_list_names_scratch_directories_only() {
        let (home, tx) = (tempfile::tempdir().unwrap(), TxId::from_parts(1, 2));
        let directory = home.path().join(tx.as_str());
        std::fs::create_dir(&directory).unwrap();
        let volume = |scratch: &Path| Volume {
            mount_point: RelPath::root(),
            fs_type: "ext4".to_owned(),
            device: (8, 1),
            scratch: scratch.to_path_buf(),
            policy: CommitPolicy::Rename,
        };
        assert!(kept_layout(&directory).is_err());
        assert_eq!(scratches(&directory, &tx).unwrap(), Vec::<PathBuf>::new());
        let own = directory.join("v0");
        let other = PathBuf::from(format!("/mnt/a\nb/.isconf/{tx}/v12"));
        let renamed = PathBuf::from(format!("/tmp/.isconf-0123456789abcdef/{tx}/v1"));
        let all = [volume(&own), volume(&other), volume(&renamed)];
        write(&directory, &all).unwrap();
        assert_eq!(scratches(&directory, &tx).unwrap(), [own, other, renamed]);
        keep(&directory, &all[..1]).unwrap();
        assert_eq!(kept_layout(&directory).unwrap().volumes, all[..1]);
        for bad in [
            "/etc".to_owned(),
            "/".to_owned(),
            String::new(),
            "etc/v1".to_owned(),
            "/mnt/.isconf/00000000000000030000000000000004/v1".to_owned(),
            format!("/mnt/.isconf-x/{tx}/v1"),
            format!("/a/../.isconf/{tx}/v1"),
        ] {
            write(&directory, &[volume(Path::new(&bad))]).unwrap();
            assert!(
                matches!(
                    scratches(&directory, &tx),
                    Err(VolumesError::NotItsOwn { .. })
                ),
                "{bad}"
            );
        }
    }
}
