//! What of an entry's effects reached other hosts: connections out. A view of effects. Not for
//! whether an entry may make them (`replay`). Upholds: the report, the lint and a preview count the
//! same.

use isconf_sandbox::child::{Effect, EffectKind, EffectOutcome};

use super::{EffectSummary, Outcome};

/// Operations that reach nobody by themselves: they wait for others, or only prepare.
const NO_CONNECTION: [&str; 3] = ["bind", "listen", "socket"];

/// The effects that are connections out, whether they took place or not.
pub fn outward(effects: &[Effect]) -> impl Iterator<Item = &Effect> {
    effects.iter().filter(|effect| {
        effect.kind == EffectKind::Network && !NO_CONNECTION.contains(&effect.operation.as_str())
    })
}

/// Those that took place.
pub fn connections(effects: &[Effect]) -> impl Iterator<Item = &Effect> {
    outward(effects).filter(|effect| effect.outcome == EffectOutcome::Allowed)
}

/// How many connections out took place.
pub fn connection_count(effects: &[Effect]) -> u32 {
    connections(effects)
        .map(|effect| effect.count.max(1))
        .fold(0, u32::saturating_add)
}

impl Outcome {
    /// Whether it connected out where it was made.
    pub fn connected_out(&self) -> bool {
        let is_connection = |effect: &EffectSummary| {
            effect.kind == EffectKind::Network.name()
                && effect.outcome == "allowed"
                && !NO_CONNECTION.contains(&effect.operation.as_str())
        };
        self.effects.iter().any(is_connection)
    }
}
