//! What earlier audits found as expected, so that unchanged paths cost one stat(2). A cache: it may
//! be deleted at any time, and a damaged one is refused whole. Upholds: unknown versions are
//! refused, and nothing is allocated by a number that was not checked.
//!
//! The file: `isconf audit 1\n`, then one record a path in path order (length of the path as u32,
//! the path, major and minor device number as u32, inode and size as u64, mtime and ctime as i64 seconds and u32 nanoseconds, the
//! digest of the expected state), all numbers big-endian, then the SHA-256 of all before.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use isconf_sandbox::change::{Content, Digest, Kind, MAX_PATH_BYTES, Node, RelPath, Timestamp};

use super::live::Fingerprint;
use crate::durable;

const HEAD: &[u8] = b"isconf audit 1\n";

/// The longest file that is read: 2 million paths of ordinary length.
const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;

/// How long ago, in seconds, the last change of an object must be to be remembered. A change within
/// the same tick of the filesystem's clock as our look would not move the ctime; the coarsest clocks
/// tick once in two seconds (FAT), those of Linux's own filesystems every 10 ms at most.
const SETTLED_SECS: i64 = 3;

/// Paths that were found as expected, with what their objects looked like then.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    paths: BTreeMap<RelPath, Seen>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    fingerprint: Fingerprint,
    expected: Digest,
}

/// Why the file could not be used or written.
#[derive(Debug, thiserror::Error)]
pub enum KnownError {
    /// It could not be read or written.
    #[error("{path}: cannot use the audit's cache")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not such a file, of an unknown version, or damaged.
    #[error("{path}: the audit's cache is damaged or of an unknown version")]
    Damaged {
        /// Where.
        path: PathBuf,
    },
}

impl Known {
    /// Reads the file; a missing one knows nothing.
    pub fn load(path: &Path) -> Result<Self, KnownError> {
        let failed = |source| KnownError::Io {
            path: path.to_owned(),
            source,
        };
        let mut bytes = Vec::new();
        match durable::open_regular(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed(error)),
            Ok(file) => file
                .take(MAX_FILE_BYTES)
                .read_to_end(&mut bytes)
                .map_err(failed)?,
        };
        Self::parse(&bytes).ok_or_else(|| KnownError::Damaged {
            path: path.to_owned(),
        })
    }

    /// Writes the file aside and renames it into place. Not synced: after a power cut it may be
    /// old, empty or torn, which the digest at its end shows, and the next audit reads everything.
    pub fn save(&self, path: &Path) -> Result<(), KnownError> {
        let aside = path.with_extension("new");
        fs::write(&aside, self.to_bytes())
            .and_then(|()| fs::rename(&aside, path))
            .map_err(|source| KnownError::Io {
                path: path.to_owned(),
                source,
            })
    }

    /// Whether the object with this fingerprint was found as expected before.
    pub(super) fn is_as_expected(
        &self,
        path: &RelPath,
        fingerprint: &Fingerprint,
        expected: &Node,
    ) -> bool {
        self.paths.get(path).is_some_and(|seen| {
            seen.fingerprint == *fingerprint && seen.expected == digest_of(expected)
        })
    }

    /// Remembers that an object was found as expected, if it did not change just before `now`, when
    /// the audit began.
    pub(super) fn remember(
        &mut self,
        path: &RelPath,
        fingerprint: Fingerprint,
        expected: &Node,
        now: Timestamp,
    ) {
        let last = fingerprint.ctime.secs.max(fingerprint.mtime.secs);
        if last.saturating_add(SETTLED_SECS) < now.secs {
            let seen = Seen {
                fingerprint,
                expected: digest_of(expected),
            };
            self.paths.insert(path.clone(), seen);
        }
    }

    /// Forgets a path.
    pub(super) fn forget(&mut self, path: &RelPath) {
        self.paths.remove(path);
    }

    /// Keeps only the paths that `wanted` says.
    pub(super) fn retain(&mut self, wanted: impl Fn(&RelPath) -> bool) {
        self.paths.retain(|path, _| wanted(path));
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = HEAD.to_vec();
        for (path, seen) in &self.paths {
            put_bytes(&mut bytes, path.as_bytes());
            let fingerprint = &seen.fingerprint;
            bytes.extend_from_slice(&fingerprint.device.0.to_be_bytes());
            bytes.extend_from_slice(&fingerprint.device.1.to_be_bytes());
            bytes.extend_from_slice(&fingerprint.ino.to_be_bytes());
            bytes.extend_from_slice(&fingerprint.size.to_be_bytes());
            put_time(&mut bytes, fingerprint.mtime);
            put_time(&mut bytes, fingerprint.ctime);
            bytes.extend_from_slice(seen.expected.as_bytes());
        }
        let digest = Digest::of(&bytes);
        bytes.extend_from_slice(digest.as_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (body, digest) = bytes.split_last_chunk::<32>()?;
        if Digest::of(body).as_bytes() != digest {
            return None;
        }
        let mut rest = body.strip_prefix(HEAD)?;
        let mut paths = BTreeMap::new();
        while !rest.is_empty() {
            let length = u32::from_be_bytes(take(&mut rest)?) as usize;
            if length > MAX_PATH_BYTES {
                return None;
            }
            let (path, after) = rest.split_at_checked(length)?;
            rest = after;
            let fingerprint = Fingerprint {
                device: (
                    u32::from_be_bytes(take(&mut rest)?),
                    u32::from_be_bytes(take(&mut rest)?),
                ),
                ino: u64::from_be_bytes(take(&mut rest)?),
                size: u64::from_be_bytes(take(&mut rest)?),
                mtime: take_time(&mut rest)?,
                ctime: take_time(&mut rest)?,
            };
            let expected = Digest::from_bytes(take(&mut rest)?);
            let seen = Seen {
                fingerprint,
                expected,
            };
            paths.insert(RelPath::new(path).ok()?, seen);
        }
        Some(Self { paths })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}

fn take_time(rest: &mut &[u8]) -> Option<Timestamp> {
    Some(Timestamp {
        secs: i64::from_be_bytes(take(rest)?),
        nanos: u32::from_be_bytes(take(rest)?),
    })
}

fn put_time(bytes: &mut Vec<u8>, at: Timestamp) {
    bytes.extend_from_slice(&at.secs.to_be_bytes());
    bytes.extend_from_slice(&at.nanos.to_be_bytes());
}

fn put_bytes(bytes: &mut Vec<u8>, part: &[u8]) {
    // A path, a name or a value: far below 4 GiB, which the kernel bounds.
    bytes.extend_from_slice(&(part.len() as u32).to_be_bytes());
    bytes.extend_from_slice(part);
}

/// The digest of everything in a node that the audit compares.
fn digest_of(node: &Node) -> Digest {
    let mut bytes = Vec::with_capacity(128);
    put_bytes(&mut bytes, node.kind.name().as_bytes());
    match &node.kind {
        Kind::File { size, content, .. } => {
            bytes.extend_from_slice(&size.to_be_bytes());
            match content {
                Content::Read(digest) => bytes.extend_from_slice(digest.as_bytes()),
                Content::Unread => bytes.push(0),
            }
        }
        Kind::Symlink { target } => put_bytes(&mut bytes, target),
        Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
            bytes.extend_from_slice(&major.to_be_bytes());
            bytes.extend_from_slice(&minor.to_be_bytes());
        }
        Kind::Directory | Kind::Fifo | Kind::Socket => {}
    }
    for number in [
        node.meta.mode,
        node.meta.uid,
        node.meta.gid,
        node.meta.flags,
    ] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    for (name, value) in &node.meta.xattrs {
        put_bytes(&mut bytes, name);
        put_bytes(&mut bytes, value);
    }
    Digest::of(&bytes)
}
