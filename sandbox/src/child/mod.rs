//! What runs inside the scratchpad, from clone to exit, and who watches it. Not for mounts (see
//! `mounts`). Upholds: whatever was started inside is gone when the scratchpad is.
//!
//! ```text
//! supervisor ──clone──> init (pid 1 inside: mounts, then waits for orders)
//!     │  └────clone──> command (waits for the mounts, joins init's namespaces, gives up rights,
//!     │                executes)
//!     └── waits: command's end · notifications (watcher) · signals
//! ```

mod limits;
mod request;
mod message;
mod leftover;
mod tasks;
mod inmates;
mod init;
mod start_error;
mod rights;
mod streams;
mod command;
mod rule;
mod picked;
mod reaching;
mod rules;
mod filter;
mod caller;
mod program_start;
mod stand_in;
mod starts;
mod live;
mod known_sockets;
mod ports;
mod netlink;
mod peers;
mod reach;
mod naming;
mod watcher;
mod weight;
mod signals;
mod terminal;

pub use init::{InitError, MountError};
pub use limits::{Exceeded, Limits};
pub use request::{
    Effect, EffectKind, EffectOutcome, Exit, Group, NetworkAccess, Phases, Request, Stream,
};
pub use start_error::StartError;
pub use weight::{Weight, weight};

pub(crate) use command::{Isolation, Started, Waiting, kill, prepare};
pub(crate) use init::Init;
pub(crate) use netlink::change as netlink_change;
pub(crate) use signals::{Arrived, HeldSignals, end_is_asked};
pub(crate) use terminal::Foreground;
pub(crate) use watcher::{Tally, Watcher};
