//! Writes `docs/benchmarks.md`: the table with the machine and the commit it was measured on.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Error;
use crate::commits::Commits;
use crate::table::Table;

/// The words above the table.
const HEAD: &str = "\
# Benchmarks

Written by `cargo bench -p isconf --bench figures -- --write`. Subject and baseline take turns in the
same run; shown are medians, and the least value, which is what the machine does when nobody else
uses it. Everything runs in throwaway hosts: those whose figures are about durability have their root
on an ext4 image on this machine's disk, the others on one in memory.
";

/// The words above the table of commits.
const COMMITS: &str = "\
## Commits of very many files

Files of 20 bytes, 100 to a directory, all attributes kept. `commit` is that phase of `isconf exec`, from
the guard to the durable receipt, with everything kept that undo needs; `undo` is the whole verb. Renames
are a bare loop of the same renames and one sync, without undo and without a guard. `cp -a` and `rsync`
copy from a tree that is prepared already, and a crash leaves them half done.
";

/// Where the words begin that people write below the tables; they are kept.
const BY_HAND: &str = "## What the figures say";

/// What was measured.
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
            write!(f, "{COMMITS}\n{}", self.commits)?;
        }
        Ok(())
    }
}

impl Page {
    /// Writes it for people.
    pub fn write(&self) -> Result<(), Error> {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
        let commit = said("git", &["rev-parse", "--short=12", "HEAD"])?;
        let date = said("date", &["-u", "+%Y-%m-%d"])?;
        let kernel = said("uname", &["-sr"])?;
        let old = fs::read_to_string(&page)?;
        let by_hand = old.find(BY_HAND).map_or("", |at| &old[at..]);
        let text = format!(
            "{HEAD}\nCommit {commit}, {date}, {kernel}, {}, load average {}.\n\n{self}\n{by_hand}",
            processors()?,
            load()?
        );
        fs::write(page, text)?;
        Ok(())
    }
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
