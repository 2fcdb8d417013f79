//! The daemon: the process that serves peers (see `peer`), how it starts and stops, and how verbs ask it. It
//! never runs, judges or commits entries by itself. Upholds: its state can be rebuilt from disk, so
//! killing it is always allowed; whether it runs is what the kernel's lock says, not what a file
//! says.
//!
//! ```text
//! start ─spawn─> run ─> DaemonLock (held until the process ends)
//!   ^             ├─> Server on conf/.ctl ─> Conversation (pure) <─ client: status, ping
//!   └── "ready" ──┘                                stop ─SIGTERM─> run ─> end
//! ```

mod daemon_lock;
mod statuses;
mod protocol;
mod log;
mod readiness;
mod served;
mod server;
mod auto_up;
mod run;
mod start;
mod stop;
pub mod client;

pub use auto_up::AutoUpFacts;
pub use daemon_lock::{DaemonLock, DaemonLockError, running_daemon};
pub use log::Log;
pub(crate) use protocol::rewritten_request;
pub use protocol::{Answer, MAX_KEPT, PROTOCOL_VERSION, Refusal, Request};
pub use readiness::{Manager, NOTIFY_SOCKET};
pub use run::{Attachment, DaemonError, DaemonFacts, run};
pub use start::{Launch, StartError, Started, start};
pub use statuses::{DaemonStatus, HostStatus, PeerStatus, Standing, VoterStatus, VotingStatus};
pub use stop::{StopError, Stopped, stop};

/// The hidden verb by which `start` runs the daemon.
pub const DAEMON_VERB: &str = "daemon";

#[cfg(test)]
#[path = "daemon_tests.rs"]
mod tests;
