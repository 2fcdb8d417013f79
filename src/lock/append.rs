//! The append lock of a branch on this host: one process at a time makes the branch's journal longer. Not
//! the branch lock, which says who may, and not the host lock, which a long `up` holds: entries
//! of other hosts arrive meanwhile. Upholds: two processes never append at once; the kernel frees the
//! lock of a process that died. Whoever wants the host lock too takes that first.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;

use crate::durable::{self, FileError, PRIVATE_FILE_MODE};
use crate::model::{BranchName, DomainName, Home};

/// The right to append to a branch's journal on this host; given up when dropped.
#[derive(Debug)]
#[must_use = "the lock is given up when this value is dropped"]
pub struct AppendLock {
    home: Home,
    domain: DomainName,
    branch: BranchName,
    _file: File,
}

impl AppendLock {
    /// Takes the lock, and waits for whoever has it: the time of an append, or of a whole import. Makes the
    /// branch's directory.
    pub fn take(home: &Home, domain: &DomainName, branch: &BranchName) -> Result<Self, FileError> {
        let lock = Self::opened(home, domain, branch)?;
        let path = home.append_lock(domain, branch);
        lock._file.lock().map_err(FileError::of("lock", &path))?;
        Ok(lock)
    }

    /// Takes the lock if nobody has it; `None` when somebody has.
    pub fn try_take(
        home: &Home,
        domain: &DomainName,
        branch: &BranchName,
    ) -> Result<Option<Self>, FileError> {
        let lock = Self::opened(home, domain, branch)?;
        match lock._file.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => {
                let path = home.append_lock(domain, branch);
                Err(FileError::of("lock", &path)(e))
            }
        }
    }

    /// Where things lie.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The branch's domain.
    pub fn domain(&self) -> &DomainName {
        &self.domain
    }

    /// The branch.
    pub fn branch(&self) -> &BranchName {
        &self.branch
    }

    fn opened(home: &Home, domain: &DomainName, branch: &BranchName) -> Result<Self, FileError> {
        durable::create_directories(&home.branch(domain, branch))?;
        let path = home.append_lock(domain, branch);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(PRIVATE_FILE_MODE)
            .open(&path)
            .map_err(FileError::of("open", &path))?;
        Ok(Self {
            home: home.clone(),
            domain: domain.clone(),
            branch: branch.clone(),
            _file: file,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_appends_to_a_branch() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        let domain = DomainName::new("example.com").unwrap();
        let (branch, other) = (BranchName::generic(), BranchName::new("other").unwrap());
        let first = AppendLock::take(&home, &domain, &branch).unwrap();
        let tried = |branch| AppendLock::try_take(&home, &domain, branch).unwrap();
        assert!(tried(&branch).is_none());
        assert!(tried(&other).is_some());
        drop(first);
        assert_eq!(tried(&branch).unwrap().branch(), &branch);
    }
}
