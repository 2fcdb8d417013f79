//! What can be wrong with a chain. Upholds: every error names file, line and record.

use std::path::PathBuf;

use isconf_sandbox::change::Digest;

use crate::durable::FileError;

/// A chain that cannot be read or added to.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The system refused an operation.
    #[error(transparent)]
    File(#[from] FileError),
    /// The content is not what was written.
    #[error(transparent)]
    Broken(#[from] Box<BrokenChain>),
    /// The file changed since it was opened, though the caller holds the host lock: something else
    /// writes it.
    #[error("{} was changed by somebody else since it was read", path.display())]
    Moved {
        /// The chain's file.
        path: PathBuf,
    },
}

/// Where a chain is broken, and how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}, line {line}{}: {fault}", path.display(), record_words(*.seq))]
pub struct BrokenChain {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1, at which it was noticed.
    pub line: u64,
    /// The record that stands or should stand there; 0 for the header.
    pub seq: u64,
    /// What is wrong.
    pub fault: Fault,
}

/// Which record, in words; the header is none.
fn record_words(seq: u64) -> String {
    match seq {
        0 => String::new(),
        seq => format!(", record {seq}"),
    }
}

/// What is wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file is sound, and of a version that this isconf does not know.
    #[error("{}; this one reads version {known}", version_words(*.found, *.known))]
    Version {
        /// The version it says.
        found: u32,
        /// The version that is known.
        known: u32,
    },
    /// The header has another kind or field.
    #[error("expected {expected:?} and found {found:?}")]
    Header {
        /// What should stand there.
        expected: String,
        /// What does.
        found: String,
    },
    /// Bytes where a record should begin, or its first three lines are not `[[table]]`, `seq` and
    /// `prev`.
    #[error("not the start of a record: {found:?}")]
    NotARecord {
        /// The bytes, shortened.
        found: String,
    },
    /// Records are missing, doubled or out of order.
    #[error("has number {found} where {expected} should be")]
    Seq {
        /// The number that follows from its place.
        expected: u64,
        /// The number it says.
        found: u64,
    },
    /// This record or the one before was changed.
    #[error("follows a record with digest {expected}, but the record before it has {found}")]
    Prev {
        /// The digest it names.
        expected: Digest,
        /// The digest of the record before it.
        found: Digest,
    },
    /// Longer than any record may be.
    #[error("longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: u64,
    },
    /// The last record is incomplete: a write that a crash cut off.
    #[error("incomplete, from byte {offset} to the end of the file")]
    TornTail {
        /// Where the record begins.
        offset: u64,
    },
    /// The checksum of the record is not the one it says.
    #[error("says it has digest {expected}, and has {found}")]
    Check {
        /// The digest in the record.
        expected: Digest,
        /// The digest of the record.
        found: Digest,
    },
    /// There are records but no head file.
    #[error("there is no head file for it: {}", head.display())]
    NoHead {
        /// Where it should be.
        head: PathBuf,
    },
    /// The head file is not one.
    #[error("its head file is damaged: {}", head.display())]
    BadHead {
        /// Which.
        head: PathBuf,
    },
    /// The file does not end in the record that the head names.
    #[error(
        "the head names record {expected_seq} {expected}, but it is record {found_seq} {found}"
    )]
    HeadDiffers {
        /// The head's record.
        expected_seq: u64,
        /// Its digest.
        expected: Digest,
        /// The file's last record.
        found_seq: u64,
        /// Its digest.
        found: Digest,
    },
    /// The file is shorter than the head says.
    #[error("the file was cut: {found} bytes instead of {expected}")]
    Cut {
        /// The acknowledged length.
        expected: u64,
        /// The file's length.
        found: u64,
    },
    /// A record was changed after the chain was verified.
    #[error("was changed while it was in use")]
    Changed,
}

impl Fault {
    /// Whether the file is of another version, and not damaged.
    pub const fn is_version(&self) -> bool {
        matches!(self, Self::Version { .. })
    }
}

fn version_words(found: u32, known: u32) -> String {
    if found > known {
        format!("made by a newer isconf (version {found} of the format)")
    } else {
        format!("version {found} of the format is none that isconf ever wrote")
    }
}

/// The start of `bytes` as text, for an error.
pub(super) fn shortened(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned()
}
