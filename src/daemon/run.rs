//! The daemon's own life, from its lock to its end. Upholds: it says that it is ready only when it can
//! be asked; nothing it leaves behind is believed by anybody.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{dup2_stderr, dup2_stdout, setsid};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::durable::{self, FileError};
use crate::identity::{HostKey, HostKeyError};
use crate::peer::{BindError, Network, NetworkFacts};

use super::auto_up::{AutoUpFacts, keep_up_to_date};
use super::daemon_lock::{DaemonLock, DaemonLockError};
use super::log::Log;
use super::readiness::Manager;
use super::served::Served;
use super::server::{Ended, Server};

/// What the daemon tells the process that started it.
pub(super) const READY_LINE: &str = "ready\n";
/// What a second daemon tells it.
pub(super) const RUNNING_LINE: &str = "running\n";

/// Whether the daemon belongs to a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// It leaves its caller's session; standard output leads to `start`, which waits for one line.
    Detached,
    /// It stays where it is, and says on its log what it does.
    Foreground,
}

/// What a daemon is told at its start.
#[derive(Debug, Clone)]
pub struct DaemonFacts {
    /// What it is among the hosts of its domain.
    pub network: NetworkFacts,
    /// When it brings this host up to date.
    pub auto_up: AutoUpFacts,
    /// The service manager that waits for it.
    pub manager: Manager,
    /// The time.
    pub now: SystemTime,
}

/// Why the daemon did not run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Another one does, or the lock could not be taken.
    #[error(transparent)]
    Lock(#[from] DaemonLockError),
    /// A file could not be written, or the socket not bound.
    #[error(transparent)]
    File(#[from] FileError),
    /// The host's key cannot be used.
    #[error(transparent)]
    Key(#[from] HostKeyError),
    /// Peers could not reach it.
    #[error(transparent)]
    Port(#[from] BindError),
    /// The port failed while it ran.
    #[error("the UDP port was closed under the daemon")]
    Deaf,
    /// It could not be detached from its caller.
    #[error("cannot leave the caller's session")]
    Detach(#[source] io::Error),
    /// The runtime or its signal handlers could not be made.
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
}

/// Runs the daemon until SIGTERM, SIGINT or a verb ends it. Needs a process of its own, in which
/// nothing else happened: it changes session, directory, umask and standard streams when detached.
pub fn run(facts: &DaemonFacts, attachment: Attachment, log: Log) -> Result<(), DaemonError> {
    let home = &facts.network.home;
    durable::create_directories(&home.conf())?;
    let lock = match DaemonLock::take(home) {
        Ok(lock) => lock,
        Err(error) => {
            let is_running = matches!(error, DaemonLockError::Running { .. });
            if attachment == Attachment::Detached && is_running {
                say(RUNNING_LINE).map_err(DaemonError::Detach)?;
            }
            return Err(error.into());
        }
    };
    if attachment == Attachment::Detached {
        leave_caller().map_err(DaemonError::Detach)?;
    }
    log.install();
    raise_file_limit();
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_all().build().map_err(DaemonError::Runtime)?;
    runtime.block_on(serve(facts, attachment))?;
    // Connections end here, the lock last, so that who waits for the lock waits for all.
    drop(runtime);
    drop(lock);
    Ok(())
}

/// Binds, says so, serves, cleans up.
async fn serve(facts: &DaemonFacts, attachment: Attachment) -> Result<(), DaemonError> {
    let home = &facts.network.home;
    let mut signals = Signals::catch().map_err(DaemonError::Runtime)?;
    let key = Arc::new(HostKey::load_or_create(&home.host_key())?);
    let network = Network::start(facts.network.clone(), &key)?;
    let socket = home.control_socket();
    // The file stays behind, as in the original: it says that a daemon once ran here.
    let pid = format!("{}\n", std::process::id());
    durable::replace(&home.pid_file(), pid.as_bytes())?;
    // It ends with the runtime.
    tokio::spawn(keep_up_to_date(facts.auto_up.clone(), network.clone()));
    let served = Served::new(facts, network.clone());
    let server = Server::bind(&socket, served)?;
    let (domain, port) = (&facts.network.domain, facts.network.port);
    let place = home.as_path().display();
    tracing::info!("daemon of {domain} started on {place}, UDP port {port}");
    if attachment == Attachment::Detached {
        say(READY_LINE)
            .and_then(|()| leave_streams())
            .map_err(DaemonError::Detach)?;
    }
    facts.manager.is_ready();
    let told = async {
        tokio::select! {
            () = signals.told_to_end() => true,
            () = network.deaf() => false,
        }
    };
    let mut is_told = true;
    let ended = server.serve(async { is_told = told.await }).await;
    facts.manager.is_stopping();
    durable::remove(&socket)?;
    match ended {
        Ended::Asked => tracing::info!("daemon stops, a verb asked for it"),
        Ended::Told if is_told => tracing::info!("daemon stops, a signal asked for it"),
        // A service manager starts it again.
        Ended::Told => return Err(DaemonError::Deaf),
    }
    network.stop().await;
    Ok(())
}

/// The signals that end the daemon, and the one that must not.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    _ignored_hangup: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _ignored_hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn told_to_end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// As many open files as this process may have: each branch and each blob under way takes one.
fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(errno) = raised {
        tracing::warn!("no more files can be open at once: {errno}");
    }
}

/// A session of its own, no directory kept busy, files for root only.
fn leave_caller() -> io::Result<()> {
    setsid()?;
    std::env::set_current_dir(Path::new("/"))?;
    umask(Mode::from_bits_truncate(0o077));
    Ok(())
}

/// Tells the process that started this one.
fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout();
    match out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
        // It was killed meanwhile, which is no reason not to run.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Lets go of the caller's streams; the pipe to `start` closes with them.
fn leave_streams() -> io::Result<()> {
    let null = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    dup2_stdout(null.as_fd())?;
    dup2_stderr(null.as_fd())?;
    Ok(())
}
