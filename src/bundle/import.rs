//! Takes a bundle in. Upholds: nothing is visible before everything was checked; the local journal
//! is extended, never replaced.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use isconf_sandbox::change::Digest;

use super::format::{BLOB, BundleHeader, END, RECORD};
use super::input::{BundleError, BundleFault, Input};
use crate::chain::MAX_RECORD_BYTES;
use crate::identity::{Authentication, HmacKeys};
use crate::journal::{Import, Journal, JournalError};
use crate::lock::AppendLock;
use crate::model::progress::{Progress, Unit};
use crate::model::{DomainName, EntryId, EntryRef, Home};
use crate::needs::{Needs, ReferenceError};
use crate::store::{Batch, Store, StoreError};

/// Where a bundle is taken in, and what it must prove.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Where things lie.
    pub home: &'a Home,
    /// This host's domain.
    pub domain: &'a DomainName,
    /// The domain's keys; one of them must vouch for the bundle.
    pub keys: &'a HmacKeys,
    /// Takes a bundle that no key of ours vouches for, because the user said so.
    pub allow_unauthenticated: bool,
}

/// Asks, before anything is taken in, whether what a bundle holds may be: for hosts whose journals others share.
pub type Leave<'a> = &'a mut dyn FnMut(&BundleHeader) -> bool;

/// What was taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// What the bundle said it holds.
    pub header: BundleHeader,
    /// Who vouched for it.
    pub authentication: Authentication,
    /// How many entries the journal did not have.
    pub new_entries: u64,
    /// How many blobs the bundle held.
    pub blobs: u64,
}

/// Why a bundle was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The journal, or an entry of the bundle.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Whoever was asked gave no leave, and says why.
    #[error("the bundle may not be taken in now")]
    NoLeave,
    /// It is one of another domain.
    #[error("the bundle is one of domain {found}, not {expected}")]
    WrongDomain {
        /// This host's.
        expected: DomainName,
        /// The bundle's.
        found: DomainName,
    },
    /// Entries between the local journal and the bundle are missing.
    #[error("the bundle begins with entry {first}, and the journal here ends with entry {last}")]
    Gap {
        /// The bundle's first.
        first: u64,
        /// The local last.
        last: u64,
    },
    /// An entry differs from the local one of that number.
    #[error("entry {seq} is {local} here and {bundled} in the bundle")]
    Diverged {
        /// Which.
        seq: u64,
        /// The local one.
        local: EntryId,
        /// The bundle's.
        bundled: EntryId,
    },
    /// A blob that an entry needs is neither in the bundle nor here.
    #[error("entry {seq} needs blob {digest}, which is neither in the bundle nor here")]
    Incomplete {
        /// Which entry.
        seq: u64,
        /// Which blob.
        digest: Digest,
    },
    /// An entry's blobs could not be listed.
    #[error("entry {seq}")]
    References {
        /// Which.
        seq: u64,
        /// Why.
        #[source]
        source: ReferenceError,
    },
}

/// Takes in the bundle `file` (called `path` in errors). The journal of its branch is made if there
/// is none, else it must be continued by the bundle; entries that are there already must be equal.
pub fn import(
    target: Target<'_>,
    path: &Path,
    mut file: impl Read + Seek,
    leave: Leave<'_>,
    progress: &mut dyn Progress,
) -> Result<Imported, ImportError> {
    // A file that has no length is told as one by `authenticate`.
    let length = file.seek(SeekFrom::End(0)).ok();
    progress.begin("reading the bundle", Unit::Bytes, length);
    let told = Told {
        file,
        read: 0,
        progress: &mut *progress,
    };
    let (mut input, digest, authentication) =
        Input::authenticate(path, told, target.keys, target.allow_unauthenticated)?;
    let header = input.header()?;
    if header.domain == *target.domain && !leave(&header) {
        return Err(ImportError::NoLeave);
    }
    let right = right_to(target, &header)?;
    let mut journal = journal_of(&right, &header)?;
    let known = compare_known(&journal, &mut input, header.first_seq)?;
    let local_last = journal.at(header.last.seq);
    let mut import = journal.import(&right)?;
    let needs = take_entries(&mut import, &mut input, known)?;
    // A bundle older than the journal here ends within it.
    let held = local_last
        .filter(|_| needs.is_empty())
        .unwrap_or(import.last());
    if held != header.last {
        let (expected, found) = (header.last.seq, held.seq);
        return Err(input.fault(BundleFault::Entries { expected, found }).into());
    }
    let store = Store::new(target.home.blobs(target.domain));
    let mut batch = store.batch()?;
    let blobs = take_blobs(&mut batch, &mut input)?;
    input.finish(digest)?;
    // How long the syncs take cannot be told.
    progress.end();
    // Blobs first: an entry whose blobs are missing must never be seen.
    batch.finish()?;
    let new_entries = needs.len() as u64;
    for (seq, needs) in needs {
        check_complete(&store, seq, needs)?;
    }
    import.finish()?;
    Ok(Imported {
        header,
        authentication,
        new_entries,
        blobs,
    })
}

/// The right to append to the bundle's branch, if it is of this domain.
fn right_to(target: Target<'_>, header: &BundleHeader) -> Result<AppendLock, ImportError> {
    if header.domain != *target.domain {
        return Err(ImportError::WrongDomain {
            expected: target.domain.clone(),
            found: header.domain.clone(),
        });
    }
    let right = AppendLock::take(target.home, target.domain, &header.branch);
    Ok(right.map_err(StoreError::from)?)
}

/// The journal that the bundle goes on with, made empty when there is none.
fn journal_of(right: &AppendLock, header: &BundleHeader) -> Result<Journal, ImportError> {
    let existing = Journal::open(right.home(), right.domain(), &header.branch)?;
    let (first, last) = (header.first_seq, existing.as_ref().map_or(0, Journal::len));
    if first > last + 1 {
        return Err(ImportError::Gap { first, last });
    }
    Ok(match existing {
        Some(journal) => journal,
        None => Journal::open_or_create(right)?,
    })
}

/// Reads the records that the journal has already and compares them. Returns the first that it does
/// not have, if there is one.
fn compare_known<R: Read + Seek>(
    journal: &Journal,
    input: &mut Input<'_, R>,
    first: u64,
) -> Result<Next, ImportError> {
    for seq in first.. {
        let record = match next_item(input)? {
            Next::Record(record) => record,
            other @ (Next::Blob | Next::End) => return Ok(other),
        };
        let bundled = EntryId(Digest::of(&record));
        match journal.at(seq) {
            None => return Ok(Next::Record(record)),
            Some(EntryRef { id, .. }) if id == bundled => {}
            Some(EntryRef { id: local, .. }) => {
                return Err(ImportError::Diverged {
                    seq,
                    local,
                    bundled,
                });
            }
        }
    }
    Ok(Next::End)
}

/// Takes the records that the journal does not have; returns what each needs. Stands behind the tag
/// of the first blob or of the end.
fn take_entries<R: Read + Seek>(
    import: &mut Import<'_>,
    input: &mut Input<'_, R>,
    mut next: Next,
) -> Result<Vec<(u64, Needs)>, ImportError> {
    let mut needs = Vec::new();
    while let Next::Record(record) = next {
        let entry = import.push(&record)?;
        needs.push((entry.at.seq, Needs::of(&entry.draft)));
        next = next_item(input)?;
    }
    input.unread_tag(match next {
        Next::Blob => BLOB,
        Next::End | Next::Record(_) => END,
    });
    Ok(needs)
}

/// Takes the blobs up to the end; returns how many.
fn take_blobs<R: Read + Seek>(
    batch: &mut Batch<'_>,
    input: &mut Input<'_, R>,
) -> Result<u64, ImportError> {
    let mut count = 0;
    loop {
        match input.tag()? {
            END => return Ok(count),
            BLOB => {}
            tag => return Err(input.fault(BundleFault::Tag(tag)).into()),
        }
        let expected = input.digest()?;
        let length = input.length()?;
        let (found, _) = batch.add_reader(input.part(length))?;
        if found != expected {
            let fault = BundleFault::Blob { expected, found };
            return Err(input.fault(fault).into());
        }
        count += 1;
    }
}

/// Checks that the store has all that an entry needs.
fn check_complete(store: &Store, seq: u64, needs: Needs) -> Result<(), ImportError> {
    let all = match needs.resolve(store) {
        Ok(all) => all,
        Err(ReferenceError::Store(StoreError::Missing(digest))) => {
            return Err(ImportError::Incomplete { seq, digest });
        }
        Err(source) => return Err(ImportError::References { seq, source }),
    };
    match all.into_iter().find(|digest| !store.contains(digest)) {
        Some(digest) => Err(ImportError::Incomplete { seq, digest }),
        None => Ok(()),
    }
}

/// What comes next in a bundle.
enum Next {
    /// A journal record.
    Record(Vec<u8>),
    /// A blob, whose tag was read.
    Blob,
    /// The end, whose tag was read.
    End,
}

/// Reads the next tag, and the record if it is one.
fn next_item<R: Read + Seek>(input: &mut Input<'_, R>) -> Result<Next, BundleError> {
    match input.tag()? {
        RECORD => Ok(Next::Record(input.bytes(MAX_RECORD_BYTES)?)),
        BLOB => Ok(Next::Blob),
        END => Ok(Next::End),
        tag => Err(input.fault(BundleFault::Tag(tag))),
    }
}

/// Tells how much of the file was read.
struct Told<'a, R> {
    file: R,
    read: u64,
    progress: &'a mut dyn Progress,
}

impl<R: Read> Read for Told<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.file.read(buffer)?;
        self.read += got as u64;
        // The file is read twice: to see who vouches for it, and to take it in.
        self.progress.done(self.read / 2);
        Ok(got)
    }
}

impl<R: Seek> Seek for Told<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
