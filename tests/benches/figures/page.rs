//! Writes `docs/benchmarks.md`: the table with the machine and the commit it was measured on.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Error;
use crate::table::Table;

/// The words above the table.
const HEAD: &str = "\
# Benchmarks

Written by `cargo bench -p isconf --bench figures -- --write`. Subject and baseline take turns in the
same run; shown are medians, and the least value, which is what the machine does when nobody else
uses it. Everything runs in throwaway hosts: those whose figures are about durability have their root
on an ext4 image on this machine's disk, the others on one in memory.
";

/// Writes the page.
pub fn write(table: &Table) -> Result<(), Error> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
    let commit = said("git", &["rev-parse", "--short=12", "HEAD"])?;
    let date = said("date", &["-u", "+%Y-%m-%d"])?;
    let kernel = said("uname", &["-sr"])?;
    let text = format!(
        "{HEAD}\nCommit {commit}, {date}, {kernel}, {}, load average {}.\n\n{table}",
        processors()?,
        load()?
    );
    fs::write(page, text)?;
    Ok(())
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
