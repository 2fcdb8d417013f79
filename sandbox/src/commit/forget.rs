//! Dropping the undo data of finished transactions. Upholds: dropping is decided by one rename and can
//! be interrupted anywhere after it.

use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::crash_point;
use super::record::{RecordError, Records, State};
use super::undo::is_undoable;
use crate::fs::{Dir, remove_tree, sync_at, sync_together};
use crate::layout::{HOME_SCRATCH_DIR, TxId};

/// So many transactions are dropped at once; each has its directory open.
const AT_ONCE: usize = 64;

/// Undo data could not be dropped, or only in part; the next recovery goes on with it.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// It is about to happen, or being taken back: recovery comes first.
    #[error("transaction {0} is not finished")]
    NotFinished(TxId),
    /// Its record could not be read or written, or something could not be removed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Drops a finished transaction with its undo data, which may take long for a large one; a
/// process that is killed meanwhile leaves the rest to the next recovery.
pub fn forget(home: &Path, tx: &TxId) -> Result<(), ForgetError> {
    forget_all(home, std::slice::from_ref(tx))
}

/// Drops several, which takes much less than one after another: the syncs are done together.
pub fn forget_all(home: &Path, transactions: &[TxId]) -> Result<(), ForgetError> {
    transactions
        .chunks(AT_ONCE)
        .try_for_each(|some| forget_together(home, some))
}

fn forget_together(home: &Path, transactions: &[TxId]) -> Result<(), ForgetError> {
    let mut dropped = Vec::new();
    let decided = transactions
        .iter()
        .try_for_each(|tx| decide_to_forget(home, tx).map(|one| dropped.push(one)));
    // What was decided is done, whatever became of the others.
    let forgotten = forget_decided(&dropped);
    decided.and(forgotten.map_err(ForgetError::from))
}

/// A transaction that is to be dropped: its id, its records, its directory.
type Dropped = (TxId, Records, PathBuf);

fn decide_to_forget(home: &Path, tx: &TxId) -> Result<Dropped, ForgetError> {
    let directory = home.join(HOME_SCRATCH_DIR).join(tx.as_str());
    let records = Records::open(&directory)?;
    let from = if records.has(State::Undone)? {
        State::Undone
    } else if is_undoable(&records)? {
        State::Done
    } else {
        return Err(ForgetError::NotFinished(tx.clone()));
    };
    decide(&records, from)?;
    Ok((tx.clone(), records, directory))
}

/// From here on a transaction is dropped, whoever goes on with it.
fn decide(records: &Records, from: State) -> Result<(), RecordError> {
    records.rename(from, State::Dropped)?;
    crash_point("commit.forget.renamed");
    Ok(())
}

fn forget_decided(dropped: &[Dropped]) -> Result<(), RecordError> {
    // Without it a power cut could bring back the record of undo data that is half removed.
    let open: Vec<_> = dropped.iter().map(|(_, r, _)| r.directory()).collect();
    sync_at("record.advanced", || sync_together(&open)).map_err(|(index, errno)| {
        let path = dropped.get(index).map(|(_, _, path)| path.clone());
        RecordError::Io {
            path: path.unwrap_or_default(),
            errno,
        }
    })?;
    for (tx, records, directory) in dropped {
        finish_forgetting(records, directory, tx)?;
    }
    Ok(())
}

/// Drops a transaction that was taken back.
pub(super) fn forget_undone(
    records: Records,
    directory: PathBuf,
    tx: &TxId,
) -> Result<(), RecordError> {
    decide(&records, State::Undone)?;
    forget_decided(&[(tx.clone(), records, directory)])
}

/// Removes what a dropped transaction left, its own directory last.
pub(super) fn finish_forgetting(
    records: &Records,
    directory: &Path,
    tx: &TxId,
) -> Result<(), RecordError> {
    let dropped = records.read(State::Dropped)?;
    for site in dropped.sites {
        // Of `<mount>/.isconf/<tx>/v1` the transaction's own directory goes, with what is in it.
        let own = site
            .scratch
            .ancestors()
            .find(|path| path.file_name().is_some_and(|name| name == tx.as_str()))
            .unwrap_or(&site.scratch);
        if own != directory {
            remove(own)?;
            if let Some(hidden) = own.parent() {
                let failed = |e: std::io::Error| RecordError::Io {
                    path: hidden.to_path_buf(),
                    errno: Errno::from_raw(e.raw_os_error().unwrap_or(0)),
                };
                crate::mounts::remove_hidden_if_empty(hidden).map_err(failed)?;
            }
        }
        crash_point("commit.forget.volume_removed");
    }
    // The record last: without it the rest would look like a transaction that can be taken back.
    records.clear_but(State::Dropped)?;
    remove(directory)?;
    crash_point("commit.forget.removed");
    Ok(())
}

/// Removes a tree; one that is gone already is what we want.
fn remove(path: &Path) -> Result<(), RecordError> {
    use std::os::unix::ffi::OsStrExt as _;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(());
    };
    let removed = match Dir::open(parent) {
        Ok(parent) => remove_tree(parent.at(name.as_bytes())),
        Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno),
    };
    removed.map_err(|errno| RecordError::Io {
        path: path.to_path_buf(),
        errno,
    })
}
