//! What an entry does inside a scratchpad: runs a command, or installs a snapshot. Not for judging
//! or committing it. Upholds: origin and target do the same, from the same record.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use isconf_sandbox::change::{Digest, Node, RelPath, decode_nodes};
use isconf_sandbox::child::{Request, Stream};
use isconf_sandbox::fs::Dir;
use isconf_sandbox::session::{Exited, Mounted, StartError, WaitError};
use nix::errno::Errno;

use super::install::{InstallError, install};
use crate::model::report::{Description, Ending};
use crate::model::{EntryKind, Exec, Snap};
use crate::store::{Store, StoreError};

/// The longest manifest that is read: 100,000 objects with long names and attributes.
const MAX_MANIFEST_BYTES: u64 = 256 << 20;

/// What is to be done in the scratchpad.
#[derive(Debug)]
pub enum Work {
    /// Runs a command.
    Command(Exec),
    /// Installs these objects; parents are those not at or below one of the paths.
    Install {
        /// The paths that were snapped.
        paths: Vec<RelPath>,
        /// What was found there, and the parents.
        nodes: Vec<(RelPath, Node)>,
    },
    /// Opens an interactive shell.
    Shell(Exec),
}

/// Work that was done.
#[derive(Debug)]
pub struct Done {
    /// The scratchpad.
    pub exited: Exited,
    /// How the command ended.
    pub ending: Ending,
    /// Why it could not be started, for people.
    pub not_started: Option<String>,
}

/// Where the command's output goes and its input comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    /// All three streams are the caller's: the origin, and `try`.
    Callers,
    /// Input comes from the entry (or is empty), output is the caller's: replay.
    OutputOnly,
}

/// Why an entry could not be done in its scratchpad. A failing command is not such a reason.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// The content that it needs is not here.
    #[error("{what} is not at hand")]
    Content {
        /// Which content.
        what: &'static str,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The manifest cannot be read.
    #[error("the manifest {digest} is damaged")]
    Manifest {
        /// Which.
        digest: Digest,
        /// Why.
        #[source]
        source: isconf_sandbox::change::DecodeError,
    },
    /// The snapshot cannot be installed.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The command's process cannot be made, for a reason that is not the command's.
    #[error("the command's process cannot be made")]
    Start(#[source] StartError),
    /// The command cannot be supervised.
    #[error("the command cannot be supervised")]
    Wait(#[from] WaitError),
    /// The scratchpad's root cannot be opened.
    #[error("cannot open the scratchpad's root")]
    Root(#[source] Errno),
}

impl Work {
    /// Reads what the entry needs from the store. `None` for a reboot, which does nothing inside.
    pub fn of_entry(kind: &EntryKind, store: &Store) -> Result<Option<Self>, WorkError> {
        match kind {
            EntryKind::Exec(exec) => Ok(Some(Self::Command(exec.clone()))),
            EntryKind::Snap(snap) => Self::of_snap(snap, store).map(Some),
            EntryKind::Reboot => Ok(None),
        }
    }

    fn of_snap(snap: &Snap, store: &Store) -> Result<Self, WorkError> {
        let what = "the entry's manifest";
        let bytes = store
            .get(&snap.manifest, MAX_MANIFEST_BYTES)
            .map_err(|source| WorkError::Content { what, source })?;
        let nodes = decode_nodes(&bytes).map_err(|source| WorkError::Manifest {
            digest: snap.manifest,
            source,
        })?;
        Ok(Self::Install {
            paths: snap.paths.clone(),
            nodes: nodes.into_iter().collect(),
        })
    }

    /// The same for the report.
    pub fn description(&self) -> Description {
        match self {
            Self::Command(exec) => Description::Exec {
                argv: exec.argv.clone(),
                cwd: exec.cwd.clone(),
            },
            Self::Install { paths, .. } => Description::Snap {
                paths: paths.clone(),
            },
            Self::Shell(_) => Description::Shell,
        }
    }

    /// Does it in the scratchpad. A command that cannot be started is an ending, not an error.
    pub fn perform(
        &self,
        mounted: Mounted,
        store: &Store,
        terminal: Terminal,
    ) -> Result<Done, WorkError> {
        match self {
            Self::Command(exec) | Self::Shell(exec) => run(mounted, exec, store, terminal),
            Self::Install { paths, nodes } => {
                let root = mounted.root_fd().ok_or(WorkError::Root(Errno::EBADF))?;
                let root = Dir::open_at(root).map_err(WorkError::Root)?;
                install(&root, nodes, paths, store)?;
                drop(root);
                Ok(Done {
                    exited: mounted.written(),
                    ending: Ending::NoCommand,
                    not_started: None,
                })
            }
        }
    }
}

fn run(
    mounted: Mounted,
    exec: &Exec,
    store: &Store,
    terminal: Terminal,
) -> Result<Done, WorkError> {
    let request = Request {
        argv: exec.argv.iter().map(|arg| arg.to_os_string()).collect(),
        cwd: PathBuf::from(exec.cwd.to_os_string()),
        env: exec
            .env
            .iter()
            .map(|(n, v)| (n.to_os_string(), v.to_os_string()))
            .collect(),
        umask: exec.umask,
        stdin: stdin(exec, store, terminal)?,
        stdout: Stream::Inherit,
        stderr: Stream::Inherit,
    };
    match mounted.start(request) {
        Ok(running) => {
            let exited = running.wait()?;
            let ending = exited.exit().map_or(Ending::NoCommand, Ending::Exited);
            Ok(Done {
                exited,
                ending,
                not_started: None,
            })
        }
        Err((mounted, error)) => {
            let Some(errno) = start_errno(&error) else {
                return Err(WorkError::Start(error));
            };
            let ending = Ending::CouldNotStart(errno as i32);
            Ok(Done {
                exited: mounted.written(),
                ending,
                not_started: Some(sentence(&error)),
            })
        }
    }
}

/// The errno of a command that cannot be started; `None` when it is not the command's fault.
fn start_errno(error: &StartError) -> Option<Errno> {
    match error {
        StartError::NotFound { .. } | StartError::Empty => Some(Errno::ENOENT),
        StartError::Execute { source, .. } | StartError::Cwd { source, .. } => Some(*source),
        StartError::Nul(_) => Some(Errno::EINVAL),
        StartError::Stage { .. } => None,
    }
}

/// An error with its cause.
fn sentence(error: &StartError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn stdin(exec: &Exec, store: &Store, terminal: Terminal) -> Result<Stream, WorkError> {
    match (&exec.stdin, terminal) {
        (Some(digest), _) => {
            let what = "the command's standard input";
            let file: File = store
                .open_verified(digest)
                .map_err(|source| WorkError::Content { what, source })?;
            Ok(Stream::Given(OwnedFd::from(file)))
        }
        (None, Terminal::Callers) => Ok(Stream::Inherit),
        (None, Terminal::OutputOnly) => Ok(Stream::Null),
    }
}
