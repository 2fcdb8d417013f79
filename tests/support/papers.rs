//! Finds the repository's own files, for the tests that read source and papers.

use std::path::{Path, PathBuf};

/// Returns the top of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Lists every Rust file below a folder of the repository, in order.
pub fn sources(folder: &str) -> Vec<PathBuf> {
    files(folder, "rs")
}

/// Lists every file with this extension below a folder of the repository, in order.
pub fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = walkdir::WalkDir::new(repository().join(folder))
        .into_iter()
        .filter_map(Result::ok)
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    found.sort();
    found
}
