//! How an entry ended on the host that made it. Upholds: a target can show where it differs.

use isconf_sandbox::change::Digest;
use isconf_sandbox::child::{Effect, EffectOutcome, Exit};

use super::Hazard;

/// The two digests of a change set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChangeDigests {
    /// Over the canonical bytes; names the change set's blob in the store.
    pub full: Digest,
    /// Over the normal form; equal on congruent hosts.
    pub normal: Digest,
}

/// What an entry did on its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How its command ended.
    pub exit: Exit,
    /// What it changed.
    pub changes: ChangeDigests,
    /// What it did or tried outside the filesystem.
    pub effects: Vec<EffectSummary>,
    /// What was found hazardous about it.
    pub hazards: Vec<Hazard>,
    /// How long it ran, in milliseconds.
    pub duration_ms: u64,
    /// The version of isconf that made it.
    pub version: String,
}

/// One effect, without the process that caused it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EffectSummary {
    /// What kind of thing, see [`EffectSummary::of`].
    pub kind: String,
    /// The system call's name.
    pub operation: String,
    /// What it aimed at; empty when there is nothing to name.
    pub target: String,
    /// `refused ERRNO`, `contained`, `allowed` or `deferred`.
    pub outcome: String,
    /// How many times.
    pub count: u32,
}

impl EffectSummary {
    /// Takes what the report needs from an effect that was seen.
    pub fn of(effect: &Effect) -> Self {
        Self {
            kind: effect.kind.name(),
            operation: effect.operation.clone(),
            target: effect.target.clone(),
            outcome: match effect.outcome {
                EffectOutcome::Refused(errno) => format!("refused {errno}"),
                EffectOutcome::Contained => "contained".to_owned(),
                EffectOutcome::Allowed => "allowed".to_owned(),
                EffectOutcome::Deferred => "deferred".to_owned(),
            },
            count: effect.count,
        }
    }
}
