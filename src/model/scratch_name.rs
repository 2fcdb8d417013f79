//! The name of a scratchpad that was kept. Upholds: no path is ever built from unchecked bytes.

use std::fmt;

/// The longest name, in bytes; it is typed by hand.
const MAX_SCRATCH_NAME_BYTES: usize = 64;

/// 1 to 64 of `A-Z a-z 0-9 _ . -`, not starting with `.` or `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScratchName(String);

/// Text that is no name of a scratchpad.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a name of a scratchpad (1 to {MAX_SCRATCH_NAME_BYTES} of A-Z a-z 0-9 _ . -, not starting with . or -): {0:?}"
)]
pub struct InvalidScratchName(pub String);

impl ScratchName {
    /// Checks `text`.
    pub fn new(text: &str) -> Result<Self, InvalidScratchName> {
        let is_fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        let starts_well = !text.is_empty() && !text.starts_with(['.', '-']);
        if starts_well && text.len() <= MAX_SCRATCH_NAME_BYTES && text.bytes().all(is_fine) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidScratchName(text.chars().take(80).collect()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScratchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_plain_component() {
        for good in ["a", "new-gcc", "v1.2_x", "1"] {
            assert_eq!(ScratchName::new(good).unwrap().as_str(), good);
        }
        let long = "a".repeat(65);
        for bad in ["", ".", "..", "-a", "a/b", "a b", "é", "a\n", &long] {
            assert!(ScratchName::new(bad).is_err(), "{bad:?}");
        }
    }
}
