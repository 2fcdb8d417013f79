//! Random work, in a scratchpad and natively: the trees must end equal, and undo must lead back.

use proptest::prelude::*;

use super::real::check_in;

/// Names that get in each other's way, some of them nasty. None has a second name that nothing
/// touches: what is changed through a name that is then removed is not captured.
const NAMES: &[&str] = &[
    "dir",
    "dir/a",
    "dir/inner",
    "dir/inner/b",
    "gone",
    "gone/one",
    "gone/deep",
    "gone/deep/two",
    "gone/deep/er",
    "opt",
    "etc/conf",
    "etc/sub",
    "etc/sub/other",
    "new",
    "new/x",
    "new/x/y",
    "new\nline",
    "dir/sp ace\\",
    "etc/link",
];

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(NAMES).prop_map(|name| format!("'{name}'"))
}

/// One command; those that make no sense at their time fail alike in both trees.
fn command() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => name().prop_map(|n| format!("echo written > {n}")),
        2 => name().prop_map(|n| format!("echo appended >> {n}")),
        3 => name().prop_map(|n| format!("rm -rf {n}")),
        3 => name().prop_map(|n| format!("mkdir {n}")),
        5 => (name(), name()).prop_map(|(a, b)| format!("mv -T {a} {b}")),
        2 => (name(), name()).prop_map(|(a, b)| format!("mv {a} {b}")),
        2 => (name(), name()).prop_map(|(a, b)| format!("ln {a} {b}")),
        1 => name().prop_map(|n| format!("ln -s target {n}")),
        1 => name().prop_map(|n| format!("chmod 700 {n}")),
        1 => name().prop_map(|n| format!("chown -h 3:4 {n}")),
        1 => name().prop_map(|n| format!("echo r > tmp.r && mv -T tmp.r {n}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(24),
        max_shrink_iters: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_work_ends_as_natively(commands in prop::collection::vec(command(), 1..14)) {
        // Opening a pipe for writing would wait for a reader.
        let script: String = commands
            .iter()
            .map(|c| format!("({c}) 2>/dev/null || true\n"))
            .collect();
        check_in("/dev/shm", "", &script);
    }
}
