//! One entry in a scratchpad: what each kind of command leaves is listed as it should be.

use super::bench::{BASES, Bench, NEVER, assert_listing};
use crate::capture::{FindingReason, Window};
use crate::change::Timestamp;
use crate::collect::{Collector, collect};
use crate::layout::CommitPolicy;

/// One script, one expected listing, on a disk filesystem and on tmpfs.
fn case(setup: &str, script: &str, expected: &str) {
    for base in BASES {
        let Some(bench) = Bench::new(base, setup) else {
            return;
        };
        assert_listing(&bench.check(script), expected);
    }
}

#[test]
fn doing_nothing_is_no_change() {
    case("echo a > a; mkdir d", "cat a; ls d", "");
}

#[test]
fn a_copy_that_is_as_before_is_no_change() {
    case(
        "echo a > a; mkdir d; echo b > d/b",
        "exec 3<>a; exec 4<>d/b; chmod 600 d/b; chmod 644 d/b; chown 1 d; chown 0 d",
        "",
    );
}

#[test]
fn files_are_written_appended_and_rewritten() {
    case(
        "echo a > a; echo b > b; echo c > c; echo d > d; mkdir dir; echo e > dir/e",
        "echo more >> a; echo B > b; echo c > c.new; mv c.new c; touch -d @1577836800 .; \
         echo d > d; echo new > dir/new",
        "M /a [copy]
         M /b [copy]
         t /c [new]
         t /d [data /d]
         t /dir [merged]
         A /dir/new [new]",
    );
}

#[test]
fn attributes_change_without_the_data() {
    case(
        "for f in mode owner time acl attr flag; do echo $f > $f; done; mkdir dir",
        "chmod 4711 mode; chown 12:34 owner; touch -d @1577836801 time; setfattr -n user.x -v 1 attr; \
         setfacl -m u:5:r acl; chmod 700 dir; setfattr -n trusted.overlay.mine -v 2 attr; \
         chattr +i flag",
        "m /acl [data /acl]
         m /attr [data /attr]
         m /dir [merged]
         m /flag [data /flag]
         m /mode [data /mode]
         m /owner [data /owner]
         t /time [data /time]",
    );
}

#[test]
fn deleting_a_tree_lists_all_of_it() {
    case(
        "mkdir -p d/e/f; echo 1 > d/e/f/1; echo 2 > d/2; echo x > x",
        "rm -r d x; touch -d @1577836800 .",
        "D /d
         D /d/2
         D /d/e
         D /d/e/f
         D /d/e/f/1
         D /x",
    );
}

#[test]
fn a_directory_made_anew_hides_what_was_in_it() {
    case(
        "mkdir -p d/e d/g; echo 1 > d/1; echo 2 > d/e/2; echo 3 > d/g/3; echo 4 > d/g/4",
        "rm -r d; mkdir -p d/g; echo 1 > d/1; echo 3 > d/g/3; chmod 700 d; touch -d @1577836800 .",
        "m /d [new]
         t /d/1 [new]
         D /d/e
         D /d/e/2
         t /d/g [new]
         t /d/g/3 [new]
         D /d/g/4",
    );
}

#[test]
fn kinds_replace_each_other() {
    case(
        "echo f > f; mkdir -p d/s; echo x > d/s/x; ln -s t l",
        "rm f; mkdir f; echo y > f/y; rm -r d; echo d > d; ln -sfn u l; touch -d @1577836800 .",
        "M /d [new]
         D /d/s
         D /d/s/x
         M /f [new]
         A /f/y [new]
         M /l [new]",
    );
}

#[test]
fn every_kind_can_be_new() {
    case(
        "true",
        "mkfifo p; mknod c c 1 3; mknod b b 7 99; ln -s /nowhere l; \
         mkdir -p n/e/s/t; echo deep > n/e/s/t/f; truncate -s 1M hole; printf 'x' > \"$(printf 'a\\nb\\377')\"",
        "t / [merged]
         A /a\\nb\\xff [new]
         A /b [new]
         A /c [new]
         A /hole [new]
         A /l [new]
         A /n [new]
         A /n/e [new]
         A /n/e/s [new]
         A /n/e/s/t [new]
         A /n/e/s/t/f [new]
         A /p [new]",
    );
}

#[test]
fn a_renamed_directory_takes_its_content_along() {
    case(
        "mkdir -p d/sub q; echo 1 > d/1; echo 2 > d/2; echo 3 > d/sub/3",
        "mv d q/e; echo more >> q/e/1; rm q/e/2; echo n > q/e/sub/n; chmod 700 q/e; \
         touch -d @1577836800 . q q/e q/e/sub",
        "D /d
         R /q/e <- /d [merged]
         M /q/e/1 [copy]
         D /q/e/2
         A /q/e/sub/n [new]",
    );
}

#[test]
fn a_directory_renamed_out_of_a_renamed_one() {
    case(
        "mkdir -p d/sub/x; echo 1 > d/1; echo 3 > d/sub/3; echo 4 > d/sub/x/4",
        "mv d e; mv e/sub f; mv f/x e/x; echo y >> e/x/4; touch -d @1577836800 . e f e/x",
        "D /d
         R /e <- /d [merged]
         D /e/sub
         R /e/x <- /d/sub/x [merged]
         M /e/x/4 [copy]
         R /f <- /d/sub [merged]
         D /f/x",
    );
}

#[test]
fn a_renamed_directory_takes_the_place_of_another() {
    case(
        "mkdir -p a/s b/s b/t; echo 1 > a/1; echo 2 > a/2; echo 1 > b/1; echo 3 > b/3; echo 4 > b/s/4; echo 5 > a/s/5",
        "rm -r b; mv a b; echo 6 > b/6; touch -d @1577836800 . b",
        "D /a
         R /b <- /a [merged]
         D /b/3
         A /b/6 [new]
         D /b/s/4
         D /b/t",
    );
}

#[test]
fn two_directories_change_places() {
    case(
        "mkdir a b; echo 1 > a/1; echo 2 > b/2",
        "python3 -c \"import ctypes; l=ctypes.CDLL(None); \
         exit(l.renameat2(-100, b'a', -100, b'b', 2))\"; touch -d @1577836800 .",
        "R /a <- /b [merged]
         R /b <- /a [merged]",
    );
}

#[test]
fn a_renamed_file_keeps_its_data() {
    case(
        "echo 1 > a; echo 2 > b; echo 3 > c; mkdir d; echo 4 > d/e",
        "mv a z; mv b c; chmod 600 c; mv d/e d/f; echo new > d/e; touch -d @1577836800 . d",
        "D /a
         D /b
         R /c <- /b [data /b]
         M /d/e [new]
         R /d/f <- /d/e [data /d/e]
         R /z <- /a [data /a]",
    );
}

#[test]
fn a_live_file_gets_more_names() {
    case(
        "echo 1 > m; echo 2 > o; echo 3 > p; ln -s t l",
        "ln m a; ln m z; ln o n; chmod 600 o; ln p q; echo more >> p; ln l k; touch -d @1577836800 .",
        "A /a = /m [data /m]
         A /k = /l [data /l]
         A /n [data /o]
         m /o = /n [data /o]
         M /p [copy]
         A /q = /p [copy]
         A /z = /m [data /m]",
    );
}

#[test]
fn new_files_have_several_names() {
    case(
        "mkdir d",
        "echo 1 > d/b; ln d/b d/a; ln d/a c; touch -d @1577836800 . d",
        "A /c [new]
         A /d/a = /c [new]
         A /d/b = /c [new]",
    );
}

#[test]
fn names_of_one_live_inode_change_together() {
    case(
        "echo 1 > a; ln a b; echo 2 > c; ln c d",
        "echo more >> a; touch -a b; cat b; chmod 600 c d; rm d; touch -d @1577836800 .",
        "M /a [copy]
         M /b = /a [copy]
         m /c [data /c]
         D /d",
    );
}

#[test]
fn a_link_replaces_a_file_and_a_copy_breaks_a_link() {
    case(
        "echo 1 > a; echo 2 > b; echo 3 > c; ln c d; cp -p c e",
        "ln -f a b; cp -p --remove-destination e d; touch -d @1577836800 .",
        "M /b = /a [data /a]
         m /d [new]",
    );
}

#[test]
fn a_socket_left_behind_is_a_finding() {
    let Some(bench) = Bench::new("/var/tmp", "true") else {
        return;
    };
    let capture = bench.check(
        "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"s\")'; \
         touch -d @1577836800 .",
    );
    assert_listing(&capture, "A /s [new]");
    assert_eq!(
        capture.findings[0].reason,
        FindingReason::SocketOfEndedProcess
    );
}

#[test]
fn a_renamed_file_that_was_written_since_is_the_same_inode_where_that_shows() {
    case(
        "echo 1 > a; echo 2 > b; mkdir o; echo 3 > o/c; ln o/c o/d; ln o/c o/e",
        "mv a x; touch x; mv b y; echo more >> y; mv o/c z; echo more >> z; mv o/d o/f; touch o/f; touch -a o/e; \
         touch -d @1577836800 . o",
        "D /a
         D /b
         D /o/c
         D /o/d
         M /o/e [copy]
         R /o/f <- /o/c = /o/e [copy]
         R /x <- /a [data /a]
         A /y [new]
         R /z <- /o/d = /o/e [copy]",
    );
}

#[test]
fn without_an_index_names_that_may_have_come_apart_are_found() {
    let setup = "echo a > a; ln a b; echo c > c; ln c d; echo e > e; echo f > f; ln f g";
    for (index, expected) in [("on", &[][..]), ("off", &["/a"])] {
        let Some(mut bench) = Bench::new(BASES[0], setup) else {
            return;
        };
        // What the kernel falls back to on a lower layer without file handles.
        bench.index = index;
        // `c` and `d` come anew with both names, as a package manager makes them; `f` only goes.
        let script = "echo more >> a; echo C > n; ln n m; mv n c; mv m d; echo more >> e; rm f";
        bench.in_scratchpad(&[script], || {});
        let findings = collect(&bench.layout(), NEVER).unwrap().findings;
        let torn = findings
            .iter()
            .filter(|f| f.reason == FindingReason::LinksTorn);
        let torn: Vec<_> = torn.map(|f| f.path.to_string()).collect();
        assert_eq!(torn, expected, "index={index}");
    }
}

#[test]
fn only_a_time_that_the_clock_gave_meanwhile_tells_of_a_change_by_somebody_else() {
    let Some(bench) = Bench::new(BASES[0], "echo a > a") else {
        return;
    };
    bench.in_scratchpad(&["echo more >> a"], || {});
    let at = |secs| Timestamp { secs, nanos: 0 };
    let is_late = |layout, present| {
        let mut collector = Collector::new(layout, at(1));
        let capture = collector
            .collect_in(|since| Window { since, present })
            .unwrap();
        !capture.conflicts.is_empty()
    };
    assert!(is_late(bench.layout(), None));
    assert!(is_late(bench.layout(), Some(at(i64::MAX))));
    assert!(!is_late(bench.layout(), Some(at(2))));
    let mut elsewhere = bench.layout();
    elsewhere.volumes[0].policy = CommitPolicy::Copy;
    assert!(is_late(elsewhere, Some(at(2))), "its clock may be another");
}

#[test]
fn a_pipe_with_other_attributes_gets_one_more_name() {
    let bench = Bench::new("/dev/shm", "mkdir d; mkfifo fifo; echo a > a; ln -s a link");
    let Some(bench) = bench else { return };
    let capture = bench.check("chmod 600 fifo; ln fifo d/b; cat a > t; cat t > a; ln a d/a");
    assert_listing(
        &capture,
        "t / [merged]
         t /a [data /a]
         t /d [merged]
         A /d/a = /a [data /a]
         A /d/b [data /fifo]
         m /fifo = /d/b [data /fifo]
         A /t [new]",
    );
}

#[test]
fn a_written_file_with_another_name_changes_places_with_a_directory() {
    let setup = "mkdir -p d/e g o; echo 1 > g/one; ln g/one o/one; echo f > d/e/f";
    let Some(bench) = Bench::new("/dev/shm", setup) else {
        return;
    };
    bench.check("echo more >> g/one; mv d/e x; mv g/one d/e; mv x g/one");
}

#[test]
fn a_new_name_of_a_written_file_has_what_was_written() {
    let setup = "mkdir d g o; echo one > g/one; ln g/one o/one";
    let Some(bench) = Bench::new("/dev/shm", setup) else {
        return;
    };
    bench.check("echo more >> g/one; ln g/one d/a");
}
