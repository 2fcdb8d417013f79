//! Which blobs an entry needs. Upholds: nothing is called complete that is not, be it a bundle or what
//! came from peers.

use std::collections::{BTreeMap, BTreeSet};

use isconf_sandbox::change::{Content, DecodeError, Digest, Kind, decode_nodes};

use crate::model::{Draft, EntryKind};
use crate::store::{MAX_LIST_BYTES, Store, StoreError};

/// Why the blobs of an entry could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// The manifest could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A blob that an entry names as its manifest is not one.
    #[error("blob {digest} is not a manifest")]
    NotAManifest {
        /// The blob.
        digest: Digest,
        /// What is wrong with it.
        #[source]
        source: DecodeError,
    },
}

/// The blobs that an entry names itself: its change set, manifest and standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    named: BTreeSet<Digest>,
    manifest: Option<Digest>,
}

impl Needs {
    /// Those of an entry.
    pub fn of(draft: &Draft) -> Self {
        let mut named = BTreeSet::from([draft.outcome.changes.full]);
        let mut manifest = None;
        match &draft.kind {
            EntryKind::Snap(snap) => {
                manifest = Some(snap.manifest);
                named.insert(snap.manifest);
            }
            EntryKind::Exec(exec) => named.extend(exec.stdin),
            EntryKind::Reboot => {}
        }
        Self { named, manifest }
    }

    /// The blobs that it names itself.
    pub fn named(&self) -> impl Iterator<Item = Digest> {
        self.named.iter().copied()
    }

    /// All blobs that the entry needs: those it names, and the contents that its manifest names.
    pub fn resolve(self, store: &Store) -> Result<BTreeSet<Digest>, ReferenceError> {
        Ok(self.with_lengths(store)?.into_keys().collect())
    }

    /// The same, with the lengths in bytes of those whose lengths are known by that.
    pub fn with_lengths(
        self,
        store: &Store,
    ) -> Result<BTreeMap<Digest, Option<u64>>, ReferenceError> {
        let named = self.named.into_iter();
        let mut found: BTreeMap<_, _> = named.map(|digest| (digest, None)).collect();
        if let Some(digest) = self.manifest {
            let bytes = store.get(&digest, MAX_LIST_BYTES)?;
            let nodes = decode_nodes(&bytes)
                .map_err(|source| ReferenceError::NotAManifest { digest, source })?;
            let contents = nodes.values().filter_map(|node| content(&node.kind));
            found.extend(contents.map(|(digest, length)| (digest, Some(length))));
        }
        Ok(found)
    }
}

/// The blob with an object's content, if it has one, and its length in bytes.
fn content(kind: &Kind) -> Option<(Digest, u64)> {
    match kind {
        Kind::File {
            content: Content::Read(digest),
            size,
            ..
        } => Some((*digest, *size)),
        Kind::File { .. }
        | Kind::Directory
        | Kind::Symlink { .. }
        | Kind::Fifo
        | Kind::Socket
        | Kind::CharDevice { .. }
        | Kind::BlockDevice { .. } => None,
    }
}
