//! What a long blob is made of: which of its pieces are in blobs that are here, and which are to come. Upholds: each piece
//! is checked before it is written.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use isconf_sandbox::change::Digest;
use tokio::sync::{mpsc, watch};

use super::super::arrivals::Arriving;
use super::super::messages::MAX_PARTS;
use super::blob::BlobError;
use super::stream::PORTION_BYTES;
use crate::store::{Partial, Piece, Pieces, Store, StoreError, Stored, Sum};

/// In how many blobs pieces are looked for.
pub(super) const MAX_LOOKED_IN: usize = 16;

/// How many bytes are asked for at a time. They are in memory until all came, so that the host that gives them never
/// waits for the disk here.
const ASKED_BYTES: u64 = 4 << 20;

/// The parts to ask for at once, and of how many runs they and what is here between them are.
pub(super) fn parts_of(runs: &[Run]) -> (Vec<(u64, u64)>, usize) {
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
pub(super) enum Fault {
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
pub(super) enum Step {
    /// Pieces that are here.
    Here(Range<usize>),
    /// Pieces that came.
    There(Range<usize>, Vec<u8>),
}

/// Pieces that follow each other, and are all here or all not. They are in memory at once.
pub(super) struct Run {
    pub(super) pieces: Range<usize>,
    offset: u64,
    pub(super) length: u64,
    pub(super) is_here: bool,
}

/// Where a blob is gone on with: a piece and its first byte.
pub(super) struct Begin {
    piece: usize,
    offset: u64,
}

/// Where a piece is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Here {
    /// In which of the files.
    file: usize,
    offset: u64,
}

/// Where each piece of a blob comes from.
pub(super) struct Plan {
    pieces: Pieces,
    /// For each, where it is; `None` when it is not here.
    places: Vec<Option<Here>>,
    files: Vec<(Digest, File)>,
    /// How many bytes are here.
    pub(super) common: u64,
}

impl Plan {
    /// Looks for the pieces in blobs that are here.
    pub(super) fn make(store: &Store, pieces: Pieces, alike: &[Stored]) -> Self {
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
    pub(super) fn begin(&self, mut partial: Partial) -> Result<(Partial, Begin), StoreError> {
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
    pub(super) fn runs(&self, begin: Begin) -> Vec<Run> {
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
    pub(super) fn assemble(
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A plan for pieces of these lengths, each here at an offset in a file, or not.
    fn plan(pieces: &[(usize, Option<(usize, u64)>)]) -> Plan {
        let all: Vec<u8> = pieces
            .iter()
            .flat_map(|(length, _)| vec![7; *length])
            .collect();
        let mut at = 0;
        let rows = pieces.iter().map(|(length, place)| {
            let bytes = &all[at..at + length];
            at += length;
            let piece = Piece {
                length: u32::try_from(*length).unwrap(),
                sum: Sum::of(bytes),
            };
            (piece, place.map(|(file, offset)| Here { file, offset }))
        });
        let (rows, places): (Vec<_>, Vec<_>) = rows.unzip();
        Plan {
            common: 0,
            pieces: rows.into(),
            places,
            files: Vec::new(),
        }
    }

    fn runs(plan: &Plan) -> Vec<(Range<usize>, u64, u64, bool)> {
        let begin = Begin {
            piece: 0,
            offset: 0,
        };
        let runs = plan.runs(begin).into_iter();
        runs.map(|run| (run.pieces, run.offset, run.length, run.is_here))
            .collect()
    }

    #[test]
    fn runs_are_what_can_be_read_at_once_and_parts_what_is_asked_for_at_once() {
        let plan = plan(&[
            (10, Some((0, 0))),
            (20, Some((0, 10))),
            // Elsewhere in the same file, and in another one.
            (5, Some((0, 100))),
            (5, Some((1, 105))),
            (7, None),
            (8, None),
            (9, Some((1, 110))),
            (3, None),
        ]);
        assert_eq!(
            runs(&plan),
            [
                (0..2, 0, 30, true),
                (2..3, 30, 5, true),
                (3..4, 35, 5, true),
                (4..6, 40, 15, false),
                (6..7, 55, 9, true),
                (7..8, 64, 3, false),
            ]
        );
        let begin = Begin {
            piece: 5,
            offset: 47,
        };
        let runs = plan.runs(begin);
        assert_eq!(runs[0].pieces, 5..6);
        assert_eq!(parts_of(&runs), (vec![(47, 8), (64, 3)], 3));
    }

    #[test]
    fn long_runs_and_many_parts_are_divided() {
        let length = PORTION_BYTES / 2 + 1;
        let long = plan(&[(length, None); 3]);
        assert_eq!(runs(&long).len(), 3, "each is handed on by itself");
        let all = 3 * length as u64;
        let begin = || Begin {
            piece: 0,
            offset: 0,
        };
        assert_eq!(parts_of(&long.runs(begin())), (vec![(0, all)], 3));
        let count = usize::try_from(ASKED_BYTES).unwrap() / length + 5;
        let longer = plan(&vec![(length, None); count]);
        let (parts, taken) = parts_of(&longer.runs(begin()));
        assert!(parts[0].1 >= ASKED_BYTES && taken < count);
        let mut many = Vec::new();
        for _ in 0..MAX_PARTS + 1 {
            many.extend([(1, None), (1, Some((0, 0)))]);
        }
        let many = plan(&many);
        let (parts, taken) = parts_of(&many.runs(begin()));
        assert_eq!((parts.len(), taken), (MAX_PARTS, 2 * MAX_PARTS));
    }
}
