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

/// A command line for people, and for a shell: words are quoted where they have to be, and as
/// `$'...'` (POSIX.1-2024, XCU 2.2.4) where a character would not print, or deceive.
pub fn command_line(argv: &[Bytes]) -> String {
    let words: Vec<String> = argv.iter().map(|word| quoted(word.as_slice())).collect();
    words.join(" ")
}

fn quoted(word: &[u8]) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_-+./,:@".contains(b) || *b >= 0x80;
    match std::str::from_utf8(word) {
        Ok(text) if text.chars().all(prints) => {
            // An option's `=` does no harm; in another word it may begin an assignment.
            let is_plain = |b: &u8| plain(b) || (*b == b'=' && word.starts_with(b"-"));
            if !word.is_empty() && word.iter().all(is_plain) {
                text.to_owned()
            } else {
                format!("'{}'", text.replace('\'', "'\\''"))
            }
        }
        Ok(_) | Err(_) => dollar_quoted(word),
    }
}

fn prints(c: char) -> bool {
    let mut bytes = [0; 4];
    let text = c.encode_utf8(&mut bytes);
    c == '\\' || escaped(text.as_bytes()) == *text
}

fn dollar_quoted(word: &[u8]) -> String {
    let mut text = "$'".to_owned();
    // Three octal digits are a whole number, whatever follows; hexadecimal ones are not.
    let push_numbers = |text: &mut String, bytes: &[u8]| {
        for byte in bytes {
            text.push_str(&format!("\\{byte:03o}"));
        }
    };
    for chunk in word.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => text.push_str("\\n"),
                '\t' => text.push_str("\\t"),
                '\'' | '\\' => text.extend(['\\', c]),
                c if prints(c) => text.push(c),
                c => push_numbers(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        push_numbers(&mut text, chunk.invalid());
    }
    text + "'"
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
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::process::Command;

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
    fn command_words_that_do_not_print_are_for_a_shell_to_read() {
        let words: [&[u8]; 8] = [
            b"~root",
            b"A=~/x",
            b"--opt=1",
            b"it's\n\\\t",
            b"\x1b[2J",
            b"a\xff7",
            "x\u{202e}y".as_bytes(),
            br"s/\./x/",
        ];
        let argv = words.map(|word| Bytes::from(OsStr::from_bytes(word)));
        let line = command_line(&argv);
        let expected = r"'~root' 'A=~/x' --opt=1 $'it\'s\n\\\t' $'\033[2J' $'a\3777' $'x\342\200\256y' 's/\./x/'";
        assert_eq!(line, expected);
        let print = format!("printf '%s|' {line}");
        let said = Command::new("bash").args(["-c", &print]).output();
        let read: Vec<u8> = words
            .iter()
            .flat_map(|word| [word, &b"|"[..]].concat())
            .collect();
        assert_eq!(said.expect("bash can be run").stdout, read);
    }

    #[test]
    fn nouns_follow_their_number() {
        assert_eq!(counted(1, "path"), "1 path");
        assert_eq!(counted(0, "path"), "0 paths");
        assert_eq!(counted(2, "entry"), "2 entries");
    }
}
