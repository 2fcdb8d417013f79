//! A cheap look at the real machine before and after the tour: its mounts, its name, our loop
//! devices and work directories, and the state of its top-level directories and settings. Not a
//! complete listing; it sees every slip that a tour could make.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::HostError;
use super::workdir;

/// The directories that are looked at, and how deep.
const LOOKED_AT: [(&str, usize); 9] = [
    ("/", 1),
    ("/etc", 8),
    ("/home", 1),
    ("/opt", 2),
    ("/srv", 2),
    ("/usr/local", 2),
    ("/var", 2),
    ("/var/is", 8),
    ("/var/lib", 1),
];

/// Directories in which other programs are at work all the time: only that they are there counts.
const BUSY: [&str; 13] = [
    "/dev",
    "/home",
    "/mnt",
    "/proc",
    "/root",
    "/run",
    "/sys",
    "/tmp",
    "/var/cache",
    "/var/log",
    "/var/run",
    "/var/spool",
    "/var/tmp",
];

/// What the tour must leave as it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    facts: BTreeMap<PathBuf, String>,
}

impl Fingerprint {
    /// Looks at the machine.
    pub(super) fn take() -> Result<Self, HostError> {
        let mut facts = BTreeMap::new();
        for file in ["/proc/self/mountinfo", "/proc/sys/kernel/hostname"] {
            let text = fs::read_to_string(file).map_err(|source| HostError::file(file, source))?;
            facts.insert(file.into(), text);
        }
        for path in workdir::ours().into_iter().chain(our_loops()) {
            facts.insert(path, "left behind".to_owned());
        }
        for (top, depth) in LOOKED_AT {
            look(Path::new(top), depth, &mut facts);
        }
        Ok(Self { facts })
    }

    /// Lists what differs: `-` before, `+` after.
    pub(super) fn differences(&self, after: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for (path, fact) in &self.facts {
            match after.facts.get(path) {
                Some(now) if now == fact => {}
                Some(now) => {
                    differences.push(format!("-{} {fact}", path.display()));
                    differences.push(format!("+{} {now}", path.display()));
                }
                None => differences.push(format!("-{} {fact}", path.display())),
            }
        }
        for (path, fact) in &after.facts {
            if !self.facts.contains_key(path) {
                differences.push(format!("+{} {fact}", path.display()));
            }
        }
        differences
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.facts.len();
        write!(
            f,
            "same mounts, no loop device or work directory left, {paths} paths unchanged"
        )
    }
}

/// Notes the state of everything in a directory. What cannot be read, or vanishes meanwhile, is
/// not noted, before and after alike.
fn look(dir: &Path, depth: usize, facts: &mut BTreeMap<PathBuf, String>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(stat) = entry.metadata() else { continue };
        let busy = BUSY.iter().any(|busy| path == Path::new(busy));
        let mut fact = format!("{:o} {}:{}", stat.mode(), stat.uid(), stat.gid());
        // The change time cannot be set back, so a change cannot hide.
        if !busy {
            let (size, inode) = (stat.size(), stat.ino());
            fact += &format!(" {size} #{inode} {}.{:09}", stat.ctime(), stat.ctime_nsec());
        }
        facts.insert(path.clone(), fact);
        if depth > 1 && stat.is_dir() && !busy {
            look(&path, depth - 1, facts);
        }
    }
}

/// Lists the loop devices that hold an image of ours.
fn our_loops() -> Vec<PathBuf> {
    let Ok(devices) = fs::read_dir("/sys/block") else {
        return Vec::new();
    };
    let ours = workdir::prefix();
    let holds = |path: &PathBuf| {
        fs::read_to_string(path.join("loop/backing_file")).is_ok_and(|file| file.contains(&ours))
    };
    devices
        .flatten()
        .map(|device| device.path())
        .filter(holds)
        .collect()
}
