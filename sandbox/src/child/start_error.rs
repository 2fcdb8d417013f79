//! Why a command did not start, and what a shell would make of it. Plain data.

use std::ffi::OsString;
use std::path::PathBuf;

use nix::errno::Errno;

/// Why a command did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The request has no program.
    #[error("no command is given")]
    Empty,
    /// An argument, a variable or the working directory contains a NUL byte.
    #[error("a NUL byte in {0:?}")]
    Nul(OsString),
    /// No such program.
    #[error("{}: command not found", program.display())]
    NotFound {
        /// As it was given.
        program: OsString,
    },
    /// The program is there and cannot be executed.
    #[error("cannot execute {}", program.display())]
    Execute {
        /// As it was given.
        program: OsString,
        /// The kernel's answer.
        #[source]
        source: Errno,
    },
    /// The working directory cannot be entered.
    #[error("cannot enter the working directory {}", path.display())]
    Cwd {
        /// The directory.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: Errno,
    },
    /// A preparation in the new process failed.
    #[error("cannot {operation} for the command")]
    Stage {
        /// What was tried.
        operation: &'static str,
        /// The kernel's answer.
        #[source]
        source: Errno,
    },
}

impl StartError {
    /// What a shell answers in its place: 127 for a program that is not there, else 126.
    pub fn shell_status(&self) -> u8 {
        match self {
            Self::NotFound { .. } => 127,
            Self::Empty
            | Self::Nul(_)
            | Self::Execute { .. }
            | Self::Cwd { .. }
            | Self::Stage { .. } => 126,
        }
    }

    /// The kernel's answer; `EINVAL` for what was not even tried.
    pub fn errno(&self) -> Errno {
        match self {
            Self::NotFound { .. } => Errno::ENOENT,
            Self::Empty | Self::Nul(_) => Errno::EINVAL,
            Self::Execute { source, .. }
            | Self::Cwd { source, .. }
            | Self::Stage { source, .. } => *source,
        }
    }
}
