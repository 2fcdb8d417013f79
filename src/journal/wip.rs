//! Drafts made under the branch lock and not checked in. Upholds: wip survives crashes, and says on
//! which journal it was made.

use isconf_sandbox::change::Digest;
use isconf_sandbox::layout::TxId;

use super::entries::{JournalError, check_field, record_error};
use super::record::{RecordFault, parse_wip, wip_body};
use crate::chain::{Chain, ChainKind, Header, Place, check_alone, seal_alone};
use crate::durable;
use crate::lock::HostLock;
use crate::model::{BranchName, DomainName, Draft, EntryId, EntryRef, Home};

/// A draft with what this host needs to take it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WipDraft {
    /// What becomes an entry.
    pub draft: Draft,
    /// The transaction that has the undo copies; none when nothing was committed.
    pub tx: Option<TxId>,
}

impl WipDraft {
    /// The draft as a record that stands alone.
    pub fn to_record(&self) -> String {
        seal_alone(ChainKind::Wip, 1, &wip_body(self))
    }

    /// Reads a record that stands alone.
    pub fn from_record(record: &str) -> Result<Self, RecordFault> {
        check_alone(ChainKind::Wip, record.as_bytes())?;
        parse_wip(record.as_bytes())
    }
}

/// A branch's drafts on this host.
#[derive(Debug)]
pub struct Wip {
    chain: Chain,
    base: EntryRef,
}

impl Wip {
    /// Opens and verifies the branch's drafts; `None` when there are none.
    pub fn open(
        home: &Home,
        domain: &DomainName,
        branch: &BranchName,
    ) -> Result<Option<Self>, JournalError> {
        let Some(chain) = Chain::open(place_of(home, domain, branch), ChainKind::Wip)? else {
            return Ok(None);
        };
        check_field(&chain, "domain", domain.as_str())?;
        check_field(&chain, "branch", branch.as_str())?;
        let base = parse_base(&chain)?;
        Ok(Some(Self { chain, base }))
    }

    /// As [`open`](Self::open), but begins one on the journal that ends with `base` where there is
    /// none.
    pub fn open_or_create(
        _host: &HostLock,
        home: &Home,
        domain: &DomainName,
        branch: &BranchName,
        base: EntryRef,
    ) -> Result<Self, JournalError> {
        if let Some(wip) = Self::open(home, domain, branch)? {
            return Ok(wip);
        }
        durable::create_directories(&home.private(domain, branch))?;
        let (domain_name, branch_name) = (domain.to_string(), branch.to_string());
        let values = [
            domain_name,
            branch_name,
            base.seq.to_string(),
            base.id.to_string(),
        ];
        let header = Header::new(ChainKind::Wip, values);
        let chain = Chain::create(place_of(home, domain, branch), &header)?;
        Ok(Self { chain, base })
    }

    /// The end of the journal on which the drafts were made.
    pub fn base(&self) -> EntryRef {
        self.base
    }

    /// The number of drafts.
    pub fn len(&self) -> u64 {
        self.chain.len()
    }

    /// Whether it was begun and nothing was added.
    pub fn is_empty(&self) -> bool {
        self.chain.is_empty()
    }

    /// The file's chain.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Reads all drafts, in order.
    pub fn drafts(&self) -> Result<Vec<WipDraft>, JournalError> {
        (1..=self.len()).map(|seq| self.draft(seq)).collect()
    }

    /// Reads the first draft; `None` when there is none.
    pub fn first(&self) -> Result<Option<WipDraft>, JournalError> {
        (!self.is_empty()).then(|| self.draft(1)).transpose()
    }

    /// Reads the last draft; `None` when there is none.
    pub fn last(&self) -> Result<Option<WipDraft>, JournalError> {
        (!self.is_empty())
            .then(|| self.draft(self.len()))
            .transpose()
    }

    fn draft(&self, seq: u64) -> Result<WipDraft, JournalError> {
        let record = self.chain.read(seq)?;
        parse_wip(&record).map_err(|source| record_error(&self.chain, seq, source))
    }

    /// Adds a draft, durably.
    pub fn append(&mut self, _host: &HostLock, wip: &WipDraft) -> Result<(), JournalError> {
        self.chain
            .append(&[wip_body(wip)], &|digest| digest.to_string())?;
        Ok(())
    }

    /// Takes back the last draft, durably: it was undone.
    pub fn drop_last(&mut self, _host: &HostLock) -> Result<(), JournalError> {
        Ok(self.chain.drop_last()?)
    }

    /// Removes all drafts, durably: they were discarded, or there are none.
    pub fn remove(self, _host: &HostLock) -> Result<(), JournalError> {
        let path = self.chain.path().to_path_buf();
        durable::remove(&path)?;
        // A head without its wip is a leftover that the next wip replaces (see `Chain::create`): it may be back after
        // a power cut.
        durable::remove_soon(&head_of(path))?;
        Ok(())
    }

    /// The same for drafts that were checked in: they may be back after a power cut, and are known for what they are
    /// then. Costs no sync.
    pub fn remove_soon(self, _host: &HostLock) -> Result<(), JournalError> {
        // The head stays for the next wip to replace: a filesystem may forget one of two removals, and a wip without
        // its head would count as damaged.
        durable::remove_soon(self.chain.path())?;
        Ok(())
    }
}

/// Where a branch's drafts and their head lie.
fn place_of(home: &Home, domain: &DomainName, branch: &BranchName) -> Place {
    let file = home.wip(domain, branch);
    Place {
        head: head_of(file.clone()),
        file,
    }
}

/// The head file beside a wip.
fn head_of(file: std::path::PathBuf) -> std::path::PathBuf {
    let mut name = file.into_os_string();
    name.push(".head");
    name.into()
}

/// Reads the journal's end from the header.
fn parse_base(chain: &Chain) -> Result<EntryRef, JournalError> {
    let header = chain.header();
    let malformed = |field: &'static str| JournalError::WrongPlace {
        path: chain.path().to_path_buf(),
        field,
        expected: "an entry's number and digest".to_owned(),
        found: header.value(field).to_owned(),
    };
    let seq = header.value("base_seq").parse();
    let id: Result<Digest, _> = header.value("base_id").parse();
    Ok(EntryRef {
        seq: seq.map_err(|_| malformed("base_seq"))?,
        id: EntryId(id.map_err(|_| malformed("base_id"))?),
    })
}
