//! Which blobs an entry needs. Upholds: a bundle is complete or is not made.

use std::collections::BTreeSet;

use isconf_sandbox::change::Digest;

use crate::model::{Draft, EntryKind};
use crate::store::{Store, StoreError};

/// The longest manifest that is read, in bytes: some millions of paths.
const MAX_MANIFEST_BYTES: u64 = 1024 * 1024 * 1024;

/// Lists the content digests in a manifest's bytes; `None` when they are not a manifest.
pub type ManifestContents<'a> = &'a dyn Fn(&[u8]) -> Option<Vec<Digest>>;

/// Why the blobs of an entry could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// The manifest could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A blob that an entry names as its manifest is not one.
    #[error("blob {0} is not a manifest of this version of isconf")]
    NotAManifest(Digest),
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

    /// All blobs that the entry needs: those it names, and the contents that its manifest names.
    pub fn resolve(
        self,
        store: &Store,
        manifest_contents: ManifestContents<'_>,
    ) -> Result<BTreeSet<Digest>, ReferenceError> {
        let mut found = self.named;
        if let Some(manifest) = self.manifest {
            let bytes = store.get(&manifest, MAX_MANIFEST_BYTES)?;
            let contents = manifest_contents(&bytes);
            found.extend(contents.ok_or(ReferenceError::NotAManifest(manifest))?);
        }
        Ok(found)
    }
}
