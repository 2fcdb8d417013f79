//! Does to files, inside a host, what isconf is asked to do, and the same with bare system calls.
//! Not for clocking programs (`driver`).

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use crate::Error;

/// Files to a directory.
const TO_A_DIRECTORY: u32 = 100;

/// The path of a file below the top of its tree.
fn named(top: &Path, prefix: &str, number: u32) -> PathBuf {
    let directory = number / TO_A_DIRECTORY;
    top.join(format!("d{directory:06}/{prefix}-{number:06}"))
}

/// The path of a file of [`tree`].
pub fn file(top: &Path, number: u32) -> PathBuf {
    named(top, "file", number)
}

/// Makes a tree of small files.
pub fn tree(top: &Path, count: u32, text: &str) -> Result<(), Error> {
    fill(top, "file", count, text)
}

fn fill(top: &Path, prefix: &str, count: u32, text: &str) -> Result<(), Error> {
    for number in 0..count {
        let path = named(top, prefix, number);
        if number % TO_A_DIRECTORY == 0
            && let Some(parent) = path.parent()
        {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, format!("{text} {number:>14}\n"))?;
    }
    Ok(())
}

/// Changes such a tree, as an installer would.
pub fn change(kind: &str, top: &Path, count: u32) -> Result<(), Error> {
    match kind {
        "modified" => {
            let aside = top.join("aside");
            for number in 0..count {
                fs::write(&aside, format!("new {number:>14}\n"))?;
                fs::rename(&aside, named(top, "file", number))?;
            }
            Ok(())
        }
        "new" => fill(top, "new", count, "new"),
        "tree" => fill(&top.join("tree"), "file", count, "new"),
        "deleted" => {
            for number in 0..count {
                fs::remove_file(named(top, "file", number))?;
            }
            Ok(())
        }
        _ => Err(format!("no such change: {kind}").into()),
    }
}

/// Brings about such a change by nothing but renames and one sync; gives how long they take.
pub fn renames(kind: &str, directory: &Path, count: u32) -> Result<Duration, Error> {
    let (live, staged) = (directory.join("live"), directory.join("staged"));
    fill(&live, "file", count, "old")?;
    let open = File::open(directory)?;
    nix::unistd::syncfs(&open)?;
    // What is new has other names, in the same directories.
    let prefix = if kind == "new" { "new" } else { "file" };
    // What was just written is on no disk yet, as behind a command.
    fill(&staged, prefix, count, "new")?;
    let begun = Instant::now();
    for number in 0..count {
        let (from, to) = (named(&staged, prefix, number), named(&live, prefix, number));
        match kind {
            "modified" => renameat2(AT_FDCWD, &from, AT_FDCWD, &to, RenameFlags::RENAME_EXCHANGE)?,
            "new" => fs::rename(&from, &to)?,
            // What goes is kept for undo, under another name.
            "deleted" => fs::rename(&to, to.with_extension("gone"))?,
            _ => {
                fs::rename(&staged, live.join("tree"))?;
                break;
            }
        }
    }
    nix::unistd::syncfs(&open)?;
    let took = begun.elapsed();
    fs::remove_dir_all(directory)?;
    Ok(took)
}

/// Writes small files durably: aside, synced, renamed, directory synced; gives how long it takes.
pub fn durable(directory: &Path, count: u32) -> Result<Duration, Error> {
    fs::create_dir_all(directory)?;
    let aside = directory.join("aside");
    let begun = Instant::now();
    for number in 0..count {
        let mut file = File::create(&aside)?;
        file.write_all(b"small\n")?;
        file.sync_all()?;
        fs::rename(&aside, directory.join(number.to_string()))?;
        File::open(directory)?.sync_all()?;
    }
    Ok(begun.elapsed())
}

/// Writes a file of so many MiB of which no two are alike.
pub fn data(path: &Path, mebibytes: u32) -> Result<(), Error> {
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
