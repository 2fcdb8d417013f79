//! Remembers for which entry a command has been let at the running system: what it did there is not
//! taken back when isconf is interrupted, and the next `up` does it once more. Not for doing it.
//! Upholds: whoever does it again says so.
//!
//! ```text
//! conf/acting    the entry's identity; durable before the command starts, removed when it has ended
//!                and its files are live or dropped
//! ```

use crate::durable::{self, FileError};
use crate::model::{EntryId, Home};

/// More than an identity has; what is longer is none.
const MAX_BYTES: u64 = 256;

/// Notes that the entry's command is about to act; says whether it was about to before, and nobody saw
/// the end. Durable: a power cut is an interruption too.
pub(super) fn begin(home: &Home, entry: EntryId) -> Result<bool, FileError> {
    let path = home.acting();
    let line = format!("{entry}\n");
    let before = durable::read_small(&path, MAX_BYTES)?;
    if before.is_some_and(|before| before == line.as_bytes()) {
        return Ok(true);
    }
    durable::replace(&path, line.as_bytes())?;
    Ok(false)
}

/// Notes that it has ended. After a crash before this, of an entry that is committed, nobody asks.
pub(super) fn end(home: &Home) -> Result<(), FileError> {
    durable::remove(&home.acting()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use isconf_sandbox::change::Digest;

    #[test]
    fn only_the_same_entry_that_did_not_end_was_interrupted() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        durable::create_directories(&home.conf()).unwrap();
        let [one, two] = [b"1", b"2"].map(|bytes| EntryId(Digest::of(bytes)));
        assert!(!begin(&home, one).unwrap());
        assert!(begin(&home, one).unwrap());
        assert!(!begin(&home, two).unwrap());
        end(&home).unwrap();
        end(&home).unwrap();
        assert!(!begin(&home, two).unwrap());
    }
}
