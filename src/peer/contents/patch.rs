//! A new version of a long blob: what it has in common with blobs that are here is taken from them, and the rest in
//! parts from one host that has all of it. Upholds: each piece is checked before it is written, wherever it is from; so
//! whoever sent a wrong one is known.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use isconf_sandbox::change::Digest;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;

use super::super::arrivals::Arriving;
use super::super::endpoint::Link;
use super::super::messages::{Answer, Blob, BlobParts, MAX_PARTS, PieceList, Refused, Request};
use super::super::serve::ask;
use super::super::this_host::Shared;
use super::blob::{BlobError, Wish};
use super::stream::{self, PORTION_BYTES, PORTIONS};
use crate::store::{MAX_PIECES_BYTES, Partial, Piece, Pieces, Store, StoreError, Stored, Sum};

/// How often a host is asked for pieces that it is cutting still, and the pause between.
const MAX_ASKED: u32 = 30;
const CUTTING: Duration = Duration::from_secs(1);

/// In how many blobs pieces are looked for, and how many of them may be cut for that.
const MAX_LOOKED_IN: usize = 16;
const MAX_CUT: usize = 2;

/// How much of a blob has to be here at least for it to be worth the trouble: one part of so many.
const WORTH: u64 = 4;

/// How many bytes are asked for at a time.
const ASKED_BYTES: u64 = 64 << 20;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patched {
    /// The blob is here.
    Done,
    /// What is here has too little in common with it.
    NotWorth,
    /// The host cannot tell its pieces.
    NotThere,
}

/// Makes a blob of what is here and of parts that a host has.
pub(super) async fn patch(
    shared: &Arc<Shared>,
    link: &Link,
    (digest, length): (Digest, u64),
    teller: Arc<watch::Sender<Arriving>>,
) -> Result<Patched, BlobError> {
    let alike = shared.on_disk(move |shared| {
        let store = shared.local.store();
        shared.versions.about(store, length)
    });
    let alike = alike.await?;
    if alike.is_empty() {
        return Ok(Patched::NotWorth);
    }
    let cut = {
        let alike = alike.clone();
        shared.on_disk(move |shared| cut(shared.local.store(), &alike))
    };
    // Both hosts are at it at the same time.
    let (pieces, cut) = tokio::join!(pieces_of(link, digest, length), cut);
    cut?;
    let Some(pieces) = pieces? else {
        return Ok(Patched::NotThere);
    };
    let plan = shared.on_disk(move |shared| Plan::make(shared.local.store(), pieces, &alike));
    let plan = Arc::new(plan.await?);
    if plan.common < length / WORTH {
        return Ok(Patched::NotWorth);
    }
    let partial = stream::open(shared, Wish::of_length(digest, length)).await?;
    let (steps, to_do) = mpsc::channel(PORTIONS);
    let (mut partial, begin) = {
        let plan = Arc::clone(&plan);
        spawn_blocking(move || plan.begin(partial)).await??
    };
    let doing = {
        let plan = Arc::clone(&plan);
        spawn_blocking(move || {
            stream::has_room(&partial, length, &teller)?;
            plan.assemble(&mut partial, to_do, &teller)?;
            match partial.length() == length {
                true => Ok(Some(partial)),
                false => Ok(None),
            }
        })
    };
    let came = get(link, (digest, length), &plan, begin, &steps).await;
    drop(steps);
    match doing.await? {
        Ok(Some(partial)) => {
            let store = shared.local.store().clone();
            spawn_blocking(move || finish(&store, digest, partial, &plan)).await??;
            Ok(Patched::Done)
        }
        Ok(None) => came.map(|()| Patched::NotThere),
        Err(Fault::Blob(error)) => Err(error),
        // What was a piece of it here is none any more: that blob is looked at, and this one comes as a whole.
        Err(Fault::Rotten(other)) => {
            let look = shared.on_disk(move |shared| shared.local.look_at_blob(&other));
            let _sets_it_aside_if_it_is = look.await;
            Ok(Patched::NotWorth)
        }
    }
}

/// Cuts those blobs that are looked in first and were not cut yet. What cannot be cut is not looked in.
fn cut(store: &Store, alike: &[Stored]) {
    let first = alike.iter().take(MAX_LOOKED_IN);
    let uncut = first.filter(|blob| store.kept_pieces(&blob.digest, blob.length).is_none());
    for blob in uncut.take(MAX_CUT) {
        let _cut = store.pieces(&blob.digest);
    }
}

/// Makes it the blob. Its pieces were right one by one: if the whole is not, their list was wrong.
fn finish(store: &Store, digest: Digest, partial: Partial, plan: &Plan) -> Result<(), BlobError> {
    match partial.finish() {
        Ok(_) => {}
        Err(StoreError::NotTheBlob { .. }) => return Err(BlobError::Forged),
        Err(error) => return Err(error.into()),
    }
    // It can be cut again.
    let _kept = store.keep_pieces(&digest, &plan.pieces);
    Ok(())
}

/// Asks a host for the pieces of a blob; `None` when it cannot tell them.
async fn pieces_of(link: &Link, digest: Digest, length: u64) -> Result<Option<Pieces>, BlobError> {
    for _ in 0..MAX_ASKED {
        let (answer, mut incoming) = ask(link, &Request::Pieces(digest)).await?;
        let PieceList { length: bytes } = match answer {
            Answer::Pieces(list) if list.length <= MAX_PIECES_BYTES => list,
            Answer::Refused(Refused::Later) => {
                tokio::time::sleep(CUTTING).await;
                continue;
            }
            Answer::Refused(_) => return Ok(None),
            _ => return Err(BlobError::Nonsense),
        };
        let mut list = Vec::new();
        while (list.len() as u64) < bytes {
            let left = usize::try_from(bytes).map_or(0, |bytes| bytes - list.len());
            list.extend(stream::portion(&mut incoming, left.min(PORTION_BYTES)).await?);
        }
        let pieces = Pieces::parse(&list, length);
        return pieces.map(Some).ok_or(BlobError::Nonsense);
    }
    Ok(None)
}

/// Gets what is not here, and has all put together in its order.
async fn get(
    link: &Link,
    (digest, length): (Digest, u64),
    plan: &Plan,
    begin: Begin,
    steps: &mpsc::Sender<Step>,
) -> Result<(), BlobError> {
    let runs = plan.runs(begin);
    let mut runs = &runs[..];
    while !runs.is_empty() {
        let (parts, count) = parts_of(runs);
        let (batch, rest) = runs.split_at(count);
        runs = rest;
        let mut incoming = None;
        if !parts.is_empty() {
            let (answer, bytes) = ask(link, &Request::Parts(BlobParts { digest, parts })).await?;
            match answer {
                Answer::Blob(Blob { length: found, .. }) if found == length => {}
                Answer::Blob(_) => return Err(BlobError::Forged),
                Answer::Refused(refused) => return Err(refused.into()),
                _ => return Err(BlobError::Nonsense),
            }
            incoming = Some(bytes);
        }
        for run in batch {
            let step = match &mut incoming {
                Some(incoming) if !run.is_here => {
                    let wanted = usize::try_from(run.length).unwrap_or(usize::MAX);
                    Step::There(run.pieces.clone(), stream::portion(incoming, wanted).await?)
                }
                _ => Step::Here(run.pieces.clone()),
            };
            if steps.send(step).await.is_err() {
                // Whoever puts it together says why.
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The parts to ask for at once, and of how many runs they and what is here between them are.
fn parts_of(runs: &[Run]) -> (Vec<(u64, u64)>, usize) {
    let mut parts: Vec<(u64, u64)> = Vec::new();
    let mut bytes = 0;
    for (count, run) in runs.iter().enumerate() {
        if run.is_here {
            continue;
        }
        if bytes >= ASKED_BYTES {
            return (parts, count);
        }
        let is_full = parts.len() == MAX_PARTS;
        match parts.last_mut() {
            Some((offset, length)) if *offset + *length == run.offset => *length += run.length,
            _ if is_full => return (parts, count),
            _ => parts.push((run.offset, run.length)),
        }
        bytes += run.length;
    }
    (parts, runs.len())
}

/// Why a blob could not be put together.
enum Fault {
    Blob(BlobError),
    /// A blob that is here is not what it was.
    Rotten(Digest),
}

impl<E: Into<BlobError>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Blob(error.into())
    }
}

/// What is to be written next.
enum Step {
    /// Pieces that are here.
    Here(Range<usize>),
    /// Pieces that came.
    There(Range<usize>, Vec<u8>),
}

/// Pieces that follow each other, and are all here or all not. They are in memory at once.
struct Run {
    pieces: Range<usize>,
    offset: u64,
    length: u64,
    is_here: bool,
}

/// Where a blob is gone on with: a piece and its first byte.
struct Begin {
    piece: usize,
    offset: u64,
}

/// Where a piece is.
#[derive(Debug, Clone, Copy)]
struct Here {
    /// In which of the files.
    file: usize,
    offset: u64,
}

/// Where each piece of a blob comes from.
struct Plan {
    pieces: Pieces,
    /// For each, where it is; `None` when it is not here.
    places: Vec<Option<Here>>,
    files: Vec<(Digest, File)>,
    /// How many bytes are here.
    common: u64,
}

impl Plan {
    /// Looks for the pieces in blobs that are here.
    fn make(store: &Store, pieces: Pieces, alike: &[Stored]) -> Self {
        let wanted = pieces.all().iter();
        let mut found: HashMap<Sum, Option<Here>> = wanted.map(|p| (p.sum, None)).collect();
        let (mut files, mut missing) = (Vec::new(), found.len());
        for blob in alike.iter().take(MAX_LOOKED_IN) {
            // Most of it is here.
            if missing < found.len() / 10 {
                break;
            }
            let Some(others) = store.kept_pieces(&blob.digest, blob.length) else {
                continue;
            };
            let Ok(file) = store.open(&blob.digest) else {
                continue;
            };
            let mut offset = 0;
            let before = missing;
            for piece in others.all() {
                if let Some(place @ None) = found.get_mut(&piece.sum) {
                    let file = files.len();
                    *place = Some(Here { file, offset });
                    missing -= 1;
                }
                offset += u64::from(piece.length);
            }
            if missing < before {
                files.push((blob.digest, file));
            }
        }
        let place = |piece: &Piece| found.get(&piece.sum).copied().flatten();
        let places: Vec<_> = pieces.all().iter().map(place).collect();
        let here = pieces.all().iter().zip(&places);
        let here = here.filter(|(_, place)| place.is_some());
        let common = here.map(|(piece, _)| u64::from(piece.length)).sum();
        Self {
            pieces,
            places,
            files,
            common,
        }
    }

    /// Where to go on when something of it is here: with the first piece that is not, whoever sent what is in its place.
    fn begin(&self, mut partial: Partial) -> Result<(Partial, Begin), StoreError> {
        let mut begin = Begin {
            piece: 0,
            offset: 0,
        };
        let mut buffer = Vec::new();
        for piece in self.pieces.all() {
            let end = begin.offset + u64::from(piece.length);
            if end > partial.length() {
                break;
            }
            buffer.resize(piece.length as usize, 0);
            partial.read_at(&mut buffer, begin.offset)?;
            if Sum::of(&buffer) != piece.sum {
                break;
            }
            begin.offset = end;
            begin.piece += 1;
        }
        if begin.offset < partial.length() {
            partial.shorten(begin.offset)?;
        }
        Ok((partial, begin))
    }

    /// The runs from there on.
    fn runs(&self, begin: Begin) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let Begin { piece, mut offset } = begin;
        for index in piece..self.places.len() {
            let length = u64::from(self.pieces.all()[index].length);
            let place = self.places[index];
            match runs.last_mut() {
                Some(run)
                    if run.length + length <= PORTION_BYTES as u64
                        && self.continues(run, index, place) =>
                {
                    run.pieces.end = index + 1;
                    run.length += length;
                }
                _ => runs.push(Run {
                    pieces: index..index + 1,
                    offset,
                    length,
                    is_here: place.is_some(),
                }),
            }
            offset += length;
        }
        runs
    }

    /// Whether a piece goes on where a run ends: in the same file behind it, or not here as well.
    fn continues(&self, run: &Run, index: usize, place: Option<Here>) -> bool {
        match (self.places[index - 1], place) {
            (None, None) => true,
            (Some(last), Some(next)) => {
                let length = u64::from(self.pieces.all()[index - 1].length);
                run.is_here && last.file == next.file && last.offset + length == next.offset
            }
            _ => false,
        }
    }

    /// Writes what it is told to.
    fn assemble(
        &self,
        partial: &mut Partial,
        mut steps: mpsc::Receiver<Step>,
        teller: &watch::Sender<Arriving>,
    ) -> Result<(), Fault> {
        while let Some(step) = steps.blocking_recv() {
            let bytes = match step {
                Step::Here(range) => self.read(range)?,
                Step::There(range, bytes) => match self.are(range, &bytes) {
                    true => bytes,
                    false => return Err(BlobError::Forged.into()),
                },
            };
            partial.write(&bytes)?;
            teller.send_modify(|how| how.here = partial.length());
        }
        Ok(())
    }

    /// Reads a run that is here.
    fn read(&self, range: Range<usize>) -> Result<Vec<u8>, Fault> {
        let pieces = &self.pieces.all()[range.clone()];
        let length: usize = pieces.iter().map(|piece| piece.length as usize).sum();
        let mut bytes = vec![0; length];
        let Some(Here { file, offset }) = self.places[range.start] else {
            return Err(BlobError::Nonsense.into());
        };
        let (digest, file) = &self.files[file];
        let read = file.read_exact_at(&mut bytes, offset);
        match read.is_ok() && self.are(range, &bytes) {
            true => Ok(bytes),
            false => Err(Fault::Rotten(*digest)),
        }
    }

    /// Whether bytes are these pieces.
    fn are(&self, range: Range<usize>, mut bytes: &[u8]) -> bool {
        self.pieces.all()[range].iter().all(|piece| {
            let Some((these, rest)) = bytes.split_at_checked(piece.length as usize) else {
                return false;
            };
            bytes = rest;
            Sum::of(these) == piece.sum
        })
    }
}
