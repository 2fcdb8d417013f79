//! File changes that survive a power cut, and the named points at which a test may stop the
//! process. Not for the live tree (that is the sandbox's file layer): this serves isconf's own
//! files below `IS_HOME`. Upholds: write aside, make durable, put in place by one atomic step,
//! make the directory durable.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use isconf_sandbox::fs::sync_at;
use nix::errno::Errno;
use nix::fcntl::OFlag;

/// A file operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}", path.display())]
pub struct FileError {
    /// What was tried, as a verb: `read`, `rename`.
    pub operation: &'static str,
    /// On which file.
    pub path: PathBuf,
    /// Why it failed.
    #[source]
    pub source: io::Error,
}

impl FileError {
    /// Makes the closure that `map_err` wants.
    pub fn of(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self {
            operation,
            path,
            source,
        }
    }
}

/// The mode of the files below `IS_HOME`: they hold commands, contents and keys of root.
pub const PRIVATE_FILE_MODE: u32 = 0o600;

/// The mode of the directories below `IS_HOME`.
pub const PRIVATE_DIRECTORY_MODE: u32 = 0o700;

/// Puts `bytes` in place of the file at `path`: after a crash the file has either its old content
/// or the new one. The directory must exist. Costs two syncs.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_aside(path, bytes)?.put_in_place()
}

/// The same for what may be the old content once more after a power cut: for news that come again. Costs one sync.
pub fn replace_soon(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_aside(path, bytes)?.rename()
}

/// Puts `bytes` in place without waiting for the disk: after a power cut the file may have its old content, or none. For
/// what every verb makes anew, and whose readers take an empty file for a missing one. Costs no sync.
pub fn replace_unsynced(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let aside = path_aside(path);
    let mut file = create_private(&aside)?;
    file.write_all(bytes)
        .map_err(FileError::of("write", &aside))?;
    fs::rename(&aside, path).map_err(FileError::of("rename", &aside))
}

/// What will be the content of a file, durable under another name.
#[derive(Debug)]
#[must_use = "it does not count before it is in place"]
pub struct Aside<'a> {
    path: &'a Path,
    aside: PathBuf,
}

/// Writes what will be the content of the file at `path`; durable on return, which costs one sync.
pub fn write_aside<'a>(path: &'a Path, bytes: &[u8]) -> Result<Aside<'a>, FileError> {
    let aside = path_aside(path);
    let mut file = create_private(&aside)?;
    file.write_all(bytes)
        .map_err(FileError::of("write", &aside))?;
    // The content must be durable before the name points at it: without this sync the rename could
    // reach the disk first, and a power cut would leave an empty file under the real name.
    sync_at("replaced.bytes", || file.sync_all()).map_err(FileError::of("sync", &aside))?;
    Ok(Aside { path, aside })
}

impl Aside<'_> {
    /// Makes it the content, durably. Costs one sync.
    pub fn put_in_place(self) -> Result<(), FileError> {
        let path = self.path;
        self.rename()?;
        // Without this sync the old content could be back after a power cut.
        sync_at("replaced.name", || sync_directory_of(path))
    }

    fn rename(self) -> Result<(), FileError> {
        fs::rename(&self.aside, self.path).map_err(FileError::of("rename", &self.aside))
    }
}

/// Makes an empty file at `path`, whose name says it all; durable on return, also if it was there. Costs one sync.
pub fn mark(path: &Path) -> Result<(), FileError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(PRIVATE_FILE_MODE)
        .open(path)
        .map_err(FileError::of("create", path))?;
    // Without this sync the name could be gone after a power cut, also one that somebody made who was stopped before.
    sync_at("replaced.name", || sync_directory_of(path))
}

/// Does two things that each wait for the disk, and do not need each other: a disk does both in little more than the
/// time of one. Where there is no further thread, one behind the other.
pub fn together<A: Send, B>(one: impl Fn() -> A + Sync, other: impl FnOnce() -> B) -> (A, B) {
    thread::scope(|scope| {
        let beside = thread::Builder::new().spawn_scoped(scope, &one);
        let other = other();
        let one = match beside {
            Ok(beside) => beside.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => one(),
        };
        (one, other)
    })
}

/// Makes the file at `path` empty of any content and writable by its owner alone; a leftover of a
/// crashed writer under that name is overwritten, a link is not followed.
pub fn create_private(path: &Path) -> Result<File, FileError> {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(FileError::of("remove", path)(e)),
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(PRIVATE_FILE_MODE)
        .open(path)
        .map_err(FileError::of("create", path))
}

/// Makes the directory and its missing parents, each root-only and durable.
pub fn create_directories(path: &Path) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        create_directories(parent)?;
    }
    match DirBuilder::new().mode(PRIVATE_DIRECTORY_MODE).create(path) {
        Ok(()) => {}
        // Somebody else made it meanwhile.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        Err(e) => return Err(FileError::of("create", path)(e)),
    }
    // What is put into the new directory would be lost together with its own name.
    sync_at("made.name", || sync_directory_of(path))
}

/// Removes the file at `path`, durably; one that is not there is fine. Returns whether it was there.
pub fn remove(path: &Path) -> Result<bool, FileError> {
    if !remove_soon(path)? {
        return Ok(false);
    }
    // Without this sync the file could be back after a power cut.
    sync_at("removed.name", || sync_directory_of(path))?;
    Ok(true)
}

/// The same for one that may be back after a power cut.
pub fn remove_soon(path: &Path) -> Result<bool, FileError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(FileError::of("remove", path)(e)),
    }
}

/// Makes the names in the directory that holds `path` durable.
pub fn sync_directory_of(path: &Path) -> Result<(), FileError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    sync_directory(directory)
}

/// Makes the names in `directory` durable.
pub fn sync_directory(directory: &Path) -> Result<(), FileError> {
    File::open(directory)
        .and_then(|d| d.sync_all())
        .map_err(FileError::of("sync", directory))
}

/// What stands in the place of a file; not a directory, for which the system has words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is a {0} and not a regular file")]
pub struct NotAFile(&'static str);

/// Opens one of isconf's files for reading. Never waits: a fifo would (fifo(7)). Anything but a
/// regular file is an error: `EISDIR`, or one with [`NotAFile`] as its cause.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open(path)?;
    check_regular(&file)?;
    Ok(file)
}

/// Refuses anything but a regular file.
pub fn check_regular(file: &File) -> io::Result<()> {
    let kind = file.metadata()?.file_type();
    let name = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => return Err(Errno::EISDIR.into()),
        () if kind.is_fifo() => "fifo",
        () if kind.is_char_device() || kind.is_block_device() => "device",
        () => "special file",
    };
    Err(io::Error::new(io::ErrorKind::InvalidData, NotAFile(name)))
}

/// Reads a small file, at most `limit` bytes of it; `None` when it does not exist. A longer file
/// is an error of kind `FileTooLarge`.
pub fn read_small(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FileError> {
    let file = match open_regular(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(FileError::of("open", path)(e)),
    };
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(FileError::of("read", path))?;
    if bytes.len() as u64 > limit {
        return Err(FileError::of("read", path)(
            io::ErrorKind::FileTooLarge.into(),
        ));
    }
    Ok(Some(bytes))
}

/// The name under which new content is written before it is put in place. One name is enough:
/// only the holder of the host lock writes these files.
fn path_aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn replace_leaves_a_private_file_and_nothing_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, PRIVATE_FILE_MODE);
    }

    #[test]
    fn read_small_refuses_what_is_too_long() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        assert!(read_small(&path, 3).unwrap().is_none());
        replace(&path, b"1234").unwrap();
        assert!(read_small(&path, 3).is_err());
        assert_eq!(read_small(&path, 4).unwrap().unwrap(), b"1234");
    }

    #[test]
    fn directories_are_private_and_removal_says_what_it_did() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        create_directories(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, PRIVATE_DIRECTORY_MODE);
        assert!(!remove(&path.join("f")).unwrap());
        replace(&path.join("f"), b"").unwrap();
        assert!(remove(&path.join("f")).unwrap());
    }
}
