//! From a durable intent to durable changes, or back. Not for deciding steps. Upholds: an error on
//! the way leaves the state before; a crash on the way leaves a record that says which way to go.

use std::error::Error;

use nix::errno::Errno;

use super::apply::{self, Pass};
use super::crash_point;
use super::intent::Intent;
use super::record::{RecordError, Records, State};
use super::sites::Sites;
use super::step_error::StepError;
use super::sync::{self, SyncError};

/// A transaction that was begun did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// A step could not be done; all others were taken back.
    #[error("everything was taken back: {0}")]
    TakenBack(#[source] Box<Failure>),
    /// A step could not be done, and then one could not be taken back. The record stays; recovery
    /// is needed.
    #[error("{}; and taking it back failed", with_causes(failure))]
    NotTakenBack {
        /// What failed first.
        failure: Box<Failure>,
        /// What failed while taking it back.
        #[source]
        back: Box<Failure>,
    },
    /// Nothing was done, but its record may be on the disk all the same; recovery is needed, which
    /// completes it if so.
    #[error("its record could not be made durable, and not be removed either")]
    Undecided(#[source] RecordError),
}

impl TransactionError {
    /// Whether only a later recovery can tell whether it happened.
    pub fn needs_recovery(&self) -> bool {
        matches!(self, Self::NotTakenBack { .. } | Self::Undecided(_))
    }
}

/// An error and its causes, for where it is told beside another one.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let own = match error.downcast_ref::<Errno>() {
        Some(errno) => errno.desc().to_owned(),
        None => error.to_string(),
    };
    match error.source().map(with_causes) {
        Some(cause) if !own.ends_with(&cause) => format!("{own}: {cause}"),
        Some(_) | None => own,
    }
}

/// What failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A step.
    #[error(transparent)]
    Step(#[from] StepError),
    /// Making the result durable.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// The record of how far it is.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Does the steps of an intent that was just written, or takes them back.
pub(super) fn carry_out(
    sites: &mut Sites,
    records: &Records,
    intent: &Intent,
    tell: &mut dyn FnMut(u64, u64),
) -> Result<(), TransactionError> {
    let Err(failure) = forward(sites, intent, Pass::First, tell) else {
        crash_point("commit.postsync.done");
        return Ok(());
    };
    match give_up(sites, records, intent) {
        Ok(()) => Err(TransactionError::TakenBack(Box::new(failure))),
        Err(back) => Err(TransactionError::NotTakenBack {
            failure: Box::new(failure),
            back: Box::new(back),
        }),
    }
}

/// Does the steps and makes them durable; gives how many moves there were to do.
pub(super) fn forward(
    sites: &mut Sites,
    intent: &Intent,
    pass: Pass,
    tell: &mut dyn FnMut(u64, u64),
) -> Result<usize, Failure> {
    sites.forget_directories();
    let moved = apply::apply(sites, &intent.steps, pass, tell)?;
    // Without it the receipt could be durable while the change is not.
    sync::after(sites, &intent.steps)?;
    Ok(moved)
}

/// Completes an interrupted transaction; gives how many moves there were to do, or `None` when it
/// could not be completed (no space, say) and was taken back instead. What is neither as before nor
/// as after is an error, and nothing is touched from there on.
pub(super) fn redo(
    sites: &mut Sites,
    records: &Records,
    intent: &Intent,
) -> Result<Option<usize>, Failure> {
    match forward(sites, intent, Pass::Again, &mut |_, _| {}) {
        Ok(moves) => Ok(Some(moves)),
        Err(Failure::Step(
            StepError::Failed { .. }
            | StepError::Immovable { .. }
            | StepError::Locked { .. }
            | StepError::Displaced { .. },
        )) => give_up(sites, records, intent).map(|()| None),
        Err(failure) => Err(failure),
    }
}

/// Decides, durably, that the transaction is taken back, and takes it back.
fn give_up(sites: &mut Sites, records: &Records, intent: &Intent) -> Result<(), Failure> {
    let direction = intent.direction;
    // Where this fails taking back is still the best that can be done.
    let _steps_are_less_sure = sync::begun(sites, &intent.steps);
    // Durable first: a crash while taking back must not be answered by doing it again.
    records.advance(
        State::intended(direction),
        State::failing(direction),
        || {
            crash_point("commit.rollback.decided");
        },
    )?;
    crash_point("commit.rollback.durable");
    take_back(sites, records, intent)
}

/// Takes back whatever was done, and forgets the transaction.
pub(super) fn take_back(
    sites: &mut Sites,
    records: &Records,
    intent: &Intent,
) -> Result<(), Failure> {
    let back = intent.steps.clone().reversed();
    sites.forget_directories();
    apply::apply(sites, &back, Pass::Again, &mut |_, _| {})?;
    crash_point("commit.rollback.applied");
    // Without it a power cut could leave some of the steps with no record that they are to go.
    sync::after(sites, &back)?;
    crash_point("commit.rollback.synced");
    records.remove(State::failing(intent.direction))?;
    crash_point("commit.rollback.removed");
    Ok(())
}
