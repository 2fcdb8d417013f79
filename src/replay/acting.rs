//! Remembers for which entry a command has been let at the running system: what it did there is not
//! taken back, neither when it fails nor when isconf is interrupted, and the next `up` does it once
//! more. Not for doing it. Upholds: whoever does it again says so.
//!
//! ```text
//! conf/acting    the entry's identity; durable before the command starts, removed when the entry is
//!                committed
//! ```

use crate::durable::{self, FileError};
use crate::model::{EntryId, Home};

/// More than an identity has.
const MAX_BYTES: u64 = 256;

/// Whether the entry's command has acted before. A mark that cannot be read says nothing.
pub(super) fn has_acted(home: &Home, entry: EntryId) -> bool {
    let mark = durable::read_small(&home.acting(), MAX_BYTES);
    mark.is_ok_and(|mark| mark.is_some_and(|mark| mark == line(entry)))
}

/// Notes that the entry's command is about to act. Durable: a power cut is an interruption too.
pub(super) fn begin(home: &Home, entry: EntryId) -> Result<(), FileError> {
    durable::replace(&home.acting(), &line(entry))
}

/// Notes that nobody will do it once more.
pub(super) fn end(home: &Home) -> Result<(), FileError> {
    durable::remove(&home.acting()).map(drop)
}

fn line(entry: EntryId) -> Vec<u8> {
    format!("{entry}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use isconf_sandbox::change::Digest;

    #[test]
    fn only_an_entry_that_has_begun_has_acted() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        durable::create_directories(&home.conf()).unwrap();
        let [one, two] = [b"1", b"2"].map(|bytes| EntryId(Digest::of(bytes)));
        assert!(!has_acted(&home, one));
        begin(&home, one).unwrap();
        assert!(has_acted(&home, one) && !has_acted(&home, two));
        end(&home).unwrap();
        end(&home).unwrap();
        assert!(!has_acted(&home, one));
        std::fs::write(home.acting(), [b'x'; 1000]).unwrap();
        assert!(!has_acted(&home, one));
        begin(&home, one).unwrap();
        assert!(has_acted(&home, one));
    }
}
