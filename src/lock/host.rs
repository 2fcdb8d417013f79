//! The host lock: one isconf at a time changes anything on this host. Not the branch lock. Upholds:
//! two isconf on one host never interleave; the kernel frees the lock of a process that died.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::chain::RecordText;
use crate::durable::{self, FileError, PRIVATE_FILE_MODE};
use crate::model::Moment;

/// The longest description of a holder, in bytes.
const MAX_HOLDER_BYTES: u64 = 1024;

/// The pause between two tries when waiting with a limit; doubled up to the longest one.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Who has the host lock. What the file says, for people; the lock itself is the kernel's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// What it does: `up`.
    pub verb: String,
    /// Since when.
    pub since: Moment,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, verb, since } = self;
        write!(f, "isconf {verb} (process {pid}, since {since})")
    }
}

/// What to do while another process has the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Give up at once.
    No,
    /// Wait as long as it takes.
    UntilFree,
    /// Wait at most this long.
    AtMost(Duration),
}

/// Why the host lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum HostLockError {
    /// The system refused an operation.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another process has it.
    #[error("another isconf is at work on this host: {}", describe(.0.as_ref()))]
    Held(Option<Holder>),
}

/// The holder for people; the moment between locking and writing the description has none.
fn describe(holder: Option<&Holder>) -> String {
    holder.map_or_else(
        || "it did not say what it does".to_owned(),
        Holder::to_string,
    )
}

/// The right to change things on this host; given up when dropped.
#[derive(Debug)]
#[must_use = "the lock is given up when this value is dropped"]
pub struct HostLock {
    file: File,
}

impl HostLock {
    /// Takes the lock at `path` (its directory must exist) and writes `holder` into it. `on_wait` is
    /// called once, with who has it, before waiting begins.
    pub fn take(
        path: &Path,
        holder: &Holder,
        wait: Wait,
        on_wait: &mut dyn FnMut(Option<&Holder>),
    ) -> Result<Self, HostLockError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(PRIVATE_FILE_MODE)
            .open(path)
            .map_err(FileError::of("open", path))?;
        durable::check_regular(&file).map_err(FileError::of("open", path))?;
        if !try_lock(&file, path)? {
            let held = || HostLockError::Held(read_holder(&file));
            match wait {
                Wait::No => return Err(held()),
                Wait::UntilFree => {
                    on_wait(read_holder(&file).as_ref());
                    file.lock().map_err(FileError::of("lock", path))?;
                }
                Wait::AtMost(limit) => {
                    on_wait(read_holder(&file).as_ref());
                    if !try_until(&file, path, limit)? {
                        return Err(held());
                    }
                }
            }
        }
        // Who waits is told less without it, as on a full disk; the lock is the kernel's.
        let _said_if_possible = write_holder(&file, holder);
        Ok(Self { file })
    }
}

impl Drop for HostLock {
    /// Makes the description a comment; the kernel frees the lock when the file is closed. One that
    /// stays is nearly harmless: it is read only while the lock is held.
    fn drop(&mut self) {
        let _stale_text_is_harmless = self.file.write_at(b"#", 0);
    }
}

/// Tries once; `false` when another process has it.
fn try_lock(file: &File, path: &Path) -> Result<bool, FileError> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(e)) => Err(FileError::of("lock", path)(e)),
    }
}

/// Tries again and again for at most `limit`: flock(2) has no time limit of its own.
fn try_until(file: &File, path: &Path, limit: Duration) -> Result<bool, FileError> {
    let begin = Instant::now();
    let mut pause = FIRST_PAUSE;
    while let Some(left) = limit.checked_sub(begin.elapsed()) {
        thread::sleep(pause.min(left));
        if try_lock(file, path)? {
            return Ok(true);
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Ok(false)
}

/// Writes the description in place: the lock is the inode's, so the file cannot be replaced. It
/// need not be durable, since after a crash nobody has the lock. Not emptied before: on a full disk
/// the block that it has is the only one to be had.
fn write_holder(file: &File, holder: &Holder) -> std::io::Result<()> {
    let mut text = RecordText::new();
    text.plain("pid", i64::from(holder.pid))
        .string("verb", &holder.verb)
        .string("since", &holder.since);
    let text = text.as_str().as_bytes();
    file.write_all_at(text, 0)?;
    file.set_len(text.len() as u64)
}

/// Reads the description; `None` when there is none yet, or it is being written.
fn read_holder(mut file: &File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(MAX_HOLDER_BYTES).read_to_string(&mut text).ok()?;
    toml::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(verb: &str) -> Holder {
        Holder {
            pid: 1234,
            verb: verb.to_owned(),
            since: Moment::EPOCH,
        }
    }

    fn quiet(_: Option<&Holder>) {}

    #[test]
    fn the_second_is_told_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        let first = HostLock::take(&path, &holder("up"), Wait::No, &mut quiet).unwrap();
        let second = HostLock::take(&path, &holder("ci"), Wait::No, &mut quiet);
        let Err(HostLockError::Held(Some(found))) = second else {
            panic!("the lock was given twice");
        };
        assert_eq!(found, holder("up"));
        let limit = Wait::AtMost(Duration::from_millis(1));
        let mut told = None;
        let third = HostLock::take(&path, &holder("ci"), limit, &mut |h| told = h.cloned());
        assert!(third.is_err());
        assert_eq!(told, Some(holder("up")));
        drop(first);
        let file = File::open(&path).unwrap();
        assert_eq!(read_holder(&file), None, "nobody has it");
        let longer = holder("a verb with a name longer than all others");
        drop(HostLock::take(&path, &longer, Wait::No, &mut quiet).unwrap());
        let again = HostLock::take(&path, &holder("ci"), Wait::No, &mut quiet).unwrap();
        assert_eq!(read_holder(&file), Some(holder("ci")));
        drop(again);
    }

    #[test]
    fn a_waiting_one_gets_it_when_it_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        let first = HostLock::take(&path, &holder("up"), Wait::No, &mut quiet).unwrap();
        let (waits, is_waiting) = std::sync::mpsc::channel();
        thread::scope(|scope| {
            let second = scope.spawn(|| {
                let mut on_wait = |_: Option<&Holder>| waits.send(()).unwrap();
                HostLock::take(&path, &holder("ci"), Wait::UntilFree, &mut on_wait)
            });
            is_waiting.recv().unwrap();
            drop(first);
            assert!(second.join().unwrap().is_ok());
        });
    }
}
