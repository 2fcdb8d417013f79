//! What a scenario has in hand: machines of either release on disks of their own. Not for what a
//! scenario claims. Upholds: nothing of a scenario is left when it ends.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::machine::{Machine, MachineError, Parts};
use crate::release::Release;
use crate::supplies::{Store, SupplyError};
use crate::tool::{self, ToolError};

/// Why a scenario did not hold.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A machine did not do what it should.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// A machine's parts could not be had.
    #[error(transparent)]
    Supply(#[from] SupplyError),
    /// A disk could not be copied.
    #[error("cannot copy a disk")]
    Copy(#[source] ToolError),
    /// A folder could not be made.
    #[error("cannot make {path}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A fact is not as it has to be.
    #[error("{what}\n  expected: {expected}\n  found:    {found}")]
    Fact {
        /// Which fact.
        what: String,
        /// As it has to be.
        expected: String,
        /// As it is.
        found: String,
    },
}

/// Requires that a fact is as expected.
pub fn require(what: &str, found: &str, expected: &str) -> Result<(), Failure> {
    require_that(what, found, expected, found == expected)
}

/// Requires that a text contains another.
pub fn require_in(what: &str, found: &str, expected: &str) -> Result<(), Failure> {
    require_that(what, found, expected, found.contains(expected))
}

/// Fails with the fact unless it `holds`.
pub fn require_that(what: &str, found: &str, expected: &str, holds: bool) -> Result<(), Failure> {
    if holds {
        return Ok(());
    }
    Err(Failure::Fact {
        what: what.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    })
}

/// The rig of one scenario; its folder goes with it.
#[derive(Debug)]
pub struct Rig<'a> {
    store: &'a Store,
    folder: PathBuf,
}

impl<'a> Rig<'a> {
    /// Makes the rig in `folder`, which must not exist.
    pub fn new(store: &'a Store, folder: &Path) -> Result<Self, Failure> {
        make(folder)?;
        Ok(Self {
            store,
            folder: folder.to_owned(),
        })
    }

    /// Makes a machine of the release on a fresh disk; switched off.
    pub fn machine(&self, name: &str, release: Release) -> Result<Parts, Failure> {
        let supplies = self.store.of(release)?;
        let folder = self.folder.join(name);
        make(&folder)?;
        let disk = folder.join("root.raw");
        let words = [
            "--sparse=always".as_ref(),
            supplies.disk.as_os_str(),
            disk.as_os_str(),
        ];
        tool::run("cp".as_ref(), &words, 120).map_err(Failure::Copy)?;
        Ok(Parts {
            kernel: supplies.kernel,
            disks: vec![disk],
            append: "rw".to_owned(),
            folder,
        })
    }

    /// Adds an empty disk of 1 GiB to a machine that is switched off: `/dev/nvme0n2` and so on.
    pub fn add_disk(&self, parts: &mut Parts) -> Result<(), Failure> {
        let path = parts.folder.join(format!("disk{}.raw", parts.disks.len()));
        fs::File::create(&path)
            .and_then(|file| file.set_len(1 << 30))
            .map_err(|cause| Failure::Folder {
                path: path.clone(),
                cause,
            })?;
        parts.disks.push(path);
        Ok(())
    }

    /// Switches a machine on.
    pub fn boot(&self, parts: &Parts) -> Result<Machine, Failure> {
        Ok(Machine::boot(parts)?)
    }

    /// The last lines of all consoles, each under the name of its machine; a panic has some forty.
    pub fn consoles(&self) -> String {
        let mut text = String::new();
        let Ok(machines) = fs::read_dir(&self.folder) else {
            return text;
        };
        for machine in machines.flatten() {
            let Ok(console) = fs::read(machine.path().join("console")) else {
                continue;
            };
            let mut console = String::from_utf8_lossy(&console).into_owned();
            // The firmware moves the cursor about.
            console.retain(|c| c == '\n' || !c.is_control());
            let lines: Vec<&str> = console.lines().collect();
            let tail = &lines[lines.len().saturating_sub(80)..];
            text.push_str(&format!(
                "--- console of {}\n",
                machine.file_name().display()
            ));
            text.push_str(&tail.join("\n"));
            text.push('\n');
        }
        text
    }
}

impl Drop for Rig<'_> {
    fn drop(&mut self) {
        // What stays behind is swept by the next start of the runner.
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Makes a folder that is not there yet.
fn make(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|cause| Failure::Folder {
        path: path.to_owned(),
        cause,
    })
}
