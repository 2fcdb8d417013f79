//! The files in a transaction's directory that say how far it is, and the moves between them.
//!
//! ```text
//! intent.new → intent ─────→ done            a change set made real
//!                  └→ rollback → (nothing)   an error on the way: taken back
//! undo-intent.new → undo-intent → undone     taken back later, on demand
//!                        └→ undo-rollback → (nothing)
//! ```
//! Upholds: every transition is one rename, durable before anything is done that relies on it.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::bytes::Damage;
use super::crash_point;
use super::intent::{Direction, Intent, MAX_INTENT_BYTES};
use crate::change::Timestamp;
use crate::fs::{Dir, remove_tree, sync_at, sync_together, write_aside};

/// A state of a transaction, named as its file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum State {
    Intent,
    Rollback,
    Done,
    UndoIntent,
    UndoRollback,
    Undone,
    Dropped,
}

/// The files of all states. While one of them is there the transaction belongs to commit, which
/// may need what it set aside.
pub(crate) const RECORD_FILES: [&str; 7] = [
    State::Intent.file(),
    State::Rollback.file(),
    State::Done.file(),
    State::UndoIntent.file(),
    State::UndoRollback.file(),
    State::Undone.file(),
    State::Dropped.file(),
];

/// The file that says that `done` is durable.
const DURABLE: &[u8] = b"durable";

/// A record could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A system call failed.
    #[error("{path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        errno: Errno,
    },
    /// What goes with the record could not be made durable.
    #[error("what goes with the change cannot be made durable")]
    Companion(#[source] Errno),
    /// The file is not what we write.
    #[error("{path} is damaged: {damage}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How.
        #[source]
        damage: Damage,
    },
}

/// The record of a transaction about to happen could not be written.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// It is not there: nothing will happen.
    Absent(RecordError),
    /// It may be there, since it was written, could not be made durable, and not be removed for sure
    /// either: the next start sees which.
    Undecided(RecordError),
}

impl State {
    pub(super) const fn file(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Rollback => "rollback",
            Self::Done => "done",
            Self::UndoIntent => "undo-intent",
            Self::UndoRollback => "undo-rollback",
            Self::Undone => "undone",
            Self::Dropped => "dropped",
        }
    }

    /// The state in which a transaction of this direction is about to happen.
    pub(super) const fn intended(direction: Direction) -> Self {
        match direction {
            Direction::Forward => Self::Intent,
            Direction::Backward => Self::UndoIntent,
        }
    }

    /// The state in which it is being taken back after an error.
    pub(super) const fn failing(direction: Direction) -> Self {
        match direction {
            Direction::Forward => Self::Rollback,
            Direction::Backward => Self::UndoRollback,
        }
    }

    /// The state in which it is over.
    pub(super) const fn finished(direction: Direction) -> Self {
        match direction {
            Direction::Forward => Self::Done,
            Direction::Backward => Self::Undone,
        }
    }
}

/// The name of a record that says nothing yet.
fn aside(state: State) -> String {
    format!("{}.new", state.file())
}

/// The record of a transaction about to happen, before it has its name.
#[derive(Debug)]
pub(super) struct Draft(State);

/// A transaction's directory.
#[derive(Debug)]
pub(super) struct Records {
    path: PathBuf,
    dir: Dir,
}

impl Records {
    pub(super) fn open(path: &Path) -> Result<Self, RecordError> {
        let dir = Dir::open(path).map_err(|errno| RecordError::Io {
            path: path.to_path_buf(),
            errno,
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            dir,
        })
    }

    fn error(&self, state: State) -> impl FnOnce(Errno) -> RecordError + use<> {
        let path = self.path.join(state.file());
        move |errno| RecordError::Io { path, errno }
    }

    pub(super) fn has(&self, state: State) -> Result<bool, RecordError> {
        let found = self.dir.at(state.file().as_bytes()).stat();
        Ok(found.map_err(self.error(state))?.is_some())
    }

    /// Notes that the end of the transaction is durable. The note itself need not be: where it is, the end was durable
    /// before. It goes with the directory.
    pub(super) fn note_durable(&self) {
        let _costs_a_sync_without_it = self.dir.at(DURABLE).create(0o600);
    }

    /// Whether the end of the transaction is known to be durable.
    pub(super) fn is_noted_durable(&self) -> bool {
        matches!(self.dir.at(DURABLE).stat(), Ok(Some(_)))
    }

    /// When the transaction came to this state.
    pub(super) fn since(&self, state: State) -> Result<Timestamp, RecordError> {
        let found = self.dir.at(state.file().as_bytes()).stat();
        let found = found.and_then(|stat| stat.ok_or(Errno::ENOENT));
        Ok(found.map_err(self.error(state))?.identity.ctime)
    }

    pub(super) fn read(&self, state: State) -> Result<Intent, RecordError> {
        let path = self.path.join(state.file());
        let io = |e: std::io::Error| RecordError::Io {
            path: path.clone(),
            errno: Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)),
        };
        let damaged = |damage| RecordError::Damaged {
            path: path.clone(),
            damage,
        };
        let file = File::open(&path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        if size > MAX_INTENT_BYTES {
            return Err(damaged(Damage::TooLong(size)));
        }
        let mut bytes = Vec::new();
        file.take(MAX_INTENT_BYTES)
            .read_to_end(&mut bytes)
            .map_err(io)?;
        Intent::from_bytes(&bytes).map_err(damaged)
    }

    /// Writes the record of a transaction about to happen, and makes it so.
    pub(super) fn write(&self, intent: &Intent) -> Result<(), Unwritten> {
        let (draft, file) = self.draft(intent).map_err(Unwritten::Absent)?;
        // Without it the name could be durable before the bytes are: a damaged record after a power cut.
        sync_at("intent.bytes", || nix::unistd::fsync(&file))
            .map_err(|errno| Unwritten::Absent(self.error(draft.0)(errno)))?;
        self.publish(&draft, &[])
    }

    /// Writes the record aside, where it says nothing yet. The file is to be synced before it is
    /// published.
    pub(super) fn draft(&self, intent: &Intent) -> Result<(Draft, File), RecordError> {
        let state = State::intended(intent.direction);
        let file = write_aside(&self.dir, aside(state).as_bytes(), &intent.to_bytes())
            .map_err(self.error(state))?;
        crash_point("commit.intent.written");
        Ok((Draft(state), file))
    }

    /// Gives the record, whose bytes are durable, its name: from when this returns the transaction will
    /// happen. `companions`, directories in which names changed, are durable before that.
    pub(super) fn publish(&self, draft: &Draft, companions: &[File]) -> Result<(), Unwritten> {
        // Without it the receipt, which the intent is as good as, could refer to what has no name yet.
        // A missing one is safe where the journal has both names, in this order.
        let mut others: Vec<&File> = companions.iter().collect();
        others.retain(|dir| !self.dir.names_come_before_ours(dir));
        let synced = sync_at("companion.names", || sync_together(&others));
        let failed = |(_, errno)| Unwritten::Absent(RecordError::Companion(errno));
        synced.map_err(failed)?;
        crash_point("commit.intent.synced");
        let renamed = self
            .dir
            .at(aside(draft.0).as_bytes())
            .rename_over(self.dir.at(draft.0.file().as_bytes()));
        let published = renamed.and_then(|()| {
            crash_point("commit.intent.renamed");
            // Without it steps could be durable and the intent not: half a change that nobody knows of.
            sync_at("intent.name", || self.dir.sync())
        });
        published.map_err(|errno| self.withdraw(draft.0, errno))?;
        crash_point("commit.intent.durable");
        Ok(())
    }

    /// Makes sure that a record which could not be made durable is not there.
    fn withdraw(&self, state: State, errno: Errno) -> Unwritten {
        let error = self.error(state)(errno);
        match self.dir.at(state.file().as_bytes()).unlink() {
            Err(Errno::ENOENT) => Unwritten::Absent(error),
            // Without the sync a power cut could bring it back, and it would be gone on with.
            Ok(()) if sync_at("record.withdrawn", || self.dir.sync()).is_ok() => {
                Unwritten::Absent(error)
            }
            Ok(()) | Err(_) => Unwritten::Undecided(error),
        }
    }

    /// Moves from one state to the next; `renamed` is a crash point between the rename and the
    /// sync of the directory, without which a power cut could bring the old state back.
    pub(super) fn advance(
        &self,
        from: State,
        to: State,
        renamed: impl FnOnce(),
    ) -> Result<(), RecordError> {
        self.rename(from, to)?;
        renamed();
        self.sync(to)
    }

    /// Makes the state durable to which it was renamed.
    pub(super) fn sync(&self, state: State) -> Result<(), RecordError> {
        sync_at("record.advanced", || self.dir.sync()).map_err(self.error(state))
    }

    /// Moves from one state to the next; a power cut can bring the old one back until the
    /// [directory](Self::directory) is synced.
    pub(super) fn rename(&self, from: State, to: State) -> Result<(), RecordError> {
        let (old, new) = (from.file().as_bytes(), to.file().as_bytes());
        self.dir
            .at(old)
            .rename_over(self.dir.at(new))
            .map_err(self.error(from))
    }

    /// The directory that they are in.
    pub(super) const fn directory(&self) -> &Dir {
        &self.dir
    }

    /// Removes everything in the transaction's directory but one record.
    pub(super) fn clear_but(&self, state: State) -> Result<(), RecordError> {
        for name in self.dir.names().map_err(self.error(state))? {
            if name != state.file().as_bytes() {
                remove_tree(self.dir.at(&name)).map_err(self.error(state))?;
            }
        }
        Ok(())
    }

    /// Removes the record of a transaction that was taken back.
    pub(super) fn remove(&self, state: State) -> Result<(), RecordError> {
        self.dir
            .at(state.file().as_bytes())
            .unlink()
            .map_err(self.error(state))?;
        sync_at("record.removed", || self.dir.sync()).map_err(self.error(state))
    }
}
