//! Small files that must survive a power cut whole or not at all. Upholds: aside, fsync, rename,
//! fsync of the directory, in that order.

use std::fs::File;
use std::io::Write as _;

use nix::errno::Errno;

use super::{Dir, sync_at};

/// Writes `bytes` as the file `name` in `dir`, through the name `aside`, which is replaced.
pub fn write_durably(dir: &Dir, name: &[u8], aside: &[u8], bytes: &[u8]) -> Result<(), Errno> {
    let file = write_aside(dir, aside, bytes)?;
    // Without it the name could be durable before the bytes are: an empty file after a power cut.
    sync_at("replaced.bytes", || nix::unistd::fsync(&file))?;
    dir.at(aside).rename_over(dir.at(name))?;
    // Without it the caller would go on while the name may still vanish.
    sync_at("replaced.name", || dir.sync())
}

/// Writes `bytes` as the file `aside` in `dir`, which is replaced. To be synced before it gets a name
/// that counts.
pub fn write_aside(dir: &Dir, aside: &[u8], bytes: &[u8]) -> Result<File, Errno> {
    match dir.at(aside).unlink() {
        // A left-over of a process that was stopped here.
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno),
    }
    let mut file = File::from(dir.at(aside).create(0o600)?);
    file.write_all(bytes).map_err(|e| errno_of(&e))?;
    Ok(file)
}

/// The errno in an error of the standard library, which always has one for a file operation.
fn errno_of(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
