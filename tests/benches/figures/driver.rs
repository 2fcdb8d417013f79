//! What runs inside a host: starts programs and clocks them. Prints numbers only. Not for deciding
//! what to measure (`figures`), nor for what isconf is compared with (`by_hand`).

use std::ffi::OsStr;
use std::fs::{self, File};
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

use crate::{Error, by_hand, fill, shapes, supervised};

/// The first word that says that this is the driver.
pub const INSIDE: &str = "--inside";

/// What stands between the two commands of a pair.
pub const AGAINST: &str = "--against";

/// Does one thing.
pub fn main(words: &[String]) -> Result<(), Error> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["pair", times, commands @ ..] => pair(1, times.parse()?, commands),
        ["pair-once", commands @ ..] => pair(0, 1, commands),
        ["clocked", command @ ..] => print(clock(command)?),
        ["peak", command @ ..] => peak(command),
        ["inside-pair", turns, kind, count] => inside_pair(turns.parse()?, kind, count),
        ["calls", kind, count] => calls(kind, count.parse()?),
        ["tree", directory, count, text] => by_hand::tree(directory.as_ref(), count.parse()?, text),
        ["change", kind, directory, count] => {
            by_hand::change(kind, directory.as_ref(), count.parse()?)
        }
        ["prepare", kind, directory, count] => {
            shapes::prepare(kind, directory.as_ref(), count.parse()?)
        }
        ["reshape", kind, directory, count] => {
            shapes::change(kind, directory.as_ref(), count.parse()?)
        }
        ["renames", kind, directory, count] => {
            print(by_hand::renames(kind, directory.as_ref(), count.parse()?)?)
        }
        ["durable", directory, count] => {
            let count: u32 = count.parse()?;
            print(by_hand::durable(directory.as_ref(), count)? / count)
        }
        ["data", file, mebibytes] => by_hand::data(file.as_ref(), mebibytes.parse()?),
        ["watched", command @ ..] => supervised::run(true, command),
        ["unwatched", command @ ..] => supervised::run(false, command),
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

/// Prints a duration in milliseconds.
fn print(took: Duration) -> Result<(), Error> {
    println!("{}", milliseconds(took));
    Ok(())
}

/// Prints a line with the microseconds of a call inside a scratchpad and outside for every turn.
fn inside_pair(turns: u32, kind: &str, count: &str) -> Result<(), Error> {
    let this = std::env::current_exe()?;
    let outside: [&OsStr; 5] = [
        this.as_ref(),
        INSIDE.as_ref(),
        "calls".as_ref(),
        kind.as_ref(),
        count.as_ref(),
    ];
    let inside: Vec<&OsStr> = ["isconf", "-q", "try"]
        .map(OsStr::new)
        .into_iter()
        .chain(outside)
        .collect();
    for _ in 0..turns {
        println!("{} {}", said(&inside)?, said(&outside)?);
    }
    Ok(())
}

/// The first line that a program writes, which must succeed; a report of isconf comes behind it.
fn said(words: &[&OsStr]) -> Result<String, Error> {
    let (program, arguments) = words.split_first().ok_or("no command")?;
    let output = Command::new(program).args(arguments).output()?;
    if output.status.success() {
        let text = String::from_utf8(output.stdout)?;
        return Ok(text.lines().next().unwrap_or_default().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{words:?} ended with {}: {said}", output.status).into())
}

/// Prints the microseconds of one call of a kind, done so often.
fn calls(kind: &str, count: u32) -> Result<(), Error> {
    let directory = Path::new("/srv/calls");
    fs::create_dir_all(directory)?;
    let begun = Instant::now();
    for number in 0..count {
        match kind {
            "fork" => drop(Command::new("/bin/true").status()?),
            "open" => drop(black_box(File::open("/usr/bin/env")?.metadata()?)),
            "stat" => drop(black_box(fs::metadata("/usr/bin/env")?)),
            "write" => fs::write(directory.join(number.to_string()), [b'x'; 4096])?,
            _ => return Err(format!("no such kind of call: {kind}").into()),
        }
    }
    println!(
        "{}",
        milliseconds(begun.elapsed()) * 1000.0 / f64::from(count)
    );
    fs::remove_dir_all(directory)?;
    Ok(())
}
