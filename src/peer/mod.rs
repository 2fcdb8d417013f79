//! Other hosts of the domain.

mod nets;
mod tls;
mod proof;
mod endpoint;
mod frames;
mod messages;
mod table;
mod mentioned;
mod keys;
mod book;
mod dialling;
mod local;
mod serve;
mod catch_up;
mod contents;
mod network;
mod standing;

pub use endpoint::BindError;
pub(crate) use messages::rewritten_line;
pub use messages::{BranchHead, Hello};
pub(crate) use nets::counted_places;
pub use nets::{InvalidPlace, Place};
pub use network::{JoinError, Network, NetworkFacts, PeerView};
pub use standing::{Arriving, Standing};
