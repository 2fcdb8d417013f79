//! The pieces of a long blob, cut where its content says so: what a new version has in common with an older one is in
//! equal pieces, wherever it moved to. Not for trusting: a blob counts by its digest alone. Upholds: the same bytes
//! have the same pieces on every host; memory does not grow with a blob beyond its list, which is bounded.

use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;

use fastcdc::v2020::StreamCDC;
use isconf_sandbox::change::Digest;
use sha2::{Digest as _, Sha256};

use super::blobs::{Store, StoreError};
use crate::durable::{self, FileError};

/// From this length on it is worth to look for pieces, in bytes: a shorter blob has moved before a list of them.
pub const LONG_BYTES: u64 = 4 << 20;

/// The length of a piece that is aimed at, in bytes. A page of 4096 bytes that changes costs some 11,000; with pieces
/// twice as long, 17,000. The list is 0.4 % of the blob.
const AIM_BYTES: u64 = 4 << 10;

/// How many pieces are aimed at, at most: longer blobs have longer pieces.
const MOST_AIMED: u64 = 1 << 19;

/// The longest piece that any blob has, in bytes.
const LONGEST_BYTES: usize = 4 << 20;

/// How much of a piece's SHA-256 is kept, in bytes: they are told apart by it, and the blob has its own digest.
const SUM_BYTES: usize = 16;

/// A piece in a list: its length, and the beginning of its SHA-256.
const ROW_BYTES: usize = 4 + SUM_BYTES;

/// The longest list, in bytes: pieces are half as long as aimed at, at least.
pub const MAX_PIECES_BYTES: u64 = 2 * (MOST_AIMED + 1) * ROW_BYTES as u64;

/// The directory for lists that were made.
pub(super) const PIECES: &str = "pieces";

/// What a file with a list begins with.
const FIRST_LINE: &[u8] = b"isconf pieces 1\n";

/// What a piece is told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sum([u8; SUM_BYTES]);

impl Sum {
    /// That of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let whole: [u8; 32] = Sha256::digest(bytes).into();
        let mut sum = [0; SUM_BYTES];
        sum.copy_from_slice(&whole[..SUM_BYTES]);
        Self(sum)
    }
}

/// A piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// How long it is, in bytes.
    pub length: u32,
    /// What it is told by.
    pub sum: Sum,
}

/// The pieces of a blob, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pieces(Vec<Piece>);

impl Pieces {
    /// Cuts `length` bytes that `reader` gives. `None` when there are fewer or more, or too many for any list.
    pub fn of(reader: impl Read, length: u64) -> io::Result<Option<Self>> {
        let Some(aim) = aim(length) else {
            return Ok(None);
        };
        let (mut pieces, mut total) = (Vec::new(), 0);
        for chunk in StreamCDC::new(reader.take(length + 1), aim / 2, aim, 4 * aim) {
            let chunk = chunk?;
            total += chunk.data.len() as u64;
            pieces.push(Piece {
                // Four times what is aimed at, at most: `LONGEST_BYTES`.
                length: u32::try_from(chunk.data.len()).unwrap_or(u32::MAX),
                sum: Sum::of(&chunk.data),
            });
        }
        Ok((total == length).then_some(Self(pieces)))
    }

    /// Reads a list for a blob of `length` bytes; `None` when it cannot be one.
    pub fn parse(bytes: &[u8], length: u64) -> Option<Self> {
        let (rows, rest) = bytes.as_chunks::<ROW_BYTES>();
        if !rest.is_empty() || bytes.len() as u64 > MAX_PIECES_BYTES {
            return None;
        }
        let aim = u32::try_from(aim(length)?).ok()?;
        let last = rows.len().saturating_sub(1);
        let mut total = 0_u64;
        let mut pieces = Vec::with_capacity(rows.len());
        for (index, row) in rows.iter().enumerate() {
            let (length, sum) = row.split_at(4);
            let piece = Piece {
                length: u32::from_be_bytes(length.try_into().ok()?),
                sum: Sum(sum.try_into().ok()?),
            };
            let shortest = if index == last { 1 } else { aim / 2 };
            if !(shortest..=4 * aim).contains(&piece.length) {
                return None;
            }
            total += u64::from(piece.length);
            pieces.push(piece);
        }
        (total == length).then_some(Self(pieces))
    }

    /// The bytes of the list.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() * ROW_BYTES);
        for piece in &self.0 {
            bytes.extend(piece.length.to_be_bytes());
            bytes.extend(piece.sum.0);
        }
        bytes
    }

    /// The pieces.
    pub fn all(&self) -> &[Piece] {
        &self.0
    }
}

impl From<Vec<Piece>> for Pieces {
    fn from(pieces: Vec<Piece>) -> Self {
        Self(pieces)
    }
}

/// The length that is aimed at for the pieces of a blob; `None` beyond what a list can have. The same for all of about
/// the same length, so that versions of a file have pieces in common.
fn aim(length: u64) -> Option<usize> {
    let mut aim = AIM_BYTES;
    while length / aim > MOST_AIMED {
        aim *= 2;
    }
    let aim = usize::try_from(aim).ok()?;
    (4 * aim <= LONGEST_BYTES).then_some(aim)
}

impl Store {
    /// The pieces of a blob that is here: as they were kept, or cut now and kept, which takes a reading of it. `None` for
    /// one without a list. One at a time may ask for the pieces of a blob.
    pub fn pieces(&self, digest: &Digest) -> Result<Option<Pieces>, StoreError> {
        let length = self.length(digest)?;
        if let Some(kept) = self.kept_pieces(digest, length) {
            return Ok(Some(kept));
        }
        let file = self.open(digest)?;
        let path = self.path_of(digest);
        let pieces = Pieces::of(file, length).map_err(FileError::of("read", &path))?;
        if let Some(pieces) = &pieces {
            self.keep_pieces(digest, pieces)?;
        }
        Ok(pieces)
    }

    /// The pieces of a blob of this length as they were kept, if they were. A list that a power cut left half-written
    /// is none.
    pub fn kept_pieces(&self, digest: &Digest, length: u64) -> Option<Pieces> {
        let kept = durable::read_small(&self.pieces_of(digest), MAX_PIECES_BYTES + 64);
        let file = kept.ok()??;
        let (list, sum) = file
            .strip_prefix(FIRST_LINE)?
            .split_last_chunk::<SUM_BYTES>()?;
        match Sum::of(list) == Sum(*sum) {
            true => Pieces::parse(list, length),
            false => None,
        }
    }

    /// Keeps the pieces of a blob, which were found to make it. Needs no sync: what a power cut spoils has another sum,
    /// and is made again.
    pub fn keep_pieces(&self, digest: &Digest, pieces: &Pieces) -> Result<(), StoreError> {
        let directory = self.root().join(PIECES);
        durable::create_directories(&directory)?;
        let list = pieces.to_bytes();
        let file = [FIRST_LINE, &list, &Sum::of(&list).0].concat();
        let path = self.pieces_of(digest);
        let aside = path.with_extension("new");
        fs::write(&aside, file).map_err(FileError::of("write", &aside))?;
        fs::rename(&aside, &path).map_err(FileError::of("rename", &path))?;
        Ok(())
    }

    /// Forgets the pieces of a blob; they are cut again.
    pub fn forget_pieces(&self, digest: &Digest) {
        // There may be none.
        let _none = fs::remove_file(self.pieces_of(digest));
    }

    fn pieces_of(&self, digest: &Digest) -> PathBuf {
        self.root().join(PIECES).join(digest.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn random(bytes: usize, seed: u64) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(seed);
        std::iter::repeat_with(|| random.u8(..))
            .take(bytes)
            .collect()
    }

    fn cut(bytes: &[u8]) -> Pieces {
        Pieces::of(bytes, bytes.len() as u64).unwrap().unwrap()
    }

    /// How many bytes of `new` are in no piece of `old`, and how long its list is.
    fn moved(old: &[u8], new: &[u8]) -> u64 {
        let old: BTreeSet<_> = cut(old).all().iter().map(|piece| piece.sum).collect();
        let new = cut(new);
        let missing = new.all().iter().filter(|piece| !old.contains(&piece.sum));
        let missing: u64 = missing.map(|piece| u64::from(piece.length)).sum();
        missing + new.to_bytes().len() as u64
    }

    #[test]
    fn a_version_that_differs_in_one_percent_has_95_in_common() {
        let old = random(32 << 20, 1);
        let part = old.len() / 100;
        let mut in_one_place = old.clone();
        in_one_place[9_999_999..9_999_999 + part].fill(7);
        let mut in_pages = old.clone();
        let mut at = fastrand::Rng::with_seed(2);
        for _ in 0..part / 4096 {
            let page = at.usize(..old.len() / 4096) * 4096;
            in_pages[page..page + 4096].copy_from_slice(&random(4096, page as u64));
        }
        let mut inserted = old.clone();
        inserted.splice(1_000_000..1_000_000, random(part, 3));
        for new in [in_one_place, in_pages, inserted] {
            let share = moved(&old, &new) * 1000 / new.len() as u64;
            assert!(share <= 50, "{share} of 1000");
        }
    }

    #[test]
    fn a_list_is_read_back_and_nothing_else_is_one() {
        let bytes = random(1 << 20, 4);
        let pieces = cut(&bytes);
        let (list, length) = (pieces.to_bytes(), bytes.len() as u64);
        assert_eq!(Pieces::parse(&list, length).as_ref(), Some(&pieces));
        assert_eq!(Pieces::parse(&list, length + 1), None);
        assert_eq!(Pieces::parse(&list[1..], length), None);
        assert_eq!(Pieces::parse(&[0; ROW_BYTES], 0), None);
        assert_eq!(Pieces::parse(&[], 0), Some(Pieces::default()));
        assert_eq!(Pieces::of(&bytes[..], length + 1).unwrap(), None);
        assert_eq!(Pieces::of(&bytes[..], length - 1).unwrap(), None);
        // However long a blob is, its list is bounded.
        let longest = (0..64)
            .map(|bits| 1_u64 << bits)
            .filter(|l| aim(*l).is_some())
            .max();
        let longest = longest.unwrap();
        assert!(longest / aim(longest).unwrap() as u64 <= MOST_AIMED);
        assert!(aim(u64::MAX).is_none());
    }

    #[test]
    fn a_kept_list_that_was_spoilt_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("blob"));
        let bytes = random(1 << 20, 5);
        let digest = store.put_bytes(&bytes).unwrap();
        let length = bytes.len() as u64;
        assert_eq!(store.kept_pieces(&digest, length), None);
        let pieces = store.pieces(&digest).unwrap().unwrap();
        assert_eq!(store.kept_pieces(&digest, length), Some(pieces.clone()));
        let path = store.pieces_of(&digest);
        let mut spoilt = fs::read(&path).unwrap();
        spoilt[30] ^= 1;
        fs::write(&path, spoilt).unwrap();
        assert_eq!(store.kept_pieces(&digest, length), None);
        assert_eq!(store.pieces(&digest).unwrap(), Some(pieces));
        assert_eq!(store.walk().count(), 1);
    }
}
