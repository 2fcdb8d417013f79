//! What runs inside a host: starts programs and clocks them, and does by hand what isconf is
//! compared with. Prints numbers only. Not for deciding what to measure (`figures`).

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::resource::{UsageWho, getrusage};

use crate::{Error, fill};

/// The first word that says that this is the driver.
pub const INSIDE: &str = "--inside";

/// What stands between the two commands of a pair.
const AGAINST: &str = "--against";

/// Does one thing.
pub fn main(words: &[String]) -> Result<(), Error> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["pair", times, commands @ ..] => pair(1, times.parse()?, commands),
        ["pair-once", commands @ ..] => pair(0, 1, commands),
        ["peak", command @ ..] => peak(command),
        ["rewrite", directory, count, text] => rewrite(directory, count.parse()?, text),
        ["exchange", directory, count] => exchange(directory.as_ref(), count.parse()?),
        ["durable", directory, count] => durable(directory.as_ref(), count.parse()?),
        ["data", file, mebibytes] => data(file.as_ref(), mebibytes.parse()?),
        ["fill", count] => fill::fill(count.parse()?),
        _ => Err(format!("unknown words: {words:?}").into()),
    }
}

/// Prints a line with the milliseconds of both commands for every turn, after some that do not
/// count.
fn pair(before: u32, times: u32, commands: &[&str]) -> Result<(), Error> {
    let middle = commands.iter().position(|word| *word == AGAINST);
    let (subject, baseline) = commands.split_at(middle.ok_or("no baseline")?);
    for turn in 0..before + times {
        let (one, other) = (clock(subject)?, clock(&baseline[1..])?);
        if turn >= before {
            println!("{} {}", milliseconds(one), milliseconds(other));
        }
    }
    Ok(())
}

/// Prints the milliseconds of a command and the most memory in MiB that it or a process that it
/// waited for had at any time.
fn peak(command: &[&str]) -> Result<(), Error> {
    let took = clock(command)?;
    let kibibytes = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss();
    println!("{} {}", milliseconds(took), kibibytes as f64 / 1024.0);
    Ok(())
}

/// Runs a command, which must succeed.
fn clock(words: &[&str]) -> Result<Duration, Error> {
    let (program, arguments) = words.split_first().ok_or("no command")?;
    let begun = Instant::now();
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()?;
    let took = begun.elapsed();
    if output.status.success() {
        return Ok(took);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{words:?} ended with {}: {said}", output.status).into())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn named(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("file-{number:05}"))
}

/// Replaces many small files, as an installer does: written aside, renamed.
fn rewrite(directory: &str, count: u32, text: &str) -> Result<(), Error> {
    let directory = Path::new(directory);
    fs::create_dir_all(directory)?;
    let aside = directory.join("aside");
    for number in 0..count {
        fs::write(&aside, format!("{text} {number}\n"))?;
        fs::rename(&aside, named(directory, number))?;
    }
    Ok(())
}

/// Prints how long it takes to exchange many new files with old ones and to sync.
fn exchange(directory: &Path, count: u32) -> Result<(), Error> {
    let (old, new) = (directory.join("old"), directory.join("new"));
    for side in [&old, &new] {
        let text = side.to_string_lossy().into_owned();
        rewrite(&text, count, &text)?;
    }
    let begun = Instant::now();
    for number in 0..count {
        let (from, to) = (named(&new, number), named(&old, number));
        renameat2(AT_FDCWD, &from, AT_FDCWD, &to, RenameFlags::RENAME_EXCHANGE)?;
    }
    nix::unistd::syncfs(&File::open(directory)?)?;
    println!("{}", milliseconds(begun.elapsed()));
    fs::remove_dir_all(directory)?;
    Ok(())
}

/// Prints how long it takes, for each, to write a small file durably by hand: aside, synced,
/// renamed, directory synced.
fn durable(directory: &Path, count: u32) -> Result<(), Error> {
    fs::create_dir_all(directory)?;
    let aside = directory.join("aside");
    let begun = Instant::now();
    for number in 0..count {
        let mut file = File::create(&aside)?;
        file.write_all(b"small\n")?;
        file.sync_all()?;
        fs::rename(&aside, named(directory, number))?;
        File::open(directory)?.sync_all()?;
    }
    println!("{}", milliseconds(begun.elapsed()) / f64::from(count));
    Ok(())
}

/// Writes a file of so many MiB of which no two are alike.
fn data(path: &Path, mebibytes: u32) -> Result<(), Error> {
    let mut file = File::create(path)?;
    let mut block: Vec<u8> = (0..1u32 << 20)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for number in 0..mebibytes {
        block[..4].copy_from_slice(&number.to_be_bytes());
        file.write_all(&block)?;
    }
    Ok(())
}
