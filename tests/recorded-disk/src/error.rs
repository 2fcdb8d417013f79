//! What can go wrong with the rig itself. Not for what it looks for: a state that is wrong is a
//! finding, in `judge`.

use std::io;
use std::path::{Path, PathBuf};

/// The reasons why the rig cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    /// A file could not be used.
    #[error("cannot use {}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program could not be started, or the talk with it broke off.
    #[error("cannot run {program}")]
    Program {
        /// Which one.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program failed that has to succeed for the rig to go on.
    #[error("{command} ended with status {status}: {said}")]
    Failed {
        /// The command line.
        command: String,
        /// Its exit status; 128 and the signal for one that was killed.
        status: i32,
        /// What it wrote.
        said: String,
    },
    /// A message between the rig and its host is none.
    #[error("a message of the host is damaged: {line}")]
    Message {
        /// What came instead.
        line: String,
        /// Why it is none.
        #[source]
        source: serde_json::Error,
    },
    /// A system call of the set-up failed.
    #[error("cannot {what}")]
    Call {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        source: nix::errno::Errno,
    },
    /// A tree could not be listed.
    #[error("cannot list the tree of a host")]
    Tree(#[from] isconf::tour::HostError),
    /// A device that belongs to a disk was not let go in time.
    #[error("{device} still holds {} after {seconds} s", image.display())]
    StillHeld {
        /// The loop device.
        device: String,
        /// What it shows.
        image: PathBuf,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The words of the command line are not understood.
    #[error("{word}: not understood; see --help")]
    Usage {
        /// The first such word.
        word: String,
    },
    /// What is found is no number, name or fact that the rig knows.
    #[error("{what}: found {found}")]
    Unexpected {
        /// What was looked at.
        what: &'static str,
        /// What it was.
        found: String,
    },
}

impl RigError {
    /// A failed use of a file.
    pub fn file(path: &Path, source: impl Into<io::Error>) -> Self {
        Self::File {
            path: path.to_owned(),
            source: source.into(),
        }
    }

    /// A failed talk with a program.
    pub fn program(program: &str, source: io::Error) -> Self {
        Self::Program {
            program: program.to_owned(),
            source,
        }
    }

    /// Makes the closure that `map_err` wants, for a system call.
    pub fn call(what: impl Into<String>) -> impl FnOnce(nix::errno::Errno) -> Self {
        let what = what.into();
        move |source| Self::Call { what, source }
    }
}
