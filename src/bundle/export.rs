//! Writes a bundle, streaming. Upholds: what is exported was verified on the way.

use std::collections::BTreeSet;
use std::io::{self, Write};

use isconf_sandbox::change::Digest;
use sha2::{Digest as _, Sha256};

use super::format::{BLOB, BundleHeader, END, HMAC_SHA_256, MAGIC, RECORD, UNAUTHENTICATED};
use crate::identity::{Authenticator, HmacKeys};
use crate::journal::{Journal, JournalError};
use crate::model::DomainName;
use crate::model::progress::{Progress, Unit};
use crate::needs::{Needs, ReferenceError};
use crate::store::{Store, StoreError};

/// What a bundle is made of.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The journal's domain.
    pub domain: &'a DomainName,
    /// The journal.
    pub journal: &'a Journal,
    /// The domain's blobs.
    pub store: &'a Store,
    /// The domain's keys; the first one vouches for the bundle.
    pub keys: &'a HmacKeys,
}

/// What a bundle holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// What it says it holds.
    pub header: BundleHeader,
    /// The number of blobs.
    pub blobs: u64,
    /// The sum of their lengths.
    pub blob_bytes: u64,
    /// Whether a key vouches for it.
    pub is_authenticated: bool,
}

/// Why no bundle was made.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The bundle could not be written.
    #[error("cannot write the bundle")]
    Write(#[from] io::Error),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A blob.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An entry's blobs could not be listed.
    #[error("entry {seq}")]
    References {
        /// Which.
        seq: u64,
        /// Why.
        #[source]
        source: ReferenceError,
    },
    /// The journal ends before the entry after which the bundle should begin.
    #[error("the journal has {last} entries; a bundle cannot begin behind {since}")]
    NotThatLong {
        /// The number given.
        since: u64,
        /// The journal's last.
        last: u64,
    },
}

/// Writes the entries behind the first `since` with all their blobs to `out`. The caller puts the
/// file in place when this has succeeded.
pub fn export(
    source: Source<'_>,
    since: u64,
    out: &mut dyn Write,
    progress: &mut dyn Progress,
) -> Result<Exported, ExportError> {
    let journal = source.journal;
    let last = journal.last();
    if since > last.seq {
        let last = last.seq;
        return Err(ExportError::NotThatLong { since, last });
    }
    let header = BundleHeader {
        domain: source.domain.clone(),
        branch: journal.branch().clone(),
        first_seq: since + 1,
        last,
    };
    let mut sealing = Sealing {
        out,
        hash: Sha256::new(),
        code: source.keys.authenticator(),
    };
    let is_authenticated = sealing.code.is_some();
    let text = header.to_text();
    sealing.write_all(MAGIC)?;
    sealing.write_length(text.len() as u64)?;
    sealing.write_all(text.as_bytes())?;
    let blobs = write_records(source, since, &mut sealing, progress)?;
    let blob_bytes = write_blobs(source.store, &blobs, &mut sealing, progress)?;
    progress.end();
    sealing.write_all(&[END])?;
    sealing.finish()?;
    Ok(Exported {
        header,
        blobs: blobs.len() as u64,
        blob_bytes,
        is_authenticated,
    })
}

/// Writes the records; returns the blobs that they need.
fn write_records(
    source: Source<'_>,
    since: u64,
    out: &mut Sealing<'_>,
    progress: &mut dyn Progress,
) -> Result<BTreeSet<Digest>, ExportError> {
    let mut blobs = BTreeSet::new();
    let total = source.journal.len() - since;
    progress.begin("reading the journal", Unit::Records, Some(total));
    for seq in source.journal.pending(since) {
        progress.done(seq - since);
        let entry = source.journal.signed_entry(seq)?;
        let needed = Needs::of(&entry.draft)
            .resolve(source.store)
            .map_err(|source| ExportError::References { seq, source })?;
        blobs.extend(needed);
        let record = source
            .journal
            .chain()
            .read(seq)
            .map_err(JournalError::from)?;
        out.write_all(&[RECORD])?;
        out.write_length(record.len() as u64)?;
        out.write_all(&record)?;
    }
    Ok(blobs)
}

/// Writes the blobs; returns the sum of their lengths.
fn write_blobs(
    store: &Store,
    blobs: &BTreeSet<Digest>,
    out: &mut Sealing<'_>,
    progress: &mut dyn Progress,
) -> Result<u64, ExportError> {
    let lengths = blobs.iter().map(|digest| store.length(digest));
    let all = lengths.sum::<Result<u64, _>>()?;
    progress.begin("writing the bundle", Unit::Bytes, Some(all));
    let mut total = 0;
    for digest in blobs {
        let length = store.length(digest)?;
        out.write_all(&[BLOB])?;
        out.write_all(digest.as_bytes())?;
        out.write_length(length)?;
        // A blob that changed its length in between fails its digest, and so does the export.
        let mut told = Told {
            out,
            written: total,
            progress,
        };
        total += store.copy_to(digest, &mut told)?;
    }
    Ok(total)
}

/// A writer that hashes what goes through it.
struct Sealing<'a> {
    out: &'a mut dyn Write,
    hash: Sha256,
    code: Option<Authenticator>,
}

impl Sealing<'_> {
    /// Writes a length.
    fn write_length(&mut self, length: u64) -> io::Result<()> {
        self.write_all(&length.to_be_bytes())
    }

    /// Writes the trailer. The code is over the SHA-256 as well, which follows everything else.
    fn finish(mut self) -> io::Result<()> {
        let hash: [u8; 32] = self.hash.finalize_reset().into();
        let code = self.code.take().map(|mut code| {
            code.update(&hash);
            code.finish()
        });
        let vouches = if code.is_some() {
            HMAC_SHA_256
        } else {
            UNAUTHENTICATED
        };
        self.out.write_all(&hash)?;
        self.out.write_all(&[vouches])?;
        self.out.write_all(&code.unwrap_or_default())?;
        self.out.flush()
    }
}

impl Write for Sealing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write_all(bytes)?;
        self.hash.update(bytes);
        if let Some(code) = &mut self.code {
            code.update(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Tells how many bytes of blobs were written.
struct Told<'a, 'b> {
    out: &'a mut Sealing<'b>,
    written: u64,
    progress: &'a mut dyn Progress,
}

impl Write for Told<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.out.write(bytes)?;
        self.written += taken as u64;
        self.progress.done(self.written);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
