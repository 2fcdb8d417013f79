//! The primitives of our binary formats: little-endian numbers and length-prefixed bytes. Not for
//! what the bytes mean. Upholds: nothing is allocated for a length that the input does not have.

use std::str::Utf8Error;

use super::{Digest, InvalidPath, RelPath, Timestamp};

/// Puts values one after another.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

/// Takes values one after another from untrusted bytes.
#[derive(Debug)]
pub struct Reader<'a> {
    all: &'a [u8],
    at: usize,
}

/// Why bytes are not what they should be. Offsets are from the start of the input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input ends inside a value.
    #[error("ends at byte {at}, inside a value of {wanted} bytes")]
    Truncated {
        /// Where the value begins.
        at: usize,
        /// Its length.
        wanted: u64,
    },
    /// The input goes on after the value.
    #[error("{count} bytes follow after byte {at}")]
    Trailing {
        /// Where the value ends.
        at: usize,
        /// How many bytes follow.
        count: usize,
    },
    /// The first bytes are those of no format of ours, or of another.
    #[error("does not begin with {expected:?}")]
    Magic {
        /// What it should begin with.
        expected: &'static str,
    },
    /// The format's version is not one we know.
    #[error("version {found} is unknown, {known} is known")]
    Version {
        /// The one found.
        found: u16,
        /// The one we know.
        known: u16,
    },
    /// More of something than we allow, or than the input has room for.
    #[error("{count} {what} at byte {at} are too many")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: u64,
        /// Where.
        at: usize,
    },
    /// A number that means nothing there.
    #[error("{value} at byte {at} is no {what}")]
    Value {
        /// What it should be.
        what: &'static str,
        /// What it is.
        value: u64,
        /// Where.
        at: usize,
    },
    /// A path that is none.
    #[error("path at byte {at}")]
    Path {
        /// Where.
        at: usize,
        /// Why not.
        #[source]
        source: InvalidPath,
    },
    /// Bytes that should be UTF-8 and are not.
    #[error("no text at byte {at}")]
    Text {
        /// Where they begin.
        at: usize,
        /// Why not.
        #[source]
        source: Utf8Error,
    },
    /// Things that must be in order, each once, are not.
    #[error("{what} at byte {at} is not after the one before it")]
    Order {
        /// Which things.
        what: &'static str,
        /// Where.
        at: usize,
    },
}

impl Writer {
    /// Begins a format: its name and version.
    pub fn begin(magic: &'static str, version: u16) -> Self {
        let mut writer = Self(magic.as_bytes().to_vec());
        writer.u16(version);
        writer
    }

    /// All that was put.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Puts one byte.
    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    /// Puts two bytes.
    pub fn u16(&mut self, value: u16) {
        self.0.extend(value.to_le_bytes());
    }

    /// Puts four bytes.
    pub fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    /// Puts eight bytes.
    pub fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    /// Puts a count or length: eight bytes.
    pub fn count(&mut self, value: usize) {
        self.u64(value as u64);
    }

    /// Puts bytes with their length before them.
    pub fn bytes(&mut self, value: &[u8]) {
        self.count(value.len());
        self.0.extend(value);
    }

    /// Puts a path, as bytes.
    pub fn path(&mut self, value: &RelPath) {
        self.bytes(value.as_bytes());
    }

    /// Puts a digest: 32 bytes, no length.
    pub fn digest(&mut self, value: &Digest) {
        self.0.extend(value.as_bytes());
    }

    /// Puts seconds (eight bytes, two's complement) and nanoseconds (four).
    pub fn timestamp(&mut self, value: Timestamp) {
        self.0.extend(value.secs.to_le_bytes());
        self.u32(value.nanos);
    }

    /// Puts 0, or 1 and the value.
    pub fn option<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        match value {
            None => self.u8(0),
            Some(value) => {
                self.u8(1);
                put(self, value);
            }
        }
    }
}

impl<'a> Reader<'a> {
    /// Begins to read a format: checks its name and version.
    pub fn begin(all: &'a [u8], magic: &'static str, version: u16) -> Result<Self, DecodeError> {
        if !all.starts_with(magic.as_bytes()) {
            return Err(DecodeError::Magic { expected: magic });
        }
        let at = magic.len();
        let mut reader = Self { all, at };
        match reader.u16()? {
            found if found == version => Ok(reader),
            found => Err(DecodeError::Version {
                found,
                known: version,
            }),
        }
    }

    /// Where the next value begins.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    pub const fn left(&self) -> usize {
        self.all.len() - self.at
    }

    /// Fails unless everything was taken.
    pub fn end(self) -> Result<(), DecodeError> {
        match self.left() {
            0 => Ok(()),
            count => Err(DecodeError::Trailing { at: self.at, count }),
        }
    }

    /// Takes `count` bytes.
    pub fn take(&mut self, count: u64) -> Result<&'a [u8], DecodeError> {
        if count > self.left() as u64 {
            return Err(DecodeError::Truncated {
                at: self.at,
                wanted: count,
            });
        }
        let start = self.at;
        self.at += count as usize;
        Ok(&self.all[start..self.at])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    /// Takes one byte.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    /// Takes two bytes.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Takes four bytes.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Takes eight bytes.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Takes a count of things of at least `size` bytes each, so that it is never more than the
    /// input can hold.
    pub fn count(&mut self, what: &'static str, size: usize) -> Result<usize, DecodeError> {
        let at = self.at;
        let count = self.u64()?;
        if count > (self.left() / size.max(1)) as u64 {
            return Err(DecodeError::TooMany { what, count, at });
        }
        Ok(count as usize)
    }

    /// Takes length-prefixed bytes, at most `limit`.
    pub fn bytes(&mut self, what: &'static str, limit: usize) -> Result<&'a [u8], DecodeError> {
        let at = self.at;
        let count = self.u64()?;
        if count > limit as u64 {
            return Err(DecodeError::TooMany { what, count, at });
        }
        self.take(count)
    }

    /// Takes a path.
    pub fn path(&mut self) -> Result<RelPath, DecodeError> {
        let at = self.at;
        let bytes = self.bytes("bytes of a path", super::MAX_PATH_BYTES)?;
        RelPath::new(bytes).map_err(|source| DecodeError::Path { at, source })
    }

    /// Takes a digest.
    pub fn digest(&mut self) -> Result<Digest, DecodeError> {
        Ok(Digest::from_bytes(self.array()?))
    }

    /// Takes a time.
    pub fn timestamp(&mut self) -> Result<Timestamp, DecodeError> {
        let secs = i64::from_le_bytes(self.array()?);
        let nanos = self.u32_below("number of nanoseconds", 1_000_000_000)?;
        Ok(Timestamp { secs, nanos })
    }

    /// Takes four bytes that are less than `end`.
    pub fn u32_below(&mut self, what: &'static str, end: u32) -> Result<u32, DecodeError> {
        let at = self.at;
        match self.u32()? {
            value if value < end => Ok(value),
            value => Err(DecodeError::Value {
                what,
                value: value.into(),
                at,
            }),
        }
    }

    /// Takes 0, or 1 and a value.
    pub fn option<T>(
        &mut self,
        get: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.u8()? {
            0 => Ok(None),
            1 => get(self).map(Some),
            value => Err(self.unknown("mark of presence", value)),
        }
    }

    /// The error for bytes, just taken, that should be text.
    pub fn no_text(&self, bytes: &[u8], source: Utf8Error) -> DecodeError {
        DecodeError::Text {
            at: self.at - bytes.len(),
            source,
        }
    }

    /// The error for a tag, just taken, that means nothing.
    pub fn unknown(&self, what: &'static str, value: u8) -> DecodeError {
        DecodeError::Value {
            what,
            value: value.into(),
            at: self.at - 1,
        }
    }
}
