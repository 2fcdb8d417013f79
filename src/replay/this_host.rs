//! This host as the conductors see it: its settings, names and stores, under the host-wide lock.
//! Not for doing anything with them. Upholds: two isconf on one host never interleave, because
//! nobody has this value without the lock.

use std::cell::RefCell;
use std::path::Path;

use isconf_sandbox::change::{NormalRules, PathPattern};

use super::trial::Bench;
use super::uncounted::Uncounted;
use super::work::Streams;
use crate::check_in::{DraftsError, Site, own_drafts};
use crate::config::Settings;
use crate::history::{History, HistoryError};
use crate::journal::{Journal, JournalError, Wip, WipDraft};
use crate::lock::{AppendLock, HostLock};
use crate::model::{Author, BranchName, DomainName, Home, InvalidName, Moment, PublicKey};
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
    /// Which host it is.
    pub key: PublicKey,
    /// The contents.
    pub store: Store,
    /// The right to change things.
    pub lock: HostLock,
    /// The only clock of the conductors.
    pub clock: fn() -> Moment,
    /// A journal that was verified and not used yet: one reading a verb is enough.
    verified: RefCell<Option<Journal>>,
}

impl ThisHost {
    /// Puts together what was configured for a host of a domain.
    pub fn new(
        settings: Settings,
        domain: DomainName,
        lock: HostLock,
        key: PublicKey,
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
            key,
            store,
            lock,
            clock,
            verified: RefCell::new(None),
        })
    }

    /// The time.
    pub fn now(&self) -> Moment {
        (self.clock)()
    }

    /// Verifies the branch's journal, for whoever asks for it next. Returns how many bytes behind
    /// its end are ignored, see [`Chain::unacknowledged`](crate::chain::Chain::unacknowledged).
    pub fn verify_journal(&self) -> Result<u64, JournalError> {
        let mut journal = self.journal()?;
        if journal.chain().unacknowledged() > 0 {
            // Unless somebody appends just now: who has the right to is alone.
            let right = AppendLock::take(&self.home, &self.domain, &self.branch)?;
            journal = Journal::open_or_create(&right)?;
        }
        let ignored = journal.chain().unacknowledged();
        self.take_back(journal);
        Ok(ignored)
    }

    /// The branch's journal, made empty when there is none.
    pub fn journal(&self) -> Result<Journal, JournalError> {
        // Its end moves also when entries of other hosts arrive.
        if let Some(journal) = self.verified.take()
            && journal.branch() == &self.branch
            && journal.is_current()?
        {
            return Ok(journal);
        }
        if let Some(journal) = Journal::open(&self.home, &self.domain, &self.branch)? {
            return Ok(journal);
        }
        let right = AppendLock::take(&self.home, &self.domain, &self.branch)?;
        Journal::open_or_create(&right)
    }

    /// Takes back a journal that was not appended to, for whoever asks for it next.
    pub fn take_back(&self, journal: Journal) {
        self.verified.replace(Some(journal));
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

    /// The drafts in the wip, which need not be what was made here; see [`drafts`](Self::drafts).
    pub fn wip_drafts(&self) -> Result<Vec<WipDraft>, JournalError> {
        let wip = self.wip()?;
        Ok(wip.map(|wip| wip.drafts()).transpose()?.unwrap_or_default())
    }

    /// The drafts that are not checked in; the history must tell of the same ones.
    pub fn drafts(&self, history: &History) -> Result<Vec<WipDraft>, DraftsError> {
        own_drafts(self.site(), self.wip()?.as_ref(), history)
    }

    /// This host's receipts.
    pub fn history(&self) -> Result<History, HistoryError> {
        History::open_or_create(&self.lock, &self.home, &self.domain)
    }

    /// The file with the branch's lock.
    pub fn branch_lock(&self) -> std::path::PathBuf {
        self.home.branch_lock(&self.domain, &self.branch)
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

    /// What does not count when hosts are compared. All hosts that have this journal say the same,
    /// and so does the origin that makes its first entry: that one's work begins at `now`.
    pub fn uncounted(&self, journal: &Journal, now: Moment) -> Result<Uncounted, JournalError> {
        let first = if journal.is_empty() {
            let wip = self.wip()?;
            let first = wip.map(|wip| wip.first()).transpose()?.flatten();
            first.map(|wip| wip.draft.time)
        } else {
            Some(journal.entry(1)?.draft.time)
        };
        Ok(Uncounted {
            since: first.unwrap_or(now).to_timestamp(),
            ignore: self.ignore(),
        })
    }

    /// How entries are done here.
    pub fn bench<'a>(
        &'a self,
        uncounted: &'a Uncounted,
        streams: Streams,
        keeps_contents: bool,
    ) -> Bench<'a> {
        Bench {
            store: &self.store,
            uncounted,
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
