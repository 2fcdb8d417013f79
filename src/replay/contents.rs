//! The bytes of small changed files, kept for unified diffs, since commit and discard take the
//! scratchpad away before the report is shown. Not for committing anything. Upholds: memory is
//! bounded whatever an entry writes.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use isconf_sandbox::capture::{Capture, Source};
use isconf_sandbox::change::{Change, Kind, RelPath};
use isconf_sandbox::layout::Layout;

use crate::model::contents::ContentSource;

/// The largest file that is kept, in bytes: what a diff is shown of.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// The most that is kept for one run, in bytes, both sides together.
const MAX_TOTAL_BYTES: usize = 32 << 20;

/// Contents before and after, by path.
#[derive(Debug, Default)]
pub struct Contents {
    before: HashMap<RelPath, Vec<u8>>,
    after: HashMap<RelPath, Vec<u8>>,
    total: usize,
}

impl Contents {
    /// Nothing kept yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the bytes of what an entry changed. What an earlier entry of the same scratchpad left
    /// is what this one had before.
    pub fn remember(&mut self, layout: &Layout, capture: &Capture) {
        let earlier = std::mem::take(&mut self.after);
        self.before.clear();
        for (change, provenance) in capture.set.changes().iter().zip(&capture.provenance) {
            if self.total > MAX_TOTAL_BYTES {
                break;
            }
            let old_place = change.moved_from.as_ref().unwrap_or(&change.path);
            let before = match earlier.get(old_place) {
                Some(bytes) => Some(bytes.clone()),
                None if is_small_file(change, true) => {
                    read_small(&provenance.live_path.to_path_under(&layout.root))
                }
                None => None,
            };
            let after = match &provenance.source {
                Source::Upper { path, .. } if is_small_file(change, false) => {
                    let volume = layout.volumes.get(provenance.volume);
                    volume.and_then(|v| read_small(&path.to_path_under(&v.upper())))
                }
                _ => None,
            };
            self.keep(&change.path, before, after);
        }
        for (path, bytes) in earlier {
            self.after.entry(path).or_insert(bytes);
        }
    }

    fn keep(&mut self, path: &RelPath, before: Option<Vec<u8>>, after: Option<Vec<u8>>) {
        for (side, bytes) in [(&mut self.before, before), (&mut self.after, after)] {
            if let Some(bytes) = bytes {
                self.total += bytes.len();
                side.insert(path.clone(), bytes);
            }
        }
    }
}

impl ContentSource for Contents {
    fn before(&self, path: &RelPath) -> Option<Vec<u8>> {
        self.before.get(path).cloned()
    }

    fn after(&self, path: &RelPath) -> Option<Vec<u8>> {
        self.after.get(path).cloned()
    }
}

fn is_small_file(change: &Change, before: bool) -> bool {
    is_file_up_to(MAX_FILE_BYTES, change, before)
}

/// Whether there was, or is, a file of at most so many bytes.
pub(super) fn is_file_up_to(limit: u64, change: &Change, before: bool) -> bool {
    let node = if before {
        &change.before
    } else {
        &change.after
    };
    let kind = node.as_ref().map(|node| &node.kind);
    matches!(kind, Some(Kind::File { size, .. }) if *size <= limit)
}

/// Reads a regular file of at most [`MAX_FILE_BYTES`]; anything else is not shown.
fn read_small(path: &Path) -> Option<Vec<u8>> {
    read_up_to(MAX_FILE_BYTES, path)
}

/// Reads a regular file of at most so many bytes.
pub(super) fn read_up_to(limit: u64, path: &Path) -> Option<Vec<u8>> {
    let meta = std::fs::symlink_metadata(path).ok()?;
    if !meta.is_file() {
        return None;
    }
    // One byte more, so that the end is seen without another look.
    let mut bytes = Vec::with_capacity(meta.len().min(limit) as usize + 1);
    let file = File::open(path).ok()?;
    file.take(limit + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= limit).then_some(bytes)
}
