//! Layers and layouts: several volumes, our own scratch, depth, hostile values, size.

use super::super::collect;
use super::bench::{BASES, Bench, NEVER, assert_listing, run};
use crate::capture::{Capture, FindingReason, Glimpse};
use crate::change::{Label, RelPath, Timestamp};
use crate::layout::{CommitPolicy, Volume};

/// A second volume below the first: its upper layer is apart, and what is shown only is not in the
/// set.
#[test]
fn volumes_are_apart_and_a_shown_one_is_not_committed() {
    let Some(bench) = Bench::new("/dev/shm", "mkdir run; echo 1 > a; echo 2 > run/b") else {
        return;
    };
    run(
        bench.directory.path(),
        "mkdir -p scratch1/upper; echo new > scratch/upper/n; echo pid > scratch1/upper/pid; \
         mknod scratch1/upper/b c 0 0; touch -r live/run scratch1/upper; touch -r live scratch/upper",
    );
    let mut layout = bench.layout();
    layout.volumes.push(Volume {
        mount_point: RelPath::new("run").unwrap(),
        scratch: bench.path("scratch1"),
        policy: CommitPolicy::ShowOnly,
        ..layout.volumes[0].clone()
    });
    let capture = collect(&layout, NEVER).unwrap();
    assert_listing(&capture, "A /n [new]");
    let shown: Vec<_> = capture
        .shown
        .changes()
        .iter()
        .map(|c| c.path.to_string())
        .collect();
    assert_eq!(shown, ["/run/b", "/run/pid"]);
    assert_eq!(capture.findings[0].path, RelPath::new("run").unwrap());
    assert_eq!(capture.findings[0].reason, FindingReason::ShowOnly);
}

#[test]
fn our_own_scratch_is_neither_deleted_nor_listed() {
    let setup = "mkdir -p .isconf home/scratch home/x; echo 1 > home/x/1; echo s > .isconf/secret";
    let Some(bench) = Bench::new("/dev/shm", setup) else {
        return;
    };
    let mut layout = bench.layout();
    let tx = layout.tx.as_str().to_owned();
    run(
        bench.directory.path(),
        &format!(
            "mkdir -p live/.isconf/{tx}/v1 && mv scratch live/.isconf/{tx}/v0
             cd live/.isconf/{tx}; mkdir v1/upper
             mknod v0/upper/.isconf c 0 0; mkdir v0/upper/home; mknod v0/upper/home/scratch c 0 0
             touch -r ../../home v0/upper/home; touch -r ../.. v0/upper"
        ),
    );
    layout.volumes[0].scratch = bench.path(&format!("live/.isconf/{tx}/v0"));
    let mut second = layout.volumes[0].clone();
    second.mount_point = RelPath::new("home/x").unwrap();
    second.scratch = bench.path(&format!("live/home/scratch/{tx}/v1"));
    run(
        bench.directory.path(),
        &format!(
            "mkdir -p live/home/scratch/{tx}/v1/upper; touch -r live/home/x live/home/scratch/{tx}/v1/upper"
        ),
    );
    layout.volumes.push(second);
    assert_listing(&collect(&layout, NEVER).unwrap(), "");
}

#[test]
fn of_a_live_object_that_changed_meanwhile_what_the_copy_still_tells_is_told() {
    let setup =
        "echo 1 > a; echo two > b; ln -s x c; echo d > d; echo e > e; touch -d @1577836800 b";
    let Some(bench) = Bench::new("/var/tmp", setup) else {
        return;
    };
    let script =
        "echo more >> a; chmod 600 b; chown -h 7:8 c; rm d; echo e > f; mv f e; echo n > n";
    bench.in_scratchpad(&[&format!("{script}; touch -d @1577836800 .")], || {});
    let early = Timestamp {
        secs: 1_577_836_801,
        nanos: 0,
    };
    let capture = collect(&bench.layout(), early).unwrap();
    let told = |path: &str| {
        let path = RelPath::new(path).unwrap();
        let conflict = capture.conflicts.iter().find(|c| c.path == path).unwrap();
        (conflict.seen, conflict.found.unwrap())
    };
    assert_eq!(capture.conflicts.len(), 5);
    for (path, kind, permissions, owner, size) in [
        ("a", libc::S_IFREG, Some(0o644), Some((0, 0)), None),
        ("b", libc::S_IFREG, None, Some((0, 0)), Some(4)),
        ("c", libc::S_IFLNK, Some(0o777), None, Some(1)),
    ] {
        let (seen, found) = told(path);
        let known = Glimpse {
            kind: Some(kind),
            ino: Some(found.ino),
            permissions,
            owner,
            size,
        };
        assert_eq!(seen, known, "{path}");
    }
    // A whiteout and a new object tell nothing of what was there.
    assert_eq!(told("d").0, Glimpse::default());
    assert_eq!(told("e").0, Glimpse::default());
}

/// Of each conflict: the path, the type that the scratchpad saw, and the type that is there.
fn types_told(capture: &Capture) -> Vec<(String, Option<u32>, Option<u32>)> {
    let types = capture.conflicts.iter().map(|conflict| {
        let found = conflict.found.map(|found| found.mode & libc::S_IFMT);
        (conflict.path.to_string(), conflict.seen.kind, found)
    });
    types.collect()
}

#[test]
fn a_copy_of_an_object_that_somebody_replaced_tells_its_type() {
    let setup = "echo 1 > a; echo 2 > b; mkdir d; echo x > d/x";
    let Some(bench) = Bench::new("/var/tmp", setup) else {
        return;
    };
    bench.in_scratchpad(&["echo more >> a; echo more >> b; chmod 700 d"], || {});
    let live = bench.path("live");
    run(
        &live,
        "rm a; echo new > b.new; mv b.new b; mv d away; ln -s away d",
    );
    let capture = collect(&bench.layout(), NEVER).unwrap();
    let told = types_told(&capture);
    let file = Some(libc::S_IFREG);
    assert_eq!(
        told,
        [
            ("/a".to_owned(), file, None),
            ("/b".to_owned(), file, file),
            ("/d".to_owned(), Some(libc::S_IFDIR), Some(libc::S_IFLNK)),
        ]
    );
}

#[test]
fn changed_attributes_of_a_file_that_somebody_moved_or_replaced_are_a_conflict() {
    let setup = "echo 1 > a; echo 2 > b; echo 3 > c; mkdir d; echo 4 > d/e";
    let Some(bench) = Bench::new("/var/tmp", setup) else {
        return;
    };
    bench.in_scratchpad(&["chmod 600 a b d/e; mv c n"], || {});
    let live = bench.path("live");
    run(
        &live,
        "rm a; echo new > x; mv x b; mv c y; mv d z; ln -s z d",
    );
    let capture = collect(&bench.layout(), NEVER).unwrap();
    let told = types_told(&capture);
    let file = Some(libc::S_IFREG);
    assert_eq!(
        told,
        [
            ("/a".to_owned(), file, None),
            ("/b".to_owned(), file, file),
            ("/c".to_owned(), file, None),
            ("/d".to_owned(), Some(libc::S_IFDIR), Some(libc::S_IFLNK)),
            ("/d/e".to_owned(), file, None),
        ]
    );
}

#[test]
fn a_file_that_changed_while_it_got_one_more_name_is_a_conflict() {
    let Some(bench) = Bench::new("/var/tmp", "echo 1 > a; touch -d @1577836800 a") else {
        return;
    };
    bench.in_scratchpad(&["ln a b; touch -d @1577836800 ."], || {});
    let early = Timestamp {
        secs: 1_577_836_801,
        nanos: 0,
    };
    let capture = collect(&bench.layout(), early).unwrap();
    assert_eq!(capture.conflicts.len(), 1);
    let conflict = &capture.conflicts[0];
    assert_eq!(conflict.path.to_string(), "/a");
    assert_eq!(conflict.seen.size, Some(2));
    assert_eq!(conflict.seen.ino, conflict.found.map(|found| found.ino));
}

#[test]
fn trees_deeper_than_a_path_can_name_are_read() {
    let deep = "n=0; while [ $n -lt 60 ]; do d=$(printf '%0200d' $n); mkdir $d; cd -P $d; \
                n=$((n+1)); done; echo deep > f";
    let Some(bench) = Bench::new("/dev/shm", "true") else {
        return;
    };
    run(&bench.path("scratch/upper"), deep);
    run(bench.directory.path(), "touch -r live scratch/upper");
    let capture = collect(&bench.layout(), NEVER).unwrap();
    assert_eq!(capture.set.len(), 61);
    let last = &capture.set.changes()[60];
    assert_eq!(last.path.as_bytes().len(), 60 * 201 + 1);
    // Hidden live trees as well.
    run(&bench.path("live"), deep);
    run(
        bench.directory.path(),
        "rm -r scratch/upper/*; touch -r live scratch/upper",
    );
    let name = format!("{:0200}", 0);
    run(
        &bench.path("scratch/upper"),
        &format!("mknod {name} c 0 0; touch -r ../../live ."),
    );
    let capture = collect(&bench.layout(), NEVER).unwrap();
    assert_eq!(capture.set.len(), 61);
    assert!(
        capture
            .set
            .changes()
            .iter()
            .all(|c| c.label() == Label::Deleted)
    );
}

#[test]
fn a_hostile_redirect_is_an_error_that_names_the_file() {
    let Some(bench) = Bench::new("/dev/shm", "mkdir d") else {
        return;
    };
    run(
        &bench.path("scratch/upper"),
        "mkdir e; setfattr -n trusted.overlay.redirect -v ../../etc e",
    );
    let error = collect(&bench.layout(), NEVER).unwrap_err();
    assert!(error.to_string().contains("scratch/upper/e"), "{error}");
}

#[test]
fn whiteouts_without_device_nodes_are_understood() {
    let Some(bench) = Bench::new("/dev/shm", "mkdir d; echo 1 > d/1; echo 2 > d/2") else {
        return;
    };
    run(
        &bench.path("scratch/upper"),
        "mkdir d; touch d/1; setfattr -n trusted.overlay.whiteout -v y d/1; \
         setfattr -n trusted.overlay.opaque -v x d; touch -r ../../live/d d; touch -r ../../live .",
    );
    assert_listing(&collect(&bench.layout(), NEVER).unwrap(), "D /d/1");
}

/// Prints how long 100,000 paths take: `cargo test --release -- --ignored --nocapture hundred`.
#[test]
#[ignore = "a measurement"]
fn a_hundred_thousand_files() {
    let make = "python3 -c \"
import os
for d in range(1000):
    os.mkdir(f'd{d}')
    for f in range(100):
        open(f'd{d}/f{f}', 'w').write(f'{d} {f} ' * 100)\"";
    for base in BASES {
        let Some(bench) = Bench::new(base, make) else {
            return;
        };
        let timed = |what: &str| {
            let start = std::time::Instant::now();
            let found = collect(&bench.layout(), NEVER).unwrap();
            let collected = start.elapsed();
            let digest = found.set.digest();
            let all = start.elapsed();
            eprintln!(
                "{base} {what}: {} changes, {collected:?}, digest {:?} {digest}",
                found.set.len(),
                all - collected
            );
        };
        bench.in_scratchpad(
            &["for d in d*; do for f in $d/*; do echo x >> $f; done; done"],
            || timed("modified"),
        );
        run(
            bench.directory.path(),
            "rm -r scratch; mkdir -p scratch/upper scratch/work",
        );
        run(&bench.path("scratch/upper"), "cp -a ../../live new");
        timed("new tree");
        run(
            bench.directory.path(),
            "rm -r scratch; mkdir -p scratch/upper scratch/work",
        );
        bench.in_scratchpad(&["rm -r d*"], || timed("deleted"));
        run(
            bench.directory.path(),
            "rm -r scratch; mkdir -p scratch/upper scratch/work",
        );
        bench.in_scratchpad(&["chmod -R 700 ."], || timed("chmod"));
    }
}
