//! Hazards that effects tell of. Pure.

use isconf_sandbox::child::Effect;

use crate::model::{Hazard, HazardCode, connection_count, connections};

/// How the supervisor calls a process that was running when the command ended.
const LEFT_RUNNING: &str = "left running";

/// How many names a finding gives before it counts.
const MAX_NAMES: usize = 5;

/// What effects tell of.
pub(super) fn find(effects: &[Effect]) -> Vec<Hazard> {
    let mut found = Vec::new();
    let connected = connection_count(effects);
    if connected > 0 {
        let number = match connected {
            1 => "1 connection".to_owned(),
            more => format!("{more} connections"),
        };
        let names = named(connections(effects));
        let detail = format!("{number}: {names}");
        found.push(Hazard::of_entry(HazardCode::NetworkUsed, detail));
    }
    let left = || effects.iter().filter(|e| e.operation == LEFT_RUNNING);
    if left().next().is_some() {
        found.push(Hazard::of_entry(HazardCode::ProcessesLeft, named(left())));
    }
    found
}

fn named<'a>(effects: impl Iterator<Item = &'a Effect>) -> String {
    let mut targets: Vec<&str> = effects.map(|effect| effect.target.as_str()).collect();
    targets.dedup();
    let more = targets.len().saturating_sub(MAX_NAMES);
    targets.truncate(MAX_NAMES);
    match more {
        0 => targets.join(", "),
        more => format!("{}, and {more} more", targets.join(", ")),
    }
}
