//! The first process of the scratchpad: builds the root, then keeps the namespaces alive and ends
//! the other processes when told. Not for the command. Upholds: it ends, and takes everything with
//! it, when the supervisor ends in whatever way.
//!
//! It notices that by end of file on its channel, and not by `PR_SET_PDEATHSIG`: that signal comes
//! when the *thread* ends that made the process, and the caller may have threads.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use caps::Capability;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sched::CloneFlags;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getppid, setsid};

use super::inmates::{Inmates, Sight, sight_of};
use super::leftover::leftover_processes;
use super::message::{Order, Report};
use super::tasks::has_more_tasks;
use crate::mounts::{self, Step};
use crate::reach::Reach;
use crate::sys::channel;
use crate::sys::clone::{Cloned, clone_process};
use crate::sys::process;
use crate::sys::scheduling;

/// Why the scratchpad could not be mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The kernel refused a mount operation.
    #[error("cannot {operation} {} in the scratchpad", place.display())]
    Step {
        /// What was tried.
        operation: &'static str,
        /// Where, as seen inside.
        place: PathBuf,
        /// The kernel's answer.
        #[source]
        source: Errno,
        /// Index into the steps of the plan.
        step: usize,
    },
    /// The process in its own namespaces could not be made, or did not live up to its part.
    #[error("cannot start the scratchpad's first process")]
    Init(#[from] InitError),
}

/// Why the first process could not be made or does not answer.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A channel to it could not be made.
    #[error("cannot make a socket pair")]
    Channel(#[source] Errno),
    /// The kernel refused the namespaces.
    #[error("cannot make a process in new mount, pid, ipc and uts namespaces")]
    Clone(#[source] Errno),
    /// It ended, or said something that it may not say now.
    #[error("the scratchpad's first process ended unexpectedly")]
    Gone,
    /// Talking to it failed.
    #[error("cannot talk to the scratchpad's first process")]
    Talk(#[source] Errno),
    /// Its root directory could not be opened.
    #[error("cannot open the scratchpad's root directory")]
    Root(#[source] Errno),
}

/// All that init needs once the root is built.
const INIT_CAPABILITY: Capability = Capability::CAP_KILL;

/// With the running system in reach it has to tell whose processes see its files, also of those that
/// changed their user: that is read with the rights of a tracer (proc(5), `/proc/pid/ns/`).
const LIVE_INIT_CAPABILITY: Capability = Capability::CAP_SYS_PTRACE;

/// The first process, as the supervisor sees it. Dropping it ends the scratchpad's processes and
/// with them its mounts.
#[derive(Debug)]
pub(crate) struct Init {
    reach: Reach,
    process: Cloned,
    /// `None` from when it was told to end.
    channel: Option<OwnedFd>,
    is_reaped: bool,
}

impl Init {
    /// Makes the process, which begins to perform the steps.
    pub(crate) fn begin(steps: &[Step], reach: Reach) -> Result<Self, InitError> {
        let (ours, theirs) = channel::pair().map_err(InitError::Channel)?;
        let flags = namespaces(reach);
        let mut life = || run(steps, theirs.as_fd(), reach);
        let process = clone_process(flags, &mut life).map_err(InitError::Clone)?;
        Ok(Self {
            reach,
            process,
            channel: Some(ours),
            is_reaped: false,
        })
    }

    /// Waits until the steps are performed, which are those it began with.
    pub(crate) fn ready(&self, steps: &[Step]) -> Result<(), MountError> {
        match self.listen()? {
            Report::Ready => Ok(()),
            Report::Failed { at, errno } => {
                let step = at as usize;
                Err(MountError::Step {
                    operation: steps.get(step).map_or("start with", Step::operation),
                    place: steps.get(step).map_or(PathBuf::from("/"), Step::place),
                    source: errno,
                    step,
                })
            }
            Report::Busy | Report::Watched { .. } => Err(InitError::Gone.into()),
        }
    }

    /// The supervisor's end of the channel: as long as anybody has it open, the process lives.
    pub(crate) fn channel(&self) -> Option<BorrowedFd<'_>> {
        self.channel.as_ref().map(AsFd::as_fd)
    }

    /// The descriptor that names the process, for joining its namespaces.
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.process.pidfd.as_fd()
    }

    /// Opens the root directory as seen inside. While it is open the mounts cannot go away.
    pub(crate) fn root(&self) -> Result<OwnedFd, InitError> {
        // The number cannot have passed to another process: this one is not reaped yet.
        let path = format!("/proc/{}/root", self.process.pid);
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        open(path.as_str(), flags, Mode::empty()).map_err(InitError::Root)
    }

    /// The processes besides init and the command that see the scratchpad, when they have no pid
    /// namespace of their own.
    fn inmates(&self) -> Result<Option<Inmates>, InitError> {
        match self.reach {
            Reach::Contained => Ok(None),
            Reach::Live => Inmates::of(self.process.pid)
                .map(Some)
                .map_err(InitError::Talk),
        }
    }

    /// The command lines of the processes besides init; `root` is its root directory.
    pub(crate) fn leftovers(&self, root: BorrowedFd<'_>) -> Result<Vec<String>, InitError> {
        Ok(match self.inmates()? {
            Some(inmates) => inmates.names(),
            None => leftover_processes(root),
        })
    }

    /// Whether there are processes besides init and the command.
    pub(crate) fn is_busy(&self) -> Result<bool, InitError> {
        if let Some(inmates) = self.inmates()? {
            return Ok(inmates.is_any());
        }
        self.order(Order::Count)?;
        match self.listen()? {
            Report::Ready => Ok(false),
            Report::Busy => Ok(true),
            Report::Watched { .. } | Report::Failed { .. } => Err(InitError::Gone),
        }
    }

    /// Asks all other processes to end.
    pub(crate) fn terminate(&self) -> Result<(), InitError> {
        if let Some(inmates) = self.inmates()? {
            inmates.signal(libc::SIGTERM);
            return Ok(());
        }
        self.order(Order::Terminate)
    }

    /// Ends all other processes; returns when those that are not the caller's own children (as the
    /// command is) are gone.
    pub(crate) fn kill(&self) -> Result<(), InitError> {
        if let Some(inmates) = self.inmates()? {
            inmates.kill();
            return Ok(());
        }
        self.order(Order::Kill)?;
        match self.listen()? {
            Report::Ready => Ok(()),
            Report::Busy | Report::Watched { .. } | Report::Failed { .. } => Err(InitError::Gone),
        }
    }

    /// Whether there are more processes and threads in the scratchpad with this root directory.
    pub(crate) fn has_more_tasks(&self, root: BorrowedFd<'_>, limit: u32) -> bool {
        match self.inmates() {
            Ok(Some(inmates)) => inmates.have_more_tasks(limit),
            Ok(None) => has_more_tasks(root, limit),
            // Who cannot be counted is looked for again at the end, where that is an error.
            Err(_) => false,
        }
    }

    /// The same as killing, when the others are so many that this process would wait long for its turn.
    pub(crate) fn kill_urgently(&self) -> Result<(), InitError> {
        // Without the right to it it takes longer.
        let _ = scheduling::raise(self.process.pid);
        self.kill()
    }

    /// Tells the process to end, and does not wait for that. Taking the mounts down is a good part of
    /// a short entry's time, in which the caller can do something else.
    pub(crate) fn let_go(&mut self) {
        self.channel = None;
    }

    /// Ends the process; when this returns all processes and mounts of the scratchpad are gone,
    /// provided that the caller has reaped the command and closed what it opened inside.
    pub(crate) fn end(mut self) -> Result<(), InitError> {
        self.finish()
    }

    fn finish(&mut self) -> Result<(), InitError> {
        self.let_go();
        while !self.is_reaped {
            match waitpid(self.process.pid, None) {
                Err(Errno::EINTR) => {}
                // A caller that ignores SIGCHLD has the kernel reap for it; gone is gone.
                Ok(_) | Err(Errno::ECHILD) => self.is_reaped = true,
                Err(errno) => return Err(InitError::Talk(errno)),
            }
        }
        Ok(())
    }

    fn order(&self, order: Order) -> Result<(), InitError> {
        let channel = self.channel.as_ref().ok_or(InitError::Gone)?;
        channel::send(channel.as_fd(), &[order.to_byte()]).map_err(|errno| match errno {
            Errno::EPIPE | Errno::ECONNRESET => InitError::Gone,
            errno => InitError::Talk(errno),
        })
    }

    fn listen(&self) -> Result<Report, InitError> {
        let channel = self.channel.as_ref().ok_or(InitError::Gone)?;
        loop {
            match channel::receive(channel.as_fd()) {
                Ok(message) if message.length == 0 => return Err(InitError::Gone),
                Ok(message) => return Report::from_bytes(message.bytes).ok_or(InitError::Gone),
                Err(Errno::EINTR) => {}
                Err(Errno::ECONNRESET) => return Err(InitError::Gone),
                Err(errno) => return Err(InitError::Talk(errno)),
            }
        }
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        // Nobody is left to be told; a process that cannot be waited for is not ours any more.
        let _ = self.finish();
    }
}

/// The life of the first process. Runs in the clone: no allocation, no lock (`clone_process`).
fn run(steps: &[Step], channel: BorrowedFd<'_>, reach: Reach) -> i32 {
    let live = match reach {
        Reach::Contained => Err(Errno::ESRCH),
        Reach::Live => sight_of(getppid()),
    };
    match build(steps, channel, reach) {
        Ok(()) => {
            if channel::send(channel, &Report::Ready.to_bytes()).is_ok() {
                match reach {
                    Reach::Contained => serve(channel),
                    // Its "all other processes" would be those of the machine.
                    Reach::Live => end_with_the_supervisor(channel, live),
                }
            }
            0
        }
        Err(failure) => {
            let report = Report::Failed {
                at: failure.0,
                errno: failure.1,
            };
            // If the supervisor is gone there is nobody to tell.
            let _ = channel::send(channel, &report.to_bytes());
            1
        }
    }
}

fn build(steps: &[Step], channel: BorrowedFd<'_>, reach: Reach) -> Result<(), (u32, Errno)> {
    let failed = |errno| (0, errno);
    // The caller's handlers must not run here, and its terminal's signals must not come here.
    SigSet::all().thread_block().map_err(failed)?;
    process::reset_signal_actions();
    // The kernel then reaps orphans by itself, as they come.
    process::ignore_children();
    process::close_all_but(channel).map_err(failed)?;
    setsid().map_err(failed)?;
    umask(Mode::empty());
    mounts::apply(steps).map_err(|failure| (failure.step as u32, failure.errno))?;
    let more = match reach {
        Reach::Contained => 0,
        Reach::Live => LIVE_INIT_CAPABILITY.bitmask(),
    };
    process::keep_capabilities(INIT_CAPABILITY.bitmask() | more).map_err(failed)
}

/// The namespaces of the first process, which the command joins.
pub(super) fn namespaces(reach: Reach) -> CloneFlags {
    match reach {
        Reach::Contained => {
            CloneFlags::CLONE_NEWNS
                | CloneFlags::CLONE_NEWPID
                | CloneFlags::CLONE_NEWIPC
                | CloneFlags::CLONE_NEWUTS
        }
        Reach::Live => CloneFlags::CLONE_NEWNS,
    }
}

/// Obeys nobody. When the supervisor closes its end, or is killed, it ends whom that left behind, as
/// the kernel does with a pid namespace.
fn end_with_the_supervisor(channel: BorrowedFd<'_>, live: Result<Sight, Errno>) {
    while let Err(Errno::EINTR) = channel::receive(channel) {}
    // Where they cannot be told from others for certain, nobody is ended.
    if let Ok(inmates) = live.and_then(Inmates::of_first_process) {
        inmates.kill();
    }
}

/// Obeys until the supervisor closes its end.
fn serve(channel: BorrowedFd<'_>) {
    loop {
        let order = match channel::receive(channel) {
            Ok(message) if message.length == 1 => Order::from_byte(message.bytes[0]),
            Err(Errno::EINTR) => continue,
            Ok(_) | Err(_) => return,
        };
        let everybody = Pid::from_raw(-1);
        let answer = match order {
            Some(Order::Count) => Some(count()),
            Some(Order::Terminate) => {
                // ESRCH: nobody is there, which is what was wanted.
                let _ = kill(everybody, Signal::SIGTERM);
                None
            }
            Some(Order::Kill) => {
                // ESRCH: nobody is there, which is what was wanted.
                let _ = kill(everybody, Signal::SIGKILL);
                // Children are reaped by the kernel; this ends with ECHILD when the last is gone.
                while matches!(waitpid(None, None), Ok(_) | Err(Errno::EINTR)) {}
                Some(Report::Ready)
            }
            None => return,
        };
        if answer.is_some_and(|answer| channel::send(channel, &answer.to_bytes()).is_err()) {
            return;
        }
    }
}

fn count() -> Report {
    match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        Err(Errno::ECHILD) => Report::Ready,
        Ok(_) | Err(_) => Report::Busy,
    }
}
