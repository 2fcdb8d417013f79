//! Who may change what: the host lock (one isconf works on this host) and the branch lock (one
//! person appends to a branch). Upholds: permission is a value; mutating functions demand it.

mod host;
mod branch;

pub use branch::{BranchLock, Claim, Held, LockError};
pub use host::{Holder, HostLock, HostLockError, Wait};
