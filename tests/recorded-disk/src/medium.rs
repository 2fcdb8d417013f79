//! What a disk holds, in memory: blocks, those of zeroes left out. Not for what is written but not
//! flushed yet (that is `states`). A copy costs a pointer a block, so that each crash state can
//! have its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use crate::error::RigError;

/// The size of a block in bytes: the unit of the filesystems that are recorded.
pub const BLOCK: usize = 4096;

type Block = [u8; BLOCK];

/// The content of a disk.
#[derive(Debug, Clone)]
pub struct Medium {
    size: u64,
    blocks: BTreeMap<u64, Arc<Block>>,
}

impl Medium {
    /// A disk of zeroes; `size` in bytes, a multiple of [`BLOCK`].
    pub const fn empty(size: u64) -> Self {
        Self {
            size,
            blocks: BTreeMap::new(),
        }
    }

    /// Reads an image; holes are skipped.
    ///
    /// # Errors
    /// Names the image that cannot be read.
    pub fn load(image: &Path) -> Result<Self, RigError> {
        let read = || -> std::io::Result<Self> {
            let file = File::open(image)?;
            let mut medium = Self::empty(file.metadata()?.len());
            let mut buffer = vec![0; BLOCK];
            let mut at = 0;
            while let Some(data) = seek(&file, at, Whence::SeekData)? {
                let end = seek(&file, data, Whence::SeekHole)?.unwrap_or(medium.size);
                at = data - data % BLOCK as u64;
                while at < end {
                    file.read_exact_at(&mut buffer, at)?;
                    medium.write(at, &buffer);
                    at += BLOCK as u64;
                }
            }
            Ok(medium)
        };
        read().map_err(|source| RigError::file(image, source))
    }

    /// Writes an image of the disk, with holes, over whatever is there.
    ///
    /// # Errors
    /// Names the image that cannot be written.
    pub fn store(&self, image: &Path) -> Result<(), RigError> {
        let write = || -> std::io::Result<()> {
            let file = File::create(image)?;
            file.set_len(self.size)?;
            for (number, block) in &self.blocks {
                file.write_all_at(&block[..], number * BLOCK as u64)?;
            }
            Ok(())
        };
        write().map_err(|source| RigError::file(image, source))
    }

    /// The size in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Writes bytes; what lies beyond the end is dropped.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        let bytes = &bytes[..bytes.len().min(self.left(offset))];
        for (number, within, piece) in pieces(offset, bytes.len()) {
            let part = &bytes[piece];
            let end = within + part.len();
            if part.len() == BLOCK && is_zero(part) {
                self.blocks.remove(&number);
                continue;
            }
            let block = self.blocks.entry(number);
            let block = Arc::make_mut(block.or_insert_with(|| Arc::new([0; BLOCK])));
            block[within..end].copy_from_slice(part);
        }
    }

    /// Reads bytes, fewer at the end of the disk.
    pub fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len.min(self.left(offset))];
        for (number, within, piece) in pieces(offset, bytes.len()) {
            if let Some(block) = self.blocks.get(&number) {
                let end = within + piece.len();
                bytes[piece].copy_from_slice(&block[within..end]);
            }
        }
        bytes
    }

    fn left(&self, offset: u64) -> usize {
        usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX)
    }
}

/// Cuts a range of bytes at the borders of blocks: block, place in it, place in the range.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let at = offset + done as u64;
        let within = (at % BLOCK as u64) as usize;
        let end = len.min(done + BLOCK - within);
        let piece = (at / BLOCK as u64, within, done..end);
        done = end;
        Some(piece)
    })
}

fn is_zero(bytes: &[u8]) -> bool {
    let zeroes = [0; BLOCK];
    bytes == &zeroes[..bytes.len()]
}

/// Finds the next data or hole; `None` behind the last data (lseek(2), `ENXIO`).
fn seek(file: &File, from: u64, whence: Whence) -> std::io::Result<Option<u64>> {
    let from = i64::try_from(from).map_err(std::io::Error::other)?;
    match lseek(file, from, whence) {
        Ok(at) => Ok(u64::try_from(at).ok()),
        Err(Errno::ENXIO) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_across_blocks_is_read_and_zeroes_take_no_room() {
        let mut medium = Medium::empty(5 * BLOCK as u64);
        let bytes: Vec<u8> = (0..9000u32).map(|n| (n % 251 + 1) as u8).collect();
        medium.write(3584, &bytes);
        assert_eq!(medium.read(3584, 9000), bytes);
        assert_eq!(medium.read(3583, 2), [0, 1]);
        medium.write(4096, &[0; BLOCK]);
        assert_eq!(medium.blocks.len(), 3);
        assert_eq!(medium.read(4096, 3), [0; 3]);
    }

    #[test]
    fn nothing_is_beyond_the_end() {
        let mut medium = Medium::empty(BLOCK as u64);
        medium.write(BLOCK as u64 - 1, b"xyz");
        assert_eq!(medium.read(BLOCK as u64 - 1, 3), b"x");
        assert_eq!(medium.read(9999, 3), b"");
    }

    #[test]
    fn an_image_is_the_same_after_a_round_trip() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        let mut medium = Medium::empty(64 * BLOCK as u64);
        medium.write(5 * BLOCK as u64 + 512, b"here");
        medium.write(63 * BLOCK as u64, b"end");
        medium.store(&image).unwrap();
        let again = Medium::load(&image).unwrap();
        assert_eq!(again.size(), medium.size());
        assert_eq!(again.blocks, medium.blocks);
    }
}
