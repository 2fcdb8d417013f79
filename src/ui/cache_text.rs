//! What a host has of the domain's contents, for `cache`. Not for finding it out. Upholds: text and JSON are
//! made from the same view.

use std::collections::BTreeSet;

use isconf_sandbox::change::Digest;
use serde::Serialize;

use super::page::{Page, counted};
use super::quantity::human_bytes;
use super::report_json::{JSON_VERSION, line};
use super::style::{Role, Style};
use crate::model::{BranchName, DomainName};

/// How many entries are named to people.
const MAX_NAMED: usize = 10;

/// What a host has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheView {
    /// The domain.
    pub domain: DomainName,
    /// How many blobs are here.
    pub blobs: u64,
    /// Their lengths in bytes.
    pub bytes: u64,
    /// The blobs that were found damaged just now, and were set aside.
    pub found_damaged: BTreeSet<Digest>,
    /// All blobs that were set aside and are not here again.
    pub set_aside: BTreeSet<Digest>,
    /// The branches.
    pub branches: Vec<BranchRow>,
}

/// A branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BranchRow {
    /// Its name.
    pub branch: BranchName,
    /// How many entries its journal has here.
    pub entries: u64,
    /// The entries whose contents are not all here.
    pub incomplete: Vec<u64>,
}

impl CacheView {
    /// Whether all that the journals need is here.
    pub fn is_whole(&self) -> bool {
        self.branches.iter().all(|row| row.incomplete.is_empty())
    }
}

/// The cache for people.
pub fn cache_text(view: &CacheView, style: Style) -> String {
    let mut page = Page::new(style);
    let title = format!("contents of domain {}", view.domain);
    page.line(0, &page.paint(Role::Heading, &title));
    let blobs = counted(view.blobs, "blob");
    page.line(2, &format!("{blobs}, {}", human_bytes(view.bytes)));
    for digest in &view.found_damaged {
        let words = format!("damaged, and set aside: {digest}");
        page.line(2, &page.paint(Role::Failure, &words));
    }
    let before = view.set_aside.difference(&view.found_damaged).count();
    if before > 0 {
        let blobs = counted(before as u64, "blob");
        page.line(
            2,
            &format!("found damaged earlier, and not here again: {blobs}"),
        );
    }
    for row in &view.branches {
        let entries = counted(row.entries, "entry");
        let words = match row.incomplete.as_slice() {
            [] => "all contents are here".to_owned(),
            incomplete => page.paint(Role::Failure, &missing_words(incomplete)),
        };
        page.line(2, &format!("{}: {entries}, {words}", row.branch));
    }
    page.into_text()
}

fn missing_words(incomplete: &[u64]) -> String {
    let named: Vec<_> = incomplete
        .iter()
        .take(MAX_NAMED)
        .map(u64::to_string)
        .collect();
    let more = match incomplete.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("contents are missing of {}{more}", named.join(", "))
}

/// The cache for programs, as one line of JSON.
pub fn cache_json(view: &CacheView) -> Result<String, serde_json::Error> {
    line(&CacheJson {
        version: JSON_VERSION,
        kind: "cache",
        domain: view.domain.as_str(),
        blobs: view.blobs,
        bytes: view.bytes,
        found_damaged: view.found_damaged.iter().map(Digest::to_string).collect(),
        set_aside: view.set_aside.iter().map(Digest::to_string).collect(),
        branches: &view.branches,
    })
}

#[derive(Serialize)]
struct CacheJson<'a> {
    version: u32,
    kind: &'static str,
    domain: &'a str,
    blobs: u64,
    bytes: u64,
    found_damaged: Vec<String>,
    set_aside: Vec<String>,
    branches: &'a [BranchRow],
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::schema::assert_valid;

    #[test]
    fn the_cache_is_a_page_and_a_line_as_the_schema_says() {
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let row = |branch: &str, incomplete: &[u64]| BranchRow {
            branch: branch.parse().unwrap(),
            entries: 14,
            incomplete: incomplete.to_vec(),
        };
        let view = CacheView {
            domain: "example.org".parse().unwrap(),
            blobs: 2,
            bytes: 4096,
            found_damaged: BTreeSet::from([one]),
            set_aside: BTreeSet::from([one, two]),
            branches: vec![
                row("generic", &[]),
                row("web", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
            ],
        };
        assert_eq!(
            cache_text(&view, Style::Plain),
            format!(
                "contents of domain example.org\n\
                \x20 2 blobs, 4.0 KiB\n\
                \x20 damaged, and set aside: {one}\n\
                \x20 found damaged earlier, and not here again: 1 blob\n\
                \x20 generic: 14 entries, all contents are here\n\
                \x20 web: 14 entries, contents are missing of 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 1 more\n"
            )
        );
        assert!(!view.is_whole());
        assert_valid("host.schema.json", &cache_json(&view).unwrap());
    }
}
