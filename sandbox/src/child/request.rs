//! What to run, and how it ended. Plain data.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use super::limits::Limits;

/// One command to run in a scratchpad.
#[derive(Debug)]
pub struct Request {
    /// Program and arguments; at least one. Without `/` the program is looked up in `PATH` of `env`,
    /// as execvp(3) does.
    pub argv: Vec<OsString>,
    /// The working directory, absolute, as seen inside.
    pub cwd: PathBuf,
    /// The complete environment.
    pub env: Vec<(OsString, OsString)>,
    /// The file mode creation mask.
    pub umask: u32,
    /// Standard input.
    pub stdin: Stream,
    /// Standard output.
    pub stdout: Stream,
    /// Standard error.
    pub stderr: Stream,
    /// Its process group.
    pub group: Group,
    /// The network that it sees.
    pub network: NetworkAccess,
    /// How much it may take.
    pub limits: Limits,
}

/// What network a command sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NetworkAccess {
    /// The host's.
    #[default]
    Host,
    /// None but a loopback of its own, which ends with it.
    Loopback,
}

/// The process group of a command: who else gets what its terminal sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// The caller's. Inside the scratchpad it has no number, as it lies outside.
    Callers,
    /// One of its own, which has the terminal: for an interactive shell. Some (dash) give the
    /// terminal back at their end to the group that they were started in, and need its number.
    Own,
}

/// A standard stream of the command.
#[derive(Debug)]
pub enum Stream {
    /// The caller's own.
    Inherit,
    /// `/dev/null`.
    Null,
    /// This descriptor.
    Given(OwnedFd),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// It ended by itself with this status, 0 to 255.
    Status(u8),
    /// This signal ended it.
    Signal(i32),
}

impl Exit {
    /// Whether it ended with status 0.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Status(0))
    }

    /// The status a shell would show: the status, or 128 and the signal's number.
    pub const fn shell_status(self) -> u8 {
        match self {
            Self::Status(status) => status,
            Self::Signal(signal) => 128u8.wrapping_add(signal as u8),
        }
    }
}

/// Something the command did or tried to do outside the filesystem.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Effect {
    /// What kind of thing.
    pub kind: EffectKind,
    /// The operation, as its system call is named: `mount`, `reboot`, `clock_settime`, ...
    pub operation: String,
    /// What it aimed at, named for people: a path, a device, a host name; empty when there is none.
    pub target: String,
    /// The process: the bytes of its `argv`, joined by spaces, shortened, escaped.
    pub process: String,
    /// What became of it.
    pub outcome: EffectOutcome,
    /// How many times the same thing was seen.
    pub count: u32,
}

/// The kinds of effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(
    missing_docs,
    reason = "the names are the documentation; docs/effects.md has the table"
)]
pub enum EffectKind {
    Mount,
    Reboot,
    KernelModule,
    Sysctl,
    Clock,
    HostName,
    RawDevice,
    Swap,
    Signal,
    Socket,
    Network,
    Process,
    Service,
    DBus,
    NetworkSettings,
    Ipc,
    Other,
}

impl EffectKind {
    /// Its name in words; with underscores for blanks it is the name in files and for programs.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Mount => "mount",
            Self::Reboot => "reboot",
            Self::KernelModule => "kernel module",
            Self::Sysctl => "sysctl",
            Self::Clock => "clock",
            Self::HostName => "host name",
            Self::RawDevice => "raw device",
            Self::Swap => "swap",
            Self::Signal => "signal",
            Self::Socket => "socket",
            Self::Network => "network",
            Self::Process => "process",
            Self::Service => "service",
            Self::DBus => "d-bus",
            Self::NetworkSettings => "network settings",
            Self::Ipc => "ipc",
            Self::Other => "other",
        }
    }

    /// Its name in files and for programs.
    pub fn name(self) -> String {
        self.words().replace([' ', '-'], "_")
    }
}

/// What became of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EffectOutcome {
    /// It failed with this errno, and the command saw that.
    Refused(i32),
    /// It took place inside the scratchpad only, and is gone with it.
    Contained,
    /// It took place.
    Allowed,
    /// It takes place right after the commit.
    Deferred,
}

/// The time each phase of a run took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Phases {
    /// Making directories, planning, cloning, mounting.
    pub set_up: Duration,
    /// The command.
    pub run: Duration,
    /// Reading the upper layer.
    pub collect: Duration,
    /// From the first check to the durable receipt.
    pub commit: Duration,
}

/// A system call's effect: kind, target, outcome.
pub(super) type Named = (EffectKind, String, EffectOutcome);

/// What was seen of a system call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Sight {
    /// Its effect; `None` when it has none.
    pub named: Option<Named>,
    /// The errno with which it fails; `None` when the kernel performs it.
    pub fails: Option<i32>,
}

impl Sight {
    /// The same, left to the kernel, with nothing in its way.
    pub(super) fn allowed(self) -> Self {
        let named = self.named;
        Self {
            named: named.map(|(kind, target, _)| (kind, target, EffectOutcome::Allowed)),
            fails: None,
        }
    }

    /// Named, and left to the kernel.
    pub(super) fn seen(kind: EffectKind, target: String, outcome: EffectOutcome) -> Self {
        Self {
            named: Some((kind, target, outcome)),
            fails: None,
        }
    }

    /// Named, and made to fail.
    pub(super) fn refused(kind: EffectKind, target: String, errno: i32) -> Self {
        Self {
            named: Some((kind, target, EffectOutcome::Refused(errno))),
            fails: Some(errno),
        }
    }
}
