//! Makes a captured change set real, all or nothing, and takes it back. Not for deciding whether
//! it should be (the caller has the approving report and the host's lock). The bytes and the
//! crash-by-crash argument are in `docs/commit-protocol.md`.
//!
//! ```text
//! Capture ─items→ facts ─guard→ shape ─plan→ steps ─prepare→ sync → intent → apply → sync → Landed
//!                   │ conflict                                          │ error
//!                   └→ refused, nothing touched                         └→ reversed steps, refused
//! intent without done ─recover→ steps again → Landed ─receipt, finish→ done ─undo→ reversed steps
//! ```
//! Upholds: after a crash the change set is wholly live or wholly not, and the next start knows
//! which.

mod crash_point;
mod step;
mod step_error;
mod bytes;
mod intent;
mod record;
mod sites;
mod item;
mod facts;
mod shape;
mod guard;
mod plan;
mod orphans;
mod mirror;
mod prepare;
mod sync;
mod continuations;
mod ground;
mod apply;
mod transaction;
mod landed;
mod forget;
mod recover;
mod undo;
mod kept;
mod package_locks;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::File;

pub use bytes::Damage;
pub use crash_point::{ALL, CRASH_AT, crash_point};
pub use facts::LookError;
pub use forget::{ForgetError, forget, forget_all};
pub use guard::{Conflict, ConflictKind, Conflicts, MAX_CONFLICTS};
pub use intent::{Direction, MAX_PAYLOAD_BYTES};
pub use item::Refusal;
pub use kept::{Kept, kept};
pub use landed::{Finished, Landed};
pub use package_locks::{PackageLockError, PackageLocks, package_locks};
pub use prepare::PrepareError;
pub(crate) use record::RECORD_FILES;
pub use record::RecordError;
pub use recover::{Outcome, RecoverError, Recovered, recover};
pub use sites::OpenError;
pub use step::Object;
pub use step_error::StepError;
pub use sync::SyncError;
pub use transaction::{Failure, TransactionError};
pub use undo::{UndoError, check_undo, undo};

use self::guard::Strangers;
use self::intent::Intent;
use self::item::{Item, Origin};
use self::plan::VolumePlan;
use self::prepare::Fresh;
use self::record::{Records, Unwritten};
use self::shape::Shape;
use self::sites::{Sites, sites_of};
use self::sync::HeadStart;
use crate::capture::{Capture, Meanwhile};
use crate::change::RelPath;
use crate::layout::{CommitPolicy, Layout, Volume};

/// A change set was not made real. The live tree is as before, except after
/// one that [needs recovery](Self::needs_recovery).
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Live paths are no longer what the scratchpad saw.
    #[error("{} live paths are no longer what the scratchpad saw", .0.total)]
    Conflicts(Conflicts),
    /// The change set cannot be committed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A volume could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The package manager is at work.
    #[error(transparent)]
    PackageLock(#[from] PackageLockError),
    /// The live side could not be looked at.
    #[error(transparent)]
    Look(#[from] LookError),
    /// The new side could not be prepared.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The new side could not be made durable.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// What goes with it could not be stored, or not be made durable.
    #[error("what goes with the change cannot be stored")]
    Companion(#[source] CompanionError),
    /// The intent could not be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// It was begun and did not succeed.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
}

impl CommitError {
    /// Whether only a later recovery can tell whether the change set was made real.
    pub fn needs_recovery(&self) -> bool {
        matches!(self, Self::Transaction(error) if error.needs_recovery())
    }
}

impl From<Unwritten> for CommitError {
    fn from(unwritten: Unwritten) -> Self {
        match unwritten {
            Unwritten::Absent(error) => Self::Record(error),
            Unwritten::Undecided(error) => Self::Transaction(TransactionError::Undecided(error)),
        }
    }
}

/// Reads an intent; the bytes that it would be written as, when it is one.
pub(crate) fn rewritten_intent(bytes: &[u8]) -> Option<Vec<u8>> {
    Intent::from_bytes(bytes)
        .ok()
        .map(|intent| intent.to_bytes())
}

/// What the caller wants durable before the intent is, since the receipt will refer to it. It costs
/// few syncs of its own: those of the commit are done with them.
pub trait Companion {
    /// Opens what is to be synced before it is used.
    fn contents(&self) -> Result<Vec<File>, CompanionError>;

    /// Uses it, and opens the directories in which names changed. They are synced before the intent
    /// has its name.
    fn place(&mut self) -> Result<Vec<File>, CompanionError>;
}

/// Why a companion could not be made durable.
pub type CompanionError = Box<dyn Error + Send + Sync>;

/// Nothing.
impl Companion for () {
    fn contents(&self) -> Result<Vec<File>, CompanionError> {
        Ok(Vec::new())
    }

    fn place(&mut self) -> Result<Vec<File>, CompanionError> {
        Ok(Vec::new())
    }
}

/// The caller's part in a commit.
pub struct Caller<'a> {
    /// Kept with the intent for whoever recovers it.
    pub payload: &'a [u8],
    /// Becomes durable before the intent. When it cannot, nothing is made real.
    pub companion: &'a mut dyn Companion,
    /// Told how many of how many steps are done.
    pub tell: &'a mut dyn FnMut(u64, u64),
}

/// Makes a change set real. `payload` is kept with the intent for whoever recovers it. The caller
/// holds the host's lock, and the scratchpad's mounts are gone.
pub fn commit(layout: &Layout, capture: &Capture, payload: &[u8]) -> Result<Landed, CommitError> {
    let caller = Caller {
        payload,
        companion: &mut (),
        tell: &mut |_, _| {},
    };
    commit_with(layout, capture, caller)
}

/// Like [`commit`], with what the caller does meanwhile.
pub fn commit_with(
    layout: &Layout,
    capture: &Capture,
    caller: Caller<'_>,
) -> Result<Landed, CommitError> {
    let payload = caller.payload;
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(Refusal::Payload(payload.len()).into());
    }
    // A copy of what somebody removed since looks like something made anew, and only the collection
    // can tell the two apart.
    if let Some(Meanwhile { path, .. }) = capture.conflicts.first() {
        return Err(Refusal::ChangedMeanwhile { path: path.clone() }.into());
    }
    let _locks = package_locks(&layout.root, &capture.set)?;
    let landed = attempt(layout, capture, caller);
    match &landed {
        // Undo data, or what recovery needs.
        Ok(_) => {}
        Err(error) if error.needs_recovery() => {}
        Err(_) => mirror::drop_copies(layout),
    }
    landed
}

fn attempt(layout: &Layout, capture: &Capture, caller: Caller<'_>) -> Result<Landed, CommitError> {
    let mut volumes = item::items(layout, capture)?;
    for (volume, items) in volumes.iter().enumerate() {
        orphans::adopt(&layout.volumes[volume], items)?;
    }
    let mut sites = Sites::open(
        &layout.root,
        sites_of(layout, |volume| !volumes[volume].is_empty()),
    )?;
    for (volume, items) in volumes.iter_mut().enumerate() {
        let place = &layout.volumes[volume];
        if place.policy == CommitPolicy::Copy && !items.is_empty() {
            mirror::mirror(&mut sites, volume, &place.upper(), items)?;
        }
    }
    let Ready { plans, fresh } = make_ready(layout, capture, &volumes, &mut sites)?;
    let mut intent = Intent {
        tx: layout.tx.clone(),
        direction: Direction::Forward,
        payload: caller.payload.to_vec(),
        sites: recorded(layout, &sites),
        steps: step::Steps::default(),
        left: Vec::new(),
    };
    for plan in plans {
        intent.steps.moves.extend(plan.steps.moves);
        intent.steps.rewrites.extend(plan.steps.rewrites);
        intent.steps.settings.extend(plan.steps.settings);
        intent.left.extend(plan.left);
    }
    let records = Records::open(&layout.directory)?;
    let (draft, file) = records.draft(&intent)?;
    let companions = caller.companion.contents();
    let others = sync::Others {
        intent: file,
        companions: companions.map_err(CommitError::Companion)?,
    };
    sync::before(&mut sites, &fresh, others)?;
    crash_point("commit.presync.done");
    let places = caller.companion.place().map_err(CommitError::Companion)?;
    records.publish(&draft, &places)?;
    transaction::carry_out(&mut sites, &records, &intent, caller.tell)?;
    Ok(Landed::new(intent, layout.directory.clone()))
}

/// The sites with, for those whose objects are copied, one more that nobody opens: the place of the
/// upper layer itself, so that it goes when the undo data goes.
fn recorded(layout: &Layout, sites: &Sites) -> Vec<Volume> {
    let copied = layout
        .volumes
        .iter()
        .filter(|v| v.policy == CommitPolicy::Copy);
    let own = copied.map(|volume| Volume {
        policy: CommitPolicy::ShowOnly,
        ..volume.clone()
    });
    sites.sites().iter().cloned().chain(own).collect()
}

/// A change set that nothing stands against making real.
struct Ready {
    plans: Vec<VolumePlan>,
    /// What has to be durable, by volume.
    fresh: Vec<(usize, Fresh)>,
}

/// Everything before the intent that needs no sync: conflicts, plan, preparation.
fn make_ready(
    layout: &Layout,
    capture: &Capture,
    volumes: &[Vec<Item<'_>>],
    sites: &mut Sites,
) -> Result<Ready, CommitError> {
    let head_start = HeadStart::begin(sites, volumes.iter().map(Vec::len));
    let mut conflicts = Conflicts::default();
    let mut shapes = Vec::new();
    for (volume, items) in volumes.iter().enumerate() {
        let mut facts = facts::gather(sites, volume, items)?;
        let occupants = Shape::occupants(items);
        facts::gather_occupants(sites, volume, occupants, &mut facts)?;
        let mount = &layout.volumes[volume].mount_point;
        guard::compare(mount, items, &facts, capture.window(), &mut conflicts);
        let bound = bound_files(layout, volume, items);
        guard::compare_linked(mount, items, &facts, capture.window(), &mut conflicts);
        let shape = match Shape::new(items, &facts, &bound) {
            // What cannot be done is so because of them.
            Err(_) if !conflicts.is_empty() => return Err(CommitError::Conflicts(conflicts)),
            other => other?,
        };
        guard::compare_replaced(mount, &shape, &facts, capture.window(), &mut conflicts);
        let strangers = Strangers::new(&shape, capture.since);
        guard::walk_removed(sites, volume, &strangers, &mut facts, &mut conflicts)?;
        shapes.push((volume, shape, facts));
    }
    if !conflicts.is_empty() {
        return Err(CommitError::Conflicts(conflicts));
    }
    crash_point("commit.prepare.begun");
    let mut plans = Vec::new();
    let mut fresh = Vec::new();
    for (volume, shape, facts) in &shapes {
        if shape.items.is_empty() {
            continue;
        }
        let plan = plan::plan(*volume, shape, facts);
        fresh.push((*volume, prepare::prepare(sites, *volume, &plan, shape)?));
        plans.push(plan);
    }
    crash_point("commit.prepare.done");
    head_start.finish()?;
    Ok(Ready { plans, fresh })
}

/// The files of a volume that are mounted somewhere; nobody needs them when no file was modified
/// in place. Without a readable `/proc` there are none to be known.
fn bound_files(layout: &Layout, volume: usize, items: &[Item<'_>]) -> BTreeSet<RelPath> {
    let modified = |item: &Item<'_>| {
        matches!(
            item.source,
            Origin::Upper {
                copy_of: Some(_),
                ..
            }
        ) && !item.becomes_directory()
    };
    if !items.iter().any(modified) {
        return BTreeSet::new();
    }
    let text = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    facts::bound_files(&text, &layout.volumes[volume].live(&layout.root))
}
