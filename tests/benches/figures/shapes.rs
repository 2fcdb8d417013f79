//! Changes of many shapes, made inside a host: several names to a file, directories that go and come.
//! A commit must not need much more time a file when there are more of them. Not for clocking.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::{Error, by_hand};

/// A change, by its word, and what it does to each of the files.
pub const ALL: [(&str, &str); 9] = [
    ("new", "new files"),
    ("crowd", "new files in one directory"),
    ("written", "files with two names, written by one"),
    ("unlinked", "files with two names that lose one"),
    (
        "stranded",
        "files with two names, their mode set by one that goes",
    ),
    ("linked", "files that get one more name"),
    ("names", "names of one file, every other of which goes"),
    ("renamed", "renamed directories with a file that is written"),
    (
        "replaced",
        "directories replaced by others of the same name",
    ),
];

/// Makes what there is before.
pub fn prepare(kind: &str, top: &Path, count: u32) -> Result<(), Error> {
    fs::create_dir_all(top.join("names"))?;
    match kind {
        "crowd" => {}
        "names" => {
            fs::write(top.join("file"), "old\n")?;
            for number in 0..count {
                fs::hard_link(top.join("file"), name(top, number))?;
            }
        }
        "renamed" | "replaced" => {
            for number in 0..count {
                fs::create_dir(name(top, number))?;
                fs::write(name(top, number).join("file"), "old\n")?;
            }
        }
        _ => by_hand::tree(top, count, "old")?,
    }
    if matches!(kind, "written" | "unlinked" | "stranded") {
        for number in 0..count {
            fs::hard_link(by_hand::file(top, number), name(top, number))?;
        }
    }
    Ok(())
}

/// Changes it.
pub fn change(kind: &str, top: &Path, count: u32) -> Result<(), Error> {
    if kind == "new" {
        return by_hand::change(kind, top, count);
    }
    for number in 0..count {
        let name = name(top, number);
        match kind {
            "crowd" => fs::write(name, "new\n")?,
            "written" => append(&name)?,
            "unlinked" => fs::remove_file(name)?,
            "stranded" => {
                let mut permissions = fs::metadata(&name)?.permissions();
                permissions.set_readonly(true);
                fs::set_permissions(&name, permissions)?;
                fs::remove_file(name)?;
            }
            "linked" => fs::hard_link(by_hand::file(top, number), name)?,
            "names" if number % 2 == 0 => fs::remove_file(name)?,
            "names" => {}
            "renamed" => {
                let other = name.with_extension("other");
                fs::rename(name, &other)?;
                append(&other.join("file"))?;
            }
            "replaced" => {
                fs::remove_dir_all(&name)?;
                fs::create_dir(&name)?;
                fs::write(name.join("other"), "new\n")?;
            }
            _ => return Err(format!("no such change: {kind}").into()),
        }
    }
    Ok(())
}

fn name(top: &Path, number: u32) -> PathBuf {
    top.join(format!("names/{number:06}"))
}

fn append(path: &Path) -> Result<(), Error> {
    let mut file = OpenOptions::new().append(true).open(path)?;
    Ok(file.write_all(b"new\n")?)
}
