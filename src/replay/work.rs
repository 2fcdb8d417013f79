//! What an entry does inside a scratchpad: runs a command, or installs a snapshot. Not for judging
//! or committing it. Upholds: origin and target do the same, from the same record.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use isconf_sandbox::change::{Digest, Node, RelPath, decode_nodes};
use isconf_sandbox::child::{Group, NetworkAccess, Request, Stream};
use isconf_sandbox::fs::Dir;
use isconf_sandbox::reach::Reach;
use isconf_sandbox::session::{
    Exited, LaunchError, MountError, Mounted, Prepared, Running, StartError, WaitError,
};
use nix::errno::Errno;

use super::commit::chain;
use super::install::{InstallError, install};
use super::limits::limits;
use super::trial::Bench;
use crate::model::report::{Description, Ending};
use crate::model::{Bytes, EntryKind, Exec, Handling, Network, Snap};
use crate::store::{MAX_LIST_BYTES, Store, StoreError};

/// What is to be done in the scratchpad.
#[derive(Debug, Clone)]
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

/// Where work is done.
#[derive(Debug)]
pub enum Scratchpad {
    /// Nothing is mounted yet; a command's process can be made while that is done.
    Fresh(Box<Prepared>),
    /// Entries before this one ran in it.
    Used(Box<Mounted>),
}

impl Scratchpad {
    fn mounted(self) -> Result<Mounted, MountError> {
        match self {
            Self::Fresh(prepared) => prepared.mount(),
            Self::Used(mounted) => Ok(*mounted),
        }
    }

    fn start(self, request: Request) -> Result<Running, LaunchError> {
        match self {
            Self::Fresh(prepared) => prepared.launch(request),
            Self::Used(mounted) => mounted
                .start(request)
                .map_err(|(mounted, error)| LaunchError::Start(Box::new(mounted), error)),
        }
    }
}

/// Where the command's streams lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    /// Its standard input, when the entry brings none.
    pub input: Input,
    /// Its standard output; standard error is always the caller's.
    pub output: Output,
}

/// Where a command's input comes from when its entry brings none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// From the caller: the origin, and `try`.
    Callers,
    /// From nowhere: replay, which nobody need watch.
    Nothing,
}

/// Where a command's output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// To the caller's standard output.
    Callers,
    /// To standard error, because standard output is for programs.
    Aside,
    /// Nowhere, and its standard error neither: it was seen already.
    Nowhere,
}

/// How much of the running system a command reaches in the run that counts.
pub const fn reach(handling: Handling) -> Reach {
    match handling {
        Handling::Refuse | Handling::Contain => Reach::Contained,
        Handling::Live => Reach::Live,
    }
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
    /// The scratchpad cannot be mounted.
    #[error("the scratchpad cannot be mounted")]
    Mount(#[from] MountError),
    /// The command's process cannot be made, for a reason that is not the command's.
    #[error("the command's process cannot be made")]
    Start(#[source] StartError),
    /// The command cannot be supervised.
    #[error("the command cannot be supervised")]
    Wait(#[from] WaitError),
    /// A descriptor cannot be had.
    #[error("cannot duplicate standard error")]
    Streams(#[source] std::io::Error),
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
            .get(&snap.manifest, MAX_LIST_BYTES)
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

    /// What is to become of its effects.
    pub fn handling(&self) -> Handling {
        match self {
            Self::Command(exec) => exec.effects,
            Self::Install { .. } => Handling::Refuse,
            Self::Shell(_) => Handling::Contain,
        }
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

    /// The same with another network.
    #[must_use]
    pub fn with_network(&self, network: Network) -> Self {
        let mut work = self.clone();
        match &mut work {
            Self::Command(exec) | Self::Shell(exec) => exec.network = network,
            Self::Install { .. } => {}
        }
        work
    }

    /// Does it in the scratchpad. A command that cannot be started is an ending, not an error.
    pub fn perform(&self, pad: Scratchpad, bench: Bench<'_>) -> Result<Done, WorkError> {
        match self {
            Self::Command(exec) => run(pad, exec, Group::Callers, bench),
            Self::Shell(exec) => run(pad, exec, Group::Own, bench),
            Self::Install { paths, nodes } => {
                let mounted = pad.mounted()?;
                let root = mounted.root_fd().ok_or(WorkError::Root(Errno::EBADF))?;
                let root = Dir::open_at(root).map_err(WorkError::Root)?;
                install(&root, nodes, paths, bench.store)?;
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

fn run(pad: Scratchpad, exec: &Exec, group: Group, bench: Bench<'_>) -> Result<Done, WorkError> {
    let recorded = exec
        .env
        .iter()
        .map(|(n, v)| (n.to_os_string(), v.to_os_string()));
    let request = Request {
        argv: exec.argv.iter().map(Bytes::to_os_string).collect(),
        cwd: PathBuf::from(exec.cwd.to_os_string()),
        env: bench.settings.command_environment(recorded),
        umask: exec.umask,
        stdin: stdin(exec, bench)?,
        stdout: stdout(bench.streams.output)?,
        stderr: match bench.streams.output {
            Output::Callers | Output::Aside => Stream::Inherit,
            Output::Nowhere => Stream::Null,
        },
        group,
        network: match exec.network {
            Network::Host => NetworkAccess::Host,
            Network::None => NetworkAccess::Loopback,
        },
        limits: limits(bench.settings),
    };
    match pad.start(request) {
        Ok(running) => {
            let exited = running.wait()?;
            let ending = exited.exit().map_or(Ending::NoCommand, Ending::Exited);
            Ok(Done {
                exited,
                ending,
                not_started: None,
            })
        }
        Err(LaunchError::Mount(error)) => Err(error.into()),
        Err(LaunchError::Start(mounted, error)) => {
            let Some(errno) = start_errno(&error) else {
                return Err(WorkError::Start(error));
            };
            let ending = Ending::CouldNotStart(errno as i32);
            Ok(Done {
                exited: mounted.written(),
                ending,
                not_started: Some(chain(&error)),
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

fn stdin(exec: &Exec, bench: Bench<'_>) -> Result<Stream, WorkError> {
    match (&exec.stdin, bench.streams.input) {
        (Some(digest), _) => {
            let what = "the command's standard input";
            let file: File = bench
                .store
                .open_verified(digest)
                .map_err(|source| WorkError::Content { what, source })?;
            Ok(Stream::Given(OwnedFd::from(file)))
        }
        (None, Input::Callers) => Ok(Stream::Inherit),
        (None, Input::Nothing) => Ok(Stream::Null),
    }
}

fn stdout(output: Output) -> Result<Stream, WorkError> {
    match output {
        Output::Callers => Ok(Stream::Inherit),
        Output::Nowhere => Ok(Stream::Null),
        Output::Aside => {
            let copy = std::io::stderr().as_fd().try_clone_to_owned();
            copy.map(Stream::Given).map_err(WorkError::Streams)
        }
    }
}
