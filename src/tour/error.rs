//! What can go wrong with a throwaway host. Not for what goes wrong inside one: that is the exit
//! status of a command.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// The reasons why a throwaway host cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The caller is not root; namespaces with real mounts need it.
    #[error("a throwaway host needs root, and the effective uid is {uid}")]
    NotRoot {
        /// The effective uid of this process.
        uid: u32,
    },
    /// A program that builds the host is not installed.
    #[error("a throwaway host needs {tool}, which is in the Debian package {package}")]
    MissingTool {
        /// The program that was looked for in the usual directories.
        tool: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A file of the host, or of its work directory, could not be used.
    #[error("{}: {source}", path.display())]
    File {
        /// The file, as the failing side sees it.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A program could not be started or waited for.
    #[error("{command}: {source}")]
    Process {
        /// The command line.
        command: String,
        /// The cause.
        source: io::Error,
    },
    /// A set-up script ended before the host was ready.
    #[error(
        "host {host}: {phase} failed: {}\n(needs CAP_SYS_ADMIN, namespaces, and loop devices unless \
         the root is a tmpfs)",
        said.trim()
    )]
    SetUp {
        /// The host's name.
        host: String,
        /// The part of the set-up that failed.
        phase: &'static str,
        /// What the failing program wrote to standard error.
        said: String,
    },
    /// A command in the host did not end in time, and was killed.
    #[error("host {host}: {command} did not end within {}.{:03} s", limit.as_secs(), limit.subsec_millis())]
    TimedOut {
        /// The host's name.
        host: String,
        /// The command line.
        command: String,
        /// The time it was given.
        limit: Duration,
    },
    /// A command in the host failed where success was demanded.
    #[error("host {host}: {command} ended with {status}:\n{said}")]
    Failed {
        /// The host's name.
        host: String,
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// Its standard output and standard error.
        said: String,
    },
}

impl HostError {
    /// Names the file in an error of the operating system.
    pub(super) fn file(path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self::File {
            path: path.into(),
            source: source.into(),
        }
    }
}
