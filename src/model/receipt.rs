//! What was done on this host. Not for how it is written (see `history`). Upholds: the last receipt
//! says where replay goes on.

use isconf_sandbox::change::Digest;
use isconf_sandbox::layout::TxId;

use super::{BranchName, ChangeDigests, DraftId, EntryRef, Moment};

/// A history record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Sequence number, from 1.
    pub seq: u64,
    /// The SHA-256 of the record before, or the history's genesis.
    pub prev: Digest,
    /// What was done.
    pub body: ReceiptBody,
}

/// What was done, without its place in the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptBody {
    /// What.
    pub deed: Deed,
    /// This host's branch at that time.
    pub branch: BranchName,
    /// The change set that was committed or reverted; none where nothing changed by itself.
    pub changes: Option<ChangeDigests>,
    /// The transaction that has the undo copies.
    pub tx: Option<TxId>,
    /// When work on it began.
    pub started: Moment,
    /// When it was committed.
    pub finished: Moment,
    /// Whether the change set equals the origin's in normal form; none where there is nothing to
    /// compare with.
    pub congruent: Option<bool>,
}

/// What was done on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// An entry of the journal was committed.
    Applied(EntryRef),
    /// The machine is about to be restarted for this entry; durable before it is.
    Rebooted(EntryRef),
    /// This host is the origin: a draft was committed here; a `CheckedIn` follows if it becomes an
    /// entry.
    Made(DraftId),
    /// All drafts made so far and not discarded are now entries, the last of which is this one.
    CheckedIn(EntryRef),
    /// A draft was reverted.
    Discarded {
        /// Which.
        draft: DraftId,
        /// The sequence number of the receipt that it takes back.
        receipt: u64,
    },
    /// A committed entry, or an out-of-band change, was reverted.
    Undone {
        /// The sequence number of the receipt that it takes back.
        receipt: u64,
        /// Where this host now stands; none for an out-of-band change, which moves nothing.
        now_at: Option<EntryRef>,
    },
    /// A change was committed that no journal has.
    OutOfBand,
}

impl Deed {
    /// The deed's name in files and for programs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Applied(_) => "applied",
            Self::Rebooted(_) => "rebooted",
            Self::Made(_) => "made",
            Self::CheckedIn(_) => "checked-in",
            Self::Discarded { .. } => "discarded",
            Self::Undone { .. } => "undone",
            Self::OutOfBand => "out-of-band",
        }
    }

    /// Where this host stands in its journal after this deed, as far as the deed says.
    pub const fn now_at(&self) -> Option<EntryRef> {
        match self {
            Self::Applied(at) | Self::Rebooted(at) | Self::CheckedIn(at) => Some(*at),
            Self::Undone { now_at, .. } => *now_at,
            Self::Made(_) | Self::Discarded { .. } | Self::OutOfBand => None,
        }
    }

    /// The sequence number of the receipt that this one takes back.
    pub const fn takes_back(&self) -> Option<u64> {
        match self {
            Self::Discarded { receipt, .. } | Self::Undone { receipt, .. } => Some(*receipt),
            Self::Applied(_)
            | Self::Rebooted(_)
            | Self::Made(_)
            | Self::CheckedIn(_)
            | Self::OutOfBand => None,
        }
    }
}
