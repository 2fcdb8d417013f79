//! Doors for the fuzz targets (`tests/fuzz`) to parsers that nobody else outside may use. Not part
//! of what the crate offers.

use crate::child;
use crate::commit::rewritten_intent;
use crate::services;

/// Reads an intent; the bytes that it would be written as, when it is one.
pub fn intent(bytes: &[u8]) -> Option<Vec<u8>> {
    rewritten_intent(bytes)
}

/// Reads a message that a command sent to the kernel's settings; what it would change, in words.
pub fn netlink(protocol: i32, message: &[u8]) -> Option<String> {
    child::netlink_change(protocol, message)
}

/// Reads the words with which service managers are called, as each of them does.
pub fn requests(words: &[String]) {
    services::read_words(words);
}
