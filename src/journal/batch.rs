//! Entries on their way into a journal: made and signed, but not appended. Upholds: the same drafts on the
//! same place make the same bytes, so that a check-in that broke off can be gone on with; what comes from
//! another host is checked as an append would.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::entries::Journal;
use super::record::{RecordFault, parse_entry};
use super::signature::{SignatureFault, verify_signature};
use crate::chain::{ChainKind, Fault, MAX_RECORD_BYTES, check_follows};
use crate::model::{DomainName, EntryId, EntryRef};
use isconf_sandbox::change::Digest;

/// The longest batch, in bytes. A host that leads the voters has it in memory while it checks it.
pub const MAX_BATCH_BYTES: u64 = 64 << 20;

/// The line that names the format and its version.
const FIRST_LINE: &[u8] = b"# isconf records 1\n";

/// How many records a batch has at most.
const MAX_RECORDS: usize = 100_000;

/// Records that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    records: Vec<Vec<u8>>,
}

/// The second line: how long each record is, in bytes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Lengths(Vec<u64>);

/// Bytes that are no batch of entries.
#[derive(Debug, thiserror::Error)]
pub enum BatchFault {
    /// Not the format.
    #[error("it is no batch of records of this version of isconf")]
    Format,
    /// A record that does not follow the one before.
    #[error("record {number}")]
    Chain {
        /// Which, from 1.
        number: u64,
        /// Why.
        #[source]
        source: Fault,
    },
    /// A record that its key did not sign.
    #[error("record {number}")]
    Signature {
        /// Which, from 1.
        number: u64,
        /// Why.
        #[source]
        source: SignatureFault,
    },
    /// A record that is no entry.
    #[error("record {number}")]
    Record {
        /// Which, from 1.
        number: u64,
        /// Why.
        #[source]
        source: RecordFault,
    },
}

impl Batch {
    /// Takes records that were made one behind the other.
    pub(super) const fn new(records: Vec<Vec<u8>>) -> Self {
        Self { records }
    }

    /// The records.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        self.records.iter().map(Vec::as_slice)
    }

    /// The place of the last record when the first one follows `base`.
    pub fn last(&self, base: EntryRef) -> EntryRef {
        match self.records.last() {
            None => base,
            Some(last) => EntryRef {
                seq: base.seq + self.records.len() as u64,
                id: EntryId(Digest::of(last)),
            },
        }
    }

    /// The batch as a blob.
    pub fn to_bytes(&self) -> Vec<u8> {
        let lengths = self.records.iter().map(|record| record.len() as u64);
        let lengths = serde_json::to_string(&Lengths(lengths.collect()));
        let lengths = lengths.expect("numbers always have a JSON form");
        let mut bytes = FIRST_LINE.to_vec();
        bytes.extend_from_slice(lengths.as_bytes());
        bytes.push(b'\n');
        for record in &self.records {
            bytes.extend_from_slice(record);
        }
        bytes
    }

    /// Reads a blob of another host, and checks that its records can follow `base`.
    pub fn read(bytes: &[u8], base: EntryRef) -> Result<Self, BatchFault> {
        let ranges = ranges(bytes).ok_or(BatchFault::Format)?;
        let (mut records, mut last) = (Vec::with_capacity(ranges.len()), base);
        for (number, range) in (1..).zip(ranges) {
            let record = bytes.get(range).ok_or(BatchFault::Format)?;
            check_follows(ChainKind::Journal, record, last.seq, last.id.0)
                .map_err(|source| BatchFault::Chain { number, source })?;
            verify_signature(record).map_err(|source| BatchFault::Signature { number, source })?;
            parse_entry(record).map_err(|source| BatchFault::Record { number, source })?;
            last = EntryRef {
                seq: last.seq + 1,
                id: EntryId(Digest::of(record)),
            };
            records.push(record.to_vec());
        }
        Ok(Self { records })
    }
}

/// Reads a batch that follows the beginning of a journal of `example.com`; the bytes that it would be written as.
pub(crate) fn rewritten_batch(bytes: &[u8]) -> Option<Vec<u8>> {
    let domain = DomainName::new("example.com").ok()?;
    let batch = Batch::read(bytes, Journal::beginning(&domain)).ok()?;
    Some(batch.to_bytes())
}

/// Where the records are, which have to fill the rest of the bytes.
fn ranges(bytes: &[u8]) -> Option<Vec<Range<usize>>> {
    let rest = bytes.strip_prefix(FIRST_LINE)?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let Lengths(lengths) = serde_json::from_slice(&rest[..end]).ok()?;
    if lengths.is_empty() || lengths.len() > MAX_RECORDS {
        return None;
    }
    let mut start = FIRST_LINE.len() + end + 1;
    let mut ranges = Vec::with_capacity(lengths.len());
    for length in lengths {
        if !(1..=MAX_RECORD_BYTES).contains(&length) {
            return None;
        }
        let after = start.checked_add(usize::try_from(length).ok()?)?;
        ranges.push(start..after);
        start = after;
    }
    (start == bytes.len()).then_some(ranges)
}
