//! Which moves go on with what earlier ones moved aside: an object that is not where a step put it
//! may be where a later one did. Pure.

use std::collections::HashMap;

use super::step::{Area, Loc, Move};

/// For each move to the scratch directory that a later move goes on with: that one's index.
pub(super) fn continuations(moves: &[Move]) -> HashMap<usize, usize> {
    let mut arrivals: HashMap<&Loc, usize> = HashMap::new();
    let mut later = HashMap::new();
    let mut recalls: Vec<(&Loc, usize)> = Vec::new();
    for (index, step) in moves.iter().enumerate() {
        let departs = match step {
            Move::Rename { from, .. } => Some(from),
            Move::Exchange { scratch, .. } => Some(scratch),
            Move::Release { name, .. } => Some(name),
            _ => None,
        };
        if let Some(arrival) = departs.and_then(|from| arrivals.remove(from)) {
            later.insert(arrival, index);
        }
        // A recalled name may lie in a directory that goes on as a whole.
        if let Some(from) = departs {
            recalls.retain(|(name, recall)| {
                let along = name.volume == from.volume
                    && name.area == from.area
                    && name.path.starts_with(&from.path);
                if along {
                    later.insert(*recall, index);
                }
                !along
            });
        }
        match step {
            Move::Rename { to, .. } if to.area == Area::Scratch => {
                arrivals.insert(to, index);
            }
            Move::Recall { name, .. } => recalls.push((name, index)),
            Move::Exchange { scratch, .. } => {
                arrivals.insert(scratch, index);
            }
            _ => {}
        }
    }
    later
}
