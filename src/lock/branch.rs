//! The branch lock as a file: who may append to the branch, why, since when, and on what journal.
//! Not for granting it among hosts. Upholds: the lock is a person's, has no timeout, and its fence
//! number refuses the old holder after it was broken.

use std::path::{Path, PathBuf};

use isconf_sandbox::change::Digest;
use serde::{Deserialize, Serialize};

use super::HostLock;
use crate::chain::RecordText;
use crate::durable::{self, FileError};
use crate::model::{Author, EntryId, EntryRef, LockMessage, Moment, PublicKey};

/// The longest lock file, in bytes.
const MAX_LOCK_BYTES: u64 = 64 * 1024;

/// The line that names the file's format and version.
const FIRST_LINE: &str = "# isconf lock 1\n";

/// A branch's lock as it stands. The default is that of a missing or empty file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BranchLock {
    /// The number of the last holder; grows with every taking, also across unlocks.
    pub fence: u64,
    /// Who has it.
    pub held: Option<Held>,
}

/// A branch lock that somebody has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Who.
    pub author: Author,
    /// On which host; names of hosts may be the same.
    pub host: PublicKey,
    /// Why.
    pub message: LockMessage,
    /// Since when.
    pub since: Moment,
    /// Which taking this is.
    pub fence: u64,
    /// The end of the journal when the lock was taken.
    pub journal: EntryRef,
    /// Whether its holder took over what others made here and did not check in.
    pub takes_over: bool,
}

/// What somebody who wants the lock says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Who.
    pub author: Author,
    /// On which host.
    pub host: PublicKey,
    /// Why.
    pub message: LockMessage,
    /// Now.
    pub since: Moment,
    /// The end of the journal now.
    pub journal: EntryRef,
    /// Whether to take over what others made here and did not check in.
    pub takes_over: bool,
}

/// Why the branch lock could not be taken, used or read.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The system refused an operation.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not a lock of this version.
    #[error("{} is not a lock file of this version of isconf", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was wrong, where a parser said so.
        #[source]
        source: Option<Box<toml::de::Error>>,
    },
    /// Somebody else has it.
    #[error("locked by: {}: {} (lock time {})", .0.author, .0.message, .0.since)]
    HeldByOther(Box<Held>),
    /// Nobody has it.
    #[error("not locked")]
    NotLocked,
    /// It was broken and taken again since.
    #[error("the lock with number {expected} was replaced by number {found}")]
    Fenced {
        /// The number that the caller has.
        expected: u64,
        /// The number of the file.
        found: u64,
    },
}

/// The file as TOML.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    fence: u64,
    held: bool,
    author: Option<Author>,
    host: Option<PublicKey>,
    message: Option<String>,
    since: Option<Moment>,
    journal_seq: Option<u64>,
    journal_id: Option<Digest>,
    takes_over: Option<bool>,
}

impl BranchLock {
    /// Reads the lock; a missing or empty file is an unlocked branch.
    pub fn load(path: &Path) -> Result<Self, LockError> {
        let bytes = durable::read_small(path, MAX_LOCK_BYTES)?.unwrap_or_default();
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let malformed = |source| LockError::Malformed {
            path: path.to_path_buf(),
            source,
        };
        let text = str::from_utf8(&bytes)
            .ok()
            .filter(|text| text.starts_with(FIRST_LINE))
            .ok_or_else(|| malformed(None))?;
        let row: Row = toml::from_str(text).map_err(|e| malformed(Some(Box::new(e))))?;
        let lock = Self::from_row(row).ok_or_else(|| malformed(None))?;
        if lock.to_text() == text {
            Ok(lock)
        } else {
            Err(malformed(None))
        }
    }

    /// Takes the lock; see [`taken`](Self::taken).
    pub fn take(host: &HostLock, path: &Path, claim: Claim) -> Result<Held, LockError> {
        let (lock, held) = Self::load(path)?.taken(claim)?;
        lock.store(host, path)?;
        Ok(held)
    }

    /// The lock as it is when `claim` was granted, and what its holder has. A holder may take it again,
    /// which replaces message and time and keeps the fence, the journal's end, and what was taken over.
    pub fn taken(self, claim: Claim) -> Result<(Self, Held), LockError> {
        let held = match self.held {
            Some(held) if (&held.author, held.host) != (&claim.author, claim.host) => {
                return Err(LockError::HeldByOther(Box::new(held)));
            }
            Some(held) => Held {
                message: claim.message,
                since: claim.since,
                takes_over: held.takes_over || claim.takes_over,
                ..held
            },
            None => Held {
                author: claim.author,
                host: claim.host,
                message: claim.message,
                since: claim.since,
                fence: self.fence + 1,
                journal: claim.journal,
                takes_over: claim.takes_over,
            },
        };
        let lock = Self {
            fence: held.fence,
            held: Some(held.clone()),
        };
        Ok((lock, held))
    }

    /// The lock's holder, if that is `author` on this `host`.
    pub fn check(&self, author: &Author, host: &PublicKey) -> Result<&Held, LockError> {
        match &self.held {
            None => Err(LockError::NotLocked),
            Some(held) if held.author == *author && held.host == *host => Ok(held),
            Some(held) => Err(LockError::HeldByOther(Box::new(held.clone()))),
        }
    }

    /// Gives up the lock with number `fence`; an unlocked branch stays so.
    pub fn release(host: &HostLock, path: &Path, fence: u64) -> Result<(), LockError> {
        let lock = Self::load(path)?;
        match lock.released(fence)? {
            released if released == lock => Ok(()),
            released => released.store(host, path),
        }
    }

    /// The same where it is given up once more if it is held again after a power cut. Costs one sync less.
    pub fn release_soon(_host: &HostLock, path: &Path, fence: u64) -> Result<(), LockError> {
        let lock = Self::load(path)?;
        match lock.released(fence)? {
            released if released == lock => {}
            released => durable::replace_soon(path, released.to_text().as_bytes())?,
        }
        Ok(())
    }

    /// The lock as it is when it was given up with number `fence`.
    pub fn released(&self, fence: u64) -> Result<Self, LockError> {
        match &self.held {
            Some(held) if held.fence != fence => Err(LockError::Fenced {
                expected: fence,
                found: held.fence,
            }),
            Some(_) | None => Ok(self.broken()),
        }
    }

    /// The lock as it is when nobody has it, whoever had.
    pub const fn broken(&self) -> Self {
        Self {
            fence: self.fence,
            held: None,
        }
    }

    /// Frees the branch whoever has it; returns who had it, to be told.
    pub fn break_open(host: &HostLock, path: &Path) -> Result<Option<Held>, LockError> {
        let lock = Self::load(path)?;
        if lock.held.is_some() {
            lock.broken().store(host, path)?;
        }
        Ok(lock.held)
    }

    /// Replaces the file with what is so elsewhere: with what the voters of the domain granted.
    pub fn note(self, host: &HostLock, path: &Path) -> Result<(), LockError> {
        match Self::load(path) {
            Ok(known) if known == self => Ok(()),
            Ok(_) | Err(LockError::Malformed { .. }) => self.store(host, path),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file.
    fn store(&self, _host: &HostLock, path: &Path) -> Result<(), LockError> {
        durable::replace(path, self.to_text().as_bytes())?;
        Ok(())
    }

    /// The file's content.
    fn to_text(&self) -> String {
        let mut text = RecordText::new();
        text.plain("fence", self.fence)
            .plain("held", self.held.is_some());
        if let Some(held) = &self.held {
            text.string("author", &held.author)
                .string("host", &held.host)
                .string("message", &held.message)
                .string("since", &held.since)
                .plain("journal_seq", held.journal.seq)
                .string("journal_id", &held.journal.id)
                .plain("takes_over", held.takes_over);
        }
        format!("{FIRST_LINE}{}", text.as_str())
    }

    /// Takes the fields that were read: all of a holder's, or none.
    fn from_row(row: Row) -> Option<Self> {
        let fence = row.fence;
        if !row.held {
            return Some(Self { fence, held: None });
        }
        let held = Held {
            author: row.author?,
            host: row.host?,
            message: LockMessage::new(&row.message?).ok()?,
            since: row.since?,
            fence,
            journal: EntryRef {
                seq: row.journal_seq?,
                id: EntryId(row.journal_id?),
            },
            takes_over: row.takes_over?,
        };
        Some(Self {
            fence,
            held: Some(held),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::{Holder, Wait};
    use std::fs;

    const HOST: PublicKey = PublicKey::from_bytes([1; 32]);

    fn host_lock(dir: &Path) -> HostLock {
        let holder = Holder {
            pid: 1,
            verb: "test".to_owned(),
            since: Moment::EPOCH,
        };
        HostLock::take(&dir.join(".lock"), &holder, Wait::No, &mut |_| ()).unwrap()
    }

    fn claim(author: &str, message: &str) -> Claim {
        Claim {
            author: Author::new(author).unwrap(),
            host: HOST,
            message: LockMessage::new(message).unwrap(),
            since: Moment::EPOCH,
            journal: EntryRef {
                seq: 3,
                id: EntryId(Digest::of(b"3")),
            },
            takes_over: false,
        }
    }

    #[test]
    fn one_person_has_it_until_released_and_the_fence_grows() {
        let dir = tempfile::tempdir().unwrap();
        let (host, path) = (host_lock(dir.path()), dir.path().join("lock"));
        assert_eq!(BranchLock::load(&path).unwrap(), BranchLock::default());
        let held = BranchLock::take(&host, &path, claim("a@h1", "one")).unwrap();
        assert_eq!(held.fence, 1);
        let other = BranchLock::take(&host, &path, claim("b@h1", "two")).unwrap_err();
        assert!(
            other
                .to_string()
                .starts_with("locked by: a@h1: one (lock time 1970")
        );
        let again = BranchLock::take(&host, &path, claim("a@h1", "say \"why\"\\")).unwrap();
        assert_eq!((again.fence, again.message.as_str()), (1, "say \"why\"\\"));
        let lock = BranchLock::load(&path).unwrap();
        assert_eq!(lock.check(&again.author, &HOST).unwrap(), &again);
        assert!(matches!(
            lock.check(&claim("b@h1", "x").author, &HOST),
            Err(LockError::HeldByOther(_))
        ));
        // Another host of the same name.
        let twin = PublicKey::from_bytes([2; 32]);
        assert!(matches!(
            lock.check(&again.author, &twin),
            Err(LockError::HeldByOther(_))
        ));
        let mut theirs = claim("a@h1", "one");
        theirs.host = twin;
        assert!(BranchLock::take(&host, &path, theirs).is_err());
        BranchLock::release(&host, &path, 1).unwrap();
        let lock = BranchLock::load(&path).unwrap();
        assert!(matches!(
            lock.check(&again.author, &HOST),
            Err(LockError::NotLocked)
        ));
        let held = BranchLock::take(&host, &path, claim("b@h1", "two")).unwrap();
        assert_eq!(held.fence, 2);
    }

    #[test]
    fn a_broken_lock_fences_its_old_holder() {
        let dir = tempfile::tempdir().unwrap();
        let (host, path) = (host_lock(dir.path()), dir.path().join("lock"));
        assert_eq!(BranchLock::break_open(&host, &path).unwrap(), None);
        let held = BranchLock::take(&host, &path, claim("a@h1", "one")).unwrap();
        assert_eq!(BranchLock::break_open(&host, &path).unwrap(), Some(held));
        BranchLock::take(&host, &path, claim("b@h1", "two")).unwrap();
        let late = BranchLock::release(&host, &path, 1).unwrap_err();
        let expected = (1, 2);
        assert!(matches!(late, LockError::Fenced { expected: e, found: f } if (e, f) == expected));
    }

    #[test]
    fn empty_is_unlocked_and_damage_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let (host, path) = (host_lock(dir.path()), dir.path().join("lock"));
        fs::write(&path, b"").unwrap();
        assert_eq!(BranchLock::load(&path).unwrap(), BranchLock::default());
        BranchLock::take(&host, &path, claim("a@h1", "one")).unwrap();
        let whole = fs::read(&path).unwrap();
        for end in 1..whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            assert!(BranchLock::load(&path).is_err(), "at {end}");
        }
        fs::write(&path, b"root@h1: the original's format").unwrap();
        assert!(BranchLock::load(&path).is_err());
    }
}
