//! Faults that no point names: the process is killed at any time, the disk is full or fails. Upholds:
//! when the fault is gone, each entry is wholly live and recorded or not at all, and the exit code
//! told which as far as it could be known.

use super::disk::{Disk, LIVE, ROWS, Row};
use super::is_long;

/// A fixed sequence of numbers below a bound (splitmix64), so that a run can be repeated.
struct Dice(u64);

impl Dice {
    /// From `ISCONF_SEED`; printed, so that a run can be repeated as far as times can.
    fn thrown(test: &str) -> Self {
        let given = std::env::var("ISCONF_SEED").ok();
        let seed = given.and_then(|seed| seed.parse().ok()).unwrap_or(1);
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

/// Changes that need room for what is new, and for the old bytes of what has to stay.
const LARGE: &str = "seq 30000 >/srv/new; seq 20000 >>/srv/linked; rm /srv/gone; mv /srv/dir /srv/moved; \
                     seq 10000 >>/srv/file; chmod 700 /srv/mode; mkdir -p /srv/d/e";

/// Runs a verb on a disk with so much room. The exit code has to tell at once what is live, and the
/// records have to agree when there is room again. Gives the exit code.
fn with_room(disk: &Disk, (unit, free): (&str, u64), row: &Row, (old, new): (&str, &str)) -> i32 {
    let done = disk.run("full", &[unit, &free.to_string(), row.verb]);
    let what = format!(
        "{} with {free} {unit} free: {}{}",
        row.verb,
        done.out(),
        done.err()
    );
    let out = done.out();
    let [status, live, state] = out
        .splitn(3, '\n')
        .collect::<Vec<_>>()
        .try_into()
        .expect("status, live tree and state");
    let status = status.trim_start_matches("status ").parse();
    let status = status.expect("a number");
    if status == 0 {
        assert_eq!(state, new, "{what}");
    } else {
        assert_eq!((live, state), ("live as before", old), "{what}");
        // The command itself may have failed, which is said with its own status.
        // Or it was ended, to leave some room to others.
        assert!([1, 2, 5, 137].contains(&status), "{what}");
        let said = done.err();
        // Without room for a directory the kernel mounts an overlay read-only.
        let reasons = [
            "No space left on device",
            "inodes left",
            "Read-only file system",
            "too little room",
        ];
        assert!(reasons.iter().any(|reason| said.contains(reason)), "{what}");
    }
    status
}

/// Runs verbs on disks with more and more room, until there is enough.
fn no_room(disk: &Disk, unit: &str, step: usize) {
    disk.change(LARGE);
    for row in LIVE {
        let (old, new) = disk.prepare(row);
        let mut tried = (0..)
            .step_by(step)
            .map(|free| with_room(disk, (unit, free), row, (&old, &new)) == 0);
        // What an undo needs may all be there: it was kept when the entry was made.
        let first = tried.next();
        assert!(
            first == Some(false) || row.verb == "isconf undo",
            "{} needed nothing",
            row.verb
        );
        // What is enough once must not be too little with more.
        let mut enough = 0;
        while enough < 2 {
            enough = if tried.next() == Some(true) {
                enough + 1
            } else {
                0
            };
        }
    }
}

/// KiB from one try to the next.
fn step() -> usize {
    if is_long() { 8 } else { 256 }
}

#[test]
fn out_of_space_at_any_step_on_ext4_is_said_and_changes_nothing() {
    if let Some(disk) = Disk::of("ext4") {
        no_room(&disk, "KiB", step());
    }
}

#[test]
fn out_of_space_at_any_step_on_xfs_is_said_and_changes_nothing() {
    if let Some(disk) = Disk::of("xfs") {
        no_room(&disk, "KiB", step());
    }
}

#[test]
fn out_of_space_at_any_step_on_btrfs_is_said_and_changes_nothing() {
    if let Some(disk) = Disk::of("btrfs") {
        no_room(&disk, "KiB", step());
    }
}

#[test]
fn out_of_inodes_at_any_step_is_said_and_changes_nothing() {
    if let Some(disk) = Disk::of("ext4") {
        disk.made_with("-N 400");
        no_room(&disk, "inodes", if is_long() { 1 } else { 7 });
    }
}

/// How the disk fails from a point on.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// Every access fails (`EIO`): the filesystem is shut down, as when its disk is pulled out.
    Shutdown,
    /// The filesystem gives up its journal (`EROFS`), as ext4 does after an error.
    Abort,
    /// Writes to what was not written yet fail (`EIO`): a thin disk with no room behind it.
    Small,
}

/// Lets the disk fail at points of these rows, and then mounts it again. The exit code has to tell
/// what comes of it.
fn disk_fails(filesystem: &str, fault: Fault) {
    let Some(disk) = Disk::of(filesystem) else {
        return;
    };
    // Elsewhere every point; with another remainder for each kind, so that all come in some.
    let step = if is_long() { 1 } else { 5 };
    for (row, rest) in LIVE.into_iter().zip(fault as usize..) {
        let (old, new) = disk.prepare(row);
        let points = row.scenario.stops_at().into_iter();
        for point in points.skip(rest % step).step_by(step) {
            let how = format!("{fault:?}").to_lowercase();
            let done = disk.run("fault", &[&how, point, row.verb]);
            let what = format!("{} at {point}: {}{}", row.verb, done.out(), done.err());
            let out = done.out();
            let (status, state) = out.split_once('\n').expect("status and state");
            let status = status.strip_prefix("came yes status ").expect(&what);
            match status {
                "0" => assert_eq!(state, new, "{what}"),
                "1" => assert_eq!(state, old, "{what}"),
                "5" | "224" => assert!(state == old || state == new, "{what}\n{old}\n{new}"),
                _ => panic!("{what}"),
            }
            let said = done.err();
            let reasons = [
                "I/O error",
                "Input/output error",
                "Read-only file system",
                "No space left on device",
            ];
            let is_said = reasons.iter().any(|reason| said.contains(reason));
            assert!(status == "0" || is_said, "{what}");
        }
    }
}

#[test]
fn pulling_out_the_disk_of_an_ext4_is_said_and_leaves_nothing_half_done() {
    disk_fails("ext4", Fault::Shutdown);
}

#[test]
fn pulling_out_the_disk_of_an_xfs_is_said_and_leaves_nothing_half_done() {
    disk_fails("xfs", Fault::Shutdown);
}

#[test]
fn an_ext4_that_becomes_read_only_is_said_and_leaves_nothing_half_done() {
    disk_fails("ext4", Fault::Abort);
}

#[test]
fn write_errors_on_ext4_are_said_and_leave_nothing_half_done() {
    disk_fails("ext4", Fault::Small);
}

#[test]
fn write_errors_on_xfs_are_said_and_leave_nothing_half_done() {
    disk_fails("xfs", Fault::Small);
}
