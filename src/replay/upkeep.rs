//! Keeps undo copies within the policy: so many entries, so many bytes, the newest first. Not for
//! taking anything back. Upholds: what a wip needs to be discarded is never dropped.

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
    let drafts = host.wip_drafts()?.into_iter();
    let wanted: Vec<_> = drafts.filter_map(|wip| wip.tx).collect();
    let mut bytes = 0;
    let mut count = 0;
    for kept in commit::kept(host.home.as_path())?.iter().rev() {
        count += 1;
        bytes += kept.bytes;
        let is_beyond = count > policy.entries || bytes > policy.bytes;
        if is_beyond && !wanted.contains(&kept.tx) {
            commit::forget(host.home.as_path(), &kept.tx)?;
        }
    }
    Ok(())
}
