//! What hosts ask and tell each other. Pure; the lines are JSON (docs/peer-protocol.md). Upholds: lists
//! are bounded; names and digests are checked while they are read; what a newer isconf adds is passed over.

use std::net::SocketAddr;

use isconf_sandbox::change::Digest;
use serde::{Deserialize, Serialize};

use super::signed::Signed;
use super::voting::{LedgerAsk, SignedAnswer, SignedCharter};
use crate::model::{BranchName, EntryId, EntryRef, HostName, PublicKey};
use crate::quorum::{CallKind, Epoch};

/// How many branches one host tells of.
pub const MAX_BRANCHES: usize = 800;

/// How many other hosts one host tells of at a time.
pub const MAX_INTRODUCED: usize = 16;

/// How many records come in one answer.
pub const MAX_RECORDS: usize = 10_000;

/// About how many bytes of records come in one answer: it ends with the first record that goes beyond.
pub const RECORDS_BYTES: u64 = 4 << 20;

/// The longest call of a voter, and the longest answer, in bytes: the ledger of a thousand branches.
pub const MAX_CALL_BYTES: u64 = 8 << 20;

/// How many cards are told at a time.
pub const MAX_CARDS: usize = 100;

/// How many blobs a host is asked to keep at a time.
pub const MAX_KEPT: usize = 1000;

/// How many parts of a blob are asked for at a time.
pub const MAX_PARTS: usize = 1000;

/// The first line of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// This is how I am; how are you?
    Hello(Hello),
    /// Which entries follow this one?
    Records(RecordsAfter),
    /// What does this blob hold, from a byte on?
    Blob(BlobFrom),
    /// What do these parts of this blob hold?
    Parts(BlobParts),
    /// Which are the pieces of this blob?
    Pieces(Digest),
    /// What came as this blob from the asked host alone was something else; is it damaged there?
    Doubt(Digest),
    /// Fetch these blobs from here, and keep them; each with its length in bytes.
    Keep(Vec<(Digest, u64)>),
    /// From one voter to another; its bytes follow.
    Call(VoterCall),
    /// Bring this to whoever keeps the locks of the domain.
    Ledger(LedgerRequest),
    /// This is how hosts stand.
    Cards(Vec<Signed>),
    /// How do hosts stand of whom I know something else? A sum for each part of them.
    CardsBeside(Vec<u64>),
}

/// The first line of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// To a hello.
    Hello(Hello),
    /// The records follow, one behind the other.
    Records(Records),
    /// The bytes follow.
    Blob(Blob),
    /// The list follows.
    Pieces(PieceList),
    /// How many of the blobs are missing still.
    Kept(u64),
    /// So many bytes of a voter's answer follow.
    Called(u64),
    /// What came of what was to be brought.
    Ledger(SignedAnswer),
    /// How hosts stand.
    Cards(Vec<Signed>),
    /// Nothing follows.
    Refused(Refused),
}

/// How a host is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Its version of isconf.
    pub version: String,
    /// Its name.
    pub host: HostName,
    /// The branch that it follows.
    pub branch: BranchName,
    /// What it has of each branch.
    pub heads: Vec<BranchHead>,
    /// Some of the hosts that it knows.
    pub introduces: Vec<Introduction>,
    /// What it knows of those who keep the locks of the domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charter: Option<SignedCharter>,
    /// How ready it is to be the first of them: 0 when it is not.
    #[serde(default)]
    pub founds: u8,
}

/// What a host has of a branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchHead {
    /// The branch.
    pub branch: BranchName,
    /// The number of its last entry.
    pub seq: u64,
    /// That entry's identity.
    pub id: EntryId,
    /// Up to which entry the host has all contents too.
    pub complete: u64,
}

impl BranchHead {
    /// Its last entry.
    pub const fn at(&self) -> EntryRef {
        EntryRef {
            seq: self.seq,
            id: self.id,
        }
    }
}

/// Another host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduction {
    /// Who.
    pub key: PublicKey,
    /// Where it was reached.
    pub address: SocketAddr,
}

/// Asks for entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordsAfter {
    /// Of which branch.
    pub branch: BranchName,
    /// The last entry that the asker has; 0 for none.
    pub seq: u64,
    /// Its identity; the genesis for none.
    pub id: EntryId,
}

/// Entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Records {
    /// The length of each record, in bytes.
    pub lengths: Vec<u64>,
    /// The number of the last entry that the host has, which may come in another answer.
    pub last: u64,
}

/// Asks for a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobFrom {
    /// Which.
    pub digest: Digest,
    /// The first byte that is wanted.
    pub offset: u64,
    /// Not from a host where it still arrives itself.
    #[serde(default, skip_serializing_if = "is_not")]
    pub whole: bool,
    /// Also from one that gave it to enough others lately: nobody else has it.
    #[serde(default, skip_serializing_if = "is_not")]
    pub pressing: bool,
}

/// Asks for parts of a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobParts {
    /// Which.
    pub digest: Digest,
    /// The first byte and the length of each, in bytes.
    pub parts: Vec<(u64, u64)>,
}

/// The pieces of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PieceList {
    /// The length of the list, in bytes.
    pub length: u64,
}

/// A blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// Its whole length, in bytes.
    pub length: u64,
    /// It still arrives at the host that gives it, and nobody there knows yet whether it is what it should be.
    #[serde(default, skip_serializing_if = "is_not")]
    pub arriving: bool,
}

/// Whether a mark is left out.
// What serde calls is given a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_not(mark: &bool) -> bool {
    !*mark
}

/// A call from one voter to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoterCall {
    /// Of which epoch both are.
    pub epoch: Epoch,
    /// What is asked.
    pub kind: CallKind,
    /// How many bytes follow.
    pub length: u64,
}

/// Something for whoever keeps the locks of the domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerRequest {
    /// What.
    pub ask: LedgerAsk,
    /// Comes back with the answer, so that an answer to an earlier question is none to this one.
    pub nonce: u64,
    /// How many hosts it may go through still.
    pub hops: u8,
}

/// Why a request is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Refused {
    /// There is no such branch or blob here.
    #[error("it does not have that")]
    Missing,
    /// The host's journal has another entry there.
    #[error("its journal has another entry there")]
    Diverged,
    /// The request cannot be.
    #[error("it understood something else")]
    Nonsense,
    /// It cannot now: its disk, or too many others.
    #[error("it cannot now")]
    Later,
    /// It gives it to others just now, or has no more of it than the asker.
    #[error("it is busy with giving it to others")]
    Busy,
}

impl Hello {
    /// Whether its lists are as long as they may be.
    pub fn is_bounded(&self) -> bool {
        self.heads.len() <= MAX_BRANCHES
            && self.introduces.len() <= MAX_INTRODUCED
            && self.version.len() <= 100
            && !self.version.contains(char::is_control)
    }
}

impl BlobParts {
    /// Whether there are such parts of a blob of this length.
    pub fn is_bounded(&self, length: u64) -> bool {
        let is_in_it = |(offset, bytes): &(u64, u64)| {
            let end = offset.checked_add(*bytes);
            end.is_some_and(|end| end <= length)
        };
        self.parts.len() <= MAX_PARTS && self.parts.iter().all(is_in_it)
    }
}

impl Records {
    /// Whether it can be an answer: bounded, and not without entries if there are some.
    pub fn is_bounded(&self, longest: u64) -> bool {
        let all = self
            .lengths
            .iter()
            .try_fold(0, |sum: u64, l| sum.checked_add(*l));
        self.lengths.len() <= MAX_RECORDS
            && self
                .lengths
                .iter()
                .all(|length| (1..=longest).contains(length))
            && all.is_some_and(|all| all < RECORDS_BYTES + longest)
    }
}

/// Reads a line, be it a request or an answer; the line that it would be written as, when it is one.
pub(crate) fn rewritten_line(line: &[u8]) -> Option<Vec<u8>> {
    if let Ok(request) = serde_json::from_slice::<Request>(line) {
        if let Request::Hello(hello) = &request {
            let _either = hello.is_bounded();
        }
        return serde_json::to_vec(&request).ok();
    }
    let answer = serde_json::from_slice::<Answer>(line).ok()?;
    if let Answer::Records(records) = &answer {
        let _either = records.is_bounded(crate::chain::MAX_RECORD_BYTES);
    }
    serde_json::to_vec(&answer).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Trouble;

    fn hello(id: EntryId) -> Hello {
        let branch = BranchName::generic();
        Hello {
            version: "5.0.0".to_owned(),
            host: HostName::new("web1").unwrap(),
            branch: branch.clone(),
            heads: vec![BranchHead {
                branch,
                seq: 12,
                id,
                complete: 11,
            }],
            introduces: vec![Introduction {
                key: PublicKey::from_bytes([7; 32]),
                address: "192.0.2.7:65027".parse().unwrap(),
            }],
            charter: None,
            founds: 1,
        }
    }

    fn requests(id: EntryId, digest: Digest) -> Vec<Request> {
        let branch = BranchName::generic();
        let blob = |whole| {
            Request::Blob(BlobFrom {
                digest,
                offset: 0,
                whole,
                pressing: whole,
            })
        };
        let parts = vec![(0, 4096), (65536, 100)];
        vec![
            Request::Hello(hello(id)),
            Request::Records(RecordsAfter {
                branch,
                seq: 12,
                id,
            }),
            blob(false),
            blob(true),
            Request::Pieces(digest),
            Request::Parts(BlobParts { digest, parts }),
            Request::Doubt(digest),
            Request::Keep(vec![(digest, 4711)]),
            Request::Call(VoterCall {
                epoch: Epoch {
                    number: 1,
                    founder: PublicKey::from_bytes([7; 32]),
                },
                kind: CallKind::Vote,
                length: 120,
            }),
            Request::Ledger(LedgerRequest {
                ask: LedgerAsk::Look(BranchName::generic()),
                nonce: 5,
                hops: 3,
            }),
            Request::Cards(Vec::new()),
            Request::CardsBeside(vec![17]),
        ]
    }

    fn answers(id: EntryId) -> Vec<Answer> {
        let blob = |arriving| {
            Answer::Blob(Blob {
                length: 4711,
                arriving,
            })
        };
        let lengths = vec![812, 644];
        vec![
            Answer::Hello(hello(id)),
            Answer::Records(Records { lengths, last: 14 }),
            blob(false),
            blob(true),
            Answer::Pieces(PieceList { length: 2000 }),
            Answer::Kept(0),
            Answer::Called(80),
            Answer::Ledger(SignedAnswer::None(Trouble::NoVoters)),
            Answer::Cards(Vec::new()),
            Answer::Refused(Refused::Missing),
        ]
    }

    #[test]
    fn the_lines_are_those_of_the_page() {
        let page = include_str!("../../docs/peer-protocol.md");
        let page = page
            .replace("ID", &Digest::of(b"entry").to_string())
            .replace("KEY", &PublicKey::from_bytes([7; 32]).to_string())
            .replace("DIGEST", &Digest::of(b"blob").to_string());
        let id = EntryId(Digest::of(b"entry"));
        assert!(hello(id).is_bounded());
        for request in requests(id, Digest::of(b"blob")) {
            let line = serde_json::to_string(&request).unwrap();
            assert!(
                page.contains(&format!("\n> {line}\n")),
                "missing:\n> {line}"
            );
            assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
        }
        for answer in answers(id) {
            let line = serde_json::to_string(&answer).unwrap();
            assert!(
                page.contains(&format!("\n< {line}\n")),
                "missing:\n< {line}"
            );
            assert_eq!(serde_json::from_str::<Answer>(&line).unwrap(), answer);
        }
    }

    #[test]
    fn parts_that_a_blob_cannot_have_are_noticed() {
        let digest = Digest::of(b"blob");
        let parts = |parts: &[(u64, u64)]| BlobParts {
            digest,
            parts: parts.to_vec(),
        };
        assert!(parts(&[(0, 10), (3, 4), (10, 0)]).is_bounded(10));
        assert!(!parts(&[(0, 11)]).is_bounded(10));
        assert!(!parts(&[(u64::MAX, u64::MAX)]).is_bounded(u64::MAX));
        assert!(!parts(&[(0, 1); MAX_PARTS + 1]).is_bounded(10));
    }

    #[test]
    fn lists_that_are_too_long_are_noticed() {
        let records = |lengths: &[u64]| Records {
            lengths: lengths.to_vec(),
            last: 9,
        };
        assert!(records(&[1, RECORDS_BYTES]).is_bounded(RECORDS_BYTES));
        assert!(records(&[]).is_bounded(10));
        assert!(!records(&[11]).is_bounded(10));
        assert!(!records(&[0]).is_bounded(10));
        assert!(!records(&[u64::MAX, u64::MAX]).is_bounded(u64::MAX));
        assert!(!records(&vec![1; MAX_RECORDS + 1]).is_bounded(10));
        let big = RECORDS_BYTES;
        assert!(!records(&[big, big]).is_bounded(big));
    }
}
