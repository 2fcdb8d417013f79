//! The contents that an entry wrote and those they replaced, read for the hazard lint before commit
//! or discard takes the scratchpad away. Not for showing them (`contents`). Upholds: what is read is
//! bounded, whatever an entry wrote.

use std::collections::HashMap;
use std::path::Path;

use isconf_sandbox::capture::{Capture, Source};
use isconf_sandbox::change::{Change, ChangeSet, Content, Kind, Label, PathPattern, RelPath};
use isconf_sandbox::layout::Layout;

use super::contents::{is_file_up_to, read_up_to};
use crate::model::contents::ContentSource;

/// The largest file that is read, in bytes: longer ones are seldom written by hand.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// The most that is read of one run, in bytes, both sides together. It takes some milliseconds.
const MAX_TOTAL_BYTES: usize = 4 << 20;

/// The most files that are read of one run: opening one takes longer than reading it.
const MAX_FILES: usize = 2_000;

/// What a binary file is told by stands among its first bytes.
const HEAD_BYTES: usize = 4096;

/// Which files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Those without a NUL byte at their start, and what they replaced.
    Text,
    /// All, and nothing else.
    New,
}

/// Contents before and after, by path.
#[derive(Debug, Default)]
pub(super) struct Written {
    before: HashMap<RelPath, Vec<u8>>,
    after: HashMap<RelPath, Vec<u8>>,
    total: usize,
    files: usize,
}

impl Written {
    /// Reads what a run wrote, but for `ignored` paths, until it is enough.
    pub(super) fn read(
        layout: &Layout,
        capture: &Capture,
        ignored: &[PathPattern],
        reading: Reading,
    ) -> Self {
        let mut written = Self::default();
        for (change, provenance) in capture.set.changes().iter().zip(&capture.provenance) {
            if written.total > MAX_TOTAL_BYTES || written.files > MAX_FILES {
                break;
            }
            let Source::Upper { path, .. } = &provenance.source else {
                continue;
            };
            let is_ignored = || ignored.iter().any(|pattern| pattern.matches(&change.path));
            if !has_new_content(change) || is_ignored() {
                continue;
            }
            let volume = layout.volumes.get(provenance.volume);
            let Some(volume) = volume else { continue };
            let place = path.to_path_under(&volume.upper());
            let Some(after) = written.take(read_up_to(MAX_FILE_BYTES, &place)) else {
                continue;
            };
            if reading == Reading::Text {
                if is_binary(&after) {
                    continue;
                }
                if is_file_up_to(MAX_FILE_BYTES, change, true) {
                    let live = provenance.live_path.to_path_under(&layout.root);
                    let before = written.take(read_up_to(MAX_FILE_BYTES, &live));
                    let path = change.path.clone();
                    written.before.extend(before.map(|bytes| (path, bytes)));
                }
            }
            written.after.insert(change.path.clone(), after);
        }
        written
    }

    /// Reads live text files, but for `ignored` paths, until it is enough.
    pub(super) fn read_live(root: &Path, changes: &ChangeSet, ignored: &[PathPattern]) -> Self {
        let mut written = Self::default();
        for change in changes.changes() {
            if written.total > MAX_TOTAL_BYTES || written.files > MAX_FILES {
                break;
            }
            let is_ignored = || ignored.iter().any(|pattern| pattern.matches(&change.path));
            if !has_new_content(change) || is_ignored() {
                continue;
            }
            let place = change.path.to_path_under(root);
            let text = written.take(read_up_to(MAX_FILE_BYTES, &place));
            let text = text.filter(|bytes| !is_binary(bytes));
            let path = change.path.clone();
            written.after.extend(text.map(|bytes| (path, bytes)));
        }
        written
    }

    /// Counts what was read.
    fn take(&mut self, read: Option<Vec<u8>>) -> Option<Vec<u8>> {
        self.files += 1;
        self.total += read.as_ref().map_or(0, Vec::len);
        read
    }
}

/// Whether the entry wrote a small file there.
fn has_new_content(change: &Change) -> bool {
    let is_read = matches!(
        change.after.as_ref().map(|node| &node.kind),
        Some(Kind::File {
            content: Content::Read(_),
            ..
        })
    );
    is_read && change.label() != Label::Rewritten && is_file_up_to(MAX_FILE_BYTES, change, false)
}

fn is_binary(bytes: &[u8]) -> bool {
    bytes.iter().take(HEAD_BYTES).any(|byte| *byte == 0)
}

impl ContentSource for Written {
    fn before(&self, path: &RelPath) -> Option<Vec<u8>> {
        self.before.get(path).cloned()
    }

    fn after(&self, path: &RelPath) -> Option<Vec<u8>> {
        self.after.get(path).cloned()
    }
}
