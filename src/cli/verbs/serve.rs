//! `start`, `stop`, `restart`, and the daemon itself. Upholds: `start` returns when the daemon can
//! be asked; a daemon that runs is left alone.

use std::io;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::keys::warn_of_weak;
use crate::cli::invocation::Place;
use crate::cli::{Failure, Member, Session};
use crate::daemon::client::{self, ClientError};
use crate::daemon::{
    self, Attachment, AutoUpFacts, DAEMON_VERB, DaemonFacts, DaemonStatus, Launch, Log, Manager,
    NOTIFY_SOCKET, Standing, Started, Stopped, running_daemon,
};
use crate::durable::FileError;
use crate::identity::HmacKeys;
use crate::model::{Home, Moment};
use crate::peer::NetworkFacts;
use crate::ui::exit::ExitCode;

/// How long it may take to hear that something changed.
const TELL_PATIENCE: Duration = Duration::from_secs(1);

/// How long `status` waits for what it says.
const STATUS_PATIENCE: Duration = Duration::from_secs(2);

/// How long a daemon may take until it can be asked; it reads a few small files.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts the daemon.
pub fn start(session: &mut Session, place: Place) -> Result<ExitCode, Failure> {
    let member = session.member()?;
    match place {
        Place::Background => start_detached(session, &member),
        Place::Foreground => {
            let log = Log::Stream(Box::new(io::stderr()));
            daemon::run(&facts(session, &member), Attachment::Foreground, log)?;
            Ok(ExitCode::Ok)
        }
    }
}

/// Stops the daemon.
pub fn stop(session: &mut Session) -> Result<ExitCode, Failure> {
    let member = session.member()?;
    match daemon::stop(member.home())? {
        Stopped::Now(pid) => session.out.info(&format!("stopped, was process {pid}")),
        Stopped::Already => session.out.info("already stopped"),
        Stopped::NoPidFile => return Err(Failure::new(ExitCode::Failure, "no pid file found")),
    }
    Ok(ExitCode::Ok)
}

/// Stops the daemon, if it runs, and starts it.
pub fn restart(session: &mut Session) -> Result<ExitCode, Failure> {
    let member = session.member()?;
    match daemon::stop(member.home())? {
        Stopped::Now(pid) => session.out.info(&format!("stopped, was process {pid}")),
        Stopped::Already | Stopped::NoPidFile => {}
    }
    start_detached(session, &member)
}

/// Is the daemon, in a process that `start` made.
pub fn daemon(session: &mut Session) -> Result<ExitCode, Failure> {
    let member = session.member()?;
    daemon::run(
        &facts(session, &member),
        Attachment::Detached,
        Log::syslog(),
    )?;
    Ok(ExitCode::Ok)
}

/// The daemon's process, if it runs. Does not wait for its answer.
pub(super) fn daemon_pid(member: &Member) -> Result<Option<u32>, Failure> {
    Ok(running_daemon(member.home())?)
}

pub(super) fn start_detached(session: &mut Session, member: &Member) -> Result<ExitCode, Failure> {
    let program = std::env::current_exe();
    let program = program.map_err(FileError::of("find", Path::new("/proc/self/exe")))?;
    let mut args = session.flags_for_daemon();
    args.push(DAEMON_VERB.into());
    let launch = Launch {
        program,
        args,
        patience: PATIENCE,
    };
    match daemon::start(member.home(), &launch)? {
        Started::Now(pid) => session.out.info(&format!("started, process {pid}")),
        Started::Already(pid) => session.out.info(&format!("already running, process {pid}")),
    }
    // What cannot be read is told by the daemon, which tries again.
    if let Ok(keys) = HmacKeys::load(&member.settings.hmac_keys.value) {
        warn_of_weak(session, &keys);
    }
    Ok(ExitCode::Ok)
}

/// Has the daemon, if one runs, look at what changed here and tell the other hosts; it looks by itself
/// some seconds later in any case.
pub(super) fn tell_daemon(session: &mut Session, home: &Home) {
    match client::look(home, TELL_PATIENCE) {
        Ok(()) | Err(ClientError::NotRunning) => {}
        Err(error) => session
            .out
            .warning(&format!("the other hosts hear of it later: {error}")),
    }
}

/// What the daemon says of itself and the other hosts; `None` when it does not run or does not answer.
pub(super) fn daemon_status(member: &Member) -> Option<DaemonStatus> {
    client::status(member.home(), STATUS_PATIENCE).ok()
}

/// How the own branch stands, as far as the daemon knows without asking anybody.
pub(super) fn daemon_standing(member: &Member) -> Option<Standing> {
    client::standing(member.home(), member.branch(), STATUS_PATIENCE).ok()
}

fn facts(session: &Session, member: &Member) -> DaemonFacts {
    let settings = &member.settings;
    let network = NetworkFacts {
        home: member.home().clone(),
        domain: member.domain.clone(),
        host: settings.host.value.clone(),
        branch: member.branch().clone(),
        port: settings.port.value,
        hmac_keys: settings.hmac_keys.value.clone(),
        discovers: !settings.no_broadcast.value,
        cache: settings.cache.value,
        voter_patience: Duration::from_secs(settings.voter_patience.value),
        nets: settings.nets.as_ref().map(|nets| nets.value.clone()),
    };
    let program = std::env::current_exe();
    DaemonFacts {
        auto_up: AutoUpFacts {
            mode: settings.auto_up.value,
            window: settings.up_window.as_ref().map(|window| window.value),
            jitter: Duration::from_secs(settings.up_jitter.value),
            // Where it cannot be told, the one of the search path is the same.
            program: program.unwrap_or_else(|_| "isconf".into()),
            flags: session.flags_for_daemon(),
            log: member.home().auto_up_log(),
        },
        network,
        manager: Manager::at(session.around.var(NOTIFY_SOCKET).map(Into::into)),
        now: UNIX_EPOCH + (session.clock)().since(Moment::EPOCH),
    }
}
