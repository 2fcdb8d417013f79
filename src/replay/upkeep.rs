//! Keeps undo copies within the policy: so many entries, so many bytes, the newest first. Not for
//! taking anything back. Upholds: what a wip needs to be discarded is never dropped.

use std::collections::BTreeSet;

use isconf_sandbox::commit::{self, ForgetError, RecoverError};

use super::this_host::ThisHost;
use crate::journal::JournalError;

/// Why old undo copies could not be dropped. Everything else is done by then.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    /// They could not be listed.
    #[error("cannot list the undo copies")]
    List(#[from] RecoverError),
    /// One could not be dropped.
    #[error("cannot drop old undo copies")]
    Forget(#[from] ForgetError),
    /// The wip cannot be read.
    #[error(transparent)]
    Wip(#[from] JournalError),
}

/// Drops the undo copies that are beyond `IS_UNDO_KEEP` entries or `IS_UNDO_BYTES`.
pub fn keep_undo(host: &ThisHost) -> Result<(), UpkeepError> {
    let policy = host.settings.undo_policy();
    let mut bytes = 0;
    let mut count = 0;
    let mut beyond = Vec::new();
    for kept in commit::kept(host.home.as_path())?.into_iter().rev() {
        count += 1;
        bytes += kept.bytes;
        if count > policy.entries || bytes > policy.bytes {
            beyond.push(kept.tx);
        }
    }
    if beyond.is_empty() {
        return Ok(());
    }
    let drafts = host.wip_drafts()?.into_iter();
    let wanted: BTreeSet<_> = drafts.filter_map(|wip| wip.tx).collect();
    beyond.retain(|tx| !wanted.contains(tx));
    Ok(commit::forget_all(host.home.as_path(), &beyond)?)
}
