//! Keeps the number of findings small enough to be read and recorded. Pure.

use std::collections::BTreeMap;

use crate::model::{Hazard, HazardName};

/// How many findings of one kind are named; an entry may have thousands.
const MAX_OF_A_KIND: usize = 20;

/// The first findings of each kind in the order of kinds and paths; one more tells of the rest.
pub fn limited(mut hazards: Vec<Hazard>) -> Vec<Hazard> {
    hazards.sort_by(|a, b| (&a.code, &a.path, &a.detail).cmp(&(&b.code, &b.path, &b.detail)));
    // Two runs may have found the same, in other words.
    hazards.dedup_by(|b, a| a.code == b.code && a.path == b.path && a.path.is_some());
    let mut numbers: BTreeMap<HazardName, usize> = BTreeMap::new();
    let mut kept = Vec::new();
    for hazard in hazards {
        let number = numbers.entry(hazard.code.clone()).or_default();
        *number += 1;
        if *number <= MAX_OF_A_KIND {
            kept.push(hazard);
        }
    }
    for (code, number) in numbers {
        if let Some(more) = number.checked_sub(MAX_OF_A_KIND).filter(|more| *more > 0) {
            kept.push(Hazard {
                code,
                path: None,
                detail: format!("and {more} more"),
            });
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use isconf_sandbox::change::RelPath;

    use super::*;
    use crate::model::HazardCode;

    #[test]
    fn thousands_are_counted_and_the_same_is_told_once() {
        let at = |n: usize| {
            let path = RelPath::new(format!("f{n:05}").into_bytes()).unwrap();
            Hazard::at(HazardCode::ClockInFile, path, "x")
        };
        let mut many: Vec<_> = (0..3000).map(at).collect();
        many.push(at(0));
        let kept = limited(many);
        assert_eq!(kept.len(), MAX_OF_A_KIND + 1);
        assert_eq!(kept.last().unwrap().detail, "and 2980 more");
    }
}
