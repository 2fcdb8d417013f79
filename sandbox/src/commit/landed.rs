//! A transaction whose changes are live and durable, and whose caller has not yet said so in its
//! own records. Upholds: the intent is forgotten only after the receipt is durable.

use std::path::PathBuf;

use super::crash_point;
use super::intent::{Direction, Intent};
use super::record::{RecordError, Records, State};
use crate::layout::TxId;

/// A token for one landed transaction. The caller writes its receipt durably, then calls
/// [`Landed::finish`]; dropped before that, [`recover`](super::recover) gives it again.
#[derive(Debug)]
#[must_use = "write the receipt, then finish; until then the next start recovers the transaction"]
pub struct Landed {
    tx: TxId,
    direction: Direction,
    payload: Vec<u8>,
    directory: PathBuf,
}

impl Landed {
    pub(super) fn new(intent: Intent, directory: PathBuf) -> Self {
        Self {
            tx: intent.tx,
            direction: intent.direction,
            payload: intent.payload,
            directory,
        }
    }

    /// The transaction.
    pub const fn tx(&self) -> &TxId {
        &self.tx
    }

    /// Whether a change set was made real or taken back.
    pub const fn direction(&self) -> Direction {
        self.direction
    }

    /// The bytes that the caller gave when it began.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Records that the receipt is durable. A crash before leaves the intent, which is recovered
    /// with nothing left to do; the caller's receipt must therefore bear being written twice.
    pub fn finish(self) -> Result<(), RecordError> {
        self.finish_soon()?.wait()
    }

    /// Does so without waiting for the disk, for a caller who has something to do meanwhile.
    pub fn finish_soon(self) -> Result<Finished, RecordError> {
        let records = Records::open(&self.directory)?;
        let (from, to) = (
            State::intended(self.direction),
            State::finished(self.direction),
        );
        records.rename(from, to)?;
        crash_point("commit.finish.renamed");
        Ok(Finished { records, state: to })
    }
}

/// A finished transaction that a power cut can still turn into the intent that it was. What others
/// changed in the live tree since would then be in recovery's way: wait for it soon, and before the
/// next transaction is begun.
#[derive(Debug)]
#[must_use = "wait for it before anything is done that relies on it"]
pub struct Finished {
    records: Records,
    state: State,
}

impl Finished {
    /// Waits until a power cut cannot bring the intent back.
    pub fn wait(self) -> Result<(), RecordError> {
        self.records.sync(self.state)?;
        if self.state == State::Done {
            self.records.note_durable();
        }
        crash_point("commit.finish.durable");
        Ok(())
    }
}
