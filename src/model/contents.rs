//! Where the bytes of changed files come from, for showing differences. Not for reading them.

use isconf_sandbox::change::RelPath;

/// Gives the bytes of changed files. An implementation bounds what it reads; longer content than
/// is shown may be left out.
pub trait ContentSource {
    /// The content before the entry of the file that `path` names in the change set (for drift: the
    /// content that is expected); `None` when it is not at hand.
    fn before(&self, path: &RelPath) -> Option<Vec<u8>>;
    /// The content after the entry (for drift: the live content); `None` when it is not at hand.
    fn after(&self, path: &RelPath) -> Option<Vec<u8>>;
}
