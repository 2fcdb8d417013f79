//! The fixed parts of a bundle. Plain facts and the header. Upholds: an unknown version is refused.

use isconf_sandbox::change::Digest;
use serde::Deserialize;

use crate::chain::RecordText;
use crate::model::{BranchName, DomainName, EntryId, EntryRef};

/// The first bytes; the number is the version.
pub(super) const MAGIC: &[u8; 16] = b"isconf bundle 1\n";

/// The longest header, in bytes.
pub(super) const MAX_HEADER_BYTES: u64 = 4096;

/// The tag before a journal record: 8 bytes of length (big endian), then its bytes.
pub(super) const RECORD: u8 = 1;
/// The tag before a blob: 32 bytes of digest, 8 bytes of length (big endian), then its bytes.
pub(super) const BLOB: u8 = 2;
/// The tag behind the last item.
pub(super) const END: u8 = 0;

/// In the trailer: nobody vouches; the code is zeros.
pub(super) const UNAUTHENTICATED: u8 = 0;
/// In the trailer: the code is HMAC-SHA-256 with a key of the domain.
pub(super) const HMAC_SHA_256: u8 = 1;

/// The length of the trailer: SHA-256, who vouches, code.
pub(super) const TRAILER_BYTES: u64 = 32 + 1 + 32;

/// What a bundle says it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleHeader {
    /// The domain of the journal.
    pub domain: DomainName,
    /// The branch of the journal.
    pub branch: BranchName,
    /// The number of the first entry in the bundle.
    pub first_seq: u64,
    /// The end of the journal.
    pub last: EntryRef,
}

/// The header as TOML.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    domain: DomainName,
    branch: BranchName,
    first_seq: u64,
    last_seq: u64,
    last_id: Digest,
}

impl BundleHeader {
    /// The header's bytes.
    pub(super) fn to_text(&self) -> String {
        let mut text = RecordText::new();
        text.string("domain", &self.domain)
            .string("branch", &self.branch)
            .plain("first_seq", self.first_seq)
            .plain("last_seq", self.last.seq)
            .string("last_id", &self.last.id);
        text.as_str().to_owned()
    }

    /// Reads a header; only the exact text that some header has is taken.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok()?;
        let row: Row = toml::from_str(text).ok()?;
        let header = Self {
            domain: row.domain,
            branch: row.branch,
            first_seq: row.first_seq,
            last: EntryRef {
                seq: row.last_seq,
                id: EntryId(row.last_id),
            },
        };
        let is_possible = (1..=row.last_seq.saturating_add(1)).contains(&row.first_seq);
        (is_possible && header.to_text() == text).then_some(header)
    }
}
