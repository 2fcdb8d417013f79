//! The power fails at every point, on every filesystem: what was not synced is gone, the journal of
//! the filesystem is replayed, and the next start must find the same states as after a plain stop.
//! ext4 and xfs are shut down in the middle; of btrfs the image is taken. Upholds: what a verb said
//! is done, and what an intent announced, is there after a power cut.

use std::collections::BTreeSet;

use super::disk::{Disk, ROWS, Row};
use super::{APPLIED, FINISHED, SETTLED, SYNCED, is_long};

/// Points at which the intent is durable: what it announces is there, whatever happens.
fn is_decided(point: &str) -> bool {
    point == "commit.intent.durable"
        || [APPLIED, SYNCED, SETTLED, FINISHED]
            .iter()
            .any(|group| group.contains(&point))
}

/// Cuts the power at these points, and once when the verb is over.
fn at_each(disk: &Disk, row: &Row, points: &BTreeSet<&str>) {
    let (old, new) = disk.prepare(row);
    for point in points {
        let found = disk.run("cut", &[point, row.verb]).out();
        let state = found.strip_prefix("came yes\n");
        let state = state.unwrap_or_else(|| panic!("{}: never at {point}", row.verb));
        let fits = state == new || (state == old && !is_decided(point));
        let verb = row.verb;
        assert!(
            fits,
            "{verb} at {point}: found\n{state}\nold\n{old}\nnew\n{new}"
        );
    }
    let done = disk.run("cut", &["none", row.verb]).out();
    assert_eq!(done, format!("came no\n{new}"), "{} was over", row.verb);
}

/// Cuts the power in every verb: in the long run at all points of each, else at each point in one.
fn fails_everywhere(filesystem: &str) {
    let Some(disk) = Disk::of(filesystem) else {
        return;
    };
    let mut seen = BTreeSet::new();
    for row in ROWS {
        let mut points = row.scenario.stops_at();
        if !is_long() {
            points.retain(|point| !seen.contains(point));
        }
        seen.extend(points.iter().copied());
        if !points.is_empty() {
            at_each(&disk, row, &points);
        }
    }
    let all = super::points();
    let missed = all.iter().filter(|point| !seen.contains(point.as_str()));
    assert_eq!(missed.count(), 0, "of {all:?} only {seen:?}");
}

#[test]
fn power_may_fail_at_any_point_on_ext4() {
    fails_everywhere("ext4");
}

#[test]
fn power_may_fail_at_any_point_on_xfs() {
    fails_everywhere("xfs");
}

#[test]
fn power_may_fail_at_any_point_on_btrfs() {
    fails_everywhere("btrfs");
}
