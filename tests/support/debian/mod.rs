//! Whole Debian hosts for tests: a real root with its own packages on ext4, xfs or btrfs, systemd as
//! PID 1 or none, reboots, power cuts. Not for quick cases: those take the light
//! hosts of `isconf::tour`, over the real `/usr`. Not for another kernel: that is `vm-tests`.
//! Upholds: nothing of a host outlives the process that made it, however that one ends.
//!
//! ```text
//! root (built once, cached) ─base image→ keeper (namespaces, disk) ─boot→ PID 1 ─HostCommand→ Output
//! ```

mod root;
mod keeper;
mod host;

pub use host::{DebianHost, Init};
pub use root::{DebianRoot, Disk};
