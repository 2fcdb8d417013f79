//! Text under construction, line by line. Not for printing it (`output`). Upholds: bytes from
//! outside cannot move the cursor or fake a line.

use isconf_sandbox::change::write_escaped;

use super::style::{Role, Style};
use crate::model::Bytes;

/// Lines of text with one style.
#[derive(Debug, Clone, Default)]
pub(super) struct Page {
    text: String,
    style: Style,
}

impl Page {
    pub(super) fn new(style: Style) -> Self {
        Self {
            text: String::new(),
            style,
        }
    }

    /// Adds one line; `text` is made of parts that were escaped where needed.
    pub(super) fn line(&mut self, indent: usize, text: &str) {
        self.text.extend(std::iter::repeat_n(' ', indent));
        self.text.push_str(text);
        self.text.push('\n');
    }

    pub(super) fn paint(&self, role: Role, text: &str) -> String {
        self.style.paint(role, text)
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// Bytes as one printable line: backslashes, control characters and invalid UTF-8 are escaped.
pub fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    // Writing to a String cannot fail (std::fmt::Write for String).
    let _infallible = write_escaped(&mut text, bytes);
    text
}

/// A command line for people: words with blanks or quotes are quoted, the rest as [`escaped`].
pub fn command_line(argv: &[Bytes]) -> String {
    let words: Vec<String> = argv.iter().map(|word| quoted(word.as_slice())).collect();
    words.join(" ")
}

fn quoted(word: &[u8]) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_-+=./,:@%^~".contains(b) || *b >= 0x80;
    let text = escaped(word);
    if !word.is_empty() && word.iter().all(plain) && text.as_bytes() == word {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// "1 path", "2 paths".
pub fn counted(number: u64, one: &str) -> String {
    if number == 1 {
        return format!("1 {one}");
    }
    match one.strip_suffix('y') {
        Some(stem) => format!("{number} {stem}ies"),
        None => format!("{number} {one}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(escaped(b"a\x1b[2J\n\xff"), "a\\u{1b}[2J\\n\\xff");
    }

    #[test]
    fn command_words_are_quoted_where_needed() {
        let argv: Vec<Bytes> = ["sh", "-c", "echo 'x'", ""].map(Bytes::from).into();
        assert_eq!(command_line(&argv), "sh -c 'echo '\\''x'\\''' ''");
    }

    #[test]
    fn nouns_follow_their_number() {
        assert_eq!(counted(1, "path"), "1 path");
        assert_eq!(counted(0, "path"), "0 paths");
        assert_eq!(counted(2, "entry"), "2 entries");
    }
}
