//! A table of patterns over paths. Pure.

use isconf_sandbox::change::{PathPattern, RelPath};

/// Some patterns.
#[derive(Debug)]
pub(super) struct Patterns(Vec<PathPattern>);

impl Patterns {
    /// Reads a table that is known at compile time; a unit test reads them all.
    pub(super) fn of(table: &[&str]) -> Self {
        let patterns = table.iter().filter_map(|text| text.parse().ok());
        Self(patterns.collect())
    }

    /// Whether one of them stands for the path.
    pub(super) fn stand_for(&self, path: &RelPath) -> bool {
        self.0.iter().any(|pattern| pattern.matches(path))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
