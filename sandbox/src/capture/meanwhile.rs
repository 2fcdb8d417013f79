//! A live object that somebody changed while the scratchpad was in use, before anybody had looked at
//! it. Not for one that changed after that: `commit` compares those. Upholds: what is not known of
//! the state that the scratchpad saw is left open, never guessed.

use super::LiveIdentity;
use crate::change::RelPath;

/// A live object that changed before it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meanwhile {
    /// The live path.
    pub path: RelPath,
    /// What the scratchpad saw there, as far as its own copy still tells.
    pub seen: Glimpse,
    /// What was there when it was looked at; `None` for nothing.
    pub found: Option<LiveIdentity>,
}

/// What is known of a live object as the scratchpad saw it; `None` where nobody can know. Nothing
/// of a live object is read in advance, and an overlay keeps no more of it than its copy, in which
/// the command may have changed all that it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Glimpse {
    /// The type bits of `st_mode`; never changed in a copy.
    pub kind: Option<u32>,
    /// Inode number, told by the handle that the copy has.
    pub ino: Option<u64>,
    /// `st_mode` without the type bits, when the copy and the live object agree.
    pub permissions: Option<u32>,
    /// Owner and group, when both agree.
    pub owner: Option<(u32, u32)>,
    /// Length: that of a copy which has the attributes only, or was not written.
    pub size: Option<u64>,
}
