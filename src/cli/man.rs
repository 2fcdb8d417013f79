//! Man pages, made from the definition of the command line. Upholds: what can be generated is not
//! written by hand.

use std::io;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;

use crate::durable::FileError;

use super::args::definition;

/// One page: the name of its file, and its text for man(1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManPage {
    /// `isconf.1`, `isconf-up.1`, `isconf-bundle-export.1`, ...
    pub file_name: String,
    /// The text.
    pub text: Vec<u8>,
}

/// All pages: isconf's own, and one a verb.
pub fn man_pages() -> Result<Vec<ManPage>, io::Error> {
    let mut root = definition().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    collect(root, &mut pages)?;
    Ok(pages)
}

/// Adds the page of `command` and those of its verbs.
fn collect(command: Command, pages: &mut Vec<ManPage>) -> Result<(), io::Error> {
    let verbs: Vec<Command> = command
        .get_subcommands()
        .filter(|c| !c.is_hide_set())
        .cloned()
        .collect();
    let man = Man::new(command).date("").manual("ISconf");
    let mut text = Vec::new();
    man.render(&mut text)?;
    // What the definition has at the end of the help is examples, where man-pages(7) wants them.
    let text = String::from_utf8_lossy(&text).replace(".SH EXTRA\n", ".SH EXAMPLES\n");
    let text = text.into_bytes();
    pages.push(ManPage {
        file_name: man.get_filename(),
        text,
    });
    verbs.into_iter().try_for_each(|verb| collect(verb, pages))
}

/// Writes the pages into a directory, replacing older ones; gives the files in order.
pub fn write_man_pages(directory: &Path) -> Result<Vec<PathBuf>, FileError> {
    let pages = man_pages().map_err(FileError::of("make man pages for", directory))?;
    let write = |page: ManPage| {
        let path = directory.join(&page.file_name);
        // Not made durable: the pages can be made again at any time.
        std::fs::write(&path, &page.text).map_err(FileError::of("write", &path))?;
        Ok(path)
    };
    pages.into_iter().map(write).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_isconf_and_each_verb_but_the_hidden_one() {
        let directory = tempfile::tempdir().unwrap();
        let files = write_man_pages(directory.path()).unwrap();
        let name = |p: &PathBuf| p.file_name().unwrap().to_str().unwrap().to_owned();
        let names: Vec<_> = files.iter().map(name).collect();
        for wanted in [
            "isconf.1",
            "isconf-up.1",
            "isconf-exec.1",
            "isconf-bundle-export.1",
        ] {
            assert!(names.contains(&wanted.to_owned()), "{wanted} in {names:?}");
        }
        assert!(!names.iter().any(|n| n.contains("daemon")));
        let up = std::fs::read_to_string(directory.path().join("isconf-up.1")).unwrap();
        assert!(
            up.contains("isconf up") && up.contains("scratchpad") && up.contains("SH EXAMPLES"),
            "{up}"
        );
    }
}
