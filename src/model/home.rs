//! Where isconf's own files lie. Paths only; nothing is opened. Upholds: every path below
//! `IS_HOME` is made here, and from checked names only.
//!
//! ```text
//! IS_HOME/
//!   conf/{domain,branch,history,history.next,hmac_keys,host.key,peers,joined,audit,.pid,.ctl,.lock,.daemon.lock,.reserve}
//!   fs/cache/DOMAIN/volume/BRANCH/{journal,head,lock,.append}
//!   fs/cache/DOMAIN/blob/ab/<sha256>
//!   fs/private/DOMAIN/volume/BRANCH/journal.wip
//!   scratch/
//! ```

use std::path::{Path, PathBuf};

use isconf_sandbox::layout::HOME_SCRATCH_DIR;

use super::{BranchName, DomainName};

/// The name of a file of drafts.
pub const WIP_FILE: &str = "journal.wip";

/// The directory named by `IS_HOME` (`/var/is` when nothing names another).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home(PathBuf);

impl Home {
    /// Takes the directory; it need not exist yet.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    /// The directory itself.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// The host's own settings and state.
    pub fn conf(&self) -> PathBuf {
        self.0.join("conf")
    }

    /// The file with the domain's name.
    pub fn domain_file(&self) -> PathBuf {
        self.conf().join("domain")
    }

    /// The file with the branch's name.
    pub fn branch_file(&self) -> PathBuf {
        self.conf().join("branch")
    }

    /// This host's chain of receipts.
    pub fn history(&self) -> PathBuf {
        self.conf().join("history")
    }

    /// The domain's keys, where `IS_HMAC_KEYS` names no other file.
    pub fn hmac_keys(&self) -> PathBuf {
        self.conf().join("hmac_keys")
    }

    /// The host's Ed25519 key.
    pub fn host_key(&self) -> PathBuf {
        self.conf().join("host.key")
    }

    /// How this host stands, for the others.
    pub fn card(&self) -> PathBuf {
        self.conf().join("card")
    }

    /// What the daemon's last `up` said.
    pub fn auto_up_log(&self) -> PathBuf {
        self.conf().join("auto-up.log")
    }

    /// The addresses of hosts that were met.
    pub fn peers(&self) -> PathBuf {
        self.conf().join("peers")
    }

    /// The addresses that were joined.
    pub fn joined(&self) -> PathBuf {
        self.conf().join("joined")
    }

    /// The daemon's process id.
    pub fn pid_file(&self) -> PathBuf {
        self.conf().join(".pid")
    }

    /// The daemon's Unix socket.
    pub fn control_socket(&self) -> PathBuf {
        self.conf().join(".ctl")
    }

    /// The file that the running daemon has locked.
    pub fn daemon_lock(&self) -> PathBuf {
        self.conf().join(".daemon.lock")
    }

    /// The host-wide lock file.
    pub fn host_lock(&self) -> PathBuf {
        self.conf().join(".lock")
    }

    /// The file that keeps room for the records of a change.
    pub fn reserve(&self) -> PathBuf {
        self.conf().join(".reserve")
    }

    /// What a committed entry still asks of service managers.
    pub fn pending_actions(&self) -> PathBuf {
        self.conf().join("actions")
    }

    /// For which entry a command acts on the running system.
    pub fn acting(&self) -> PathBuf {
        self.conf().join("acting")
    }

    /// The scratch directories of the volume that holds this directory.
    pub fn scratch(&self) -> PathBuf {
        self.0.join(HOME_SCRATCH_DIR)
    }

    /// What a domain's hosts share.
    pub fn cache(&self, domain: &DomainName) -> PathBuf {
        self.0.join("fs/cache").join(domain.as_str())
    }

    /// What is known of those who keep the locks of a domain.
    pub fn voters(&self, domain: &DomainName) -> PathBuf {
        self.cache(domain).join("voters")
    }

    /// How the hosts of a domain stand.
    pub fn cards(&self, domain: &DomainName) -> PathBuf {
        self.cache(domain).join("cards")
    }

    /// What this host keeps of the locks of a domain, if it votes.
    pub fn ledger(&self, domain: &DomainName) -> PathBuf {
        self.cache(domain).join("ledger")
    }

    /// The branches of a domain, one directory each.
    pub fn branches(&self, domain: &DomainName) -> PathBuf {
        self.cache(domain).join("volume")
    }

    /// The directory of a branch's journal.
    pub fn branch(&self, domain: &DomainName, branch: &BranchName) -> PathBuf {
        self.branches(domain).join(branch.as_str())
    }

    /// A branch's journal.
    pub fn journal(&self, domain: &DomainName, branch: &BranchName) -> PathBuf {
        self.branch(domain, branch).join("journal")
    }

    /// A branch's lock file.
    pub fn branch_lock(&self, domain: &DomainName, branch: &BranchName) -> PathBuf {
        self.branch(domain, branch).join("lock")
    }

    /// The file that is locked while a branch's journal is made longer.
    pub fn append_lock(&self, domain: &DomainName, branch: &BranchName) -> PathBuf {
        self.branch(domain, branch).join(".append")
    }

    /// The content-addressed store.
    pub fn blobs(&self, domain: &DomainName) -> PathBuf {
        self.cache(domain).join("blob")
    }

    /// The directory of a branch's entries that are not checked in.
    pub fn private(&self, domain: &DomainName, branch: &BranchName) -> PathBuf {
        let domain_private = self.0.join("fs/private").join(domain.as_str());
        domain_private.join("volume").join(branch.as_str())
    }

    /// Says that it is not known whether the entries that are not checked in are.
    pub fn undecided(&self, domain: &DomainName, branch: &BranchName) -> PathBuf {
        self.private(domain, branch).join("undecided")
    }

    /// A branch's entries that are not checked in.
    pub fn wip(&self, domain: &DomainName, branch: &BranchName) -> PathBuf {
        self.private(domain, branch).join(WIP_FILE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_layout() {
        let home = Home::new("/var/is");
        let domain = DomainName::new("example.com").unwrap();
        let branch = BranchName::generic();
        let journal = home.journal(&domain, &branch);
        let expected = "/var/is/fs/cache/example.com/volume/generic/journal";
        assert_eq!(journal, Path::new(expected));
        let wip = home.wip(&domain, &branch);
        let expected = "/var/is/fs/private/example.com/volume/generic/journal.wip";
        assert_eq!(wip, Path::new(expected));
        assert_eq!(home.control_socket(), Path::new("/var/is/conf/.ctl"));
    }
}
