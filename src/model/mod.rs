//! The words of the project as types: data and nothing else. No files, no clocks, no network, no
//! decisions. Upholds: ids, names and paths are types of their own, checked when they are made.
//!
//! ```text
//! names ─> Home (paths)
//! Bytes, Moment, Hex ─> Exec | Snap | Reboot ─┬─> Draft (wip) ─> Entry (journal)
//!                                   Outcome ──┘
//!                                                 Receipt (history)
//! ```

mod stored_text;
mod names;
mod bytes;
mod hex;
mod moment;
mod lock_message;
mod home;
mod hazard;
mod outcome;
mod action;
mod entry;
mod outward;
mod receipt;
mod scratch_name;
mod auto_up;
mod cache_policy;
mod card;
mod event;
pub mod report;
pub mod run;
pub mod drift;
pub mod contents;
pub mod progress;

pub use action::{ActionFate, ActionReport, OnFailure, Times};
pub use auto_up::{AutoUp, DailyWindow, InvalidWindow};
pub use bytes::{Bytes, InvalidBytes};
pub use cache_policy::CachePolicy;
pub use card::{CARD_FIRST_LINE, CardFailure, HostCard};
pub use entry::{
    Draft, DraftId, Entry, EntryId, EntryKind, EntryRef, Exec, Handling, InvalidExec, Network, Snap,
};
pub use event::{Event, Numbered};
pub use hazard::{HAZARDS, Hazard, HazardCode, HazardName, HazardRow};
pub use hex::{Hex, InvalidHex, PublicKey, Signature};
pub use home::{Home, WIP_FILE};
pub use lock_message::{EmptyMessage, LockMessage, MAX_MESSAGE_BYTES};
pub use moment::{InvalidMoment, Moment};
pub use names::{
    Author, BranchName, DomainName, HostName, InvalidName, MAX_HOST_BYTES, MAX_NAME_BYTES,
    MAX_USER_BYTES,
};
pub use outcome::{ChangeDigests, EffectSummary, Outcome};
pub use outward::{connection_count, connections, outward};
pub use receipt::{Deed, Receipt, ReceiptBody};
pub use scratch_name::{InvalidScratchName, ScratchName};
