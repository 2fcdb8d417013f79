//! Content diffs: limits, secrets, what is not read.

use super::super::sample::{change, file, path, symlink, unread};
use super::*;

struct Given(&'static [u8], &'static [u8]);

impl ContentSource for Given {
    fn before(&self, _path: &RelPath) -> Option<Vec<u8>> {
        Some(self.0.to_vec())
    }

    fn after(&self, _path: &RelPath) -> Option<Vec<u8>> {
        Some(self.1.to_vec())
    }
}

fn diff(old: &'static [u8], new: &'static [u8], limits: &DiffLimits) -> Option<ContentDiff> {
    let change = change("f", Some(file(old)), Some(file(new)));
    content_diff(&change, &Given(old, new), limits, &NoSecrets)
}

#[test]
fn missing_line_end_is_told() {
    let limits = DiffLimits::default();
    assert_eq!(
        diff(b"a\n", b"b", &limits),
        Some(ContentDiff::Unified(
            "--- /f\n+++ /f\n@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file\n".to_owned()
        ))
    );
}

#[test]
fn only_text_within_the_limits_is_compared() {
    let limits = DiffLimits {
        bytes: 6,
        lines: 2,
        whole_files: false,
    };
    assert_eq!(diff(b"a\0", b"b", &limits), Some(ContentDiff::Binary));
    assert_eq!(diff(b"a", b"\xff", &limits), Some(ContentDiff::Binary));
    assert_eq!(diff(b"a", b"1234567", &limits), Some(ContentDiff::TooLarge));
    assert_eq!(
        diff(b"a", b"1\n2\n3\n", &limits),
        Some(ContentDiff::TooLarge)
    );
    assert_eq!(diff(b"a", b"a", &limits), None);
}

#[test]
fn new_and_deleted_files_are_shown_only_when_asked_for() {
    let added = change("f", None, Some(file(b"a\n")));
    let contents = Given(b"", b"a\n");
    let with = |whole_files| DiffLimits {
        whole_files,
        ..DiffLimits::default()
    };
    assert_eq!(
        content_diff(&added, &contents, &with(false), &NoSecrets),
        None
    );
    assert_eq!(
        content_diff(&added, &contents, &with(true), &NoSecrets),
        Some(ContentDiff::Unified(
            "--- /f\n+++ /f\n@@ -0,0 +1 @@\n+a\n".to_owned()
        ))
    );
    let link = change("f", None, Some(symlink(b"x")));
    assert_eq!(
        content_diff(&link, &contents, &with(true), &NoSecrets),
        None
    );
}

#[test]
fn content_that_did_not_change_is_not_read() {
    struct Never;
    impl ContentSource for Never {
        fn before(&self, _path: &RelPath) -> Option<Vec<u8>> {
            panic!("read")
        }
        fn after(&self, _path: &RelPath) -> Option<Vec<u8>> {
            panic!("read")
        }
    }
    let limits = DiffLimits::default();
    let same = change("f", Some(unread(3)), Some(unread(3)));
    assert_eq!(content_diff(&same, &Never, &limits, &NoSecrets), None);
    let secret = change("f", Some(file(b"a")), Some(file(b"b")));
    let marked = |at: &RelPath| *at == path("f");
    assert_eq!(
        content_diff(&secret, &Never, &limits, &marked),
        Some(ContentDiff::Secret)
    );
}
