//! Other hosts of the domain: meeting them, and getting from them what is missing here. Not for running
//! anything that came from them. Upholds: other hosts' bytes become part of the journals and the store
//! only after they were checked; each module says what it bounds. The protocol is in
//! docs/peer-protocol.md.
//!
//! ```text
//! nets, book ─addresses─> dialling ─┐
//!                       accepting ──┴─> endpoint (tls, proof) ─Link─> serve, hello ─> table
//!                                                                        │
//!                       local (journals, blobs) <── catch_up, contents <─┘ whoever has more
//! ```

mod nets;
mod tls;
mod proof;
mod endpoint;
mod frames;
mod events;
mod cards;
mod signed;
mod messages;
mod table;
mod mentioned;
mod turns;
mod diverged;
mod keys;
mod book;
mod dialling;
mod discovery;
mod local;
mod arrivals;
mod versions;
mod cutting;
mod giving;
mod serve;
mod catch_up;
mod contents;
mod accepting;
mod telling;
mod question;
mod voting;
mod this_host;
mod network;
mod standing;

pub use cards::Published;
#[cfg(test)]
mod liar_tests;

pub use arrivals::Arriving;
pub use endpoint::{BindError, MeetError};
pub(crate) use messages::rewritten_line;
pub use messages::{BranchHead, Hello};
pub(crate) use nets::counted_places;
pub use nets::{InvalidPlace, Place};
pub use network::{JoinError, Network, NetworkFacts, PeerView};
pub use question::{QuestionError, domain_at};
pub(crate) use signed::rewritten_signed;
pub use standing::Standing;
pub(crate) use this_host::chained;
pub use voting::{
    Charter, Elector, KeptBy, LedgerAnswer, LedgerAsk, LockNews, RecoverError, Trouble,
};
