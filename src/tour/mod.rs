//! Throwaway hosts, and the guided tour that shows isconf at work in two of them.
//!
//! A throwaway [`Host`] is a machine made of namespaces: own processes, mounts, names and an empty
//! network, and an own root on a fresh file system. The tour and the integration tests run the
//! real program in such hosts, so that neither can touch the machine they run on. Not a sandbox for
//! hostile code, and not a machine with a kernel of its own: clock, kernel settings and modules are
//! shared.
//!
//! ```text
//! HostSpec ─script→ two shell scripts ─holder→ volumes (mounts) → boot (PID 1) ─command→ Output
//!                                                                       └─manifest→ Manifest
//! steps ─guide→ the tour, with a fingerprint of the real machine before and after
//! ```

mod error;
mod spec;
mod script;
mod skeleton;
mod workdir;
mod holder;
mod command;
mod inside;
mod manifest;
mod host;
mod steps;
mod fingerprint;
mod guide;

pub use self::command::{HostCommand, Output, Process};
pub use self::error::HostError;
pub use self::guide::{TourError, tour};
pub use self::host::Host;
pub use self::manifest::Manifest;
pub use self::spec::{HostSpec, RootKind, Volume};
