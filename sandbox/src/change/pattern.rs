//! Patterns over paths; pure.

use std::fmt;
use std::str::FromStr;

use super::RelPath;

/// The longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 4096;

/// A pattern over absolute paths. In a name, `*` stands for any bytes but `/`; a name that is
/// just `**` stands for any number of names, none included. Everything else stands for itself.
/// So `/var/log/**` is `/var/log` and all that lies below it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathPattern {
    names: Vec<Vec<u8>>,
}

/// Text that is not a [`PathPattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// Does not begin with `/`.
    #[error("pattern does not begin with a slash: {0:?}")]
    NotAbsolute(String),
    /// Has an empty name, `.` or `..`, or `**` within a name.
    #[error("pattern has an impossible name: {0:?}")]
    Name(String),
    /// Longer than 4096 bytes.
    #[error("pattern of {0} bytes is too long")]
    TooLong(usize),
}

impl PathPattern {
    /// Whether the pattern stands for `path`.
    pub fn matches(&self, path: &RelPath) -> bool {
        let names: Vec<&[u8]> = path.components().collect();
        wildcard(
            &self.names,
            &names,
            |pattern| pattern == b"**",
            |pattern, name| {
                wildcard(
                    pattern,
                    name,
                    |b| *b == b'*',
                    |pattern, byte| pattern == byte,
                )
            },
        )
    }
}

/// Matches `pattern` against `text` where some elements of the pattern stand for any number of
/// elements of the text. Takes time in proportion to the product of both lengths at most.
fn wildcard<P, T>(
    pattern: &[P],
    text: &[T],
    is_any: impl Fn(&P) -> bool,
    fits: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && is_any(&pattern[p]) {
            retry = Some((p, t));
            p += 1;
        } else if p < pattern.len() && fits(&pattern[p], &text[t]) {
            p += 1;
            t += 1;
        } else if let Some((any, from)) = retry {
            // The last wildcard takes one element more.
            retry = Some((any, from + 1));
            p = any + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(is_any)
}

impl FromStr for PathPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_PATTERN_BYTES {
            return Err(InvalidPattern::TooLong(text.len()));
        }
        let rest = text
            .strip_prefix('/')
            .ok_or_else(|| InvalidPattern::NotAbsolute(text.to_owned()))?;
        let names: Vec<_> = rest.split('/').map(|n| n.as_bytes().to_vec()).collect();
        let impossible = |name: &Vec<u8>| {
            matches!(name.as_slice(), b"" | b"." | b"..")
                || (name != b"**" && name.windows(2).any(|w| w == b"**"))
        };
        if names.iter().any(impossible) {
            return Err(InvalidPattern::Name(text.to_owned()));
        }
        Ok(Self { names })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.names.iter().try_for_each(|name| {
            f.write_str("/")?;
            super::write_escaped(f, name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_what_is_documented() {
        let table = [
            ("/var/log/**", "var/log/a/b", true),
            ("/var/log/**", "var/log", true),
            ("/var/log/**", "var/logs", false),
            ("/etc/*.conf", "etc/a.conf", true),
            ("/etc/*.conf", "etc/d/a.conf", false),
            ("/**/__pycache__/**", "usr/lib/x/__pycache__/y.pyc", true),
            ("/**/__pycache__/**", "usr/lib/x/pycache/y.pyc", false),
            ("/a*b*c", "aXbYbZc", true),
            ("/a*b*c", "aXbYbZ", false),
            ("/*", "a", true),
            ("/*", "", false),
            ("/**", "", true),
        ];
        for (pattern, path, expected) in table {
            let parsed: PathPattern = pattern.parse().unwrap();
            let found = parsed.matches(&RelPath::new(path).unwrap());
            assert_eq!(found, expected, "{pattern} {path}");
            assert_eq!(parsed.to_string(), pattern);
        }
    }

    #[test]
    fn impossible_patterns_are_refused() {
        for text in ["", "a", "/", "/a//b", "/a/../b", "/a**"] {
            assert!(text.parse::<PathPattern>().is_err(), "{text:?}");
        }
    }
}
