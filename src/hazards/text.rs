//! Words and new lines in the bytes of a file. Pure. Not for what they mean.

use std::collections::HashSet;

/// The lines of a file that its earlier state did not have, in lower case where letters are ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Added(String);

impl Added {
    /// Compares the two states by whole lines. Without an earlier state every line is new.
    pub(super) fn new(before: Option<&[u8]>, after: &[u8]) -> Self {
        let text = match before {
            None => String::from_utf8_lossy(after).into_owned(),
            Some(before) => {
                let known: HashSet<&[u8]> = before.split(|b| *b == b'\n').collect();
                let lines = after.split(|b| *b == b'\n');
                let new: Vec<_> = lines
                    .filter(|line| !known.contains(line))
                    .map(String::from_utf8_lossy)
                    .collect();
                new.join("\n")
            }
        };
        Self(text.to_ascii_lowercase())
    }

    /// The text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `word`, in lower case, stands there as a whole.
    pub(super) fn has(&self, word: &str) -> bool {
        words_at(&self.0, word).next().is_some()
    }
}

/// Whether `word` stands as a whole in these bytes, in whatever case.
pub(super) fn has_word(bytes: &[u8], word: &str) -> bool {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    words_at(&text, word).next().is_some()
}

/// The places at which `word` stands as a whole: it is no part of a longer one.
pub(super) fn words_at<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| {
            let before = text[..*at].bytes().next_back();
            let after = text[*at + word.len()..].bytes().next();
            !before.is_some_and(|b| is_inner(b) || b == b'.') && !after.is_some_and(is_inner)
        })
}

/// Whether a byte next to a word makes it part of a longer one.
const fn is_inner(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole() {
        for text in [
            "alpha",
            "at alpha.",
            "root@ALPHA:",
            "a=alpha\n",
            "http://alpha.example.com/",
        ] {
            assert!(has_word(text.as_bytes(), "alpha"), "{text}");
        }
        for text in [
            "alphabet", "x-alpha", "alpha_1", "my.alpha", "alpha-2", "alphaé",
        ] {
            assert!(!has_word(text.as_bytes(), "alpha"), "{text}");
        }
    }

    #[test]
    fn only_new_lines_count() {
        let added = Added::new(
            Some(b"one alpha\ntwo\n"),
            b"zero Beta\none alpha\nthree\xff\n",
        );
        assert!(added.has("beta") && !added.has("alpha") && !added.has("two"));
        assert!(Added::new(None, b"one alpha").has("alpha"));
    }
}
