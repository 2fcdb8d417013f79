//! Bringing this host up to date by itself, where that is wanted: the daemon runs `isconf up`, as a person would. Upholds:
//! nothing is begun outside of the window; what was tried is not tried over and over; the daemon never waits for it.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;

use crate::durable::PRIVATE_FILE_MODE;
use crate::model::{AutoUp, BranchName, DailyWindow};
use crate::peer::Network;

/// How often it is looked whether there is something new.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long it takes until what did not go through is tried again without anything new, and what was busy.
const AFTER_FAILURE: Duration = Duration::from_secs(3600);
const AFTER_BUSY: Duration = Duration::from_secs(60);

/// The exit status of what may work later.
const RETRY: i32 = 75;

/// How a host brings itself up to date.
#[derive(Debug, Clone)]
pub struct AutoUpFacts {
    /// What is done.
    pub mode: AutoUp,
    /// When; `None` for at any time.
    pub window: Option<DailyWindow>,
    /// At most so long is waited before, so that hosts do not act in step.
    pub jitter: Duration,
    /// The program: this one.
    pub program: PathBuf,
    /// The flags that choose the settings.
    pub flags: Vec<OsString>,
    /// Where what it says goes.
    pub log: PathBuf,
}

/// What was tried last.
#[derive(Debug)]
struct Tried {
    at: (BranchName, u64),
    next: Option<Instant>,
}

/// Runs `up` whenever there is something new, as long as the daemon runs.
pub(super) async fn keep_up_to_date(facts: AutoUpFacts, network: Network) {
    if facts.mode == AutoUp::Off {
        return;
    }
    let mut tried: Option<Tried> = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(at) = new_head(&network, tried.as_ref()).await else {
            continue;
        };
        if !is_time(facts.window) {
            continue;
        }
        tokio::time::sleep(facts.jitter.mul_f32(fastrand::f32())).await;
        // The day went on.
        if !is_time(facts.window) {
            continue;
        }
        tracing::info!(
            "entry {} of branch {} is here: {} begins",
            at.1,
            at.0,
            words(&facts)
        );
        let next = match run(&facts).await {
            Ok(status) if status.success() => {
                tracing::info!("{} is done", words(&facts));
                None
            }
            Ok(status) => {
                let log = facts.log.display();
                tracing::warn!("{} ended with {status}; {log} says why", words(&facts));
                let is_busy = status.code() == Some(RETRY);
                Some(if is_busy { AFTER_BUSY } else { AFTER_FAILURE })
            }
            Err(error) => {
                tracing::warn!("{} could not be run: {error}", words(&facts));
                Some(AFTER_FAILURE)
            }
        };
        let next = next.map(|pause| Instant::now() + pause);
        tried = Some(Tried { at, next });
    }
}

/// The branch that this host follows and its last entry, if all that it needs is here and it was not tried.
async fn new_head(network: &Network, tried: Option<&Tried>) -> Option<(BranchName, u64)> {
    let branch = network.followed();
    let standing = network.standing(&branch).await;
    let at = (branch, standing.last);
    let is_whole = standing.last > 0 && standing.complete == standing.last;
    let is_due = tried.is_none_or(|tried| {
        tried.at != at || tried.next.is_some_and(|next| Instant::now() >= next)
    });
    (is_whole && is_due).then_some(at)
}

fn is_time(window: Option<DailyWindow>) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    window.is_none_or(|window| window.contains(now))
}

fn words(facts: &AutoUpFacts) -> String {
    format!("`isconf {}`", arguments(facts.mode).join(" "))
}

const fn arguments(mode: AutoUp) -> &'static [&'static str] {
    match mode {
        AutoUp::Off | AutoUp::On => &["up"],
        AutoUp::Noop => &["up", "--noop"],
        AutoUp::Reboot => &["up", "-r"],
    }
}

/// Runs it in a process of its own, which the end of the daemon does not touch.
async fn run(facts: &AutoUpFacts) -> io::Result<ExitStatus> {
    let log = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(PRIVATE_FILE_MODE)
        .open(&facts.log)?;
    let mut command = Command::new(&facts.program);
    command
        .args(&facts.flags)
        .args(arguments(facts.mode))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    let (ended, end) = oneshot::channel();
    // A thread of its own: the daemon's runtime would wait for it when it ends.
    std::thread::Builder::new().spawn(move || {
        let status = command.spawn().and_then(|mut child| child.wait());
        // The daemon may have ended.
        let _told = ended.send(status);
    })?;
    end.await.map_err(io::Error::other)?
}
