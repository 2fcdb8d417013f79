//! Random sequences of filesystem operations, natively and in a scratchpad: each step says the same,
//! the whole trees end equal, the live tree is untouched before the commit, and undo leads back to
//! it. Sequences that failed once are kept in `random/kept` and run first, on every filesystem.
//! More of them: `ISCONF_SEQUENCES=100000 ISCONF_SEED=7 cargo test -p isconf-sandbox random`.
//!
//! ```text
//! seed → sequence ─┬→ natively ───────────────────────┐
//! (50 side by side)└→ one scratchpad → commit → equal ┴→ undo → as before
//! ```

mod case;
mod ground;
mod work;

use self::case::Case;
use self::ground::{Ground, on_ground};
use self::work::{Numbers, Work};
use crate::collect::tests::bench::is_root_here;
use crate::fs::Dir;

/// So many in one scratchpad.
const BATCH: usize = 50;

/// The sequences that failed once.
const KEPT: &str = include_str!("random/kept");

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The kept sequences, then as many from seeds as asked.
fn sequences(first: u64, usual: u64) -> Vec<Vec<Work>> {
    let kept = KEPT.lines().filter(|line| !line.starts_with('#'));
    let kept = kept.map(|line| {
        let works = line.split_whitespace().map(Work::parse);
        works
            .collect::<Option<Vec<_>>>()
            .unwrap_or_else(|| panic!("not a sequence: {line}"))
    });
    let count = number("ISCONF_SEQUENCES").unwrap_or(usual);
    let seed = number("ISCONF_SEED").unwrap_or(1) << 32 | first;
    let fresh = (seed..seed + count).map(|seed| Numbers(seed.wrapping_mul(0x9e37_79b9)).sequence());
    kept.chain(fresh).collect()
}

fn cases(sequences: &[Vec<Work>]) -> Vec<Case> {
    let numbered = sequences.iter().enumerate();
    numbered
        .map(|(number, works)| Case {
            directory: format!("c{number}"),
            works: works.clone(),
        })
        .collect()
}

/// Leaves out what a failure does not need.
fn shrink(ground: &mut Ground, mut works: Vec<Work>) -> (Vec<Work>, String) {
    let mut said = String::new();
    loop {
        let shorter = (0..works.len()).find_map(|left_out| {
            let mut fewer = works.clone();
            fewer.remove(left_out);
            let error = ground.run(&cases(std::slice::from_ref(&fewer))).err()?;
            Some((fewer, error))
        });
        let Some((fewer, error)) = shorter else {
            return (works, said);
        };
        (works, said) = (fewer, error);
    }
}

/// What of a failed batch fails alone, as short as can be.
fn explain(ground: &mut Ground, batch: &[Vec<Work>], error: &str) -> String {
    for works in batch {
        if let Err(alone) = ground.run(&cases(std::slice::from_ref(works))) {
            let (works, shrunk) = shrink(ground, works.clone());
            let line: Vec<String> = works.iter().map(Work::to_string).collect();
            return format!("{}\n{works:?}\n{shrunk}\n(first: {alone})", line.join(" "));
        }
    }
    format!("none of a batch fails alone: {error}")
}

fn check(kind: &'static str, first: u64, usual: u64) {
    if !is_root_here() {
        return;
    }
    let all = sequences(first, usual);
    let failed = on_ground(kind, move |mut ground| {
        let mut failed = Vec::new();
        for batch in all.chunks(BATCH) {
            if let Err(error) = ground.run(&cases(batch)) {
                failed.push(explain(&mut ground, batch, &error));
            }
            if failed.len() >= 5 {
                break;
            }
        }
        failed
    });
    assert!(failed.is_empty(), "on {kind}:\n{}", failed.join("\n\n"));
}

#[test]
fn sequences_on_tmpfs() {
    check("tmpfs", 0, 2_400);
}

#[test]
fn more_sequences_on_tmpfs() {
    check("tmpfs", 1 << 30, 2_000);
}

#[test]
fn sequences_on_ext4() {
    check("ext4", 2 << 30, 250);
}

#[test]
fn sequences_on_xfs() {
    check("xfs", 5 << 29, 250);
}

#[test]
fn sequences_on_btrfs() {
    check("btrfs", 3 << 30, 200);
}

/// What lets a commit save a sync: see `Dir::names_come_before_ours`.
#[test]
fn only_one_journal_has_names_in_their_order() {
    if !is_root_here() {
        return;
    }
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    // mkfs.ext2 makes no journal; the rest of ext4 is the same to the kernel that is asked.
    for (kind, in_order) in [
        ("ext4", true),
        ("xfs", true),
        ("btrfs", false),
        ("ext2", false),
    ] {
        let elsewhere = elsewhere.path().to_path_buf();
        let answers = on_ground(kind, move |mut ground| {
            let places = [ground.fresh(), ground.fresh(), elsewhere];
            let [one, other, elsewhere] = places.map(|path| Dir::open(&path).unwrap());
            let same = one.names_come_before_ours(&other);
            (same, one.names_come_before_ours(&elsewhere))
        });
        assert_eq!(answers, (in_order, false), "{kind}");
    }
}
