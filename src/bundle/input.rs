//! Reads a bundle piece by piece with its offset known, hashing as it goes; and checks who vouches
//! for it. Upholds: sizes are bounded before memory is taken; every error names the byte.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use isconf_sandbox::change::Digest;
use sha2::{Digest as _, Sha256};

use super::format::{
    BundleHeader, HMAC_SHA_256, MAGIC, MAX_HEADER_BYTES, TRAILER_BYTES, UNAUTHENTICATED,
};
use crate::identity::{Authentication, HmacKeys};

/// Where a bundle cannot be taken in, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}, byte {offset}: {fault}", path.display())]
pub struct BundleError {
    /// The bundle.
    pub path: PathBuf,
    /// Where it was noticed.
    pub offset: u64,
    /// What is wrong.
    pub fault: BundleFault,
    /// The system's error, where it is one.
    #[source]
    pub source: Option<io::Error>,
}

/// What is wrong with a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleFault {
    /// Could not be read.
    #[error("cannot be read")]
    Read,
    /// Does not begin as a bundle of this version.
    #[error("not a bundle of this version of isconf")]
    NotABundle,
    /// Ends too early.
    #[error("cut off")]
    CutOff,
    /// The header is not one.
    #[error("the header is damaged")]
    Header,
    /// A tag that does not belong there.
    #[error("unknown tag {0}")]
    Tag(u8),
    /// A length past any that can be.
    #[error("{found} bytes announced; at most {limit} are possible")]
    TooLong {
        /// What is announced.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// Something follows the end.
    #[error("something follows the end")]
    TrailingBytes,
    /// A blob's bytes are not those of its name.
    #[error("the blob announced as {expected} has digest {found}")]
    Blob {
        /// Its name.
        expected: Digest,
        /// The digest of its bytes.
        found: Digest,
    },
    /// The bytes are not those that were written.
    #[error("damaged or cut off: the content has digest {found}, and the end says {expected}")]
    Damaged {
        /// What it says.
        expected: Digest,
        /// What it has.
        found: Digest,
    },
    /// No key of ours vouches for it.
    #[error("no key of this domain vouches for the bundle")]
    Unauthenticated,
    /// It does not hold the entries that it announces.
    #[error("holds entries up to {found} and announces {expected}")]
    Entries {
        /// The announced last number.
        expected: u64,
        /// The last one that it holds.
        found: u64,
    },
}

/// A bundle being read.
pub(super) struct Input<'a, R> {
    path: &'a Path,
    inner: R,
    /// The next byte.
    pub(super) offset: u64,
    /// The length of everything before the trailer.
    content_end: u64,
    hash: Sha256,
    /// A tag that was read too early.
    unread_tag: Option<u8>,
}

impl<'a, R: Read + Seek> Input<'a, R> {
    /// Checks the whole bundle against its digest and the keys, then stands at its start. A bundle
    /// that nobody we know vouches for is refused unless `allow_unauthenticated`. Returns the digest
    /// of its content, which [`finish`](Self::finish) compares with what was read later.
    pub(super) fn authenticate(
        path: &'a Path,
        mut inner: R,
        keys: &HmacKeys,
        allow_unauthenticated: bool,
    ) -> Result<(Self, Digest, Authentication), BundleError> {
        let sized = inner.seek(SeekFrom::End(0)).and_then(|length| {
            inner.rewind()?;
            Ok(length)
        });
        let mut input = Self {
            path,
            inner,
            offset: 0,
            content_end: 0,
            hash: Sha256::new(),
            unread_tag: None,
        };
        let length = sized.map_err(|e| input.read_error(e))?;
        if length < MAGIC.len() as u64 + TRAILER_BYTES {
            return Err(input.fault(BundleFault::CutOff));
        }
        input.content_end = length - TRAILER_BYTES;
        if input.array::<16>()? != *MAGIC {
            input.offset = 0;
            return Err(input.fault(BundleFault::NotABundle));
        }
        let mut verifier = keys.verifier();
        verifier.update(MAGIC);
        let mut buffer = vec![0; 256 * 1024];
        while input.offset < input.content_end {
            let left = (input.content_end - input.offset).min(buffer.len() as u64) as usize;
            input.exact(&mut buffer[..left])?;
            verifier.update(&buffer[..left]);
        }
        let found = input.take_digest();
        let mut trailer = [0; TRAILER_BYTES as usize];
        input.read_exact(&mut trailer)?;
        input.offset = input.content_end;
        let (said, vouches, code) = (&trailer[..32], trailer[32], &trailer[33..]);
        if said != found.as_bytes() {
            let mut expected = [0; 32];
            expected.copy_from_slice(said);
            let expected = Digest::from_bytes(expected);
            return Err(input.fault(BundleFault::Damaged { expected, found }));
        }
        verifier.update(said);
        let proof = match vouches {
            HMAC_SHA_256 => verifier.finish(code),
            UNAUTHENTICATED => Authentication::Unknown,
            tag => return Err(input.fault(BundleFault::Tag(tag))),
        };
        if proof == Authentication::Unknown && !allow_unauthenticated {
            return Err(input.fault(BundleFault::Unauthenticated));
        }
        input.inner.rewind().map_err(|e| input.read_error(e))?;
        input.offset = 0;
        Ok((input, found, proof))
    }

    /// Reads magic and header.
    pub(super) fn header(&mut self) -> Result<BundleHeader, BundleError> {
        if self.array::<16>()? != *MAGIC {
            return Err(self.fault(BundleFault::NotABundle));
        }
        let text = self.bytes(MAX_HEADER_BYTES)?;
        BundleHeader::parse(&text).ok_or_else(|| self.fault(BundleFault::Header))
    }

    /// Reads the tag of the next item.
    pub(super) fn tag(&mut self) -> Result<u8, BundleError> {
        match self.unread_tag.take() {
            Some(tag) => Ok(tag),
            None => Ok(self.array::<1>()?[0]),
        }
    }

    /// Gives a tag back, to be read again.
    pub(super) fn unread_tag(&mut self, tag: u8) {
        self.unread_tag = Some(tag);
    }

    /// Reads a length and that many bytes, at most `limit`.
    pub(super) fn bytes(&mut self, limit: u64) -> Result<Vec<u8>, BundleError> {
        let found = self.length()?;
        if found > limit {
            return Err(self.fault(BundleFault::TooLong { found, limit }));
        }
        // Both are far below what a `usize` holds.
        let mut bytes = vec![0; found as usize];
        self.exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads a digest.
    pub(super) fn digest(&mut self) -> Result<Digest, BundleError> {
        Ok(Digest::from_bytes(self.array()?))
    }

    /// Reads a length that fits into what is left.
    pub(super) fn length(&mut self) -> Result<u64, BundleError> {
        let length = u64::from_be_bytes(self.array()?);
        if length > self.content_end - self.offset {
            return Err(self.fault(BundleFault::CutOff));
        }
        Ok(length)
    }

    /// A reader of the next `length` bytes.
    pub(super) fn part(&mut self, length: u64) -> impl Read + '_ {
        let end = self.offset + length;
        Part { input: self, end }
    }

    /// Checks that everything was read, and that it is what was authenticated.
    pub(super) fn finish(mut self, expected: Digest) -> Result<(), BundleError> {
        if self.offset != self.content_end {
            return Err(self.fault(BundleFault::TrailingBytes));
        }
        let found = self.take_digest();
        if found != expected {
            return Err(self.fault(BundleFault::Damaged { expected, found }));
        }
        Ok(())
    }

    /// An error at the next byte.
    pub(super) fn fault(&self, fault: BundleFault) -> BundleError {
        BundleError {
            path: self.path.to_path_buf(),
            offset: self.offset,
            fault,
            source: None,
        }
    }

    /// Reads `N` bytes.
    fn array<const N: usize>(&mut self) -> Result<[u8; N], BundleError> {
        let mut bytes = [0; N];
        self.exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Fills `bytes` from before the trailer.
    fn exact(&mut self, bytes: &mut [u8]) -> Result<(), BundleError> {
        if bytes.len() as u64 > self.content_end - self.offset {
            return Err(self.fault(BundleFault::CutOff));
        }
        self.read_exact(bytes)?;
        self.hash.update(&*bytes);
        Ok(())
    }

    /// Fills `bytes`.
    fn read_exact(&mut self, bytes: &mut [u8]) -> Result<(), BundleError> {
        self.inner
            .read_exact(bytes)
            .map_err(|e| self.read_error(e))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// The digest of what was read so far; begins anew.
    fn take_digest(&mut self) -> Digest {
        Digest::from_bytes(self.hash.finalize_reset().into())
    }

    /// An error of the system.
    fn read_error(&self, source: io::Error) -> BundleError {
        BundleError {
            source: Some(source),
            ..self.fault(BundleFault::Read)
        }
    }
}

/// A part of a bundle as a reader of its own.
struct Part<'a, 'p, R> {
    input: &'a mut Input<'p, R>,
    end: u64,
}

impl<R: Read + Seek> Read for Part<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = (self.end - self.input.offset).min(buffer.len() as u64) as usize;
        self.input
            .exact(&mut buffer[..left])
            .map_err(io::Error::other)?;
        Ok(left)
    }
}
