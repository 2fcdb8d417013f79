//! What a replay does while a command runs, when it would only wait: the sync of the entry before,
//! and the reading of the next one. Not for what a command's trial needs. Upholds: an error is told
//! where the work would have been done otherwise.

use std::cell::RefCell;

use isconf_sandbox::commit::{Finished, RecordError};

use crate::journal::{Journal, JournalError};
use crate::model::Entry;

/// Work done aside.
pub struct Aside<'a> {
    journal: &'a Journal,
    last: RefCell<Last>,
    next: RefCell<Option<(u64, Result<Entry, JournalError>)>>,
}

/// The entry that was made real last, with its number.
enum Last {
    /// Its end is durable.
    Settled,
    /// It is recorded, and a power cut could bring its intent back.
    Finished(u64, Finished),
    /// Its end could not be made durable.
    Failed(Unsettled),
}

/// The end of an entry that is live and recorded could not be made durable.
pub struct Unsettled {
    /// The entry's number.
    pub seq: u64,
    /// Why.
    pub error: RecordError,
}

impl<'a> Aside<'a> {
    /// Nothing to do.
    pub const fn new(journal: &'a Journal) -> Self {
        Self {
            journal,
            last: RefCell::new(Last::Settled),
            next: RefCell::new(None),
        }
    }

    /// Takes the transaction of an entry, to wait for its end.
    pub fn finished(&self, seq: u64, finished: Finished) {
        self.last.replace(Last::Finished(seq, finished));
    }

    /// Syncs what there is, and reads the entry of this number, if the journal has it.
    pub fn work(&self, next: u64) {
        if let Err(unsettled) = self.settled() {
            self.last.replace(Last::Failed(unsettled));
        }
        if next <= self.journal.len() {
            let entry = self.journal.signed_entry(next);
            self.next.replace(Some((next, entry)));
        }
    }

    /// Syncs what is not synced yet; tells what failed before.
    pub fn settled(&self) -> Result<(), Unsettled> {
        match self.last.replace(Last::Settled) {
            Last::Settled => Ok(()),
            Last::Finished(seq, finished) => {
                finished.wait().map_err(|error| Unsettled { seq, error })
            }
            Last::Failed(unsettled) => Err(unsettled),
        }
    }

    /// An entry, its signature verified.
    pub fn entry(&self, seq: u64) -> Result<Entry, JournalError> {
        match self.next.take() {
            Some((read, entry)) if read == seq => entry,
            Some(_) | None => self.journal.signed_entry(seq),
        }
    }
}
