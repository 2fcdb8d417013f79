//! `trusted.overlay.origin`: which lower inode an upper one is a copy of.

use super::InvalidAttribute;
use crate::sys::inspect::FileHandle;

/// The lower object that an upper one was copied from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Copied from a filesystem that has no file handles: known to be a copy, of what is unknown.
    Unnamed,
    /// Copied from the inode with this handle.
    Handle(FileHandle),
}

/// `struct ovl_fb` of fs/overlayfs/overlayfs.h: version, magic, length, flags, type, 16 bytes of
/// UUID, then the handle.
const HEAD_BYTES: usize = 21;
const VERSION: u8 = 0;
const MAGIC: u8 = 0xfb;

impl Origin {
    /// Reads the attribute's value.
    pub fn parse(value: &[u8]) -> Result<Self, InvalidAttribute> {
        if value.is_empty() {
            return Ok(Self::Unnamed);
        }
        let invalid = || InvalidAttribute::Origin {
            bytes: value.len(),
            version: value[0],
        };
        if value.len() < HEAD_BYTES
            || value[0] != VERSION
            || value[1] != MAGIC
            || usize::from(value[2]) != value.len()
        {
            return Err(invalid());
        }
        Ok(Self::Handle(FileHandle {
            kind: i32::from(value[4]),
            bytes: value[HEAD_BYTES..].to_vec(),
        }))
    }

    /// Whether this may be the inode with `handle`; an unnamed origin may be any.
    pub fn matches(&self, handle: &FileHandle) -> bool {
        match self {
            Self::Unnamed => true,
            // The kernel may pad the stored handle with zeros to a multiple of four bytes.
            Self::Handle(own) => {
                own.kind == handle.kind
                    && own.bytes.len() >= handle.bytes.len()
                    && own.bytes.starts_with(&handle.bytes)
                    && own.bytes[handle.bytes.len()..].iter().all(|b| *b == 0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(handle: &[u8]) -> Vec<u8> {
        let mut value = vec![0, 0xfb, (HEAD_BYTES + handle.len()) as u8, 0, 7];
        value.extend([9; 16]);
        value.extend(handle);
        value
    }

    #[test]
    fn a_stored_handle_matches_the_inode_it_names() {
        let origin = Origin::parse(&stored(&[1, 2, 3, 4])).unwrap();
        let handle = |kind, bytes: &[u8]| FileHandle {
            kind,
            bytes: bytes.to_vec(),
        };
        assert!(origin.matches(&handle(7, &[1, 2, 3, 4])));
        assert!(!origin.matches(&handle(7, &[1, 2, 3, 5])));
        assert!(!origin.matches(&handle(8, &[1, 2, 3, 4])));
    }

    #[test]
    fn hostile_values_are_refused() {
        for value in [&b"\0"[..], &[1; 30], &[0, 0xfb, 3], &stored(&[1])[..21]] {
            assert!(Origin::parse(value).is_err(), "{value:?}");
        }
        assert_eq!(Origin::parse(b""), Ok(Origin::Unnamed));
    }
}
