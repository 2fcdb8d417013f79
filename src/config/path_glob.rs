//! Patterns of paths, for lists of what to ignore or to keep secret. Not for expanding them over a
//! tree. Upholds: matching is a function of bytes, in time bounded by pattern times path.

use std::fmt;

/// The longest pattern, in bytes.
const MAX_GLOB_BYTES: usize = 4096;

/// An absolute path in which `*` stands for any bytes but `/`, `**` for any bytes, and `?` for one
/// byte but `/`. A pattern that ends in `/` means everything below that directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathGlob(String);

/// Text that is no pattern of paths.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a pattern of absolute paths: {0:?}")]
pub struct InvalidGlob(pub String);

/// A piece of a pattern.
#[derive(Clone, Copy)]
enum Piece {
    Byte(u8),
    OneOfName,
    AnyOfName,
    Any,
}

impl PathGlob {
    /// Checks `text`.
    pub fn new(text: &str) -> Result<Self, InvalidGlob> {
        let is_fine = text.starts_with('/') && text.len() <= MAX_GLOB_BYTES && !text.contains('\0');
        if is_fine {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidGlob(text.chars().take(80).collect()))
        }
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the absolute path `path` is meant. One pass over the path with the set of places in
    /// the pattern that can be reached, so that no pattern is exponential.
    pub fn matches(&self, path: &[u8]) -> bool {
        let pieces = self.pieces();
        let mut reached = vec![false; pieces.len() + 1];
        reached[0] = true;
        skip_empty(&pieces, &mut reached);
        for byte in path {
            let mut next = vec![false; pieces.len() + 1];
            for (place, piece) in pieces.iter().enumerate().filter(|(p, _)| reached[*p]) {
                match piece {
                    Piece::Byte(wanted) => next[place + 1] |= wanted == byte,
                    Piece::OneOfName => next[place + 1] |= *byte != b'/',
                    Piece::AnyOfName => next[place] |= *byte != b'/',
                    Piece::Any => next[place] = true,
                }
            }
            skip_empty(&pieces, &mut next);
            reached = next;
        }
        reached[pieces.len()]
    }

    fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for byte in self.0.bytes() {
            match (byte, pieces.last()) {
                (b'*', Some(Piece::AnyOfName)) => {
                    pieces.pop();
                    pieces.push(Piece::Any);
                }
                (b'*', Some(Piece::Any)) => {}
                (b'*', _) => pieces.push(Piece::AnyOfName),
                (b'?', _) => pieces.push(Piece::OneOfName),
                (byte, _) => pieces.push(Piece::Byte(byte)),
            }
        }
        if self.0.ends_with('/') {
            pieces.push(Piece::Any);
        }
        pieces
    }
}

/// Marks the places reached by letting a star stand for nothing.
fn skip_empty(pieces: &[Piece], reached: &mut [bool]) {
    for (place, piece) in pieces.iter().enumerate() {
        if reached[place] && matches!(piece, Piece::AnyOfName | Piece::Any) {
            reached[place + 1] = true;
        }
    }
}

impl fmt::Display for PathGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(glob: &str, path: &str) -> bool {
        PathGlob::new(glob).unwrap().matches(path.as_bytes())
    }

    #[test]
    fn stars_stop_at_slashes_unless_doubled() {
        assert!(matches("/etc/shadow", "/etc/shadow"));
        assert!(!matches("/etc/shadow", "/etc/shadow-"));
        assert!(matches("/etc/shadow*", "/etc/shadow"));
        assert!(matches("/etc/*.key", "/etc/a.key"));
        assert!(!matches("/etc/*.key", "/etc/ssl/a.key"));
        assert!(matches("/etc/**.key", "/etc/ssl/a.key"));
        assert!(matches("/**/cache/**", "/a/b/cache/c/d"));
        assert!(matches("/var/log/", "/var/log/a/b") && !matches("/var/log/", "/var/log"));
        assert!(matches("/a?c", "/abc") && !matches("/a?c", "/a/c"));
    }

    #[test]
    fn only_absolute_text_is_a_pattern() {
        for bad in ["", "etc", "*", "/a\0"] {
            assert!(PathGlob::new(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_path_without_stars_matches_itself(path in "/[^*?\0]{0,40}[^*?/\0]") {
            prop_assert!(matches(&path, &path));
        }

        #[test]
        fn many_stars_are_not_exponential(tail in "[a-b]{0,200}") {
            matches("/**a**a**a**a**a**a**a**a**a**a**a**c", &format!("/{tail}"));
        }
    }
}
