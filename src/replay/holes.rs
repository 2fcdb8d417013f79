//! Writes a file and leaves holes where it has only zeroes. Not for files without holes, which are
//! written as they are. Upholds: a sparse file takes no more room on a target than on its origin.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

/// What a hole is made of, in bytes: the block of the common filesystems.
const BLOCK_BYTES: usize = 4096;

/// A file being written from its start.
#[derive(Debug)]
pub struct Holes<'a> {
    file: &'a File,
    /// Where the next byte goes.
    offset: u64,
}

impl<'a> Holes<'a> {
    /// Begins with an empty file.
    pub fn new(file: &'a File) -> Self {
        Self { file, offset: 0 }
    }

    /// Gives the file its length: it may end in a hole.
    pub fn finish(self) -> io::Result<()> {
        self.file.set_len(self.offset)
    }
}

impl Write for Holes<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for block in bytes.chunks(BLOCK_BYTES) {
            if block.iter().any(|byte| *byte != 0) {
                self.file.write_all_at(block, self.offset)?;
            }
            self.offset += block.len() as u64;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn the_bytes_are_the_same_and_zeroes_take_no_room() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let mut wanted = vec![0; 1 << 20];
        wanted[300_000] = 1;
        let mut holes = Holes::new(path.as_file());
        for chunk in wanted.chunks(64 * 1024) {
            holes.write_all(chunk).unwrap();
        }
        holes.finish().unwrap();
        assert_eq!(std::fs::read(path.path()).unwrap(), wanted);
        assert!(path.as_file().metadata().unwrap().blocks() * 512 <= 64 * 1024);
    }
}
