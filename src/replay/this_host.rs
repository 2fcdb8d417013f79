//! This host as the conductors see it: its settings, names and stores, under the host-wide lock.
//! Not for doing anything with them. Upholds: two isconf on one host never interleave, because
//! nobody has this value without the lock.

use std::path::Path;

use isconf_sandbox::change::{NormalRules, PathPattern};
use isconf_sandbox::session;

use super::trial::Bench;
use super::work::Streams;
use crate::check_in::Site;
use crate::config::Settings;
use crate::history::{History, HistoryError};
use crate::journal::{Journal, JournalError, Wip};
use crate::lock::HostLock;
use crate::model::{Author, BranchName, DomainName, Home, InvalidName, Moment};
use crate::store::Store;

/// This host, locked for one verb.
#[derive(Debug)]
pub struct ThisHost {
    /// What was configured.
    pub settings: Settings,
    /// Where isconf's files are.
    pub home: Home,
    /// The domain it belongs to.
    pub domain: DomainName,
    /// The branch it follows.
    pub branch: BranchName,
    /// Who uses it.
    pub author: Author,
    /// The contents.
    pub store: Store,
    /// The right to change things.
    pub lock: HostLock,
    /// The only clock of the conductors.
    pub clock: fn() -> Moment,
}

impl ThisHost {
    /// Puts together what was configured for a host of a domain.
    pub fn new(
        settings: Settings,
        domain: DomainName,
        lock: HostLock,
        clock: fn() -> Moment,
    ) -> Result<Self, InvalidName> {
        let home = settings.home.value.clone();
        let author = settings.author()?;
        let branch = settings.branch.value.clone();
        let store = Store::new(home.blobs(&domain));
        Ok(Self {
            settings,
            home,
            domain,
            branch,
            author,
            store,
            lock,
            clock,
        })
    }

    /// The time.
    pub fn now(&self) -> Moment {
        (self.clock)()
    }

    /// The branch's journal, made empty when there is none.
    pub fn journal(&self) -> Result<Journal, JournalError> {
        Journal::open_or_create(&self.lock, &self.home, &self.domain, &self.branch)
    }

    /// The drafts that are not checked in.
    pub fn wip(&self) -> Result<Option<Wip>, JournalError> {
        Wip::open(&self.home, &self.domain, &self.branch)
    }

    /// The branch that is worked on, and the right to.
    pub fn site(&self) -> Site<'_> {
        Site {
            host: &self.lock,
            home: &self.home,
            domain: &self.domain,
            branch: &self.branch,
        }
    }

    /// Whether there are drafts that are not checked in.
    pub fn has_wip(&self) -> Result<bool, JournalError> {
        Ok(self.wip()?.is_some_and(|wip| !wip.is_empty()))
    }

    /// This host's receipts.
    pub fn history(&self) -> Result<History, HistoryError> {
        History::open_or_create(&self.lock, &self.home, &self.domain)
    }

    /// The file with the branch's lock.
    pub fn branch_lock(&self) -> std::path::PathBuf {
        self.home.branch_lock(&self.domain, &self.branch)
    }

    /// What every scratchpad of this host has in common.
    pub fn scratch_settings(&self) -> session::Settings {
        session::Settings::new(self.home.as_path())
    }

    /// Paths that do not count when hosts are compared, and in an audit: the built-in list and
    /// that of `IS_IGNORE`.
    pub fn ignore(&self) -> Vec<PathPattern> {
        let own = self
            .settings
            .ignore
            .value
            .iter()
            .filter_map(|glob| glob.as_str().parse().ok());
        NormalRules::default_ignore()
            .into_iter()
            .chain(own)
            .collect()
    }

    /// How entries are done here.
    pub fn bench<'a>(
        &'a self,
        ignore: &'a [PathPattern],
        streams: Streams,
        keeps_contents: bool,
    ) -> Bench<'a> {
        Bench {
            store: &self.store,
            ignore,
            settings: &self.settings,
            streams,
            keeps_contents,
        }
    }

    /// The live root.
    pub fn root(&self) -> &'static Path {
        Path::new("/")
    }
}
