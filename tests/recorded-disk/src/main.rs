//! The recorded disk: shows that no power cut leaves half a change behind. A disk that remembers
//! each write and flush lies under a host while isconf commits, undoes, checks in, replays and
//! recovers; then every state that a power cut could have left on it is rebuilt, mounted, recovered
//! by the real isconf, and checked.
//!
//! ```text
//! workload ─recording→ log of writes, flushes, marks ─states→ crash states ─check→ verdicts
//!             └ recorder (FUSE), host (namespaces)              └ host whose root is that state
//! ```
//!
//! A crate and a program of its own and not a case of the test suite: it takes minutes, has a long
//! form and a proof of itself, and needs FUSE, which nothing else here does. It is isconf as well,
//! when called by that name: so the program under test is always the one that was just built, with
//! or without the syncs that `prove` leaves out. Not for crashes of a process at named points
//! (`tests/cases/crash.rs`), and not for a kernel that dies (`vm-tests`).
//!
//! Touches nothing of this machine: all it makes is in a memory filesystem that only its own mount
//! namespace has, and goes with it.

mod error;
mod medium;
mod recorder;
mod states;
mod talk;
mod inside;
mod host;
mod filesystem;
mod listing;
mod workload;
mod recording;
mod check;
mod explore;
mod prove;
mod run;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use self::error::RigError;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let name = words.first().map(Path::new).and_then(Path::file_name);
    if name.is_some_and(|name| name == "isconf") {
        return isconf::cli::main(words);
    }
    match run::main(&words[1.min(words.len())..]) {
        Ok(code) => code,
        Err(error) => {
            run::complain(&error);
            ExitCode::from(2)
        }
    }
}

/// Reads the arguments of a host's first process: its root, its disks.
fn be_a_host(words: &[OsString]) -> Result<(), RigError> {
    let mut disks = Vec::new();
    for word in words.iter().skip(1) {
        let line = word.to_string_lossy().into_owned();
        let disk = serde_json::from_str(&line);
        disks.push(disk.map_err(|source| RigError::Message { line, source })?);
    }
    inside::run(Path::new(&words[0]), &disks)
}
