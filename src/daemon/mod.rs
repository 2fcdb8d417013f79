//! The daemon.

/// The hidden verb by which `start` runs the daemon.
pub const DAEMON_VERB: &str = "daemon";
