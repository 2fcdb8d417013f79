//! What the next start does with transactions that a crash interrupted. Upholds: whatever had an
//! intent is completed, whatever was being taken back is taken back, and nothing is guessed.

use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::crash_point;
use super::forget::{finish_forgetting, forget_undone};
use super::intent::Direction;
use super::landed::Landed;
use super::record::{RecordError, Records, State};
use super::sites::{OpenError, Sites};
use super::transaction::{self, Failure};
use crate::layout::{HOME_SCRATCH_DIR, TxId};

/// A transaction that was interrupted, and what became of it.
#[derive(Debug)]
#[must_use = "a recovered transaction may need its receipt"]
pub struct Recovered {
    /// The transaction.
    pub tx: TxId,
    /// Whether a change set was being made real or taken back.
    pub direction: Direction,
    /// The bytes that the caller gave when it began.
    pub payload: Vec<u8>,
    /// What became of it.
    pub outcome: Outcome,
    /// For a completed transaction: the token to finish it with, after its receipt is durable.
    pub landed: Option<Landed>,
}

/// What became of an interrupted transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// So many moves were still to do, and are done.
    Redone(usize),
    /// All was done but the record.
    NothingToDo,
    /// It had failed, or could not be completed, and everything was taken back.
    TakenBack,
}

/// A transaction could not be recovered. Nothing else was tried after it.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The directory of transactions could not be read.
    #[error("cannot read {path}")]
    List {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        errno: Errno,
    },
    /// The record of a transaction could not be read or written.
    #[error("transaction {tx}: {cause}")]
    Record {
        /// The transaction.
        tx: TxId,
        /// Why.
        #[source]
        cause: RecordError,
    },
    /// A volume of it could not be opened.
    #[error("transaction {tx}: {cause}")]
    Open {
        /// The transaction.
        tx: TxId,
        /// Why.
        #[source]
        cause: OpenError,
    },
    /// A step of it could neither be told done nor be done.
    #[error("transaction {tx}: {cause}")]
    Stuck {
        /// The transaction.
        tx: TxId,
        /// Why.
        #[source]
        cause: Failure,
    },
}

/// Completes or takes back every interrupted transaction, oldest first. The caller holds the
/// host's lock. Transactions without a complete intent are left alone: nothing of them is live.
/// Killed in the middle, it can be called again.
pub fn recover(home: &Path, root: &Path) -> Result<Vec<Recovered>, RecoverError> {
    let mut recovered = Vec::new();
    let all = transactions(home)?;
    for tx in &all {
        let directory = home.join(HOME_SCRATCH_DIR).join(tx.as_str());
        let is_newest = all.last() == Some(tx);
        recovered.extend(recover_one(tx, directory, root, is_newest)?);
    }
    Ok(recovered)
}

/// The ids of all transactions that have a directory, oldest first.
pub(super) fn transactions(home: &Path) -> Result<Vec<TxId>, RecoverError> {
    let path = home.join(HOME_SCRATCH_DIR);
    let error = |e: std::io::Error| RecoverError::List {
        path: path.clone(),
        errno: Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)),
    };
    let entries = match std::fs::read_dir(&path) {
        Ok(entries) => entries,
        // Nothing was ever begun.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(error(e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(error)?.file_name();
        // Whatever has another name is not ours.
        found.extend(name.to_str().and_then(|name| name.parse::<TxId>().ok()));
    }
    found.sort();
    Ok(found)
}

fn recover_one(
    tx: &TxId,
    directory: PathBuf,
    root: &Path,
    is_newest: bool,
) -> Result<Option<Recovered>, RecoverError> {
    let failed = |cause| RecoverError::Record {
        tx: tx.clone(),
        cause,
    };
    let records = Records::open(&directory).map_err(failed)?;
    if records.has(State::Dropped).map_err(failed)? {
        // Whoever dropped it may not have come to this.
        records.sync(State::Dropped).map_err(failed)?;
        finish_forgetting(&records, &directory, tx).map_err(failed)?;
        return Ok(None);
    }
    let states = [
        State::Rollback,
        State::UndoRollback,
        State::Intent,
        State::UndoIntent,
    ];
    for state in states {
        if records.has(state).map_err(failed)? {
            return complete(tx, &records, directory, root, state).map(Some);
        }
    }
    if records.has(State::Undone).map_err(failed)? {
        // Nothing takes back a taking back, so what it left serves nobody.
        forget_undone(records, directory, tx).map_err(failed)?;
    } else if is_newest
        && !records.is_noted_durable()
        && records.has(State::Done).map_err(failed)?
    {
        // Who finished it may have been killed before its end was durable, and what is recorded
        // next relies on that.
        records.sync(State::Done).map_err(failed)?;
        records.note_durable();
    }
    Ok(None)
}

fn complete(
    tx: &TxId,
    records: &Records,
    directory: PathBuf,
    root: &Path,
    state: State,
) -> Result<Recovered, RecoverError> {
    crash_point("commit.recover.begun");
    let stuck = |cause| RecoverError::Stuck {
        tx: tx.clone(),
        cause,
    };
    let intent = records.read(state).map_err(|cause| RecoverError::Record {
        tx: tx.clone(),
        cause,
    })?;
    let mut sites =
        Sites::open(root, intent.sites.clone()).map_err(|cause| RecoverError::Open {
            tx: tx.clone(),
            cause,
        })?;
    let (direction, payload) = (intent.direction, intent.payload.clone());
    let (outcome, landed) = if matches!(state, State::Rollback | State::UndoRollback) {
        transaction::take_back(&mut sites, records, &intent).map_err(stuck)?;
        (Outcome::TakenBack, None)
    } else {
        let redone = transaction::redo(&mut sites, records, &intent).map_err(stuck)?;
        crash_point("commit.recover.applied");
        match redone {
            None => (Outcome::TakenBack, None),
            Some(0) => (Outcome::NothingToDo, Some(Landed::new(intent, directory))),
            Some(moves) => (Outcome::Redone(moves), Some(Landed::new(intent, directory))),
        }
    };
    Ok(Recovered {
        tx: tx.clone(),
        direction,
        payload,
        outcome,
        landed,
    })
}
