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
        Records::open(&self.directory)?.advance(
            State::intended(self.direction),
            State::finished(self.direction),
            || crash_point("commit.finish.renamed"),
        )?;
        crash_point("commit.finish.durable");
        Ok(())
    }
}
