//! The message of a lock, which becomes the message of its entries. Upholds: a lock says why.

use std::fmt;
use std::str::FromStr;

use super::stored_text::stored_as_text;

/// The longest message, in bytes; a sentence or two, not a document.
pub const MAX_MESSAGE_BYTES: usize = 4096;

/// One line of text, not empty, at most [`MAX_MESSAGE_BYTES`] long.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LockMessage(String);

/// No message, or nothing but white space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message is required")]
pub struct EmptyMessage;

impl LockMessage {
    /// Takes what the user said: line ends and other control characters become spaces, white space
    /// around it goes, what is too long is cut.
    pub fn new(text: &str) -> Result<Self, EmptyMessage> {
        let plain: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let trimmed = plain.trim();
        let end = trimmed.floor_char_boundary(MAX_MESSAGE_BYTES);
        match trimmed[..end].trim_end() {
            "" => Err(EmptyMessage),
            line => Ok(Self(line.to_owned())),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LockMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LockMessage {
    type Err = EmptyMessage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

stored_as_text!(LockMessage);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(LockMessage::new(" a\nb\t ").unwrap().as_str(), "a b");
        assert_eq!(LockMessage::new(" \n\t"), Err(EmptyMessage));
        let long = LockMessage::new(&"é".repeat(4000)).unwrap();
        assert_eq!(long.as_str().len(), MAX_MESSAGE_BYTES);
    }
}
