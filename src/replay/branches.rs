//! `fork` and `migrate`: which branch this host follows. Upholds: a host only moves to a branch
//! whose journal holds all that was done here, in order.

use super::this_host::ThisHost;
use crate::check_in::DraftsError;
use crate::durable::{self, FileError};
use crate::history::{History, HistoryError};
use crate::journal::{Journal, JournalError};
use crate::lock::AppendLock;
use crate::model::BranchName;

/// Why the host stays where it is.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// Uncommitted work is in the way.
    #[error("local changes not checked in")]
    Wip,
    /// The drafts of this host cannot be told.
    #[error(transparent)]
    Drafts(#[from] DraftsError),
    /// The host is there already.
    #[error("{host} is already on {branch} branch")]
    AlreadyThere {
        /// This host.
        host: String,
        /// The branch.
        branch: BranchName,
    },
    /// The branch to be made has entries.
    #[error("{0} already exists -- did you mean 'migrate'?")]
    Exists(BranchName),
    /// There is no such branch here.
    #[error("there is no branch {0} on this host")]
    Unknown(BranchName),
    /// What was done here is not in the branch's journal.
    #[error(
        "migration of this host to {new} failed: conflicting changes: {new} is not a superset of {old}"
    )]
    NotASuperset {
        /// The branch to move to.
        new: BranchName,
        /// The branch of this host.
        old: BranchName,
        /// Which entry is missing.
        #[source]
        source: Box<HistoryError>,
    },
    /// A journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The history cannot be used.
    #[error(transparent)]
    History(HistoryError),
    /// The branch's name could not be written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Whether `new` can be made of this host's branch, as far as this host knows.
pub fn may_fork(host: &ThisHost, history: &History, new: &BranchName) -> Result<(), MoveError> {
    refuse_wip(host, history)?;
    let there = Journal::open(&host.home, &host.domain, new)?;
    match *new == host.branch || there.is_some_and(|journal| !journal.is_empty()) {
        true => Err(MoveError::Exists(new.clone())),
        false => Ok(()),
    }
}

/// Makes `new` as a copy of this host's branch, and moves there.
pub fn fork(host: &ThisHost, history: &History, new: &BranchName) -> Result<(), MoveError> {
    may_fork(host, history, new)?;
    let right = AppendLock::take(&host.home, &host.domain, new)?;
    match host.journal()?.fork(&right) {
        Ok(_) => move_to(host, new),
        Err(JournalError::BranchExists(branch)) => Err(MoveError::Exists(branch)),
        Err(error) => Err(error.into()),
    }
}

/// Moves to `new`, which must hold everything that was done here.
pub fn migrate(host: &ThisHost, history: &History, new: &BranchName) -> Result<(), MoveError> {
    refuse_wip(host, history)?;
    if *new == host.branch {
        let host = host.settings.host.value.to_string();
        return Err(MoveError::AlreadyThere {
            host,
            branch: new.clone(),
        });
    }
    let Some(journal) = Journal::open(&host.home, &host.domain, new)? else {
        return Err(MoveError::Unknown(new.clone()));
    };
    match history.position(journal.chain()) {
        Ok(_) => move_to(host, new),
        Err(source @ HistoryError::NotAPrefix(_)) => {
            let (new, old) = (new.clone(), host.branch.clone());
            let source = Box::new(source);
            Err(MoveError::NotASuperset { new, old, source })
        }
        Err(error) => Err(MoveError::History(error)),
    }
}

fn refuse_wip(host: &ThisHost, history: &History) -> Result<(), MoveError> {
    if host.drafts(history)?.is_empty() {
        Ok(())
    } else {
        Err(MoveError::Wip)
    }
}

fn move_to(host: &ThisHost, branch: &BranchName) -> Result<(), MoveError> {
    durable::replace(&host.home.branch_file(), format!("{branch}\n").as_bytes())?;
    Ok(())
}
