//! Writes `docs/benchmarks.md`: a section for each group of figures, with the commit it was measured
//! at, in the order of the groups. Upholds: a section stays as it is until its group is measured again.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;
use crate::commits::Commits;
use crate::table::Table;

/// The words above all sections.
const HEAD: &str = "\
# Benchmarks

Written by `cargo bench -p isconf --bench figures -- --write`, which takes about half an hour; with
names of groups it measures those and leaves the others as they are. Subject and baseline take turns
in the same run; shown are medians, and the least value, which is what the machine does when nobody
else uses it. Everything runs in throwaway hosts: those whose figures are about durability have their
root on an image on this machine's disk, the others on one in memory.
";

/// The words above a table of commits.
const COMMITS: &str = "\
Files of 20 bytes, 100 to a directory, all attributes kept. `commit` is that phase of `isconf exec`, from
the guard to the durable receipt, with everything kept that undo needs; `undo` is the whole verb. Renames
are a bare loop of the same renames and one sync, without undo and without a guard. `cp -a` and `rsync`
copy from a tree that is prepared already, and a crash leaves them half done.
";

/// Where the words begin that people write below the sections; they are kept.
const BY_HAND: &str = "## What the figures say";

/// What was measured in one group.
#[derive(Debug, Default)]
pub struct Page {
    /// One thing a line.
    pub figures: Table,
    /// Commits of very many files.
    pub commits: Commits,
    /// What is to be said beside the figures, a paragraph each.
    pub notes: Vec<String>,
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.figures.is_empty() {
            writeln!(f, "{}", self.figures)?;
        }
        for note in &self.notes {
            writeln!(f, "{note}\n")?;
        }
        if !self.commits.is_empty() {
            writeln!(f, "{COMMITS}\n{}", self.commits)?;
        }
        Ok(())
    }
}

impl Page {
    /// Puts what was measured in the place of the section of its group; `groups` are all, in order.
    pub fn write(&self, group: &str, groups: &[&str]) -> Result<(), Error> {
        let path = path();
        let old = fs::read_to_string(&path)?;
        let mut text = HEAD.to_owned();
        for name in groups {
            let heading = format!("\n## {name}\n");
            if *name == group {
                text.push_str(&format!("{heading}\n{}\n\n{self}", circumstances()?));
                text.truncate(text.trim_end().len());
                text.push('\n');
            } else if let Some(section) = section(&old, &heading) {
                text.push_str(section);
            }
        }
        if let Some(at) = old.find(BY_HAND) {
            text.push('\n');
            text.push_str(&old[at..]);
        }
        fs::write(path, text)?;
        Ok(())
    }
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md")
}

/// A section with its heading, up to the next one.
fn section<'a>(text: &'a str, heading: &str) -> Option<&'a str> {
    let begin = text.find(heading)?;
    let inside = begin + heading.len();
    let length = text[inside..].find("\n## ");
    Some(&text[begin..length.map_or(text.len(), |length| inside + length)])
}

/// What was measured, when, and on what.
fn circumstances() -> Result<String, Error> {
    let commit = said("git", &["rev-parse", "--short=12", "HEAD"])?;
    let changed = said("git", &["status", "--porcelain", "--untracked-files=no"])?;
    // The page itself is written after each group.
    let changed = changed.lines().any(|line| !line.ends_with("benchmarks.md"));
    let changed = if changed { " with changes" } else { "" };
    let date = said("date", &["-u", "+%Y-%m-%d"])?;
    let kernel = said("uname", &["-sr"])?;
    Ok(format!(
        "Commit {commit}{changed}, {date}, {kernel}, {}, load average {}.",
        processors()?,
        load()?
    ))
}

/// What the machine had to do in the last five minutes, by this program and by others.
fn load() -> Result<String, Error> {
    let text = fs::read_to_string("/proc/loadavg")?;
    let found = text.split(' ').nth(1);
    Ok(found.ok_or("/proc/loadavg has no second field")?.to_owned())
}

/// The processors' name and number.
fn processors() -> Result<String, Error> {
    let text = fs::read_to_string("/proc/cpuinfo")?;
    let names: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("model name"))
        .filter_map(|line| line.split_once(": ").map(|(_, name)| name))
        .collect();
    let name = names.first().copied().unwrap_or("unknown processor");
    Ok(format!("{} x {name}", names.len()))
}

fn said(program: &str, words: &[&str]) -> Result<String, Error> {
    let output = Command::new(program).args(words).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
