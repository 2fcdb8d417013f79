//! Which moves go on with what earlier ones moved aside: an object that is not where a step put it
//! may be where a later one did. Pure.

use std::collections::HashMap;

use super::step::{Area, Loc, Move};

/// For each move to the scratch directory that a later move goes on with: that one's index.
pub(super) fn continuations(moves: &[Move]) -> HashMap<usize, usize> {
    let mut arrivals: HashMap<&Loc, usize> = HashMap::new();
    let mut later = HashMap::new();
    for (index, step) in moves.iter().enumerate() {
        if let Some(arrival) = departure(step).and_then(|from| arrivals.remove(from)) {
            later.insert(arrival, index);
        }
        match step {
            Move::Rename { to: place, .. } | Move::Exchange { scratch: place, .. }
                if place.area == Area::Scratch =>
            {
                arrivals.insert(place, index);
            }
            _ => {}
        }
    }
    later.extend(recalled(moves));
    later
}

/// The place from which a move takes an object; of an exchange the one in the scratch directory.
fn departure(step: &Move) -> Option<&Loc> {
    match step {
        Move::Rename { from, .. } => Some(from),
        Move::Exchange { scratch, .. } => Some(scratch),
        Move::Release { name, .. } => Some(name),
        _ => None,
    }
}

/// For each recalled name the move that goes on with it, or with a directory that it lies in.
fn recalled(moves: &[Move]) -> Vec<(usize, usize)> {
    let recalls: Vec<(usize, &Loc)> = moves
        .iter()
        .enumerate()
        .filter_map(|(index, step)| match step {
            Move::Recall { name, .. } => Some((index, name)),
            _ => None,
        })
        .collect();
    if recalls.is_empty() {
        return Vec::new();
    }
    let mut departures: HashMap<&Loc, Vec<usize>> = HashMap::new();
    for (index, step) in moves.iter().enumerate() {
        if let Some(from) = departure(step) {
            departures.entry(from).or_default().push(index);
        }
    }
    let next_from = |place: &Loc, after: usize| {
        let departures = departures.get(place)?;
        let first = departures.partition_point(|index| *index < after);
        departures.get(first).copied()
    };
    let next = |(recall, name): (usize, &Loc)| {
        let at = above(name).filter_map(|place| next_from(&place, recall));
        Some((recall, at.min()?))
    };
    recalls.into_iter().filter_map(next).collect()
}

/// A place and the directories that it lies in.
fn above(place: &Loc) -> impl Iterator<Item = Loc> {
    std::iter::successors(Some(place.clone()), |at| {
        Some(Loc {
            path: at.path.parent()?,
            ..at.clone()
        })
    })
}
