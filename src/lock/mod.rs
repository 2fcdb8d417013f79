//! Who may change what: the host lock (one isconf works on this host), the branch lock (one person
//! appends to a branch), the append lock (one process makes a journal here longer), and the ledger
//! (the same among all hosts of a domain). Upholds:
//! permission is a value; mutating functions demand it.

mod host;
mod branch;
mod append;
mod ledger;
mod authority;

pub use append::AppendLock;
pub use authority::{Authority, Kept, NoVerdict};
pub use branch::{BranchLock, Claim, Held, LockError};
pub use host::{Holder, HostLock, HostLockError, Wait};
pub use ledger::{CheckIn, Denial, Granted, Ledger, Order, Records, Row, Under, Verdict};
