//! Byte strings inside text files. Not for showing to people (see `write_escaped` of the sandbox).
//! Upholds: arguments, environment and paths are bytes; storage is not lossy.

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Write as _};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::str::FromStr;

use super::stored_text::stored_as_text;

/// Any bytes, with one text form: valid UTF-8 stands for itself, but `%` and every byte that is not
/// part of valid UTF-8 is `%` and two upper-case hexadecimal digits. `/tmp/50%\xff` is written
/// `/tmp/50%25%FF`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(Vec<u8>);

/// Text that no byte string is written as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a byte string (%XX for bytes that are not UTF-8 and for % alone): {0:?}")]
pub struct InvalidBytes(pub String);

impl Bytes {
    /// Takes the bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as the standard library's text of the operating system.
    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }

    /// A copy as the standard library's text of the operating system.
    pub fn to_os_string(&self) -> OsString {
        self.as_os_str().to_owned()
    }
}

impl From<&OsStr> for Bytes {
    fn from(text: &OsStr) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<OsString> for Bytes {
    fn from(text: OsString) -> Self {
        Self(text.into_vec())
    }
}

impl From<&str> for Bytes {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            let mut pieces = chunk.valid().split('%');
            f.write_str(pieces.next().unwrap_or_default())?;
            pieces.try_for_each(|piece| write!(f, "%25{piece}"))?;
            for byte in chunk.invalid() {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bytes(\"")?;
        for c in self.to_string().chars() {
            write!(f, "{}", c.escape_debug())?;
        }
        f.write_char('"')?;
        f.write_char(')')
    }
}

impl FromStr for Bytes {
    type Err = InvalidBytes;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidBytes(text.chars().take(80).collect());
        let mut pieces = text.split('%');
        let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
        for piece in pieces {
            let digits = piece.get(..2).ok_or_else(invalid)?;
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| invalid())?);
            bytes.extend_from_slice(&piece.as_bytes()[2..]);
        }
        let bytes = Self(bytes);
        // One value has one text: `%41` or `%ff` would make two records of the same meaning.
        if bytes.to_string() == text {
            Ok(bytes)
        } else {
            Err(invalid())
        }
    }
}

stored_as_text!(Bytes);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_text_is_as_documented() {
        let cases: [(&[u8], &str); 6] = [
            (b"", ""),
            (b"plain", "plain"),
            (b"/tmp/50%\xff", "/tmp/50%25%FF"),
            ("é\n".as_bytes(), "é\n"),
            (b"%%", "%25%25"),
            (b"\xc3", "%C3"),
        ];
        for (bytes, text) in cases {
            assert_eq!(Bytes::new(bytes).to_string(), text);
            assert_eq!(text.parse::<Bytes>().unwrap(), Bytes::new(bytes));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["%", "%4", "%41", "%ff", "%G0", "%+1", "%C3%A9", "%é"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let value = Bytes::new(bytes);
            prop_assert_eq!(value.to_string().parse::<Bytes>().unwrap(), value);
        }

        #[test]
        fn parsing_never_panics_and_accepts_one_text_a_value(text in ".{0,40}|(%[0-9A-F]{2}){0,9}") {
            if let Ok(value) = text.parse::<Bytes>() {
                prop_assert_eq!(value.to_string(), text);
            }
        }
    }
}
