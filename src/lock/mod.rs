//! Who may change what: the host lock (one isconf works on this host), the branch lock (one person
//! appends to a branch), and the append lock (one process makes a journal here longer). Upholds:
//! permission is a value; mutating functions demand it.

mod host;
mod branch;
mod append;

pub use append::AppendLock;
pub use branch::{BranchLock, Claim, Held, LockError};
pub use host::{Holder, HostLock, HostLockError, Wait};
