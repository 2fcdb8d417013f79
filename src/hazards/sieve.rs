//! A quick look at a text, which says of most that nothing is to be found in it. Pure. Not for
//! finding anything. Upholds: what it lets pass unread cannot hold a finding.

use regex::bytes::{Regex, RegexBuilder};

/// Looks for many words at once, wherever they stand and however they are written.
#[derive(Debug)]
pub(super) struct Sieve(Option<Regex>);

impl Sieve {
    /// A sieve that keeps every text with one of these words.
    pub(super) fn of<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let words: Vec<String> = words.map(regex::escape).collect();
        let pattern = words.join("|");
        let mut builder = RegexBuilder::new(&pattern);
        builder.case_insensitive(true).unicode(false);
        // Without words the pattern is empty and keeps everything, and so does one that cannot be
        // made of them: that costs time only.
        Self(builder.build().ok())
    }

    /// Whether something may be found in it.
    pub(super) fn keeps(&self, text: &[u8]) -> bool {
        self.0.as_ref().is_none_or(|regex| regex.is_match(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_what_has_a_word_and_drops_the_rest() {
        let sieve = Sieve::of(["alpha", "2026", "a.b"].into_iter());
        for text in ["x ALPHAbet", "in 20261121", "a.B"] {
            assert!(sieve.keeps(text.as_bytes()), "{text}");
        }
        for text in ["", "alph a", "a-b", "\u{ff}"] {
            assert!(!sieve.keeps(text.as_bytes()), "{text}");
        }
        assert!(Sieve::of([].into_iter()).keeps(b"x"));
    }
}
