//! Several entries one after another in one scratchpad: each has its own changes.

use super::super::Collector;
use super::bench::{Bench, NEVER, listing, run};
use super::tree::{apply, assert_same, manifest};
use crate::capture::Capture;

/// Runs steps in one scratchpad and natively; the change set of each must lead from the native
/// tree before it to the one after.
fn sequence(setup: &str, steps: &[&str]) -> Vec<Capture> {
    let Some(bench) = Bench::new("/dev/shm", setup) else {
        return Vec::new();
    };
    let mut collector = Collector::new(bench.layout(), NEVER);
    let mut captures = Vec::new();
    bench.in_scratchpad(steps, || captures.push(collector.collect().unwrap()));
    let mut before = manifest(&bench.path("native"));
    for (step, capture) in steps.iter().zip(&captures) {
        run(&bench.path("native"), &format!("umask 022; {step}"));
        let after = manifest(&bench.path("native"));
        eprintln!("--- {step}\n{}", listing(capture));
        assert_same(&apply(&before, capture.set.changes()), &after);
        before = after;
    }
    captures
}

/// Checks the listings without sources.
fn assert_sequence(setup: &str, steps: &[(&str, &str)]) {
    let scripts: Vec<&str> = steps.iter().map(|(script, _)| *script).collect();
    for (capture, (script, expected)) in sequence(setup, &scripts).iter().zip(steps) {
        let text = listing(capture);
        let found: Vec<_> = text
            .lines()
            .map(|l| l.split(" [").next().unwrap())
            .collect();
        let expected: Vec<_> = expected
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty())
            .collect();
        assert_eq!(found, expected, "{script}");
    }
}

#[test]
fn each_of_several_entries_has_its_own_changes() {
    assert_sequence(
        "mkdir d; echo 1 > d/1; echo 2 > d/2",
        &[
            (
                "echo more >> d/1; echo 3 > d/3; touch -d @1577836800 d",
                "M /d/1\nA /d/3",
            ),
            ("true", ""),
            (
                "rm d/3; chmod 600 d/1; touch -d @1577836800 d",
                "m /d/1\nD /d/3",
            ),
            ("rm -r d; touch -d @1577836800 .", "D /d\nD /d/1\nD /d/2"),
            (
                "mkdir d; echo 4 > d/2; touch -d @1577836800 .",
                "A /d\nA /d/2",
            ),
        ],
    );
}

#[test]
fn renames_of_several_entries_are_told_apart() {
    assert_sequence(
        "mkdir -p d/s; echo 1 > d/1; echo 2 > d/2; echo 3 > d/s/3; echo f > f",
        &[
            (
                "mv d e; mv f g; touch -d @1577836800 .",
                "D /d\nR /e <- /d\nD /f\nR /g <- /f",
            ),
            ("echo x >> e/1; touch -d @1577836800 e", "M /e/1"),
            (
                "mv e h; mv g i; rm h/2; touch -d @1577836800 . h",
                "D /e\nD /g\nR /h <- /e\nD /h/2\nR /i <- /g",
            ),
            ("mv h/s s; touch -d @1577836800 . h", "D /h/s\nR /s <- /h/s"),
            (
                "rm -r h s; touch -d @1577836800 .",
                "D /h\nD /h/1\nD /s\nD /s/3",
            ),
        ],
    );
}

#[test]
fn a_tree_of_an_earlier_entry_is_renamed_as_a_whole() {
    assert_sequence(
        "true",
        &[
            (
                "mkdir -p n/s; echo 1 > n/s/1; echo 2 > n/2; touch -d @1577836800 .",
                "A /n\nA /n/2\nA /n/s\nA /n/s/1",
            ),
            (
                "mv n m; rm m/2; touch -d @1577836800 . m",
                "R /m <- /n\nD /m/2\nD /n",
            ),
        ],
    );
}

/// Random commands over few names, in three steps; `COLLECT_SEED` and `COLLECT_ROUNDS` choose
/// others.
#[test]
fn random_steps_are_what_they_are_natively() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let mut seed: u64 = number("COLLECT_SEED").unwrap_or(7);
    let rounds = number("COLLECT_ROUNDS").unwrap_or(20) as usize;
    let mut random = move |below: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for round in 0..rounds {
        let mut name = || {
            let names = ["a", "b", "c"];
            let depth = 1 + random(3);
            (0..depth)
                .map(|_| names[random(3) as usize])
                .collect::<Vec<_>>()
                .join("/")
        };
        let mut script = |length| {
            let mut lines = Vec::new();
            for n in 0..length {
                let (p, q) = (name(), name());
                let kind =
                    (n * 5 + round * 3 + p.len() + 7 * q.len() + q.as_bytes()[0] as usize) % 11;
                lines.push(match kind {
                    0 | 1 => format!("mkdir -p {p}; echo {n} > {p}/a"),
                    2 => format!("test -f {p} && echo {n} >> {p}"),
                    3 => format!("rm -rf {p}"),
                    4..=6 => format!("mv -T {p} {q}"),
                    7 => format!("test -f {p} && ln -T {p} {q}"),
                    8 => format!("test -e {p} && chmod 7{:02o} {p}", round % 64),
                    9 => format!("echo {n} > {p}"),
                    _ => format!("cp -a {p} {q}"),
                });
            }
            let quiet = |line: &String| format!("( {line} ) 2>/dev/null || true\n");
            lines.iter().map(quiet).collect::<String>()
        };
        let setup =
            "mkdir -p a/b/c b/a c/b; for f in a/a a/b/a b/b c/a c/b/a c/b/b; do echo $f > $f; done";
        let steps = [script(5), script(5), script(5)];
        sequence(setup, &steps.each_ref().map(String::as_str));
    }
}
