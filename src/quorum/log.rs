//! The log of a voter. Upholds: what the engine is told to be written is durable.

use std::fmt::Debug;
use std::ops::{Bound, RangeBounds};

use openraft::storage::{LogFlushed, LogState, RaftLogStorage};
use openraft::{Entry, ErrorVerb, LogId, OptionalSend, RaftLogReader, StorageError, Vote};
use redb::ReadableTable;

use super::database::{Database, DatabaseError, LOG, When, fact, failed, set_fact};
use super::kinds::{Kinds, VoterId};

/// How many bytes of entries are sent at a time, but one entry at least: a message has to arrive within a heartbeat, or
/// else it is sent again.
const MAX_SENT_BYTES: usize = 32 * 1024;

const VOTE: &str = "vote";
const PURGED: &str = "purged";

/// The log.
#[derive(Debug, Clone)]
pub struct Log(Database);

impl Log {
    /// That of a voter's file.
    pub const fn new(database: Database) -> Self {
        Self(database)
    }
}

impl RaftLogReader<Kinds> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry<Kinds>>, StorageError<VoterId>> {
        let bounds = (range.start_bound().cloned(), range.end_bound().cloned());
        let read = self.0.read(move |transaction| {
            let log = transaction.open_table(LOG)?;
            let mut entries = Vec::new();
            for row in log.range::<u64>(bounds)? {
                entries.push(serde_json::from_slice(row?.1.value())?);
            }
            Ok(entries)
        });
        read.await.map_err(|e| failed(ErrorVerb::Read, &e))
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry<Kinds>>, StorageError<VoterId>> {
        let read = self.0.read(move |transaction| {
            let log = transaction.open_table(LOG)?;
            let (mut entries, mut bytes) = (Vec::new(), 0);
            for row in log.range::<u64>(start..end)? {
                let (_, value) = row?;
                bytes += value.value().len();
                if bytes > MAX_SENT_BYTES && !entries.is_empty() {
                    break;
                }
                entries.push(serde_json::from_slice(value.value())?);
            }
            Ok(entries)
        });
        read.await.map_err(|e| failed(ErrorVerb::Read, &e))
    }
}

impl RaftLogStorage<Kinds> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Kinds>, StorageError<VoterId>> {
        let read = self.0.read(|transaction| {
            let last_purged_log_id: Option<LogId<VoterId>> = fact(transaction, PURGED)?;
            let log = transaction.open_table(LOG)?;
            let last = match log.last()? {
                Some((_, value)) => {
                    let entry: Entry<Kinds> = serde_json::from_slice(value.value())?;
                    Some(entry.log_id)
                }
                None => last_purged_log_id,
            };
            Ok(LogState {
                last_purged_log_id,
                last_log_id: last,
            })
        });
        read.await.map_err(|e| failed(ErrorVerb::Read, &e))
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<VoterId>) -> Result<(), StorageError<VoterId>> {
        let vote = *vote;
        // A vote that is forgotten could be given twice.
        let written = self.0.change(When::Now, move |transaction| {
            set_fact(transaction, VOTE, &vote)
        });
        written.await.map_err(|e| failed(ErrorVerb::Write, &e))
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<VoterId>>, StorageError<VoterId>> {
        let read = self.0.read(|transaction| fact(transaction, VOTE));
        read.await.map_err(|e| failed(ErrorVerb::Read, &e))
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<Kinds>,
    ) -> Result<(), StorageError<VoterId>>
    where
        I: IntoIterator<Item = Entry<Kinds>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<_> = entries.into_iter().collect();
        let written = self.0.change(When::Now, move |transaction| {
            let mut log = transaction.open_table(LOG)?;
            for entry in entries {
                let bytes = serde_json::to_vec(&entry)?;
                log.insert(entry.log_id.index, &*bytes)?;
            }
            Ok(())
        });
        match written.await {
            Ok(()) => {
                callback.log_io_completed(Ok(()));
                Ok(())
            }
            Err(error) => {
                let failure = failed(ErrorVerb::Write, &error);
                callback.log_io_completed(Err(std::io::Error::other(error)));
                Err(failure)
            }
        }
    }

    async fn truncate(&mut self, log_id: LogId<VoterId>) -> Result<(), StorageError<VoterId>> {
        let from = Bound::Included(log_id.index);
        let written = self.0.change(When::Now, move |transaction| {
            remove(transaction, (from, Bound::Unbounded))
        });
        written.await.map_err(|e| failed(ErrorVerb::Delete, &e))
    }

    async fn purge(&mut self, log_id: LogId<VoterId>) -> Result<(), StorageError<VoterId>> {
        let to = Bound::Included(log_id.index);
        let written = self.0.change(When::Now, move |transaction| {
            set_fact(transaction, PURGED, &log_id)?;
            remove(transaction, (Bound::Unbounded, to))
        });
        written.await.map_err(|e| failed(ErrorVerb::Delete, &e))
    }
}

fn remove(
    transaction: &redb::WriteTransaction,
    range: (Bound<u64>, Bound<u64>),
) -> Result<(), DatabaseError> {
    let mut log = transaction.open_table(LOG)?;
    log.retain_in::<u64, _>(range, |_, _| false)?;
    Ok(())
}
