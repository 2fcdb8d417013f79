//! A path below a root, as bytes that were checked once. Not for paths of the caller's world
//! (those are `std::path::Path`). Upholds: no path is ever built from unchecked bytes.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The longest path we handle, in bytes. Linux itself stops at `PATH_MAX` (4096) a system call,
/// but trees may be deeper when walked by descriptor; four times that bounds every parser.
pub const MAX_PATH_BYTES: usize = 16 * 1024;

/// The longest single name, in bytes (`NAME_MAX` of Linux).
pub const MAX_NAME_BYTES: usize = 255;

/// Names an object below a root: components joined by `/`, no leading slash, no empty, `.` or `..`
/// component, no NUL. The empty path is the root itself. Ordered by its bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RelPath(Vec<u8>);

/// Bytes that are not a [`RelPath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    /// Longer than [`MAX_PATH_BYTES`], or a name longer than [`MAX_NAME_BYTES`].
    #[error("path of {0} bytes is too long")]
    TooLong(usize),
    /// A component is empty, `.` or `..`.
    #[error("path has an empty, `.` or `..` component: {0:?}")]
    Component(String),
    /// Contains a NUL byte.
    #[error("path contains a NUL byte: {0:?}")]
    Nul(String),
    /// Not absolute where an absolute path is needed.
    #[error("path is not absolute: {0:?}")]
    NotAbsolute(String),
}

impl RelPath {
    /// The root itself.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Checks `bytes` as a path without leading slash.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, InvalidPath> {
        let bytes = bytes.into();
        let lossy = || String::from_utf8_lossy(&bytes).into_owned();
        if bytes.len() > MAX_PATH_BYTES {
            return Err(InvalidPath::TooLong(bytes.len()));
        }
        if bytes.contains(&0) {
            return Err(InvalidPath::Nul(lossy()));
        }
        if !bytes.is_empty() {
            for name in bytes.split(|b| *b == b'/') {
                if matches!(name, b"" | b"." | b"..") {
                    return Err(InvalidPath::Component(lossy()));
                }
                if name.len() > MAX_NAME_BYTES {
                    return Err(InvalidPath::TooLong(name.len()));
                }
            }
        }
        Ok(Self(bytes))
    }

    /// Takes an absolute path; repeated slashes and a final slash are allowed, as the kernel does.
    pub fn from_absolute(path: &Path) -> Result<Self, InvalidPath> {
        let bytes = path.as_os_str().as_bytes();
        if bytes.first() != Some(&b'/') {
            return Err(InvalidPath::NotAbsolute(path.display().to_string()));
        }
        let names = bytes.split(|b| *b == b'/').filter(|n| !n.is_empty());
        Self::new(names.collect::<Vec<_>>().join(&b'/'))
    }

    /// The bytes, without leading slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path as the standard library's relative path (empty for the root).
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// The path below `root`.
    pub fn to_path_under(&self, root: &Path) -> PathBuf {
        if self.is_root() {
            root.to_path_buf()
        } else {
            root.join(self.as_path())
        }
    }

    /// The path with a leading slash.
    pub fn to_absolute(&self) -> PathBuf {
        let mut bytes = Vec::with_capacity(self.0.len() + 1);
        bytes.push(b'/');
        bytes.extend_from_slice(&self.0);
        PathBuf::from(OsString::from_vec(bytes))
    }

    /// The names from the root down.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/').filter(|n| !n.is_empty())
    }

    /// The number of names; 0 for the root.
    pub fn depth(&self) -> usize {
        self.components().count()
    }

    /// The directory that holds this object; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|b| *b == b'/').unwrap_or(0);
        Some(Self(self.0[..end].to_vec()))
    }

    /// The last name; `None` for the root.
    pub fn file_name(&self) -> Option<&[u8]> {
        self.components().next_back()
    }

    /// This path with one more name, which must not contain `/`.
    pub fn child(&self, name: &[u8]) -> Result<Self, InvalidPath> {
        if name.contains(&b'/') || name.is_empty() {
            return Err(InvalidPath::Component(
                String::from_utf8_lossy(name).into_owned(),
            ));
        }
        let mut bytes = self.0.clone();
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name);
        Self::new(bytes)
    }

    /// This path with `below` appended.
    pub fn join(&self, below: &Self) -> Result<Self, InvalidPath> {
        if below.is_root() {
            return Ok(self.clone());
        }
        if self.is_root() {
            return Ok(below.clone());
        }
        Self::new([&self.0[..], &below.0[..]].join(&b'/'))
    }

    /// Whether this path is `ancestor` or lies below it.
    pub fn starts_with(&self, ancestor: &Self) -> bool {
        self.strip_prefix(ancestor).is_some()
    }

    /// What remains of this path below `ancestor`; `None` when it does not lie there.
    pub fn strip_prefix(&self, ancestor: &Self) -> Option<Self> {
        if ancestor.is_root() {
            return Some(self.clone());
        }
        let rest = self.0.strip_prefix(&ancestor.0[..])?;
        match rest.first() {
            None => Some(Self::root()),
            Some(b'/') => Some(Self(rest[1..].to_vec())),
            Some(_) => None,
        }
    }
}

/// Shows the absolute path; control characters, backslashes and invalid UTF-8 are escaped as
/// `\n`, `\\`, `\xNN`, so that one path is always one line and can be told from any other.
impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/")?;
        write_escaped(f, &self.0)
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelPath({self})")
    }
}

/// Writes bytes for people: valid printable UTF-8 as it is, the rest escaped.
pub fn write_escaped(f: &mut impl fmt::Write, bytes: &[u8]) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                c if c.is_control() || is_deceptive(c) => write!(f, "{}", c.escape_default())?,
                c => f.write_char(c)?,
            }
        }
        for byte in chunk.invalid() {
            write!(f, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

/// Direction marks and other invisible characters that could make one path look like another
/// (Unicode Technical Report 36, "bidirectional text spoofing").
fn is_deceptive(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}
