//! A preview of several entries, one on top of another in one scratchpad, says of each what its run
//! says, when those before it were committed: the digests are equal. Needs root, as `real` does.

use super::real::run_inside;
use crate::change::{ChangeSet, NormalRules, Timestamp, differences};
use crate::collect::tests::bench::Bench;
use crate::collect::{Collector, collect};
use crate::commit::commit;
use crate::layout::{Layout, TxId};

/// Later than what set-up leaves, earlier than all that follows.
const BEGIN: Timestamp = Timestamp {
    secs: 1_700_000_000,
    nanos: 0,
};

const NEVER: Timestamp = Timestamp {
    secs: i64::MAX,
    nanos: 0,
};

/// The change sets of a preview.
fn predicted(bench: &Bench, steps: &[&str]) -> Vec<ChangeSet> {
    let mut collector = Collector::new(bench.layout(), NEVER);
    let mut sets = Vec::new();
    bench.in_scratchpad(steps, || sets.push(collector.collect().unwrap().set));
    sets
}

/// The change sets of runs, each committed.
fn committed(bench: &Bench, steps: &[&str]) -> Vec<ChangeSet> {
    let base = bench.directory.path();
    let mut sets = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let tx = TxId::from_parts(1, number as u64 + 2);
        let mut layout: Layout = bench.layout();
        layout.directory = base.join("home/scratch").join(tx.as_str());
        layout.volumes[0].scratch = base.join(format!("scratch-{number}"));
        layout.tx = tx;
        for directory in [
            layout.directory.clone(),
            layout.volumes[0].upper(),
            layout.volumes[0].work(),
        ] {
            std::fs::create_dir_all(directory).unwrap();
        }
        run_inside(base, &layout.root, &layout.volumes[0].scratch, step);
        let capture = collect(&layout, NEVER).unwrap();
        let landed = commit(&layout, &capture, b"");
        let landed = landed.unwrap_or_else(|e| panic!("{step}: {e}: {e:?}"));
        landed.finish().unwrap();
        sets.push(capture.set);
    }
    sets
}

fn check(setup: &str, steps: &[&str]) {
    let benches = [Bench::new("/dev/shm", setup), Bench::new("/dev/shm", setup)];
    let [Some(preview), Some(run)] = benches else {
        return;
    };
    let (predicted, committed) = (predicted(&preview, steps), committed(&run, steps));
    let rules = NormalRules::for_run(BEGIN, NEVER);
    for ((step, predicted), committed) in steps.iter().zip(&predicted).zip(&committed) {
        let found = differences(predicted, committed, &rules);
        assert!(found.is_empty(), "{step}: {found:#?}");
        let digests = [predicted, committed].map(|set| set.normal_digest(&rules));
        assert_eq!(digests[0], digests[1], "{step}");
    }
}

#[test]
fn names_that_an_earlier_entry_made() {
    check(
        "mkdir d; echo 1 > d/old",
        &[
            "echo a > b; ln b a; ln b d/c",
            "echo more >> b",
            "chmod 600 d/c",
            "ln b z; rm a",
            "mv b d/b; echo x >> z",
            "rm z; echo last >> d/c; rm d/c",
        ],
    );
}

#[test]
fn names_outside_what_an_entry_touches() {
    check(
        "mkdir d e; echo 1 > d/2; ln d/2 d/1; ln d/2 e/3; ln -s x s; ln s d/s",
        &[
            "echo more >> d/2",
            "echo more >> e/3",
            "chmod 711 d/1; rm d/2",
            "ln e/3 y; mv e f",
            "touch f/3",
            "mv d/s t; chown -h 3:4 t",
            "rm y; echo z >> d/1; mv d/1 d/0",
        ],
    );
}

#[test]
fn directories_that_an_earlier_entry_made() {
    let setup = "mkdir t t/d t/d/e; echo 1 > t/d/in; echo 1 > t/d/e/e";
    let anew = "rm -rf t; mkdir -p t/d/e; echo 2 > t/d/in; echo e > t/d/e/e";
    for last in [
        "mv t/d t/moved",
        "mv t/d a; mkdir t/d; echo 2 > t/d/in",
        "cd t; mkdir n; mv d/in d/e n; rmdir d; mv n d",
        "cd t; mkdir n; mv d/e n; rm -r d; mv n d; chmod 700 d/e",
        "mv t a; mkdir t; mv a/d t",
        "mv t z; mkdir t; mv z/d t",
    ] {
        check(setup, &[anew, "chmod 700 t/d/in t/d", last]);
    }
}

/// Random entries; what makes no sense at its time fails alike in both.
#[test]
fn random_entries() {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRng, TestRunner};
    let name =
        || prop::sample::select(&["a", "b", "d/a", "d/c", "d/e/a", "d/e/b", "o/x", "o/y"][..]);
    let place = || prop::sample::select(&["a", "b", "d", "d/e", "e", "o", "d/o", "o/x"][..]);
    let command = prop_oneof![
        3 => name().prop_map(|n| format!("echo more >> {n}")),
        1 => name().prop_map(|n| format!("chmod 600 {n}")),
        1 => name().prop_map(|n| format!("chown -h 3:4 {n}")),
        3 => (name(), name()).prop_map(|(a, b)| format!("ln {a} {b}")),
        2 => (name(), name()).prop_map(|(a, b)| format!("mv -T {a} {b}")),
        2 => (place(), place()).prop_map(|(a, b)| format!("mv -T {a} {b}")),
        2 => name().prop_map(|n| format!("rm {n}")),
    ];
    let entry = prop::collection::vec(command, 1..3).prop_map(|commands| {
        let quiet = |c: &String| format!("({c}) 2>/dev/null || true\n");
        commands.iter().map(quiet).collect::<String>()
    });
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|n| n.parse().ok());
    let config = Config {
        cases: cases.unwrap_or(12),
        max_shrink_iters: 80,
        failure_persistence: None,
        ..Config::default()
    };
    // The same ones each time: more of them are for whoever works on this.
    let rng = TestRng::deterministic_rng(config.rng_algorithm);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let entries = prop::collection::vec(entry, 2..5);
    let outcome = runner.run(&entries, |entries| {
        let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
        check(
            "mkdir -p d/e o; echo 1 > a; ln a d/a; ln a d/e/a; echo 2 > o/x; ln o/x o/y; ln -s x d/c; ln d/c b",
            &entries,
        );
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
