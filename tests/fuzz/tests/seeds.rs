//! Replays every kept seed, so that what a fuzzer found once is looked at in each test run.

#![allow(clippy::unwrap_used, reason = "a panic is how a test says no")]

use std::fs;
use std::path::Path;

use isconf_fuzz::TARGETS;

#[test]
fn every_kept_seed_is_read_without_a_panic() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for target in TARGETS {
        let mut count = 0;
        for seed in fs::read_dir(seeds.join(target.name)).unwrap() {
            (target.run)(&fs::read(seed.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "{} has no seeds", target.name);
    }
    assert_eq!(fs::read_dir(&seeds).unwrap().count(), TARGETS.len());
}

#[test]
fn cut_and_empty_seeds_are_read_without_a_panic() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for target in TARGETS {
        (target.run)(b"");
        for seed in fs::read_dir(seeds.join(target.name)).unwrap() {
            let bytes = fs::read(seed.unwrap().path()).unwrap();
            let step = bytes.len() / 16 + 1;
            for length in (0..bytes.len()).step_by(step) {
                (target.run)(&bytes[..length]);
            }
        }
    }
}
