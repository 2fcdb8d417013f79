//! The undo data of finished transactions. Lists only; dropping is `forget`'s.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::record::{Records, State};
use super::recover::{RecoverError, transactions};
use super::undo::is_undoable;
use crate::fs::{Dir, walk};
use crate::layout::{HOME_SCRATCH_DIR, TxId};

/// A finished transaction that can be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The transaction.
    pub tx: TxId,
    /// The bytes that the caller gave when it began.
    pub payload: Vec<u8>,
    /// Storage that its scratch directories take, in bytes.
    pub bytes: u64,
}

/// Lists the transactions that can be taken back, oldest first. Reads every name of their undo
/// data for the sizes.
pub fn kept(home: &Path) -> Result<Vec<Kept>, RecoverError> {
    let mut kept = Vec::new();
    for tx in transactions(home)? {
        let failed = |cause| RecoverError::Record {
            tx: tx.clone(),
            cause,
        };
        let directory = home.join(HOME_SCRATCH_DIR).join(tx.as_str());
        let records = Records::open(&directory).map_err(failed)?;
        if !is_undoable(&records).map_err(failed)? {
            continue;
        }
        let done = records.read(State::Done).map_err(failed)?;
        let mut places: BTreeSet<PathBuf> = done.sites.into_iter().map(|s| s.scratch).collect();
        places.retain(|place| !place.starts_with(&directory));
        places.insert(directory.clone());
        let mut bytes = 0;
        for place in places {
            bytes +=
                size_below(&place).map_err(|errno| RecoverError::List { path: place, errno })?;
        }
        kept.push(Kept {
            tx,
            payload: done.payload,
            bytes,
        });
    }
    Ok(kept)
}

/// Storage of everything below a directory; none where there is no such directory.
fn size_below(path: &Path) -> Result<u64, Errno> {
    let top = match Dir::open(path) {
        Ok(top) => top,
        Err(Errno::ENOENT) => return Ok(0),
        Err(errno) => return Err(errno),
    };
    let mut blocks = 0;
    walk::<Errno>(&top, &mut |_, _, stat| {
        blocks += stat.blocks;
        Ok(())
    })?;
    Ok(blocks * 512)
}
