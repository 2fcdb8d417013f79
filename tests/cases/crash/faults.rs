//! Faults that no point names: the process is killed at any time, the disk is full or fails. Upholds:
//! when the fault is gone, each entry is wholly live and recorded or not at all, and the exit code
//! told which as far as it could be known.

use super::disk::{Disk, ROWS, Row};
use super::is_long;

/// A fixed sequence of numbers below a bound (splitmix64), so that a run can be repeated.
struct Dice(u64);

impl Dice {
    /// From `ISCONF_SEED`, else from the clock; printed either way.
    fn thrown(test: &str) -> Self {
        let given = std::env::var("ISCONF_SEED").ok();
        let seed = given.and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.map_or(1, |time| time.as_secs())
        });
        eprintln!("{test}: ISCONF_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Kills verbs, and the starts after them, at random times.
fn killed_at_random_times(filesystem: &str) {
    let Some(disk) = Disk::of(filesystem) else {
        return;
    };
    let mut dice = Dice::thrown(filesystem);
    let (rows, times) = if is_long() { (ROWS.len(), 28) } else { (3, 5) };
    let first = dice.below(ROWS.len() as u64) as usize;
    for row in ROWS.iter().cycle().skip(first).take(rows) {
        let (old, new) = disk.prepare(row);
        let started = std::time::Instant::now();
        disk.run("whole", &[row.verb]);
        // With the copy of the image and the look: longer than the verb alone takes.
        let longest = started.elapsed().as_millis() as u64;
        for _ in 0..times {
            let [verb, recovery] = [(); 2].map(|()| format!("{}e-3", dice.below(longest)));
            let state = disk.run("kill", &[&verb, &recovery, row.verb]).out();
            let what = format!("{} killed after {verb} and {recovery}", row.verb);
            assert!(
                state == old || state == new,
                "{what}: found\n{state}\nold\n{old}\nnew\n{new}"
            );
        }
    }
}

#[test]
fn killed_at_any_time_on_ext4_it_has_happened_or_not() {
    killed_at_random_times("ext4");
}

#[test]
fn killed_at_any_time_on_xfs_it_has_happened_or_not() {
    killed_at_random_times("xfs");
}

#[test]
fn killed_at_any_time_on_btrfs_it_has_happened_or_not() {
    killed_at_random_times("btrfs");
}
