//! Doors for the fuzz targets (`tests/fuzz`) to parsers that nobody else outside may use. Not part
//! of what the crate offers.

use crate::commit::rewritten_intent;

/// Reads an intent; the bytes that it would be written as, when it is one.
pub fn intent(bytes: &[u8]) -> Option<Vec<u8>> {
    rewritten_intent(bytes)
}
