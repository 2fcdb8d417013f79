//! What a replay does beside its entries, in a thread of its own: it makes the end of the entry before
//! durable, removes what that one left, and reads the entry after the next. Not for anything that an
//! entry's trial needs or could notice. Upholds: before the next entry is made real all of it is done,
//! and its errors are told.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, Scope};

use isconf_sandbox::commit::{Finished, RecordError};
use isconf_sandbox::session::Unneeded;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow};

use crate::journal::{Journal, JournalError};
use crate::model::Entry;

/// Work done aside.
pub struct Aside<'env> {
    journal: &'env Journal,
    /// `None` where none is needed or to be had: then nothing is done aside.
    worker: Option<Worker>,
    last: Last,
    /// What was read beforehand.
    read: Option<Read>,
    /// What may be left of it are empty directories at the tops of volumes.
    cleared: Option<Unneeded>,
}

/// The thread.
struct Worker {
    orders: SyncSender<Order>,
    answers: Receiver<Done>,
}

/// The entry that was made real last, with its number.
enum Last {
    /// Nothing is left to do.
    Settled,
    /// It is live and recorded.
    Made(u64, Remains),
    /// The thread is at it.
    AtWork(u64),
}

/// What is left to do of an entry that is live and recorded.
pub struct Remains {
    /// A power cut could bring its intent back.
    pub finished: Finished,
    /// Scratch directories to remove.
    pub unneeded: Unneeded,
}

impl Remains {
    /// Does it.
    pub fn done(self) -> Result<(), RecordError> {
        self.unneeded.remove();
        self.finished.wait()
    }
}

/// What the thread is to do: to end an entry, and to read the one with this number.
struct Order(Remains, u64);

/// What it did.
struct Done {
    end: Result<(), RecordError>,
    cleared: Unneeded,
    read: Option<Read>,
}

/// An entry and its number.
type Read = (u64, Result<Entry, JournalError>);

/// The end of an entry that is live and recorded could not be made durable.
pub struct Unsettled {
    /// The entry's number.
    pub seq: u64,
    /// Why.
    pub error: RecordError,
}

impl<'env> Aside<'env> {
    /// Nothing to do yet. `entries` are to be made real; a single one has nothing beside it. The thread
    /// ends when this is dropped.
    pub fn new<'scope>(
        scope: &'scope Scope<'scope, 'env>,
        journal: &'env Journal,
        entries: u64,
    ) -> Self {
        let needs_thread = entries > 1;
        Self {
            journal,
            worker: needs_thread
                .then(|| Worker::begin(scope, journal))
                .flatten(),
            last: Last::Settled,
            read: None,
            cleared: None,
        }
    }

    /// Takes what is left of the entry of this number, and begins with it if another follows.
    pub fn made(&mut self, seq: u64, remains: Remains) {
        self.last = match &self.worker {
            Some(worker) if seq < self.journal.len() => {
                // The next one was read by now, or is being run.
                match worker.orders.send(Order(remains, seq + 2)) {
                    Ok(()) => Last::AtWork(seq),
                    Err(unsent) => Last::Made(seq, unsent.0.0),
                }
            }
            Some(_) | None => Last::Made(seq, remains),
        };
    }

    /// Waits until all of it is done.
    pub fn settled(&mut self) -> Result<(), Unsettled> {
        let (seq, end) = match std::mem::replace(&mut self.last, Last::Settled) {
            Last::Settled => return Ok(()),
            Last::Made(seq, remains) => (seq, remains.done()),
            Last::AtWork(seq) => (seq, self.done()),
        };
        end.map_err(|error| Unsettled { seq, error })
    }

    fn done(&mut self) -> Result<(), RecordError> {
        let answer = self.worker.as_ref().map(|worker| worker.answers.recv());
        let Some(Ok(done)) = answer else {
            // A thread that is lost says nothing of what it did.
            return Err(RecordError::Io {
                path: PathBuf::from("the end of the transaction"),
                errno: Errno::EIO,
            });
        };
        self.read = done.read;
        self.cleared = Some(done.cleared);
        done.end
    }

    /// Waits until all of it is done, and removes what was left for fear of disturbing the next entry:
    /// there is none.
    pub fn end(&mut self) -> Result<(), Unsettled> {
        let settled = self.settled();
        if let Some(cleared) = self.cleared.take() {
            cleared.remove();
        }
        settled
    }

    /// An entry, its signature verified.
    pub fn entry(&mut self, seq: u64) -> Result<Entry, JournalError> {
        match self.read.take() {
            Some((read, entry)) if read == seq => entry,
            Some(_) | None => self.journal.signed_entry(seq),
        }
    }
}

impl Worker {
    fn begin<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        journal: &'env Journal,
    ) -> Option<Self> {
        let (orders, ordered) = sync_channel::<Order>(1);
        let (answer, answers) = sync_channel(1);
        let work = move || {
            for Order(remains, seq) in ordered {
                let done = Done {
                    end: remains.finished.wait(),
                    cleared: remains.unneeded.cleared(),
                    read: (seq <= journal.len()).then(|| (seq, journal.signed_entry(seq))),
                };
                if answer.send(done).is_err() {
                    break;
                }
            }
        };
        // Signals are for the thread that knows what to do about them, and a thread has the mask of
        // the one that made it.
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
        let thread = Builder::new().spawn_scoped(scope, work);
        if let Ok(before) = before {
            // It was the mask a moment ago.
            let _ = before.thread_set_mask();
        }
        thread.is_ok().then_some(Self { orders, answers })
    }
}
