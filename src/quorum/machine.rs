//! The ledger of a voter, made of the log. Upholds: what is read of it was agreed on; entries that were
//! checked in are remembered until they are in the journal here.

use std::io::Cursor;
use std::sync::{Arc, Mutex, MutexGuard};

use openraft::storage::RaftStateMachine;
use openraft::{
    Entry, EntryPayload, ErrorVerb, LogId, OptionalSend, RaftSnapshotBuilder, Snapshot,
    SnapshotMeta, StorageError, StoredMembership,
};
use redb::ReadableTable;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::database::{BATCHES, Database, DatabaseError, When, fact, failed, set_fact};
use super::kinds::{Kinds, Seat, Step, VoterId};
use crate::lock::{CheckIn, Granted, Ledger, Order, Verdict};

const STATE: &str = "state";

/// A ledger, and up to where it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The last entry of the log that was carried out.
    pub(super) last: Option<LogId<VoterId>>,
    /// Who votes.
    pub(super) membership: StoredMembership<VoterId, Seat>,
    /// The ledger.
    pub ledger: Ledger,
    /// Whether the ledger with which the epoch begins came. Nothing is granted before.
    pub has_begun: bool,
}

impl Applied {
    /// The place in the log up to which it was carried out.
    pub fn at(&self) -> u64 {
        self.last.map_or(0, |last| last.index)
    }
}

/// The ledger of a voter, kept in its file.
#[derive(Debug, Clone)]
pub struct Machine {
    database: Database,
    /// News for whoever waits for a change.
    state: Arc<watch::Sender<Applied>>,
    /// The last one, which whoever makes one shares with whoever sends it.
    snapshot: Arc<Mutex<Option<Kept>>>,
}

/// A ledger as it is sent to voters that are far behind.
#[derive(Debug, Clone)]
struct Kept {
    meta: SnapshotMeta<VoterId, Seat>,
    bytes: Vec<u8>,
}

impl Kept {
    fn to_snapshot(&self) -> Snapshot<Kinds> {
        Snapshot {
            meta: self.meta.clone(),
            snapshot: Box::new(Cursor::new(self.bytes.clone())),
        }
    }
}

impl Machine {
    /// Reads it from the voter's file; a new one begins with `ledger`.
    pub async fn open(database: Database, ledger: Ledger) -> Result<Self, DatabaseError> {
        let read: Option<Applied> = database.read(|t| fact(t, STATE)).await?;
        let state = read.unwrap_or_else(|| Applied {
            last: None,
            membership: StoredMembership::default(),
            ledger,
            has_begun: false,
        });
        Ok(Self {
            database,
            state: Arc::new(watch::Sender::new(state)),
            snapshot: Arc::default(),
        })
    }

    /// The ledger as it is, and as it becomes.
    pub fn watch(&self) -> watch::Receiver<Applied> {
        self.state.subscribe()
    }

    /// The entries that may not be in the journal here yet, in their order.
    pub async fn batches(database: &Database) -> Result<Vec<CheckIn>, DatabaseError> {
        let read = database.read(|transaction| {
            let table = transaction.open_table(BATCHES)?;
            let mut batches = Vec::new();
            for row in table.iter()? {
                batches.push(serde_json::from_slice(row?.1.value())?);
            }
            Ok(batches)
        });
        read.await
    }

    /// Forgets entries that are in the journal.
    pub async fn appended(database: &Database, batch: &CheckIn) -> Result<(), DatabaseError> {
        let (branch, seq) = (batch.branch.clone(), batch.base.seq);
        let changed = database.change(When::Later, move |transaction| {
            let mut table = transaction.open_table(BATCHES)?;
            table.remove((branch.as_str(), seq))?;
            Ok(())
        });
        changed.await
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        // Each change is one assignment, so that what a panic left is whole.
        self.snapshot.lock().unwrap_or_else(|e| e.into_inner())
    }

    async fn store(&self, state: Applied, batches: Vec<CheckIn>) -> Result<(), DatabaseError> {
        let kept = state.clone();
        // The log has it durably, and from there it is made again.
        let written = self.database.change(When::Later, move |transaction| {
            set_fact(transaction, STATE, &kept)?;
            let mut table = transaction.open_table(BATCHES)?;
            for batch in batches {
                let bytes = serde_json::to_vec(&batch)?;
                table.insert((batch.branch.as_str(), batch.base.seq), &*bytes)?;
            }
            Ok(())
        });
        written.await?;
        self.state.send_replace(state);
        Ok(())
    }
}

impl RaftSnapshotBuilder<Kinds> for Machine {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Kinds>, StorageError<VoterId>> {
        let state = self.state.borrow().clone();
        let built = serde_json::to_vec(&state).map_err(DatabaseError::from);
        let bytes = built.map_err(|e| failed(ErrorVerb::Read, &e))?;
        // Its number alone would be the same for two that were made at the same place.
        let name = format!("{}-{}", state.at(), fastrand::u64(..));
        let meta = SnapshotMeta {
            last_log_id: state.last,
            last_membership: state.membership,
            snapshot_id: name,
        };
        let kept = Kept { meta, bytes };
        let snapshot = kept.to_snapshot();
        *self.kept() = Some(kept);
        Ok(snapshot)
    }
}

impl RaftStateMachine<Kinds> for Machine {
    type SnapshotBuilder = Self;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogId<VoterId>>, StoredMembership<VoterId, Seat>), StorageError<VoterId>>
    {
        let state = self.state.borrow();
        Ok((state.last, state.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Option<Verdict>>, StorageError<VoterId>>
    where
        I: IntoIterator<Item = Entry<Kinds>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut state = self.state.borrow().clone();
        let (mut verdicts, mut batches) = (Vec::new(), Vec::new());
        for entry in entries {
            state.last = Some(entry.log_id);
            verdicts.push(match entry.payload {
                EntryPayload::Blank => None,
                EntryPayload::Normal(Step::Begin(ledger)) => {
                    if !state.has_begun {
                        state.ledger = ledger;
                        state.has_begun = true;
                    }
                    None
                }
                EntryPayload::Normal(Step::Order(_)) if !state.has_begun => None,
                EntryPayload::Normal(Step::Order(order)) => {
                    let verdict = state.ledger.carry_out(&order);
                    if let (Order::CheckIn(batch), Ok(Granted::CheckedIn)) = (order, &verdict) {
                        batches.push(batch);
                    }
                    Some(verdict)
                }
                EntryPayload::Membership(membership) => {
                    state.membership = StoredMembership::new(Some(entry.log_id), membership);
                    None
                }
            });
        }
        let stored = self.store(state, batches).await;
        stored.map_err(|e| failed(ErrorVerb::Write, &e))?;
        Ok(verdicts)
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        self.clone()
    }

    async fn begin_receiving_snapshot(
        &mut self,
    ) -> Result<Box<Cursor<Vec<u8>>>, StorageError<VoterId>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<VoterId, Seat>,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError<VoterId>> {
        let bytes = snapshot.into_inner();
        let read = serde_json::from_slice(&bytes).map_err(DatabaseError::from);
        let mut state: Applied = read.map_err(|e| failed(ErrorVerb::Write, &e))?;
        state.last = meta.last_log_id;
        state.membership = meta.last_membership.clone();
        let stored = self.store(state, Vec::new()).await;
        stored.map_err(|e| failed(ErrorVerb::Write, &e))?;
        let meta = meta.clone();
        *self.kept() = Some(Kept { meta, bytes });
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<Snapshot<Kinds>>, StorageError<VoterId>> {
        Ok(self.kept().as_ref().map(Kept::to_snapshot))
    }
}
