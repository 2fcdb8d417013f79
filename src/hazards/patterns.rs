//! A table of patterns over paths. Pure.

use isconf_sandbox::change::{PathPattern, RelPath};

/// Some patterns.
#[derive(Debug)]
pub(super) struct Patterns(Vec<Bounded>);

/// A pattern with its plain ends, which most paths do not have: an entry may have many thousands.
#[derive(Debug)]
struct Bounded {
    start: &'static str,
    end: &'static str,
    pattern: PathPattern,
}

impl Bounded {
    fn of(text: &'static str) -> Option<Self> {
        let pattern = text.parse().ok()?;
        let inside = text.strip_prefix('/')?;
        let start = inside.split('*').next().unwrap_or(inside);
        let end = inside.rsplit('*').next().unwrap_or(inside);
        Some(Self {
            // `/var/log/**` stands for `/var/log`, too, and `/**/x` for `/x`.
            start: start.trim_end_matches('/'),
            end: end.trim_start_matches('/'),
            pattern,
        })
    }

    fn stands_for(&self, path: &RelPath) -> bool {
        let bytes = path.as_bytes();
        bytes.starts_with(self.start.as_bytes())
            && bytes.ends_with(self.end.as_bytes())
            && self.pattern.matches(path)
    }
}

impl Patterns {
    /// Reads a table that is known at compile time; a unit test reads them all.
    pub(super) fn of(table: &[&'static str]) -> Self {
        Self(table.iter().filter_map(|text| Bounded::of(text)).collect())
    }

    /// Whether one of them stands for the path.
    pub(super) fn stand_for(&self, path: &RelPath) -> bool {
        self.0.iter().any(|pattern| pattern.stands_for(path))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_ends_leave_nothing_out() {
        for (text, path) in [
            ("/var/log/**", "var/log"),
            ("/var/log/**", "var/log/a/b"),
            ("/**/.netrc", ".netrc"),
            ("/**/.netrc", "root/.netrc"),
            ("/**/*.key", "a.key"),
            ("/**/*htpasswd", "etc/.htpasswd"),
            ("/etc/udev/rules.d/*net*", "etc/udev/rules.d/70-net.rules"),
            ("/etc/hosts", "etc/hosts"),
            ("/home/*/.*_history", "home/ann/.sh_history"),
        ] {
            let path = RelPath::new(path.as_bytes()).unwrap();
            assert!(Patterns::of(&[text]).stand_for(&path), "{text} {path}");
        }
        let path = RelPath::new(*b"etc/hosts.allow").unwrap();
        assert!(!Patterns::of(&["/etc/hosts", "/**/*.key"]).stand_for(&path));
    }
}
