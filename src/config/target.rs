//! The targets of main.cf and the host names they are matched against. Upholds: a target without
//! dots is a short name, one with dots is a full name, one with `^` is a pattern of the full name
//! (manual of ISconf 4, CONFIGURATION).

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

/// The compiled size of a pattern, in bytes; some hundred times what a list of hosts needs. It keeps a
/// pattern such as `(a{1000}){1000}` from taking the memory of the host.
const MAX_PATTERN_BYTES: usize = 64 * 1024;

/// The names of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostNames {
    short: String,
    full: String,
}

impl HostNames {
    /// Takes what hostname(1) prints, and the full name where one is known. A host name with dots is
    /// the full name itself.
    pub fn new(hostname: &str, full: Option<&str>) -> Self {
        let short = hostname.split('.').next().unwrap_or(hostname);
        let full = match full {
            Some(full) if !hostname.contains('.') => full,
            Some(_) | None => hostname,
        };
        Self {
            short: short.to_owned(),
            full: full.to_owned(),
        }
    }

    /// The name up to the first dot.
    pub fn short(&self) -> &str {
        &self.short
    }

    /// The name with its domain; the short one where no other is known.
    pub fn full(&self) -> &str {
        &self.full
    }
}

/// A pattern that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is not a valid pattern ({reason})")]
pub struct InvalidPattern {
    /// The pattern.
    pub pattern: String,
    /// The last line of what the compiler of patterns says.
    pub reason: String,
}

/// One name before the colon of a stanza.
#[derive(Clone)]
pub struct Target {
    text: String,
    form: Form,
}

/// How a target is compared.
#[derive(Clone)]
enum Form {
    /// With the short name.
    Short,
    /// With the full name.
    Full,
    /// A pattern that must match the full name from its start.
    Pattern(Regex),
}

impl Target {
    /// Takes a target as written; fails for a pattern that cannot be compiled. Matching takes time
    /// linear in the name, whatever the pattern.
    pub fn new(text: &str) -> Result<Self, InvalidPattern> {
        let form = if text.starts_with('^') {
            Form::Pattern(compiled(text)?)
        } else if text.contains('.') {
            Form::Full
        } else {
            Form::Short
        };
        let text = text.to_owned();
        Ok(Self { text, form })
    }

    /// The target as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is a pattern.
    pub const fn is_pattern(&self) -> bool {
        matches!(self.form, Form::Pattern(_))
    }

    /// Whether it names this host. Case is significant.
    pub fn matches(&self, host: &HostNames) -> bool {
        match &self.form {
            Form::Short => self.text == host.short,
            Form::Full => self.text == host.full,
            // The leftmost match is at the start whenever any is, so this is `re.match` of Python,
            // also for `^a|b`.
            Form::Pattern(regex) => regex
                .find(host.full.as_bytes())
                .is_some_and(|found| found.start() == 0),
        }
    }
}

/// Compiles a pattern; classes such as `\w` are those of ASCII, as host names are.
fn compiled(pattern: &str) -> Result<Regex, InvalidPattern> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .size_limit(MAX_PATTERN_BYTES)
        .build()
        .map_err(|error| {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            InvalidPattern {
                pattern: pattern.to_owned(),
                reason: last.trim_start_matches("error: ").to_owned(),
            }
        })
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({:?})", self.text)
    }
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Target {}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(target: &str, hostname: &str, full: Option<&str>) -> bool {
        let host = HostNames::new(hostname, full);
        Target::new(target).unwrap().matches(&host)
    }

    #[test]
    fn a_target_without_dots_is_a_short_name() {
        let full = Some("scotty.example.com");
        assert!(matches("scotty", "scotty", full));
        assert!(matches("scotty", "scotty.example.com", None));
        assert!(!matches("scott", "scotty", full));
        assert!(!matches("scotty", "SCOTTY", full));
    }

    #[test]
    fn a_target_with_dots_is_a_full_name() {
        let full = Some("scotty.example.com");
        assert!(matches("scotty.example.com", "scotty", full));
        assert!(!matches("scotty.example.com", "scotty", None));
        assert!(!matches("example.com", "scotty", full));
    }

    #[test]
    fn a_pattern_is_anchored_at_the_start_of_the_full_name_only() {
        assert!(matches("^web", "web01", None));
        assert!(!matches("^web", "myweb", None));
        assert!(matches("^(?:a|b)$", "b", None));
        assert!(matches("^a|b", "b1", None));
        assert!(!matches("^a|b", "cb", None));
        assert!(matches("^.*\\.example\\.com", "x", Some("x.example.com")));
        assert!(!matches("^.*\\.example\\.com", "x", None));
        assert!(matches("^(?i)x$", "X", None));
    }

    #[test]
    fn a_bad_or_huge_pattern_is_refused() {
        for bad in ["^(", "^[a", "^a{2000}{2000}", "^(?=a)", "^\\1"] {
            let error = Target::new(bad).unwrap_err();
            assert_eq!(error.pattern, bad);
            assert!(!error.reason.is_empty() && !error.reason.contains('\n'));
        }
    }
}
