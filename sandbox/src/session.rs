//! The phases of a transaction as types; moving on consumes the value before. Not for how any of
//! them works (see `mounts`, `child`, `collect`, `commit`). Upholds: whichever way a phase is left,
//! by error, by drop, by a signal, the processes are gone first, then the mounts, then the scratch
//! directories, then the lock, and only then do held-back signals take their effect.
//!
//! ```text
//!        ┌────────────launch───────────↓
//! Prepared ─mount→ Mounted ─start→ Running ─wait→ Exited ─end→ Ended ─discard→ nothing left
//!                     └───────────written───────────↑ │          ├──keep──→ scratch left, marked
//!                     ↑──────────────again────────────┘          └──into_approved→ (commit)
//! ```

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::time::{ClockId, clock_gettime};

use crate::change::{InvalidPath, RelPath, Timestamp};
use crate::child::{
    self, Foreground, Group, HeldSignals, Init, Isolation, Phases, Request, Waiting,
};
use crate::clock_watch::ClockWatch;
use crate::collect::Collector;
use crate::layout::{Layout, TxId};
use crate::mounts::{
    Disguise, DisguiseError, Inventory, InventoryError, Plan, PlanError, PlanSettings,
    ScratchError, SeenMount, Step, Uncovered, make_scratch, name_instead, other_names, plan,
};
use crate::reach::Reach;
use crate::services::Expected;
use crate::transaction::Transaction;

pub use crate::child::{MountError, StartError};
use crate::exited::Ran;

pub use crate::exited::{Approved, EndError, Ended, Exited, Hold};
pub use crate::running::{Running, WaitError};
pub use crate::transaction::{
    DirectoryError, DiscardError, KeepError, KeptHold, SweepError, Unneeded, hold_kept,
    is_committed, sweep,
};
pub use crate::volumes_file::{VolumesError, kept_layout};

/// What a transaction is made with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory that holds the transactions, in `scratch`; made if it is not there.
    pub home: PathBuf,
    /// Mount points, with what is below, whose changes are captured and never committed.
    pub show_only: Vec<RelPath>,
    /// Paths that are empty inside.
    pub masked: Vec<RelPath>,
    /// How much of the running system a command reaches.
    pub reach: Reach,
    /// What is told of the host in place of the truth.
    pub disguise: Option<Disguise>,
    /// Whether system calls are watched, where the kernel can. If not, the same things fail, nobody
    /// learns of it, and requests to service managers fail too.
    pub watches: bool,
}

impl Settings {
    /// The usual settings: `/run` is only shown.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self {
            home: home.into(),
            show_only: RelPath::new(*b"run").into_iter().collect(),
            masked: Vec::new(),
            reach: Reach::Contained,
            disguise: None,
            watches: true,
        }
    }
}

/// Why a transaction could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The home, or the transaction's directory in it, could not be made.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Where its scratch directories will be could not be written down.
    #[error(transparent)]
    Volumes(#[from] VolumesError),
    /// The home's path cannot be handled.
    #[error("cannot use {} as home", path.display())]
    Home {
        /// The home.
        path: PathBuf,
        /// Why.
        #[source]
        source: InvalidPath,
    },
    /// The live machine could not be looked at.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// No scratchpad is possible here.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A scratch directory on the root volume could not be made.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// What the scratchpad is to tell could not be written down.
    #[error(transparent)]
    Disguise(#[from] DisguiseError),
    /// Signals could not be held back.
    #[error("cannot hold back signals")]
    Signals(#[source] Errno),
    /// No random number was to be had for the transaction's id.
    #[error("cannot get random bytes")]
    Random(#[source] getrandom::Error),
    /// A clock could not be read.
    #[error("cannot read the clock")]
    Clock(#[source] Errno),
}

/// What every phase carries. Fields are dropped in this order.
#[derive(Debug)]
pub(crate) struct Pad {
    pub(crate) root: Option<OwnedFd>,
    pub(crate) init: Option<Init>,
    pub(crate) transaction: Transaction,
    /// Remembers the captures before; made at the first.
    pub(crate) collector: Option<Box<Collector>>,
    pub(crate) layout: Layout,
    pub(crate) uncovered: Vec<Uncovered>,
    pub(crate) since: Timestamp,
    /// Begun before `since`; `None` where it cannot be.
    pub(crate) clock: Option<ClockWatch>,
    pub(crate) isolation: Isolation,
    pub(crate) phases: Phases,
    /// What waits of the entries before, for the answers to the next one.
    pub(crate) expected: Expected,
    pub(crate) signals: HeldSignals,
}

impl Pad {
    fn prepare(&self, init: &Init, request: &Request) -> Result<Waiting, StartError> {
        let (mask, expected) = (self.signals.before(), self.expected.clone());
        child::prepare(init, request, self.isolation, mask, expected)
    }
}

/// The scratchpad could not be mounted, or the command not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// No mounts; nothing is left.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The scratchpad is there, without the command.
    #[error("the command cannot be started")]
    Start(Box<Mounted>, #[source] StartError),
}

/// The directories are made and the mounts are planned; nothing is mounted.
#[derive(Debug)]
#[must_use = "a prepared transaction does nothing until it is mounted"]
pub struct Prepared {
    pad: Pad,
    steps: Vec<Step>,
    inventory: Inventory,
    plan_settings: PlanSettings,
    begun: Instant,
}

impl Prepared {
    /// Makes the transaction and its directories, and plans the mounts. On error nothing is left.
    ///
    /// `not_before` is the time of this host's last commit, if it is known: `since` will be later,
    /// so that what we committed is not taken for somebody else's change.
    ///
    /// From here on until the transaction ends, signals that ask to end are held back in this
    /// thread.
    pub fn new(settings: &Settings, not_before: Option<Timestamp>) -> Result<Self, PrepareError> {
        let begun = Instant::now();
        let signals = HeldSignals::hold().map_err(PrepareError::Signals)?;
        let mut inventory = Inventory::take(&settings.masked)?;
        if settings.reach == Reach::Live {
            inventory = inventory.with_sockets()?;
        }
        let tx = new_id()?;
        let mut transaction = Transaction::make(&settings.home, &tx)?;
        let mut plan_settings = PlanSettings {
            tx,
            home: home(transaction.home())?,
            show_only: settings.show_only.clone(),
            unusable: Vec::new(),
            hidden: Vec::new(),
            unshowable: Vec::new(),
            reach: settings.reach,
            disguise: settings.disguise.clone(),
        };
        let planned = lay_out(&inventory, &mut plan_settings, &mut transaction)?;
        // Without it every late time of change is a conflict, as the strict rule says.
        let clock = ClockWatch::begin().ok();
        let since = since(&transaction, &planned.layout, not_before)?;
        let mut isolation = Isolation::probe(settings.reach);
        isolation.watches &= settings.watches;
        Ok(Self {
            pad: Pad {
                root: None,
                init: None,
                transaction,
                collector: None,
                layout: planned.layout,
                uncovered: planned.uncovered,
                since,
                clock,
                isolation,
                phases: Phases::default(),
                expected: Expected::default(),
                signals,
            },
            steps: planned.steps,
            inventory,
            plan_settings,
            begun,
        })
    }

    /// What is not covered by an overlay, and why.
    pub fn uncovered(&self) -> &[Uncovered] {
        &self.pad.uncovered
    }

    /// Where things lie.
    pub fn layout(&self) -> &Layout {
        &self.pad.layout
    }

    /// The mount operations that will be performed, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Makes the namespaces and mounts everything in them. An overlay that the kernel refuses makes
    /// that place read-only and named, unless it is the root; a live mount that it does not show
    /// again, empty and named. On error nothing is left.
    pub fn mount(self) -> Result<Mounted, MountError> {
        Ok(self.mount_while(|_, _| ())?.0)
    }

    /// As [`Self::mount`] and [`Mounted::start`], in less time: the command's process is made while
    /// the mounts are.
    pub fn launch(self, request: Request) -> Result<Running, LaunchError> {
        let foreground = Foreground::note();
        let request = in_its_group(request, foreground.as_ref());
        let (mounted, waiting) = self.mount_while(|init, pad| pad.prepare(init, &request))?;
        mounted
            .go(waiting, &request, foreground)
            .map_err(|(mounted, error)| LaunchError::Start(Box::new(mounted), error))
    }

    fn mount_while<T>(
        mut self,
        meanwhile: impl Fn(&Init, &Pad) -> T,
    ) -> Result<(Mounted, T), MountError> {
        let (init, made) = loop {
            let init = Init::begin(&self.steps, self.pad.isolation.reach)?;
            let made = meanwhile(&init, &self.pad);
            let Err(error) = init.ready(&self.steps) else {
                break (init, made);
            };
            drop(made);
            drop(init);
            if !self.go_without(&error) {
                return Err(error);
            }
        };
        let mut pad = self.pad;
        pad.root = Some(init.root()?);
        pad.init = Some(init);
        pad.phases.set_up = self.begun.elapsed();
        Ok((Mounted { pad }, made))
    }

    /// Plans anew without the mount that failed; whether that is possible. What goes wrong on the
    /// way matters less than the failure itself, which the caller then returns.
    fn go_without(&mut self, error: &MountError) -> bool {
        let MountError::Step { step, place, .. } = error else {
            return false;
        };
        let place = RelPath::from_absolute(place).unwrap_or_default();
        let sockets = &mut self.inventory.sockets;
        if sockets.contains(&place) {
            // Gone since it was looked for.
            sockets.retain(|socket| *socket != place);
            return self.plan_anew();
        }
        let failed = match self.steps.get(*step) {
            Some(Step::Overlay { .. }) => &mut self.plan_settings.unusable,
            Some(Step::Bind { .. }) => &mut self.plan_settings.unshowable,
            Some(_) | None => return false,
        };
        let is_mount = |seen: &SeenMount| seen.mount.mount_point == place;
        if place.is_root() || failed.contains(&place) || !self.inventory.mounts.iter().any(is_mount)
        {
            return false;
        }
        failed.push(place);
        self.plan_anew()
    }

    fn plan_anew(&mut self) -> bool {
        let transaction = &mut self.pad.transaction;
        let cleared = transaction.clear().is_ok();
        let planned = lay_out(&self.inventory, &mut self.plan_settings, transaction);
        match planned {
            Ok(planned) if cleared => {
                self.steps = planned.steps;
                (self.pad.layout, self.pad.uncovered) = (planned.layout, planned.uncovered);
                true
            }
            Ok(_) | Err(_) => false,
        }
    }
}

/// Plans, and makes the scratch directories. A volume that cannot have one is read-only inside, and
/// named; but a root that cannot is the end, and so is a place that failed before.
fn lay_out(
    inventory: &Inventory,
    settings: &mut PlanSettings,
    transaction: &mut Transaction,
) -> Result<Plan, PrepareError> {
    loop {
        let mut planned = plan(inventory, settings)?;
        let hidden = other_names(&planned.layout);
        if !hidden.is_empty() {
            settings.hidden.extend(hidden);
            planned = plan(inventory, settings)?;
        }
        transaction.record_volumes(&planned.layout)?;
        let Err(error) = make_scratch(&planned.layout) else {
            if let Some(disguise) = &settings.disguise {
                disguise.write(&planned.layout.directory)?;
            }
            return Ok(planned);
        };
        let volume = &planned.layout.volumes[error.volume];
        if let Some(instead) = name_instead(volume, &planned.layout) {
            settings.hidden.push(instead);
            transaction.clear()?;
            continue;
        }
        let place = &volume.mount_point;
        if place.is_root() || settings.unusable.contains(place) {
            return Err(error.into());
        }
        settings.unusable.push(place.clone());
        transaction.clear()?;
    }
}

/// A new id from the clock and chance.
fn new_id() -> Result<TxId, PrepareError> {
    let now = clock_gettime(ClockId::CLOCK_REALTIME).map_err(PrepareError::Clock)?;
    let nanos = Duration::from(now).as_nanos() as u64;
    let random = getrandom::u64().map_err(PrepareError::Random)?;
    Ok(TxId::from_parts(nanos, random))
}

fn home(path: &std::path::Path) -> Result<RelPath, PrepareError> {
    RelPath::from_absolute(path).map_err(|source| PrepareError::Home {
        path: path.to_path_buf(),
        source,
    })
}

/// The time from which on a change of a live file is somebody else's: later than `not_before` and
/// than what we did ourselves to the tops of the volumes. A kernel whose stamps move in ticks (of at
/// most 10 ms) may make us wait for the next one.
fn since(
    transaction: &Transaction,
    layout: &Layout,
    not_before: Option<Timestamp>,
) -> Result<Timestamp, PrepareError> {
    let touched = layout
        .volumes
        .iter()
        .filter_map(|volume| std::fs::symlink_metadata(volume.live(&layout.root)).ok())
        .map(|status| Timestamp {
            secs: status.ctime(),
            nanos: status.ctime_nsec() as u32,
        });
    let limit = touched.chain(not_before).max().unwrap_or_default();
    let mut before = Timestamp::default();
    loop {
        let now = transaction.stamp()?;
        // A time far ahead means that the clock was set back, and waiting would be endless.
        if now > limit || limit.secs > now.secs + 1 {
            return Ok(now);
        }
        // A first stamp may only draw level with the latest one that was given out; a second one is
        // past it, unless stamps move in ticks.
        if now == before {
            std::thread::sleep(Duration::from_millis(1));
        }
        before = now;
    }
}

/// Who has no terminal, or is in the background, has none to give.
fn in_its_group(mut request: Request, foreground: Option<&Foreground>) -> Request {
    if foreground.is_none() {
        request.group = Group::Callers;
    }
    request
}

fn no_init() -> StartError {
    StartError::Stage {
        operation: "find the scratchpad's first process",
        source: Errno::ESRCH,
    }
}

/// The scratchpad is mounted, and no command runs in it.
#[derive(Debug)]
#[must_use = "dropping a mounted scratchpad discards it"]
pub struct Mounted {
    pub(crate) pad: Pad,
}

impl Mounted {
    /// The root directory as seen inside, for writing into the scratchpad from outside. It is given
    /// back when the transaction ends; a copy that lives longer keeps the mounts.
    pub fn root_fd(&self) -> Option<BorrowedFd<'_>> {
        self.pad.root.as_ref().map(AsFd::as_fd)
    }

    /// Opens the root directory as seen inside for reading it as well. To be closed before the
    /// transaction ends.
    pub fn root(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = self.pad.root.as_ref().ok_or(Errno::EBADF)?;
        openat(root, c".", flags, Mode::empty())
    }

    /// What is not covered by an overlay, and why.
    pub fn uncovered(&self) -> &[Uncovered] {
        &self.pad.uncovered
    }

    /// Where things lie.
    pub fn layout(&self) -> &Layout {
        &self.pad.layout
    }

    /// Whether system calls will be watched; without that, attempts on the live machine are refused
    /// all the same and do not appear as effects.
    pub fn watches(&self) -> bool {
        self.pad.isolation.watches
    }

    /// Starts a command. When it cannot be started the scratchpad comes back with the reason.
    #[allow(
        clippy::result_large_err,
        reason = "the error gives the whole scratchpad back, once"
    )]
    pub fn start(self, request: Request) -> Result<Running, (Self, StartError)> {
        let foreground = Foreground::note();
        let request = in_its_group(request, foreground.as_ref());
        let waiting = match &self.pad.init {
            Some(init) => self.pad.prepare(init, &request),
            None => Err(no_init()),
        };
        self.go(waiting, &request, foreground)
    }

    #[allow(
        clippy::result_large_err,
        reason = "the error gives the whole scratchpad back, once"
    )]
    fn go(
        self,
        waiting: Result<Waiting, StartError>,
        request: &Request,
        foreground: Option<Foreground>,
    ) -> Result<Running, (Self, StartError)> {
        let started = waiting.and_then(|waiting| {
            let root = self.pad.root.as_ref().ok_or_else(no_init)?;
            waiting.go(root.as_fd(), request)
        });
        match started {
            Ok(started) => Ok(Running::new(self.pad, started, foreground)),
            Err(error) => Err((self, error)),
        }
    }

    /// Goes on without a command: the caller wrote through [`Self::root_fd`].
    pub fn written(self) -> Exited {
        Exited::new(self.pad, Ran::default())
    }
}
