//! The phases after the command: what it changed is read, the mounts are ended, and the scratch
//! directories are dropped, kept or committed. The second half of `session`, which shows the
//! phases. Not for how commit works. Upholds: a transaction that was begun is never dropped.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::capture::{Capture, Window};
use crate::change::Timestamp;
use crate::child::{Effect, Exceeded, Exit, HeldSignals, InitError, Phases};
use crate::collect::{CollectError, Collector};
use crate::commit::{self, Caller, CommitError, Landed};
use crate::layout::Layout;
use crate::mounts::Uncovered;
use crate::services::Action;
use crate::session::{Mounted, Pad};
use crate::transaction::{DiscardError, KeepError, Unneeded};

/// The command ended, and so did all processes it left; the overlays are still mounted.
#[derive(Debug)]
#[must_use = "dropping an exited scratchpad discards it"]
pub struct Exited {
    pad: Pad,
    ran: Ran,
}

/// What is known of a command that ended; nothing where there was none.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    pub exit: Option<Exit>,
    pub interrupted_by: Option<i32>,
    pub exceeded: Option<Exceeded>,
    pub effects: Vec<Effect>,
    pub actions: Vec<Action>,
}

impl Exited {
    pub(crate) fn new(pad: Pad, ran: Ran) -> Self {
        Self { pad, ran }
    }

    /// How the command ended; `None` when there was none.
    pub fn exit(&self) -> Option<Exit> {
        self.ran.exit
    }

    /// The signal that made us end the command, or that came since.
    pub fn interrupted_by(&mut self) -> Option<i32> {
        if self.ran.interrupted_by.is_none() {
            self.ran.interrupted_by = self.pad.signals.asked_to_end();
        }
        self.ran.interrupted_by
    }

    /// The limit that the command went beyond, for which it was ended.
    pub fn exceeded(&self) -> Option<&Exceeded> {
        self.ran.exceeded.as_ref()
    }

    /// What the command did or tried to do outside the filesystem.
    pub fn effects(&self) -> &[Effect] {
        &self.ran.effects
    }

    /// What the command asked of service managers that waits for the commit, in order. It is the
    /// caller's to do, with the changes in place.
    pub fn actions(&self) -> &[Action] {
        &self.ran.actions
    }

    /// Whether system calls were watched; if not, effects are incomplete.
    pub fn watches(&self) -> bool {
        self.pad.isolation.watches
    }

    /// How long the phases took.
    pub fn phases(&self) -> &Phases {
        &self.pad.phases
    }

    /// The time just before the mounts.
    pub fn since(&self) -> Timestamp {
        self.pad.since
    }

    /// Where things lie.
    pub fn layout(&self) -> &Layout {
        &self.pad.layout
    }

    /// What is not covered by an overlay, and why.
    pub fn uncovered(&self) -> &[Uncovered] {
        &self.pad.uncovered
    }

    /// Reads what this entry changed. In a scratchpad that was used [again](Self::again), each
    /// capture is the difference to the one before it.
    pub fn capture(&mut self) -> Result<Capture, CollectError> {
        let begun = Instant::now();
        let pad = &mut self.pad;
        // Nothing comes on top of what was let go.
        let make = match pad.root {
            Some(_) => Collector::new,
            None => Collector::of_one_look,
        };
        let collector = pad
            .collector
            .get_or_insert_with(|| Box::new(make(pad.layout.clone(), pad.since)));
        let clock = pad.clock.as_ref();
        let capture = collector.collect_in(|since| match clock {
            Some(clock) => clock.window(since),
            None => Window {
                since,
                present: None,
            },
        })?;
        pad.phases.collect = begun.elapsed();
        Ok(capture)
    }

    /// Lets processes and mounts go while the caller reads what was changed, which lies outside of
    /// them; [`Self::end`] waits for that. Nothing more can be started here, also not
    /// [again](Self::again).
    pub fn let_go(&mut self) {
        // Open directories inside would keep the overlays.
        self.pad.root = None;
        if let Some(init) = &mut self.pad.init {
            init.let_go();
        }
    }

    /// Makes room for the next entry, on top of this one.
    pub fn again(self) -> Mounted {
        Mounted { pad: self.pad }
    }

    /// Ends the scratchpad's processes and mounts; the scratch directories stay.
    pub fn end(mut self) -> Result<Ended, EndError> {
        self.let_go();
        if let Some(init) = self.pad.init.take() {
            init.end()?;
        }
        Ok(Ended { pad: self.pad })
    }
}

/// The volumes that have changes to commit, and the capture with their new indices.
fn needed(layout: &Layout, capture: &Capture) -> (Layout, Capture) {
    let used: BTreeSet<usize> = capture.provenance.iter().map(|p| p.volume).collect();
    let mut layout = layout.clone();
    let mut index = 0;
    layout.volumes.retain(|_| {
        index += 1;
        used.contains(&(index - 1))
    });
    let mut capture = capture.clone();
    for provenance in &mut capture.provenance {
        provenance.volume = used.range(..provenance.volume).count();
    }
    (layout, capture)
}

/// The scratchpad's processes or mounts could not be ended.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct EndError(#[from] InitError);

/// Nothing runs and nothing is mounted; the scratch directories hold what was written.
#[derive(Debug)]
#[must_use = "dropping an ended transaction discards it"]
pub struct Ended {
    pad: Pad,
}

impl Ended {
    /// Where things lie.
    pub fn layout(&self) -> &Layout {
        &self.pad.layout
    }

    /// Removes the scratch directories.
    pub fn discard(self) -> Result<(), DiscardError> {
        self.pad.transaction.discard()
    }

    /// Leaves the scratch directories, marked so that `sweep` spares them, and gives up the lock.
    pub fn keep(self) -> Result<Layout, KeepError> {
        self.pad.transaction.keep(&self.pad.layout)?;
        Ok(self.pad.layout)
    }

    /// Gives up the transaction to commit, which from now on decides what becomes of the scratch
    /// directories. The lock and the hold on signals last as long as the value.
    pub fn into_approved(self) -> Approved {
        Approved { pad: self.pad }
    }
}

/// Signals that ask to end, still held back. Dropped when what was done is recorded.
#[derive(Debug)]
#[must_use = "signals take their effect when this is dropped"]
pub struct Hold(HeldSignals);

impl Hold {
    /// Takes the signal that asked to end, if one came; it has no effect any more.
    pub fn asked_to_end(&self) -> Option<i32> {
        self.0.asked_to_end()
    }
}

/// A transaction on its way into the live tree.
#[derive(Debug)]
#[must_use = "an approved transaction is to be committed"]
pub struct Approved {
    pad: Pad,
}

impl Approved {
    /// Where things lie.
    pub fn layout(&self) -> &Layout {
        &self.pad.layout
    }

    /// Makes the captured change set real. What no change needs comes back to be removed; the rest
    /// stays as undo copies; signals are held back until the caller has recorded it. When nothing was
    /// made real, the transaction comes back with the reason, unless it was begun and could not be
    /// taken back: then recovery goes on with it.
    #[allow(
        clippy::result_large_err,
        reason = "the error gives the whole transaction back, once"
    )]
    pub fn commit(
        self,
        capture: &Capture,
        caller: Caller<'_>,
    ) -> Result<(Landed, Hold, Unneeded), (CommitError, Option<Ended>)> {
        let (layout, capture) = needed(&self.pad.layout, capture);
        match commit::commit_with(&layout, &capture, caller) {
            Ok(landed) => {
                let unneeded = self.pad.transaction.release_but(&layout);
                Ok((landed, Hold(self.pad.signals), unneeded))
            }
            Err(error) if error.needs_recovery() => {
                self.pad.transaction.release();
                Err((error, None))
            }
            Err(error) => Err((error, Some(self.into_ended()))),
        }
    }

    /// Gives back a transaction that was not committed after all.
    pub fn into_ended(self) -> Ended {
        Ended { pad: self.pad }
    }
}
