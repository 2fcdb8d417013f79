//! The file in which a voter keeps what it must not forget: votes, log, ledger, and the entries that are to
//! be appended here. Not for what any of it means. Upholds: what was said to another voter is durable before.

use std::path::Path;
use std::sync::Arc;

use openraft::{AnyError, ErrorSubject, ErrorVerb, StorageError, StorageIOError};
use redb::{Builder, Database as Redb, Durability, ReadableDatabase, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::spawn_blocking;

use super::kinds::VoterId;

/// How much of the file is kept in memory, in bytes: ledgers are small.
const CACHE_BYTES: usize = 1 << 20;

/// The log, by index.
pub const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
/// Everything that there is one of.
pub const FACTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("facts");
/// Entries that were checked in and may not be in the journal here yet, by branch and first number.
pub const BATCHES: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("batches");

/// The voter's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Of the engine.
    #[error("the voter's file")]
    Redb(#[source] Box<redb::Error>),
    /// What is in it.
    #[error("the voter's file holds what cannot be read")]
    Content(#[from] serde_json::Error),
    /// The work was not done to its end.
    #[error("the work failed")]
    Panicked(#[from] tokio::task::JoinError),
}

/// The engine has an error type for each kind of call.
macro_rules! from_redb {
    ($($error:ident)*) => {$(
        impl From<redb::$error> for DatabaseError {
            fn from(error: redb::$error) -> Self {
                Self::Redb(Box::new(error.into()))
            }
        }
    )*};
}

from_redb!(CommitError DatabaseError SetDurabilityError StorageError TableError TransactionError);

/// The open file.
#[derive(Debug, Clone)]
pub struct Database(Arc<Redb>);

/// When a change has to be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before anybody is told.
    Now,
    /// With the next change that has to be: it can be made again from what is durable.
    Later,
}

impl Database {
    /// Opens it, or makes an empty one.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        let file = Builder::new().set_cache_size(CACHE_BYTES).create(path)?;
        let tables = file.begin_write()?;
        tables.open_table(LOG)?;
        tables.open_table(FACTS)?;
        tables.open_table(BATCHES)?;
        tables.commit()?;
        Ok(Self(Arc::new(file)))
    }

    /// Changes it, all or nothing.
    pub async fn change<T: Send + 'static>(
        &self,
        when: When,
        work: impl FnOnce(&redb::WriteTransaction) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let file = Arc::clone(&self.0);
        let changed = spawn_blocking(move || {
            let mut transaction = file.begin_write()?;
            if when == When::Later {
                transaction.set_durability(Durability::None)?;
            }
            let done = work(&transaction)?;
            // One fsync(2) of redb's own: Raft's promises are about what is on the disk.
            transaction.commit()?;
            Ok(done)
        });
        changed.await?
    }

    /// Reads it.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&redb::ReadTransaction) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let file = Arc::clone(&self.0);
        spawn_blocking(move || work(&file.begin_read()?)).await?
    }
}

/// Reads a fact.
pub fn fact<T: DeserializeOwned>(
    transaction: &redb::ReadTransaction,
    name: &str,
) -> Result<Option<T>, DatabaseError> {
    let facts = transaction.open_table(FACTS)?;
    let value = facts.get(name)?;
    Ok(value
        .map(|value| serde_json::from_slice(value.value()))
        .transpose()?)
}

/// Writes a fact.
pub fn set_fact(
    transaction: &redb::WriteTransaction,
    name: &str,
    value: &impl Serialize,
) -> Result<(), DatabaseError> {
    let bytes = serde_json::to_vec(value)?;
    transaction.open_table(FACTS)?.insert(name, &*bytes)?;
    Ok(())
}

/// The error as the engine wants it.
pub fn failed(verb: ErrorVerb, error: &DatabaseError) -> StorageError<VoterId> {
    let why = AnyError::error(error);
    StorageIOError::new(ErrorSubject::Store, verb, why).into()
}
