//! SHA-256 digests as values. Not for message authentication. Upholds: an id is a type of its own.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest; shown and parsed as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// Text that is not 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 digest (64 lower-case hexadecimal digits): {0:?}")]
pub struct InvalidDigest(pub String);

/// How much of a file is in memory at a time while it is hashed.
const CHUNK_BYTES: usize = 256 * 1024;

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of all that `reader` gives, in constant memory, with the number of bytes read.
    pub fn of_reader(reader: impl Read) -> io::Result<(Self, u64)> {
        Self::of_reader_telling(reader, &mut |_| {})
    }

    /// Like [`Digest::of_reader`]; tells the length of each piece once it is hashed.
    pub fn of_reader_telling(
        reader: impl Read,
        tell: &mut dyn FnMut(u64),
    ) -> io::Result<(Self, u64)> {
        hash_all(reader, &mut vec![0; CHUNK_BYTES], tell)
    }

    /// Like [`Digest::of_reader`] with the caller's buffer, which must not be empty: for many
    /// small files.
    pub fn of_reader_by(reader: impl Read, buffer: &mut [u8]) -> io::Result<(Self, u64)> {
        hash_all(reader, buffer, &mut |_| {})
    }

    /// Makes a digest from its 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 12 hexadecimal digits, for people.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

fn hash_all(
    mut reader: impl Read,
    buffer: &mut [u8],
    tell: &mut dyn FnMut(u64),
) -> io::Result<(Digest, u64)> {
    let mut hash = Sha256::new();
    let mut total = 0;
    loop {
        match reader.read(buffer) {
            Ok(0) => return Ok((Digest(hash.finalize().into()), total)),
            Ok(n) => {
                hash.update(&buffer[..n]);
                total += n as u64;
                tell(n as u64);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidDigest(text.chars().take(80).collect());
        let digit = |b: u8| match b {
            b'0'..=b'9' => Ok(b - b'0'),
            b'a'..=b'f' => Ok(b - b'a' + 10),
            _ => Err(invalid()),
        };
        let text_bytes: &[u8; 64] = text.as_bytes().try_into().map_err(|_| invalid())?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text_bytes.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}
