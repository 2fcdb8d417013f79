//! Fixed numbers of bytes that are written as hexadecimal digits. Not for digests (those are the
//! sandbox's `Digest`). Upholds: an id is a type of its own, with one text form.

use std::fmt;
use std::str::FromStr;

use super::stored_text::stored_as_text;

/// `N` bytes, shown and parsed as 2 × `N` lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hex<const N: usize>([u8; N]);

/// A host's Ed25519 public key.
pub type PublicKey = Hex<32>;

/// An Ed25519 signature.
pub type Signature = Hex<64>;

/// Text that is not the wanted number of lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not {digits} lower-case hexadecimal digits: {found:?}")]
pub struct InvalidHex {
    /// How many were wanted.
    pub digits: usize,
    /// The text, shortened.
    pub found: String,
}

impl<const N: usize> Hex<N> {
    /// Takes the bytes.
    pub const fn from_bytes(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; N] {
        &self.0
    }
}

/// The value of a lower-case hexadecimal digit.
const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hex({self})")
    }
}

impl<const N: usize> FromStr for Hex<N> {
    type Err = InvalidHex;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidHex {
            digits: 2 * N,
            found: text.chars().take(160).collect(),
        };
        if text.len() != 2 * N {
            return Err(invalid());
        }
        let mut bytes = [0; N];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let (high, low) = (digit(pair[0]), digit(pair[1]));
            *byte = high.zip(low).map(|(h, l)| h << 4 | l).ok_or_else(invalid)?;
        }
        Ok(Self(bytes))
    }
}

stored_as_text!(Hex<N>, const N: usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_number_of_lower_case_digits_is_taken() {
        let value: Hex<2> = "00ff".parse().unwrap();
        assert_eq!(value.as_bytes(), &[0, 255]);
        assert_eq!(value.to_string(), "00ff");
        for bad in ["", "00f", "00FF", "00ff0", "é00", "0g00"] {
            assert!(bad.parse::<Hex<2>>().is_err(), "{bad}");
        }
    }
}
