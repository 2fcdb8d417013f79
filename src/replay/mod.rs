//! The conductors: they take an entry from the journal through scratchpad, judgement and commit to
//! the history, and know all the stages, which do not know each other. Not for the command line
//! (`cli`). Upholds: each entry is wholly live and recorded, or not at all.
//!
//! ```text
//! this_host ── settings, stores, host lock
//! recover ── what an interrupted isconf left behind, first of all
//! work ─> trial ─> judge ─> room ─> commit ─> settle ─> actions   record: origin; update: targets
//! ```

mod this_host;
mod judge;
mod holes;
mod install;
mod snapshot;
mod limits;
mod work;
mod contents;
mod uncounted;
mod trial;
mod rehearsal;
mod congruence;
mod pending;
mod payload;
mod room;
mod settle;
mod acting;
mod actions;
mod written;
mod lint;
mod preview_network;
mod disguise;
mod again;
mod commit;
mod recover;
mod record;
mod aside;
mod update;
mod undo;
mod branches;
mod inspect;
mod scratchpads;
mod upkeep;

pub use actions::{ActionsError, Carried, EntryFate};
pub use again::{AgainError, Repeat};
pub use branches::{MoveError, fork, may_fork, migrate};
pub use commit::{MakeRealError, chain};
pub use contents::Contents;
pub use inspect::{Answer, InspectError, Question, inspect};
pub use payload::{InvalidPayload, Payload};
pub use pending::PendingError;
pub(crate) use pending::rewritten_pending;
pub use preview_network::Outside;
pub use record::{
    Intention, Manner, Permit, Recorded, RecordingError, check_lock, exec, reboot, snap,
};
pub use recover::{RecoveryError, Repaired, recover};
pub use rehearsal::RehearsalError;
pub use room::{NoRoom, keep_room};
pub use scratchpads::{
    Attempt, Attempted, KeptScratchpad, ScratchpadError, drop_kept, kept_names, open_kept, try_out,
};
pub use settle::{SettleError, settle};
pub use snapshot::{Snapshot, SnapshotError, check, take};
pub use this_host::ThisHost;
pub use trial::{TrialError, blank};
pub use undo::{
    DiscardError, LastChange, TakeBackError, check_take_back, discard, inverse, last_change,
    take_back,
};
pub use update::{UpdateError, UpdateRequest, update};
pub use upkeep::{UpkeepError, keep_undo};
pub use work::{Input, Output, Streams, WorkError};
