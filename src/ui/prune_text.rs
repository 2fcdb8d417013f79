//! What was removed from a cache, for `cache --prune`. Upholds: text and JSON are made from the same view.

use serde::Serialize;

use super::page::{Page, counted};
use super::quantity::human_bytes;
use super::report_json::{JSON_VERSION, line};
use super::style::{Role, Style};
use crate::model::{CachePolicy, DomainName};

/// Some blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Blobs {
    /// How many.
    pub blobs: u64,
    /// Their lengths in bytes.
    pub bytes: u64,
}

impl Blobs {
    /// Counts one more.
    pub fn add(&mut self, length: u64) {
        self.blobs += 1;
        self.bytes += length;
    }
}

/// What was removed, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PruneView {
    /// The domain.
    pub domain: DomainName,
    /// Which contents this host keeps.
    pub policy: CachePolicy,
    /// How many other hosts have to have a content.
    pub copies: u32,
    /// Whether nothing was removed.
    pub is_preview: bool,
    /// To what nothing refers.
    pub unused: Blobs,
    /// What enough other hosts keep.
    pub elsewhere: Blobs,
    /// What is not needed here, but too few other hosts keep.
    pub kept: Blobs,
}

/// It for people.
pub fn prune_text(view: &PruneView, style: Style) -> String {
    let mut page = Page::new(style);
    let title = format!("contents of domain {}", view.domain);
    page.line(0, &page.paint(Role::Heading, &title));
    let done = match view.is_preview {
        true => "would be removed",
        false => "removed",
    };
    let of = |removed: Blobs, why: &str| {
        let blobs = counted(removed.blobs, "blob");
        format!("{blobs}, {}, {why}", human_bytes(removed.bytes))
    };
    page.line(
        2,
        &format!("{done}: {}", of(view.unused, "that nothing refers to")),
    );
    if view.policy == CachePolicy::Needed {
        let hosts = counted(u64::from(view.copies), "connected host");
        let elsewhere = of(view.elsewhere, &format!("that at least {hosts} keep"));
        page.line(2, &format!("{done}: {elsewhere}"));
        let kept = of(view.kept, &format!("that fewer than {hosts} keep"));
        page.line(2, &format!("stay: {kept}"));
    }
    page.into_text()
}

/// It for programs, as one line of JSON.
pub fn prune_json(view: &PruneView) -> Result<String, serde_json::Error> {
    line(&PruneJson {
        version: JSON_VERSION,
        kind: "prune",
        domain: view.domain.as_str(),
        policy: view.policy.name(),
        copies: view.copies,
        preview: view.is_preview,
        unused: view.unused,
        elsewhere: view.elsewhere,
        kept: view.kept,
    })
}

#[derive(Serialize)]
struct PruneJson<'a> {
    version: u32,
    kind: &'static str,
    domain: &'a str,
    policy: &'static str,
    copies: u32,
    preview: bool,
    unused: Blobs,
    elsewhere: Blobs,
    kept: Blobs,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::schema::assert_valid;

    #[test]
    fn what_was_removed_is_a_page_and_a_line_as_the_schema_says() {
        let blobs = |blobs, bytes| Blobs { blobs, bytes };
        let mut view = PruneView {
            domain: "example.org".parse().unwrap(),
            policy: CachePolicy::Needed,
            copies: 2,
            is_preview: false,
            unused: blobs(1, 100),
            elsewhere: blobs(3, 4096),
            kept: blobs(0, 0),
        };
        assert_eq!(
            prune_text(&view, Style::Plain),
            "contents of domain example.org\n\
             \x20 removed: 1 blob, 100 B, that nothing refers to\n\
             \x20 removed: 3 blobs, 4.0 KiB, that at least 2 connected hosts keep\n\
             \x20 stay: 0 blobs, 0 B, that fewer than 2 connected hosts keep\n"
        );
        assert_valid("host.schema.json", &prune_json(&view).unwrap());
        (view.policy, view.is_preview) = (CachePolicy::Full, true);
        assert_eq!(
            prune_text(&view, Style::Plain),
            "contents of domain example.org\n  would be removed: 1 blob, 100 B, that nothing refers to\n"
        );
        assert_valid("host.schema.json", &prune_json(&view).unwrap());
    }
}
