//! The history on disk, and what follows from it. Upholds: where this host stands is told by its
//! history, which must be a prefix of the journal; the time to find out does not grow with either.

use std::collections::HashMap;
use std::path::PathBuf;

use isconf_sandbox::commit::crash_point;

use super::record::{ReceiptFault, parse_receipt, receipt_body};
use crate::chain::{Chain, ChainError, ChainKind, Fault, FormFault, Header, Place, cut_torn_tail};
use crate::durable::{self, FileError};
use crate::lock::HostLock;
use crate::model::{Deed, DomainName, DraftId, EntryRef, Home, Receipt, ReceiptBody};

/// A history that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The chained file.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The system refused an operation.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is bound to another domain.
    #[error("{} belongs to domain {found}, not {expected}", path.display())]
    WrongDomain {
        /// The file.
        path: PathBuf,
        /// This host's domain.
        expected: String,
        /// The history's.
        found: String,
    },
    /// A record that is not a receipt.
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
        source: ReceiptFault,
    },
    /// A receipt that was announced aside is damaged.
    #[error("{} is not a receipt", path.display())]
    Announced {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: ReceiptFault,
    },
    /// This host has applied what the journal does not have.
    #[error(transparent)]
    NotAPrefix(#[from] NotAPrefix),
}

impl HistoryError {
    /// Whether the last receipt is incomplete.
    pub fn is_torn(&self) -> bool {
        match self {
            Self::Chain(ChainError::Broken(broken)) => {
                matches!(broken.fault, Fault::TornTail { .. })
            }
            _ => false,
        }
    }
}

/// This host's history is not a prefix of a journal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} (record {receipt}) stands at entry {} {}, which is not in {}",
    history.display(), at.seq, at.id, journal.display()
)]
pub struct NotAPrefix {
    /// The history's file.
    pub history: PathBuf,
    /// The receipt that says where this host stands.
    pub receipt: u64,
    /// Where it stands.
    pub at: EntryRef,
    /// The journal's file.
    pub journal: PathBuf,
}

/// This host's verified history.
#[derive(Debug)]
pub struct History {
    chain: Chain,
}

impl History {
    /// Opens and verifies the history; `None` when this host never did anything. An incomplete last
    /// receipt is [`Fault::TornTail`]; see [`cut_torn_tail`](Self::cut_torn_tail).
    pub fn open(home: &Home, domain: &DomainName) -> Result<Option<Self>, HistoryError> {
        let Some(chain) = Chain::open(place_of(home), ChainKind::History)? else {
            return Ok(None);
        };
        let found = chain.header().value("domain");
        if found != domain.as_str() {
            return Err(HistoryError::WrongDomain {
                path: chain.path().to_path_buf(),
                expected: domain.to_string(),
                found: found.to_owned(),
            });
        }
        Ok(Some(Self { chain }))
    }

    /// As [`open`](Self::open), but begins an empty history where there is none.
    pub fn open_or_create(
        _host: &HostLock,
        home: &Home,
        domain: &DomainName,
    ) -> Result<Self, HistoryError> {
        if let Some(history) = Self::open(home, domain)? {
            return Ok(history);
        }
        durable::create_directories(&home.conf())?;
        let header = Header::new(ChainKind::History, [domain.to_string()]);
        let chain = Chain::create(place_of(home), &header)?;
        Ok(Self { chain })
    }

    /// Cuts an incomplete last receipt off, as [`open`](Self::open) reported it; returns whether
    /// there was one. To be called only when a pending intent, or a check-in that was not finished, explains the crash:
    /// its receipt is then written again.
    pub fn cut_torn_tail(_host: &HostLock, home: &Home) -> Result<bool, HistoryError> {
        match Chain::open(place_of(home), ChainKind::History) {
            Ok(_) => Ok(false),
            Err(ChainError::Broken(broken)) => match broken.fault {
                Fault::TornTail { offset } => {
                    cut_torn_tail(&home.history(), offset)?;
                    Ok(true)
                }
                _ => Err(ChainError::Broken(broken).into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// The file's chain.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The number of receipts.
    pub fn len(&self) -> u64 {
        self.chain.len()
    }

    /// Whether nothing was ever done.
    pub fn is_empty(&self) -> bool {
        self.chain.is_empty()
    }

    /// Adds a receipt, durably, with one write and one sync; returns its number.
    pub fn append(&mut self, _host: &HostLock, body: &ReceiptBody) -> Result<u64, HistoryError> {
        self.chain
            .append(&[receipt_body(body)], &|digest| digest.to_string())?;
        Ok(self.len())
    }

    /// Adds a receipt that no intent of the sandbox announces: announces it aside first, so that an
    /// incomplete one is known for what it is. Durable; returns its number.
    pub fn append_announced(
        &mut self,
        host: &HostLock,
        home: &Home,
        body: &ReceiptBody,
    ) -> Result<u64, HistoryError> {
        let aside = announced(home);
        durable::replace(&aside, body.to_record().as_bytes())?;
        crash_point("history.announced");
        let seq = self.append(host, body)?;
        // One that is back after a power cut is found to be in the history.
        durable::remove_soon(&aside)?;
        crash_point("history.announcement.removed");
        Ok(seq)
    }

    /// Writes the receipt that was announced and not, or not wholly, written. To be called at every
    /// start, before the history is opened.
    pub fn finish_announced(
        host: &HostLock,
        home: &Home,
        domain: &DomainName,
    ) -> Result<(), HistoryError> {
        let aside = announced(home);
        let Some(bytes) = durable::read_small(&aside, MAX_RECEIPT_BYTES)? else {
            return Ok(());
        };
        let malformed = |source| HistoryError::Announced {
            path: aside.clone(),
            source,
        };
        let text = str::from_utf8(&bytes).map_err(|_| malformed(FormFault::NotUtf8.into()))?;
        let body = ReceiptBody::from_record(text).map_err(malformed)?;
        Self::cut_torn_tail(host, home)?;
        let mut history = Self::open_or_create(host, home, domain)?;
        if !history.has(&body)? {
            history.append(host, &body)?;
        }
        durable::remove_soon(&aside)?;
        Ok(())
    }

    /// Whether a receipt says this, which only one can: each has its moment. Reads all of them if none does.
    fn has(&self, body: &ReceiptBody) -> Result<bool, HistoryError> {
        for seq in (1..=self.len()).rev() {
            if self.receipt(seq)?.body == *body {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads receipt `seq`.
    pub fn receipt(&self, seq: u64) -> Result<Receipt, HistoryError> {
        let record = self.chain.read(seq)?;
        parse_receipt(&record).map_err(|source| HistoryError::Record {
            path: self.chain.path().to_path_buf(),
            line: self.chain.line_of(seq),
            seq,
            source,
        })
    }

    /// Where this host stands: the last applied entry, and the receipt that says so; `None` when
    /// none was applied ever. Reads as many receipts as there are at the end that move nothing.
    pub fn standing(&self) -> Result<Option<(u64, EntryRef)>, HistoryError> {
        for seq in (1..=self.len()).rev() {
            if let Some(at) = self.receipt(seq)?.body.deed.now_at() {
                return Ok(Some((seq, at)));
            }
        }
        Ok(None)
    }

    /// How many entries of the journal this host has applied: replay goes on with the next. Fails
    /// when the history is not a prefix of the journal; comparing one entry decides that, since
    /// identities are chained.
    pub fn position(&self, journal: &Chain) -> Result<u64, HistoryError> {
        let Some((receipt, at)) = self.standing()? else {
            return Ok(0);
        };
        if journal.id_of(at.seq) == Some(at.id.0) {
            return Ok(at.seq);
        }
        Err(HistoryError::NotAPrefix(NotAPrefix {
            history: self.chain.path().to_path_buf(),
            receipt,
            at,
            journal: journal.path().to_path_buf(),
        }))
    }

    /// The drafts that were made since this host last moved in its journal and not taken back: what
    /// the wip must hold.
    pub fn made_lately(&self) -> Result<Vec<DraftId>, HistoryError> {
        let (mut made, mut discarded) = (Vec::new(), Vec::new());
        for seq in (1..=self.len()).rev() {
            match self.receipt(seq)?.body.deed {
                Deed::Made(draft) => made.push(draft),
                Deed::Discarded { draft, .. } => discarded.push(draft),
                deed if deed.now_at().is_some() => break,
                _ => {}
            }
        }
        made.retain(|draft| !discarded.contains(draft));
        Ok(made)
    }

    /// Whether it tells that the drafts from `first` on are entries up to `last`, whatever came of them since.
    pub fn has_checked_in(
        &self,
        first: Option<DraftId>,
        last: EntryRef,
    ) -> Result<bool, HistoryError> {
        for seq in (1..=self.len()).rev() {
            match self.receipt(seq)?.body.deed {
                Deed::CheckedIn(at) if at == last => return Ok(true),
                // They were made here, and nothing before it is about them.
                Deed::Made(draft) if Some(draft) == first => break,
                _ => {}
            }
        }
        Ok(false)
    }

    /// How many entries were applied before receipt `seq`.
    fn position_before(&self, seq: u64) -> Result<u64, HistoryError> {
        for earlier in (1..seq).rev() {
            if let Some(at) = self.receipt(earlier)?.body.deed.now_at() {
                return Ok(at.seq);
            }
        }
        Ok(0)
    }

    /// The receipts whose changes are in effect, the last one first: committed and not taken back.
    pub fn effective_backwards(&self) -> EffectiveBackwards<'_> {
        EffectiveBackwards {
            history: self,
            next: self.len(),
            taken_back: HashMap::new(),
            made_as: None,
            made_behind: 0,
        }
    }
}

/// A receipt whose change is in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The receipt.
    pub receipt: Receipt,
    /// The number of the entry; none for an out-of-band change, or a draft not checked in.
    pub entry_seq: Option<u64>,
}

/// When a receipt was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// As a draft, before it could become an entry.
    AsDraft,
    /// As a committed entry or an out-of-band change.
    AsCommitted,
}

/// Walks through the receipts in effect from the last to the first, reading as it goes.
#[derive(Debug)]
pub struct EffectiveBackwards<'a> {
    history: &'a History,
    /// The receipt to look at next; 0 for none.
    next: u64,
    /// Receipts that later ones took back, and whether before they became entries.
    taken_back: HashMap<u64, Taken>,
    /// The entry that the draft before this place became.
    made_as: Option<u64>,
    /// The entry on which those drafts were made: none of them is that one or before it.
    made_behind: u64,
}

impl EffectiveBackwards<'_> {
    /// Decides about one receipt.
    fn consider(&mut self, receipt: Receipt) -> Result<Option<Effective>, HistoryError> {
        let taken = self.taken_back.remove(&receipt.seq);
        let entry_seq = match &receipt.body.deed {
            Deed::Discarded { receipt, .. } => {
                self.taken_back.insert(*receipt, Taken::AsDraft);
                return Ok(None);
            }
            Deed::Undone { receipt, .. } => {
                self.taken_back.insert(*receipt, Taken::AsCommitted);
                return Ok(None);
            }
            // It never became an entry, and so has no number of those that did.
            Deed::Made(_) if taken == Some(Taken::AsDraft) => return Ok(None),
            Deed::CheckedIn(last) => {
                self.made_as = Some(last.seq);
                self.made_behind = self.history.position_before(receipt.seq)?;
                return Ok(None);
            }
            Deed::Applied(at) | Deed::Rebooted(at) => {
                self.made_as = None;
                Some(at.seq)
            }
            Deed::Made(_) => {
                let seq = self.made_as;
                self.made_as = seq
                    .and_then(|seq| seq.checked_sub(1))
                    .filter(|seq| *seq > self.made_behind);
                seq
            }
            Deed::OutOfBand => None,
        };
        Ok(taken.is_none().then_some(Effective { receipt, entry_seq }))
    }
}

impl Iterator for EffectiveBackwards<'_> {
    type Item = Result<Effective, HistoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.next > 0 {
            let seq = self.next;
            self.next -= 1;
            let receipt = self.history.receipt(seq);
            match receipt.and_then(|receipt| self.consider(receipt)) {
                Ok(Some(effective)) => return Some(Ok(effective)),
                Ok(None) => {}
                Err(error) => {
                    self.next = 0;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

/// The longest receipt, in bytes: some digests, names and times.
const MAX_RECEIPT_BYTES: u64 = 64 * 1024;

/// Where a receipt is announced.
fn announced(home: &Home) -> PathBuf {
    let mut name = home.history().into_os_string();
    name.push(".next");
    name.into()
}

/// Where the history lies; it has no head file.
fn place_of(home: &Home) -> Place {
    Place {
        file: home.history(),
        head: PathBuf::new(),
    }
}
