//! Reading and writing the fields of an intent: little-endian numbers, counted bytes and lists.
//! Upholds: a reader never takes more memory than the bytes that are there can fill.

use crate::change::{Digest, MAX_PATH_BYTES, RelPath};

/// Why bytes are no intent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// They end too early.
    #[error("it is truncated")]
    Truncated,
    /// More follows than belongs to it.
    #[error("{0} bytes follow its end")]
    Trailing(usize),
    /// It begins with other bytes.
    #[error("it is not an intent")]
    NotAnIntent,
    /// A version that we do not know.
    #[error("its version {0} is unknown")]
    UnknownVersion(u32),
    /// The bytes do not have the digest that they end with.
    #[error("its digest is wrong")]
    Digest,
    /// A field has a value that it cannot have.
    #[error("its field `{0}` has an impossible value")]
    Value(&'static str),
    /// A field or the file is longer than its limit.
    #[error("a field of {0} bytes is too long")]
    TooLong(u64),
}

/// Appends fields.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.raw(&value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.raw(bytes);
    }

    pub(super) fn option<T>(&mut self, value: Option<&T>, put: impl FnOnce(&mut Self, &T)) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            put(self, value);
        }
    }

    pub(super) fn list<T>(&mut self, items: &[T], put: impl Fn(&mut Self, &T)) {
        self.u32(items.len() as u32);
        items.iter().for_each(|item| put(self, item));
    }
}

/// Takes fields from the front.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn raw(&mut self, count: usize) -> Result<&'a [u8], Damage> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(Damage::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Damage> {
        Ok(self.raw(1)?[0])
    }

    pub(super) fn u32(&mut self) -> Result<u32, Damage> {
        let bytes = self.raw(4)?.try_into().map_err(|_| Damage::Truncated)?;
        Ok(u32::from_le_bytes(bytes))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Damage> {
        let bytes = self.raw(8)?.try_into().map_err(|_| Damage::Truncated)?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(super) fn bytes(&mut self, most: usize) -> Result<&'a [u8], Damage> {
        let count = self.u32()? as usize;
        if count > most {
            return Err(Damage::TooLong(count as u64));
        }
        self.raw(count)
    }

    pub(super) fn path(&mut self) -> Result<RelPath, Damage> {
        RelPath::new(self.bytes(MAX_PATH_BYTES)?).map_err(|_| Damage::Value("path"))
    }

    pub(super) fn digest(&mut self) -> Result<Digest, Damage> {
        let bytes = self.raw(32)?.try_into().map_err(|_| Damage::Truncated)?;
        Ok(Digest::from_bytes(bytes))
    }

    pub(super) fn option<T>(
        &mut self,
        take: impl FnOnce(&mut Self) -> Result<T, Damage>,
    ) -> Result<Option<T>, Damage> {
        match self.u8()? {
            0 => Ok(None),
            1 => take(self).map(Some),
            _ => Err(Damage::Value("option")),
        }
    }

    /// Memory grows with the items that were really read, not with the count that is claimed.
    pub(super) fn list<T>(
        &mut self,
        most: usize,
        take: impl Fn(&mut Self) -> Result<T, Damage>,
    ) -> Result<Vec<T>, Damage> {
        let count = self.u32()? as usize;
        if count > most {
            return Err(Damage::TooLong(count as u64));
        }
        (0..count).map(|_| take(self)).collect()
    }

    pub(super) const fn end(&self) -> Result<(), Damage> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Damage::Trailing(self.0.len()))
        }
    }
}
