//! A branch's journal on disk. Upholds: the chain and the last signature are checked when it is
//! opened, and an entry's own signature before it is run.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::batch::Batch;
use super::record::{RecordFault, entry_body, parse_entry};
use super::signature::{SignatureFault, verify_signature};
use crate::chain::{Appender, Chain, ChainError, ChainKind, Header, Place};
use crate::durable::FileError;
use crate::identity::HostKey;
use crate::lock::AppendLock;
use crate::model::{BranchName, DomainName, Draft, Entry, EntryId, EntryRef, Home};
use isconf_sandbox::change::Digest;

/// A journal, wip or entry that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The chained file.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The system refused an operation.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is bound to something else: moved here from another domain or branch.
    #[error("{} belongs to {field} {found}, not {expected}", path.display())]
    WrongPlace {
        /// The file.
        path: PathBuf,
        /// `domain` or `branch`.
        field: &'static str,
        /// What it should belong to.
        expected: String,
        /// What it does.
        found: String,
    },
    /// A record that is not an entry or a draft.
    #[error("{}, line {line}, record {seq}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// The record's first line.
        line: u64,
        /// Its number.
        seq: u64,
        /// What is wrong.
        #[source]
        source: RecordFault,
    },
    /// An entry that its key did not sign.
    #[error("{}, line {line}, record {seq}", path.display())]
    Signature {
        /// The file.
        path: PathBuf,
        /// The record's first line.
        line: u64,
        /// Its number.
        seq: u64,
        /// What is wrong.
        #[source]
        source: SignatureFault,
    },
    /// A branch of that name has entries already.
    #[error("branch {0} already exists")]
    BranchExists(BranchName),
}

impl JournalError {
    /// Whether a newer isconf would understand the record.
    pub fn needs_newer(&self) -> bool {
        matches!(self, Self::Record { source, .. } if source.is_newer())
    }
}

/// A verified journal.
#[derive(Debug)]
pub struct Journal {
    chain: Chain,
    branch: BranchName,
}

impl Journal {
    /// Opens and verifies the branch's journal; `None` when this host has none.
    pub fn open(
        home: &Home,
        domain: &DomainName,
        branch: &BranchName,
    ) -> Result<Option<Self>, JournalError> {
        let place = place_of(home, domain, branch);
        let Some(chain) = Chain::open(place, ChainKind::Journal)? else {
            return Ok(None);
        };
        check_field(&chain, "domain", domain.as_str())?;
        let journal = Self {
            chain,
            branch: branch.clone(),
        };
        if !journal.is_empty() {
            journal.read_signed(journal.len())?;
        }
        Ok(Some(journal))
    }

    /// As [`open`](Self::open), but makes an empty journal where there is none.
    pub fn open_or_create(right: &AppendLock) -> Result<Self, JournalError> {
        let (home, domain, branch) = (right.home(), right.domain(), right.branch());
        if let Some(journal) = Self::open(home, domain, branch)? {
            return Ok(journal);
        }
        let chain = Chain::create(place_of(home, domain, branch), &header_of(domain))?;
        let branch = branch.clone();
        Ok(Self { chain, branch })
    }

    /// The branches of a domain that have a directory here, in order. One without a journal may be among
    /// them. Files with other names are passed over.
    pub fn branches(home: &Home, domain: &DomainName) -> Result<BTreeSet<BranchName>, FileError> {
        let directory = home.branches(domain);
        let listed = match fs::read_dir(&directory) {
            Ok(listed) => listed,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(e) => return Err(FileError::of("list", &directory)(e)),
        };
        let entries = listed.filter_map(Result::ok);
        let names = entries.filter_map(|entry| BranchName::new(entry.file_name().to_str()?).ok());
        Ok(names.collect())
    }

    /// The place before the first entry of every branch of a domain.
    pub fn beginning(domain: &DomainName) -> EntryRef {
        EntryRef {
            seq: 0,
            id: EntryId(header_of(domain).genesis()),
        }
    }

    /// The chain itself: identities of entries, its file, what a crash left behind it.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Whether the journal on disk still ends where this one does. Costs one small file.
    pub fn is_current(&self) -> Result<bool, JournalError> {
        Ok(self.chain.is_current()?)
    }

    /// The branch.
    pub fn branch(&self) -> &BranchName {
        &self.branch
    }

    /// The number of entries.
    pub fn len(&self) -> u64 {
        self.chain.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.chain.is_empty()
    }

    /// The last entry, or the place before the first.
    pub fn last(&self) -> EntryRef {
        let head = self.chain.head();
        EntryRef {
            seq: head.seq,
            id: EntryId(head.id),
        }
    }

    /// The place and identity of entry `seq`; 0 is the place before the first.
    pub fn at(&self, seq: u64) -> Option<EntryRef> {
        let id = EntryId(self.chain.id_of(seq)?);
        Some(EntryRef { seq, id })
    }

    /// Whether this journal has that entry, and so everything before it.
    pub fn contains(&self, at: EntryRef) -> bool {
        self.at(at.seq) == Some(at)
    }

    /// The first entry in which this journal differs from `other`, as far as both go; `None` when
    /// one is a prefix of the other. Logarithmic: equal identities mean equal prefixes.
    pub fn first_difference(&self, other: &Self) -> Option<u64> {
        let (mut same, mut end) = (0, self.len().min(other.len()) + 1);
        let is_same = |seq| self.at(seq).is_some_and(|at| other.contains(at));
        if !is_same(0) {
            return Some(1);
        }
        let shorter = end - 1;
        while same + 1 < end {
            let middle = same.midpoint(end);
            if is_same(middle) {
                same = middle;
            } else {
                end = middle;
            }
        }
        (same < shorter).then_some(same + 1)
    }

    /// The entries behind the first `applied`.
    pub fn pending(&self, applied: u64) -> RangeInclusive<u64> {
        applied + 1..=self.len()
    }

    /// Reads entry `seq` without its signature being checked: for showing it.
    pub fn entry(&self, seq: u64) -> Result<Entry, JournalError> {
        let record = self.chain.read(seq)?;
        self.parse(seq, &record)
    }

    /// Reads entry `seq` and checks its signature: for running it.
    pub fn signed_entry(&self, seq: u64) -> Result<Entry, JournalError> {
        let record = self.read_signed(seq)?;
        self.parse(seq, &record)
    }

    /// Appends drafts as entries signed by `key`, in this order: all or none.
    pub fn append(
        &mut self,
        _right: &AppendLock,
        drafts: &[Draft],
        key: &HostKey,
    ) -> Result<(), JournalError> {
        let public = key.public();
        let bodies: Vec<_> = drafts.iter().map(|d| entry_body(d, &public)).collect();
        self.chain
            .append(&bodies, &|digest| key.sign(digest).to_string())?;
        Ok(())
    }

    /// Makes drafts into entries signed by `key` that can follow the end of this journal, and appends
    /// nothing. The same drafts make the same entries.
    pub fn prepare(&self, drafts: &[Draft], key: &HostKey) -> Batch {
        let public = key.public();
        let bodies = drafts.iter().map(|d| entry_body(d, &public));
        let seal = |digest: &Digest| key.sign(digest).to_string();
        Batch::new(self.chain.prepare(bodies, &seal))
    }

    /// The entries behind the first `applied` as a batch, and the place that they follow. Fails when there are
    /// not so many.
    pub fn batch(&self, applied: u64) -> Result<(EntryRef, Batch), JournalError> {
        let records = self.pending(applied).map(|seq| self.chain.read(seq));
        let records = records.collect::<Result<Vec<_>, _>>()?;
        let base = self.at(applied).unwrap_or(self.last());
        Ok((base, Batch::new(records)))
    }

    /// Appends what was prepared: all or none. Fails when it does not follow the end of this journal.
    pub fn append_batch(&mut self, right: &AppendLock, batch: &Batch) -> Result<(), JournalError> {
        let mut import = self.import(right)?;
        for record in batch.records() {
            import.push(record)?;
        }
        import.finish()
    }

    /// Begins to take over entries as another host made them.
    pub fn import<'a>(&'a mut self, _right: &'a AppendLock) -> Result<Import<'a>, JournalError> {
        Ok(Import {
            path: self.chain.path().to_path_buf(),
            appender: Appender::begin(&mut self.chain)?,
        })
    }

    /// Makes the branch that `right` is for as an exact copy of this one. Fails when it has entries
    /// already.
    pub fn fork(&self, right: &AppendLock) -> Result<Self, JournalError> {
        let mut child = Self::open_or_create(right)?;
        if !child.is_empty() {
            return Err(JournalError::BranchExists(right.branch().clone()));
        }
        let mut appender = Appender::begin(&mut child.chain)?;
        for seq in self.pending(0) {
            appender.push(&self.chain.read(seq)?)?;
        }
        appender.finish()?;
        Ok(child)
    }

    /// Reads a record and checks its signature.
    fn read_signed(&self, seq: u64) -> Result<Vec<u8>, JournalError> {
        let record = self.chain.read(seq)?;
        match verify_signature(&record) {
            Ok(_key) => Ok(record),
            Err(source) => Err(JournalError::Signature {
                path: self.chain.path().to_path_buf(),
                line: self.chain.line_of(seq),
                seq,
                source,
            }),
        }
    }

    /// Appends an entry whose signature is not one.
    #[cfg(test)]
    pub(super) fn append_forged(&mut self, body: String) {
        self.chain
            .append(&[body], &|digest| format!("{digest}{digest}"))
            .unwrap();
    }

    /// Parses a record of this journal.
    fn parse(&self, seq: u64, record: &[u8]) -> Result<Entry, JournalError> {
        parse_entry(record).map_err(|source| record_error(&self.chain, seq, source))
    }
}

/// Entries of another host being taken over: they count when finished.
#[derive(Debug)]
#[must_use = "imported entries count only when finished"]
pub struct Import<'a> {
    path: PathBuf,
    appender: Appender<'a>,
}

impl Import<'_> {
    /// Takes the next record. Checks that it follows, that it is an entry and that it is signed.
    pub fn push(&mut self, record: &[u8]) -> Result<Entry, JournalError> {
        let seq = self.appender.next_seq();
        // Nothing of a record that was not written yet has a line in the file.
        let (path, line) = (self.path.clone(), 0);
        if let Err(source) = verify_signature(record) {
            return Err(JournalError::Signature {
                path,
                line,
                seq,
                source,
            });
        }
        let entry = parse_entry(record).map_err(|source| JournalError::Record {
            path,
            line,
            seq,
            source,
        })?;
        self.appender.push(record)?;
        Ok(entry)
    }

    /// The last entry that was taken, or that the journal has.
    pub fn last(&self) -> EntryRef {
        EntryRef {
            seq: self.appender.next_seq() - 1,
            id: EntryId(self.appender.last_id()),
        }
    }

    /// Makes them part of the journal, all at once.
    pub fn finish(self) -> Result<(), JournalError> {
        Ok(self.appender.finish()?)
    }
}

/// The first lines of a domain's journals.
fn header_of(domain: &DomainName) -> Header {
    Header::new(ChainKind::Journal, [domain.to_string()])
}

/// Where a branch's journal and its head lie.
fn place_of(home: &Home, domain: &DomainName, branch: &BranchName) -> Place {
    Place {
        file: home.journal(domain, branch),
        head: home.branch(domain, branch).join("head"),
    }
}

/// Checks what a chain is bound to.
pub(super) fn check_field(
    chain: &Chain,
    field: &'static str,
    expected: &str,
) -> Result<(), JournalError> {
    match chain.header().value(field) {
        found if found == expected => Ok(()),
        found => Err(JournalError::WrongPlace {
            path: chain.path().to_path_buf(),
            field,
            expected: expected.to_owned(),
            found: found.to_owned(),
        }),
    }
}

/// An error about a record of a chain.
pub(super) fn record_error(chain: &Chain, seq: u64, source: RecordFault) -> JournalError {
    JournalError::Record {
        path: chain.path().to_path_buf(),
        line: chain.line_of(seq),
        seq,
        source,
    }
}
