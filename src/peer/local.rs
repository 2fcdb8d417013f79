//! What this host has of the domain's journals and contents, as its peers see it. All of it may wait for
//! the disk. Upholds: an entry counts only when its chain and its signature were checked; nothing of a
//! peer is believed before; the journal here is made longer, never replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use isconf_sandbox::change::Digest;

use super::messages::{
    BranchHead, MAX_BRANCHES, MAX_RECORDS, RECORDS_BYTES, Records, RecordsAfter, Refused,
};
use crate::durable::{self, FileError};
use crate::journal::{Journal, JournalError};
use crate::lock::{AppendLock, BranchLock};
use crate::model::{
    BranchName, CARD_FIRST_LINE, CachePolicy, DomainName, EntryRef, Home, HostCard,
};
use crate::needs::{Needs, ReferenceError};
use crate::store::{Store, StoreError};

/// The longest file with a branch's name, in bytes.
const MAX_BRANCH_FILE: u64 = 4096;

/// Why something of this host could not be read or taken in.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The system refused an operation.
    #[error(transparent)]
    File(#[from] FileError),
    /// A journal here.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A record that a peer sent. Those before it were taken.
    #[error("what it sent as an entry is none")]
    Sent(#[source] JournalError),
    /// An entry that only a newer isconf understands. Those before it were taken.
    #[error("a newer isconf is needed here for entry {seq} of branch {branch}")]
    Newer {
        /// Its branch.
        branch: BranchName,
        /// Which.
        seq: u64,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What an entry needs cannot be told.
    #[error("entry {seq} of branch {branch}")]
    References {
        /// Its branch.
        branch: BranchName,
        /// Which.
        seq: u64,
        /// Why.
        #[source]
        source: ReferenceError,
    },
    /// There are too many branches.
    #[error("there are {MAX_BRANCHES} branches already")]
    TooManyBranches,
}

impl LocalError {
    /// Whether the peer that sent it is to blame.
    pub fn is_the_senders(&self) -> bool {
        matches!(self, Self::Sent(_))
    }
}

/// This host's part of the domain.
#[derive(Debug)]
pub struct Local {
    home: Home,
    domain: DomainName,
    store: Store,
    /// The branch that this host follows when its file says nothing.
    branch: BranchName,
    policy: CachePolicy,
    branches: Mutex<BTreeMap<BranchName, Branch>>,
    /// The blobs that were found damaged and are not here again.
    damaged: Mutex<BTreeSet<Digest>>,
}

/// A branch, as it was read last.
#[derive(Debug, Clone)]
struct Branch {
    journal: Arc<Journal>,
    /// Up to which entry all contents were there that this host wanted.
    complete: u64,
    /// Whether it followed the branch then, and up to which entry it had applied it.
    wanted_for: (bool, u64),
}

impl Branch {
    /// Up to which entry all is there, now that this host follows the branch or not and has applied so much of it:
    /// what was removed after it was applied is wanted again when that is taken back.
    fn complete_for(&mut self, is_own: bool, applied: u64) -> u64 {
        let (was_own, was_applied) = self.wanted_for;
        if was_own != is_own {
            self.complete = 0;
        } else if applied < was_applied {
            self.complete = self.complete.min(applied);
        }
        self.wanted_for = (is_own, applied);
        self.complete
    }
}

/// A blob that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The entry that needs it.
    pub seq: u64,
    /// Which ones, with their lengths in bytes where these are known.
    pub blobs: Vec<(Digest, Option<u64>)>,
}

impl Local {
    /// That of `home` in `domain`, where contents are kept by `policy`; it follows `branch` when no file says otherwise.
    pub fn new(
        home: &Home,
        domain: &DomainName,
        (branch, policy): (&BranchName, CachePolicy),
    ) -> Self {
        Self {
            home: home.clone(),
            domain: domain.clone(),
            store: Store::new(home.blobs(domain)),
            branch: branch.clone(),
            policy,
            branches: Mutex::default(),
            damaged: Mutex::default(),
        }
    }

    /// The blobs.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The branch that this host follows, if its file says so.
    pub fn followed(&self) -> Option<BranchName> {
        let read = durable::read_small(&self.home.branch_file(), MAX_BRANCH_FILE);
        let bytes = read.ok()??;
        BranchName::new(str::from_utf8(&bytes).ok()?.trim()).ok()
    }

    /// How this host stands, as the last verb that changed it wrote.
    pub fn card(&self) -> Option<HostCard> {
        let read = durable::read_small(&self.home.card(), MAX_BRANCH_FILE);
        let bytes = read.ok()??;
        let json = bytes.strip_prefix(CARD_FIRST_LINE.as_bytes())?;
        serde_json::from_slice(json).ok().filter(HostCard::is_sound)
    }

    /// What is here of each branch. A journal that cannot be used is passed over, and told.
    pub fn heads(&self, trouble: &mut dyn FnMut(&BranchName, LocalError)) -> Vec<BranchHead> {
        let mut heads = Vec::new();
        let (names, own) = (self.names(), self.followed());
        let mut names: Vec<_> = names.into_iter().collect();
        // However many others there are, what this host follows is told.
        names.sort_by_key(|name| Some(name) != own.as_ref());
        for branch in names.into_iter().take(MAX_BRANCHES) {
            match self.head(&branch) {
                Ok(Some(head)) => heads.push(head),
                Ok(None) => {}
                Err(error) => trouble(&branch, error),
            }
        }
        heads
    }

    /// What is here of a branch.
    pub fn head(&self, branch: &BranchName) -> Result<Option<BranchHead>, LocalError> {
        let Some(known) = self.opened(branch)? else {
            return Ok(None);
        };
        let last = known.journal.last();
        Ok((last.seq > 0).then(|| BranchHead {
            branch: branch.clone(),
            seq: last.seq,
            id: last.id,
            // Others are not to count on what goes when it is not needed here any more.
            complete: match self.policy {
                CachePolicy::Full => known.complete,
                CachePolicy::Needed => 0,
            },
        }))
    }

    /// Up to which entry of a branch all contents are here that this host wants.
    pub fn complete(&self, branch: &BranchName) -> Result<u64, LocalError> {
        Ok(self.opened(branch)?.map_or(0, |known| known.complete))
    }

    /// The end of the journal here; the place before the first entry where there is none.
    pub fn last(&self, branch: &BranchName) -> Result<EntryRef, LocalError> {
        Ok(match self.opened(branch)? {
            Some(known) => known.journal.last(),
            None => Journal::beginning(&self.domain),
        })
    }

    /// Whether the journal of a branch here has all of these entries.
    pub fn has(&self, branch: &BranchName, entries: &[EntryRef]) -> bool {
        let beginning = Journal::beginning(&self.domain);
        match self.opened(branch) {
            Ok(Some(known)) => entries.iter().all(|at| known.journal.contains(*at)),
            Ok(None) => entries.iter().all(|at| *at == beginning),
            Err(_) => false,
        }
    }

    /// Whether some journal here has an entry.
    pub fn has_anywhere(&self, at: EntryRef) -> bool {
        self.names().iter().any(|branch| self.has(branch, &[at]))
            || at == Journal::beginning(&self.domain)
    }

    /// Whether entries behind `base`, up to `last`, can be the next ones of a branch as far as is known here: its
    /// journal ends there or before, or has them already.
    pub fn may_follow(&self, branch: &BranchName, base: EntryRef, last: EntryRef) -> bool {
        match self.opened(branch) {
            Ok(Some(known)) => {
                let end = known.journal.last();
                end.seq < base.seq || end == base || known.journal.contains(last)
            }
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// Whether anybody ever locked a branch on this host while it was alone.
    pub fn has_locked(&self) -> bool {
        self.names().iter().any(|branch| {
            let path = self.home.branch_lock(&self.domain, branch);
            BranchLock::load(&path).is_ok_and(|lock| lock.fence > 0)
        })
    }

    /// The records behind an entry, as many as one answer takes, and their bytes.
    pub fn records_after(
        &self,
        asked: &RecordsAfter,
    ) -> Result<Result<(Records, Vec<u8>), Refused>, LocalError> {
        let Some(Branch { journal, .. }) = self.opened(&asked.branch)? else {
            return Ok(Err(Refused::Missing));
        };
        let last = journal.last().seq;
        match journal.at(asked.seq) {
            Some(at) if at.id == asked.id => {}
            Some(_) => return Ok(Err(Refused::Diverged)),
            None => return Ok(Err(Refused::Missing)),
        }
        let (mut lengths, mut bytes) = (Vec::new(), Vec::new());
        for seq in journal.pending(asked.seq) {
            let record = journal.chain().read(seq).map_err(JournalError::from)?;
            lengths.push(record.len() as u64);
            bytes.extend(record);
            if bytes.len() as u64 >= RECORDS_BYTES || lengths.len() >= MAX_RECORDS {
                break;
            }
        }
        Ok(Ok((Records { lengths, last }, bytes)))
    }

    /// Takes records of a peer that follow the end of the journal here; those that somebody else took
    /// meanwhile are passed over. `None` when another process appends just now.
    pub fn take_records(
        &self,
        branch: &BranchName,
        after: EntryRef,
        records: &[&[u8]],
    ) -> Result<Option<EntryRef>, LocalError> {
        let names = self.names();
        if !names.contains(branch) && names.len() >= MAX_BRANCHES {
            return Err(LocalError::TooManyBranches);
        }
        let Some(right) = AppendLock::try_take(&self.home, &self.domain, branch)? else {
            return Ok(None);
        };
        // The one that was verified already, if nobody else reads it just now: verifying takes a reading
        // of the whole file.
        let cached = self.branches().remove(branch);
        let before = cached.as_ref();
        let (complete, wanted_for) =
            before.map_or_else(Default::default, |known| (known.complete, known.wanted_for));
        let cached = cached.and_then(|known| Arc::try_unwrap(known.journal).ok());
        let mut journal = match cached {
            Some(journal) if journal.is_current()? => journal,
            Some(_) | None => Journal::open_or_create(&right)?,
        };
        let mut fault = None;
        if journal.last() == after {
            let mut import = journal.import(&right)?;
            for record in records {
                if let Err(error) = import.push(record) {
                    fault = Some((import.last().seq + 1, error));
                    break;
                }
            }
            import.finish()?;
        }
        let last = journal.last();
        drop(right);
        let journal = Arc::new(journal);
        self.branches().insert(
            branch.clone(),
            Branch {
                journal,
                complete,
                wanted_for,
            },
        );
        match fault {
            None => Ok(Some(last)),
            Some((seq, error)) if error.needs_newer() => {
                let branch = branch.clone();
                Err(LocalError::Newer { branch, seq })
            }
            Some((_, error)) => Err(LocalError::Sent(error)),
        }
    }

    /// The first entry of a branch behind entry `after` whose contents are not all here, and what is
    /// missing; `None` when all is here. What is known to be complete is not looked at again.
    pub fn wanted(&self, branch: &BranchName, after: u64) -> Result<Option<Wanted>, LocalError> {
        let Some(Branch {
            journal, complete, ..
        }) = self.opened(branch)?
        else {
            return Ok(None);
        };
        let (is_own, applied) = match self.policy {
            CachePolicy::Full => (true, 0),
            CachePolicy::Needed => self.applied(&journal),
        };
        let complete = match self.branches().get_mut(branch) {
            Some(known) => known.complete_for(is_own, applied),
            None => complete,
        };
        for seq in journal.pending(complete.max(after)) {
            let with_files = self.policy.wants(is_own, seq <= applied);
            let blobs = self.missing(&journal, seq, with_files)?;
            if !blobs.is_empty() {
                return Ok(Some(Wanted { seq, blobs }));
            }
            if let Some(known) = self.branches().get_mut(branch)
                && known.complete + 1 == seq
                && seq <= known.journal.len()
            {
                known.complete = seq;
            }
        }
        Ok(None)
    }

    /// Looks whether blobs were found damaged, and are wanted again; whether there are others than before.
    pub fn look_for_damage(&self) -> bool {
        let Ok(damaged) = self.store.damaged() else {
            // It is told where the store is used.
            return false;
        };
        let mut known = self.damaged.lock().unwrap_or_else(|e| e.into_inner());
        if *known == damaged {
            return false;
        }
        let is_more = !damaged.is_subset(&known);
        *known = damaged;
        drop(known);
        if is_more {
            self.forget_complete();
        }
        is_more
    }

    /// Has all contents looked at anew.
    pub fn forget_complete(&self) {
        for branch in self.branches().values_mut() {
            branch.complete = 0;
        }
    }

    /// Whether something of the own branch is missing that this host wants, where it keeps only what it needs: what was
    /// taken back is needed again.
    pub fn needs_more(&self) -> bool {
        let branch = self.followed().unwrap_or_else(|| self.branch.clone());
        self.policy == CachePolicy::Needed
            && self.wanted(&branch, 0).is_ok_and(|wanted| wanted.is_some())
    }

    /// Verifies a blob; one that is damaged is set aside, and wanted again.
    pub fn look_at_blob(&self, digest: &Digest) {
        if let Err(error) = self.store.copy_to(digest, &mut io::sink()) {
            tracing::warn!("{error}");
        }
        self.look_for_damage();
    }

    /// Whether this host follows a journal's branch, and up to which entry it applied it.
    fn applied(&self, journal: &Journal) -> (bool, u64) {
        let followed = self.followed();
        let is_own = followed.as_ref().unwrap_or(&self.branch) == journal.branch();
        let card = self.card().filter(|card| card.branch == *journal.branch());
        let at = card.and_then(|card| card.at);
        let at = at.filter(|at| is_own && journal.contains(*at));
        (is_own, at.map_or(0, |at| at.seq))
    }

    /// The blobs that an entry needs and that are not here; with its files, those that its manifest names are told
    /// when that is here.
    fn missing(
        &self,
        journal: &Journal,
        seq: u64,
        with_files: bool,
    ) -> Result<Vec<(Digest, Option<u64>)>, LocalError> {
        let entry = journal.entry(seq)?;
        let needs = Needs::of(&entry.draft);
        let is_missing = |blob: &(Digest, _)| !self.store.contains(&blob.0);
        let named = needs.named().map(|digest| (digest, None));
        let named: Vec<_> = named.filter(is_missing).collect();
        if !named.is_empty() || !with_files {
            return Ok(named);
        }
        match needs.with_lengths(&self.store) {
            Ok(all) => Ok(all.into_iter().filter(is_missing).collect()),
            // It was found damaged and set aside just now.
            Err(ReferenceError::Store(StoreError::Corrupt { expected, .. })) => {
                Ok(vec![(expected, None)])
            }
            Err(source) => Err(LocalError::References {
                branch: journal.branch().clone(),
                seq,
                source,
            }),
        }
    }

    /// The branch's journal, read anew if it grew; `None` when there is none.
    fn opened(&self, branch: &BranchName) -> Result<Option<Branch>, LocalError> {
        let known = self.branches().get(branch).cloned();
        if let Some(known) = &known
            && known.journal.is_current()?
        {
            return Ok(Some(known.clone()));
        }
        let Some(journal) = Journal::open(&self.home, &self.domain, branch)? else {
            self.branches().remove(branch);
            return Ok(None);
        };
        // The head must be durable before others hear of it: whoever wrote it may be about to sync it,
        // and other hosts would have entries that a power cut takes back here.
        durable::sync_directory(&self.home.branch(&self.domain, branch))?;
        // An older file may have been put in its place.
        let (complete, wanted_for) = known
            .filter(|known| journal.contains(known.journal.last()))
            .map_or_else(Default::default, |known| (known.complete, known.wanted_for));
        let journal = Arc::new(journal);
        let opened = Branch {
            journal,
            complete,
            wanted_for,
        };
        self.branches().insert(branch.clone(), opened.clone());
        Ok(Some(opened))
    }

    /// The branches that have a directory here.
    fn names(&self) -> BTreeSet<BranchName> {
        Journal::branches(&self.home, &self.domain).unwrap_or_else(|error| {
            tracing::warn!("{error}");
            BTreeSet::new()
        })
    }

    fn branches(&self) -> MutexGuard<'_, BTreeMap<BranchName, Branch>> {
        // Each change is one insertion or removal, so that what a panic left is whole.
        self.branches.lock().unwrap_or_else(|e| e.into_inner())
    }
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
