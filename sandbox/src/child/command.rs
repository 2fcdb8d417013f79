//! Starts one command in the scratchpad: prepares everything, clones, and in the clone joins the
//! namespaces, gives up rights and executes. Not for waiting for it (see `session`). Upholds:
//! filters come before rights are given up, so that `no_new_privs` stays off and setuid programs
//! work inside.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::SigSet;
use nix::sys::stat::{Mode, fstat, stat, umask};
use nix::sys::wait::waitpid;
use nix::unistd::{chdir, close};

use super::filter::filter;
use super::init::{Init, namespaces};
use super::limits::Limits;
use super::live::Live;
use super::message::{Report, RootIdentity};
use super::request::{Group, NetworkAccess, Request, Stream};
use super::rights::KEPT_CAPABILITIES;
use super::start_error::StartError;
use super::streams::set_streams;
use super::watcher::{Tally, Watcher};
use crate::reach::Reach;
use crate::services::{Desk, Expected};
use crate::sys::channel;
use crate::sys::clone::{Cloned, clone_process, descriptor_of, send_signal};
use crate::sys::descriptor::leave_network;
use crate::sys::process::{self, Program};
use crate::sys::seccomp::{self, Instruction};

/// Where execvp(3) of glibc looks when `PATH` is not set.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// What the kernel offers to fence a command in, besides namespaces and capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Isolation {
    /// Whether system calls are watched.
    pub watches: bool,
    /// Whether Landlock scopes are used.
    pub scopes: bool,
    /// How much is left in reach.
    pub reach: Reach,
}

impl Isolation {
    /// What this kernel can do.
    pub(crate) fn probe(reach: Reach) -> Self {
        let has_scopes = process::landlock_abi() >= process::LANDLOCK_ABI_WITH_SCOPES;
        Self {
            watches: seccomp::has_user_notification(),
            scopes: has_scopes && reach == Reach::Contained,
            reach,
        }
    }
}

/// A command that runs.
#[derive(Debug)]
pub(crate) struct Started {
    pub process: Cloned,
    /// Where its rare system calls are notified.
    pub watcher: Option<Watcher>,
    /// How much it may take.
    pub limits: Limits,
    /// What they did so far.
    pub tally: Tally,
}

/// What the clone does in turn; the number crosses the channel when it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Stage {
    Wait,
    Join,
    Root,
    Network,
    Streams,
    Scopes,
    Watch,
    Cwd,
    Rights,
    Signals,
    Execute,
}

impl Stage {
    const ALL: [(Self, &'static str); 11] = [
        (Self::Wait, "wait for the mounts"),
        (Self::Join, "join the scratchpad's namespaces"),
        (Self::Root, "make sure of the scratchpad's root directory"),
        (Self::Network, "make a network with a loopback only"),
        (Self::Streams, "set up the standard streams"),
        (Self::Scopes, "restrict signals and sockets"),
        (Self::Watch, "install the system call filter"),
        (Self::Cwd, "enter the working directory"),
        (Self::Rights, "give up capabilities"),
        (Self::Signals, "reset signals and descriptors"),
        (Self::Execute, "execute the program"),
    ];
}

/// Everything the clone uses, made before it.
struct Prepared<'a> {
    init: BorrowedFd<'a>,
    channel: BorrowedFd<'a>,
    /// The supervisor's descriptors. What a process has open here it could not see the end of, and
    /// would live on when the supervisor is killed.
    supervisors: [Option<RawFd>; 2],
    rules: Option<BorrowedFd<'a>>,
    filter: Option<&'a [Instruction]>,
    streams: [Option<&'a Stream>; 3],
    takes_terminal: bool,
    network: NetworkAccess,
    cwd: CString,
    umask: Mode,
    signals: SigSet,
    /// Those of the first process that it joins, but the one it is born into.
    namespaces: CloneFlags,
    /// `None`: all.
    capabilities: Option<u64>,
    program: Program,
}

/// A process that will be the command, and waits for the mounts. Making it is a good part of a
/// short command's time, in which the mounts are made. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// `None` when it is not ours to end any more.
    process: Option<Cloned>,
    channel: OwnedFd,
    reach: Reach,
    expected: Expected,
}

/// Makes the command's process. `signals` is the mask it starts with, `expected` what service managers
/// were asked before it.
pub(crate) fn prepare(
    init: &Init,
    request: &Request,
    isolation: Isolation,
    signals: SigSet,
    expected: Expected,
) -> Result<Waiting, StartError> {
    let (ours, theirs) = channel::pair().map_err(failed("make a socket pair"))?;
    let rules = isolation
        .scopes
        .then(process::landlock_scopes)
        .transpose()
        .map_err(failed("restrict signals and sockets"))?;
    let filter = isolation.watches.then(filter);
    let mut prepared = Prepared {
        init: init.pidfd(),
        channel: theirs.as_fd(),
        supervisors: [
            Some(ours.as_raw_fd()),
            init.channel().map(|fd| fd.as_raw_fd()),
        ],
        rules: rules.as_ref().map(AsFd::as_fd),
        filter,
        streams: [&request.stdin, &request.stdout, &request.stderr].map(Some),
        takes_terminal: request.group == Group::Own,
        network: request.network,
        cwd: c_string(request.cwd.as_os_str())?,
        umask: Mode::from_bits_truncate(request.umask),
        signals,
        namespaces: namespaces(isolation.reach) - CloneFlags::CLONE_NEWPID,
        capabilities: (isolation.reach == Reach::Contained).then(|| {
            let kept = KEPT_CAPABILITIES.iter();
            kept.fold(0, |mask, kept| mask | kept.bitmask())
        }),
        program: program(request)?,
    };
    let mut life = || run(&mut prepared);
    let process = match isolation.reach {
        Reach::Contained => clone_into(init, &mut life)?,
        Reach::Live => {
            clone_process(CloneFlags::empty(), &mut life).map_err(failed("make a process"))?
        }
    };
    Ok(Waiting {
        process: Some(process),
        channel: ours,
        reach: isolation.reach,
        expected,
    })
}

impl Waiting {
    /// Lets it become the command. `root` is the scratchpad's root directory, whose mounts are made.
    pub(crate) fn go(
        mut self,
        root: BorrowedFd<'_>,
        request: &Request,
    ) -> Result<Started, StartError> {
        let identity = RootIdentity::of(fstat(root).map_err(failed("look at the root directory"))?);
        // It may have failed and gone already; then it has said why.
        let _ = channel::send(self.channel.as_fd(), &identity.to_bytes());
        let gone = || failed("find the new process")(Errno::ESRCH);
        let process = self.process.as_ref().ok_or_else(gone)?;
        let said = self.listen(process, root)?;
        let process = self.process.take().ok_or_else(gone)?;
        match said.failure {
            None => Ok(Started {
                process,
                watcher: said.watcher,
                limits: request.limits,
                tally: said.tally,
            }),
            Some((stage, errno)) => {
                // It is about to end by itself; a failed wait means that it is gone already.
                let _ = waitpid(process.pid, None);
                Err(describe(stage, errno, request))
            }
        }
    }
}

impl Waiting {
    /// Reads what the command has to say until it executes or fails. To execute is a watched call.
    fn listen(&self, process: &Cloned, root: BorrowedFd<'_>) -> Result<Said, StartError> {
        let channel = &self.channel;
        let supervise = failed("supervise the new process");
        let mut said = Said::default();
        loop {
            if let Some(watcher) = &mut said.watcher {
                let ready =
                    wait_for_either(channel.as_fd(), watcher.as_fd()).map_err(&supervise)?;
                if ready == Ready::Call {
                    watcher.serve(&mut said.tally).map_err(&supervise)?;
                    continue;
                }
            }
            let message = match channel::receive(channel.as_fd()) {
                Err(Errno::EINTR) => continue,
                received => received.map_err(failed("talk to the new process"))?,
            };
            if message.length == 0 {
                return Ok(said);
            }
            match Report::from_bytes(message.bytes) {
                Some(Report::Watched { listener }) => {
                    let listener =
                        descriptor_of(process.pidfd.as_fd(), listener).map_err(&supervise)?;
                    let live = Live::new(Some(root), process.pid.as_raw(), self.reach);
                    said.watcher = Some(self.watcher(listener, root, live).map_err(&supervise)?);
                }
                Some(Report::Failed { at, errno }) => {
                    said.failure = Some((at, errno));
                    return Ok(said);
                }
                Some(Report::Ready | Report::Busy) | None => {
                    return Err(failed("understand the new process")(Errno::EPROTO));
                }
            }
        }
    }

    /// Answers its watched calls. With the running system in reach, so are service managers.
    fn watcher(
        &self,
        listener: OwnedFd,
        root: BorrowedFd<'_>,
        live: Live,
    ) -> Result<Watcher, Errno> {
        let copy = || root.try_clone_to_owned().map_err(|_| Errno::EMFILE);
        let desk = match self.reach {
            Reach::Contained => Desk::deferring(copy()?, self.expected.clone()),
            Reach::Live => Desk::at_once(copy()?),
        };
        Ok(Watcher::new(listener, live, copy()?, desk, self.reach))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(process) = &self.process {
            // ESRCH and ECHILD mean that it is gone already.
            let _ = kill(process);
            let _ = waitpid(process.pid, None);
        }
    }
}

/// Ends the process by `SIGKILL`.
pub(crate) fn kill(process: &Cloned) -> Result<(), Errno> {
    send_signal(process.pidfd.as_fd(), libc::SIGKILL)
}

fn failed(operation: &'static str) -> impl Fn(Errno) -> StartError {
    move |source| StartError::Stage { operation, source }
}

/// Clones into init's pid namespace. A process's pid namespace is fixed when it is made, so this
/// thread says for a moment that its children go there (pid_namespaces(7)); no other thread is
/// concerned. The alternative, an intermediate process that joins and clones with `CLONE_PARENT`,
/// costs one process more for each command.
fn clone_into(init: &Init, job: &mut dyn FnMut() -> i32) -> Result<Cloned, StartError> {
    let own = open(
        c"/proc/thread-self/ns/pid",
        OFlag::O_RDONLY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
    .map_err(failed("open the own pid namespace"))?;
    setns(init.pidfd(), CloneFlags::CLONE_NEWPID)
        .map_err(failed("join the scratchpad's pid namespace"))?;
    let cloned = clone_process(CloneFlags::empty(), job);
    setns(own, CloneFlags::CLONE_NEWPID).map_err(failed("go back to the own pid namespace"))?;
    cloned.map_err(failed("make a process"))
}

/// What the command said and did before it executed or failed.
#[derive(Debug, Default)]
struct Said {
    watcher: Option<Watcher>,
    tally: Tally,
    /// The number of the stage, and the kernel's answer.
    failure: Option<(u32, Errno)>,
}

/// What there is to do.
#[derive(Debug, PartialEq, Eq)]
enum Ready {
    /// A call waits for its answer.
    Call,
    /// The process has something to say, or nothing any more.
    Message,
}

fn wait_for_either(channel: BorrowedFd<'_>, calls: BorrowedFd<'_>) -> Result<Ready, Errno> {
    let mut fds = [
        PollFd::new(calls, PollFlags::POLLIN),
        PollFd::new(channel, PollFlags::POLLIN),
    ];
    loop {
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(_) => {
                let calls = fds[0].revents();
                let is_call = calls.is_some_and(|events| events.contains(PollFlags::POLLIN));
                return Ok(if is_call { Ready::Call } else { Ready::Message });
            }
        }
    }
}

fn describe(stage: u32, errno: Errno, request: &Request) -> StartError {
    let program = || request.argv.first().cloned().unwrap_or_default();
    let known = Stage::ALL.iter().find(|(s, _)| *s as u32 == stage);
    match known {
        Some((Stage::Cwd, _)) => StartError::Cwd {
            path: request.cwd.clone(),
            source: errno,
        },
        Some((Stage::Execute, _)) if errno == Errno::ENOENT => {
            StartError::NotFound { program: program() }
        }
        Some((Stage::Execute, _)) => StartError::Execute {
            program: program(),
            source: errno,
        },
        Some((_, operation)) => failed(operation)(errno),
        None => failed("prepare the new process")(errno),
    }
}

fn c_string(text: &OsStr) -> Result<CString, StartError> {
    CString::new(text.as_bytes()).map_err(|_| StartError::Nul(text.to_owned()))
}

fn program(request: &Request) -> Result<Program, StartError> {
    let name = request.argv.first().ok_or(StartError::Empty)?;
    let argv = request.argv.iter().map(|a| c_string(a));
    let environment = request.env.iter().map(|(key, value)| {
        let mut text = key.clone();
        text.push("=");
        text.push(value);
        c_string(&text)
    });
    let path = request.env.iter().find(|(key, _)| key == "PATH");
    let path = path.map_or(DEFAULT_PATH, |(_, value)| value.as_bytes());
    Ok(Program::new(
        candidates(name, path)?,
        argv.collect::<Result<_, _>>()?,
        environment.collect::<Result<_, _>>()?,
    ))
}

/// The paths to try, as execvp(3) does: the name itself if it has a slash, else in each directory
/// of `path`, where an empty one is the working directory.
fn candidates(name: &OsStr, path: &[u8]) -> Result<Vec<CString>, StartError> {
    if name.is_empty() {
        return Ok(Vec::new());
    }
    if name.as_bytes().contains(&b'/') {
        return Ok(vec![c_string(name)?]);
    }
    path.split(|b| *b == b':')
        .map(|directory| {
            let mut bytes = directory.to_vec();
            if !bytes.is_empty() {
                bytes.push(b'/');
            }
            bytes.extend_from_slice(name.as_bytes());
            c_string(&OsString::from_vec(bytes))
        })
        .collect()
}

/// The clone's way to exec. Runs in the clone: no allocation, no lock (`clone_process`).
fn run(prepared: &mut Prepared<'_>) -> i32 {
    let (stage, errno) = match become_ready(prepared) {
        Ok(()) => (Stage::Execute, prepared.program.execute()),
        Err(failure) => failure,
    };
    let at = stage as u32;
    // If the supervisor is gone there is nobody to tell.
    let _ = channel::send(prepared.channel, &Report::Failed { at, errno }.to_bytes());
    127
}

fn become_ready(prepared: &mut Prepared<'_>) -> Result<(), (Stage, Errno)> {
    let at = |stage| move |errno| (stage, errno);
    for descriptor in prepared.supervisors.into_iter().flatten() {
        close(descriptor).map_err(at(Stage::Wait))?;
    }
    let root = wait_for_mounts(prepared.channel).map_err(at(Stage::Wait))?;
    setns(prepared.init, prepared.namespaces).map_err(at(Stage::Join))?;
    // It always is; but nothing is worse than a command that runs on the live root in the belief
    // that it is a copy.
    if RootIdentity::of(stat(c"/").map_err(at(Stage::Root))?) != root {
        return Err((Stage::Root, Errno::EXDEV));
    }
    if prepared.network == NetworkAccess::Loopback {
        leave_network().map_err(at(Stage::Network))?;
    }
    set_streams(&prepared.streams).map_err(at(Stage::Streams))?;
    if prepared.takes_terminal {
        process::take_terminal().map_err(at(Stage::Streams))?;
    }
    if let Some(rules) = prepared.rules {
        process::landlock_restrict(rules).map_err(at(Stage::Scopes))?;
    }
    if let Some(filter) = prepared.filter {
        // Open until it executes: by then the supervisor has taken it, as it has to answer that call.
        let listener = seccomp::install(filter)
            .map_err(at(Stage::Watch))?
            .into_raw_fd();
        let watched = Report::Watched { listener }.to_bytes();
        channel::send(prepared.channel, &watched).map_err(at(Stage::Watch))?;
    }
    umask(prepared.umask);
    chdir(prepared.cwd.as_c_str()).map_err(at(Stage::Cwd))?;
    if let Some(capabilities) = prepared.capabilities {
        process::keep_capabilities(capabilities).map_err(at(Stage::Rights))?;
    }
    process::reset_signal_actions();
    process::close_on_exec_from_3().map_err(at(Stage::Signals))?;
    prepared
        .signals
        .thread_set_mask()
        .map_err(at(Stage::Signals))
}

/// Waits for the word that the mounts are made; it says which root directory they have. An error
/// when the supervisor ends instead.
fn wait_for_mounts(channel: BorrowedFd<'_>) -> Result<RootIdentity, Errno> {
    loop {
        match channel::receive(channel) {
            Ok(message) if message.length == message.bytes.len() => {
                return Ok(RootIdentity::from_bytes(message.bytes));
            }
            Ok(_) => return Err(Errno::EPIPE),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
