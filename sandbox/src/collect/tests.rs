//! Collect over upper layers that the kernel's own overlayfs made. The same script runs in a
//! scratchpad and natively in an equal tree; the change set applied to the tree before must give
//! the tree that the native run left. Needs root; elsewhere it says that it was skipped, and fails
//! when `CI=true`.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt::Write as _;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::object::Reader;
use super::{Collector, collect};
use crate::capture::{Capture, FindingReason, Source};
use crate::change::{Change, Content, Kind, Label, Node, RelPath, Timestamp};
use crate::layout::{CommitPolicy, Layout, TxId, Volume};

/// Later than everything a test does, so that nothing counts as changed meanwhile.
const NEVER: Timestamp = Timestamp {
    secs: i64::MAX,
    nanos: 0,
};

/// What set-up leaves gets this time of modification.
const OLD_SECS: i64 = 1_577_836_800;

/// A throwaway live tree with a scratchpad, and an equal tree to run in natively.
struct Bench {
    directory: tempfile::TempDir,
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Immutable files would keep the directory; nothing is lost when there are none.
        let _ = Command::new("chattr")
            .args(["-R", "-f", "-ia"])
            .arg(self.directory.path())
            .output();
    }
}

fn run(directory: &Path, script: &str) {
    let output = Command::new("/bin/sh")
        .args(["-ec", script])
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
}

impl Bench {
    /// Makes both trees with `setup`; `None` without root.
    fn new(base: &str, setup: &str) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "needs root");
            eprintln!("skipped: needs root");
            return None;
        }
        let directory = tempfile::tempdir_in(base).unwrap();
        let setup = format!(
            "umask 022; {setup}\nfind . -depth -exec touch -h -d @{OLD_SECS} {{}} + 2>/dev/null || true"
        );
        for name in ["live", "native"] {
            let tree = directory.path().join(name);
            std::fs::create_dir(&tree).unwrap();
            run(&tree, &setup);
        }
        run(
            directory.path(),
            "mkdir -p scratch/upper scratch/work merged; touch -r live scratch/upper",
        );
        Some(Self { directory })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn layout(&self) -> Layout {
        Layout {
            tx: TxId::from_parts(1, 1),
            directory: self.path("tx"),
            root: self.path("live"),
            volumes: vec![Volume {
                mount_point: RelPath::root(),
                fs_type: "ext4".to_owned(),
                device: (0, 0),
                scratch: self.path("scratch"),
                policy: CommitPolicy::Rename,
            }],
        }
    }

    /// Runs the steps one after another in one mounted overlay; `$BETWEEN` is run between them.
    fn in_scratchpad(&self, steps: &[&str], mut after_each: impl FnMut()) {
        // Each step is a process of its own in one mount namespace, which the first one holds.
        let mut holder = Command::new("unshare")
            .args(["-m", "--propagation", "private", "/bin/sh", "-ec"])
            .arg(
                "mount -t overlay overlay -o lowerdir=live,upperdir=scratch/upper,\
                 workdir=scratch/work,index=on,redirect_dir=on,metacopy=on,xino=on,volatile merged
                 echo ready; read -r _ || true; cd /; umount \"$OLDPWD/merged\"",
            )
            .current_dir(self.directory.path())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut ready)
            .expect("the overlay is mounted");
        for step in steps {
            let output = Command::new("nsenter")
                .arg(format!("--mount=/proc/{}/ns/mnt", holder.id()))
                .arg("/bin/sh")
                .args([
                    "-ec",
                    &format!("cd '{}'; umask 022; {step}", self.path("merged").display()),
                ])
                .output()
                .unwrap();
            assert!(output.status.success(), "{step}: {output:?}");
            after_each();
        }
        drop(holder.stdin.take());
        assert!(holder.wait().unwrap().success());
    }

    /// Runs `script` in the scratchpad and natively, checks that the change set leads from the one
    /// native tree to the other, and gives the capture.
    fn check(&self, script: &str) -> Capture {
        let before = manifest(&self.path("native"));
        self.in_scratchpad(&[script], || {});
        run(&self.path("native"), &format!("umask 022; {script}"));
        let capture = collect(&self.layout(), NEVER).unwrap();
        assert_same(
            &apply(&before, capture.set.changes()),
            &manifest(&self.path("native")),
        );
        capture
    }
}

type Manifest = BTreeMap<RelPath, Node>;

/// Every object of a tree, with the content of files, and times since the test began made equal.
fn manifest(root: &Path) -> Manifest {
    let mut all = Manifest::new();
    let mut links = BTreeMap::new();
    let mut reader = Reader::new();
    let mut pending = vec![RelPath::root()];
    while let Some(path) = pending.pop() {
        let full = path.to_path_under(root);
        let directory = std::fs::File::open(full.parent().unwrap()).unwrap();
        let name = CString::new(full.file_name().unwrap().as_bytes()).unwrap();
        let object = reader.read(directory.as_fd(), &name).unwrap().unwrap();
        let mut node = object.live_node();
        if let Kind::File { content, .. } = &mut node.kind {
            *content = Content::Read(reader.digest(&object).unwrap());
        }
        if object.is_directory() {
            for entry in std::fs::read_dir(&full).unwrap() {
                pending.push(path.child(entry.unwrap().file_name().as_bytes()).unwrap());
            }
        } else {
            links
                .entry(object.stat.st_ino)
                .or_insert_with(Vec::new)
                .push(path.clone());
        }
        all.insert(path, timeless(node));
    }
    for mut group in links.into_values() {
        group.sort();
        for path in &group[1..] {
            all.get_mut(path).unwrap().link_of = Some(group[0].clone());
        }
    }
    all
}

fn timeless(mut node: Node) -> Node {
    if node.meta.mtime.secs > OLD_SECS + 1_000_000 {
        node.meta.mtime = Timestamp { secs: 1, nanos: 0 };
    }
    if let Kind::File { hole_bytes, .. } = &mut node.kind {
        *hole_bytes = 0;
    }
    node
}

/// What a tree becomes by a change set, as a reader of its documentation would do it.
fn apply(before: &Manifest, changes: &[Change]) -> Manifest {
    let moves: BTreeMap<&RelPath, &RelPath> = changes
        .iter()
        .filter_map(|c| Some((c.moved_from.as_ref()?, &c.path)))
        .collect();
    let place = |path: &RelPath| {
        let mut above = Some(path.clone());
        while let Some(at) = above {
            if let Some(to) = moves.get(&at) {
                return to.join(&path.strip_prefix(&at).unwrap()).unwrap();
            }
            above = at.parent();
        }
        path.clone()
    };
    let mut after = Manifest::new();
    // What stays first, so that what moves over it wins.
    let (moved, stayed): (Vec<_>, Vec<_>) = before.iter().partition(|(p, _)| place(p) != **p);
    for (path, node) in stayed.into_iter().chain(moved) {
        let mut node = node.clone();
        node.link_of = node.link_of.map(|to| place(&to));
        after.insert(place(path), node);
    }
    for change in changes {
        if change.after.is_none() {
            after.remove(&change.path);
        }
    }
    let mut links: Vec<(RelPath, RelPath)> = Vec::new();
    for change in changes {
        let Some(node) = &change.after else { continue };
        let mut node = timeless(node.clone());
        if let Some(to) = node.link_of.take() {
            links.push((change.path.clone(), to));
        } else if let Kind::File { content, .. } = &mut node.kind
            && *content == Content::Unread
        {
            let old = after
                .get(&change.path)
                .expect("unread content is old content");
            let Kind::File { content: known, .. } = &old.kind else {
                panic!("{change:?}")
            };
            *content = *known;
            node.link_of = old.link_of.clone();
        }
        after.insert(change.path.clone(), node);
    }
    for (path, to) in links {
        let mut node = after[&to].clone();
        node.link_of = Some(to);
        after.insert(path, node);
    }
    after
}

/// Compares two trees; groups of hard links by their members, whatever name stands for them.
fn assert_same(found: &Manifest, expected: &Manifest) {
    let lines = |all: &Manifest| -> Vec<String> {
        let mut groups: BTreeMap<RelPath, Vec<RelPath>> = BTreeMap::new();
        for (path, node) in all {
            let head = node.link_of.clone().unwrap_or_else(|| path.clone());
            groups.entry(head).or_default().push(path.clone());
        }
        let group =
            |path: &RelPath, node: &Node| groups[node.link_of.as_ref().unwrap_or(path)].clone();
        all.iter()
            .map(|(p, n)| format!("{p} {:?} {:?} links {:?}", n.kind, n.meta, group(p, n)))
            .collect()
    };
    let (found, expected) = (lines(found), lines(expected));
    let missing: Vec<_> = expected.iter().filter(|l| !found.contains(l)).collect();
    let excess: Vec<_> = found.iter().filter(|l| !expected.contains(l)).collect();
    assert!(
        missing.is_empty() && excess.is_empty(),
        "missing {missing:#?}\nexcess {excess:#?}"
    );
}

/// One line a change: label, path, where it came from, what it is a link of, its source.
fn listing(capture: &Capture) -> String {
    let mut text = String::new();
    for (change, provenance) in capture.set.changes().iter().zip(&capture.provenance) {
        let letter = match change.label() {
            Label::Added => 'A',
            Label::Modified => 'M',
            Label::Metadata => 'm',
            Label::Rewritten => 't',
            Label::Deleted => 'D',
            Label::Moved => 'R',
        };
        write!(text, "{letter} {}", change.path).unwrap();
        if let Some(from) = &change.moved_from {
            write!(text, " <- {from}").unwrap();
        }
        if let Some(first) = change.after.as_ref().and_then(|n| n.link_of.as_ref()) {
            write!(text, " = {first}").unwrap();
        }
        match &provenance.source {
            Source::Gone => {}
            Source::Upper { origin: None, .. } => text.push_str(" [new]"),
            Source::Upper { .. } => text.push_str(" [copy]"),
            Source::MergedDirectory { .. } => text.push_str(" [merged]"),
            Source::LiveData { data, .. } => write!(text, " [data {data}]").unwrap(),
        }
        text.push('\n');
    }
    text
}

fn assert_listing(capture: &Capture, expected: &str) {
    let expected: Vec<_> = expected
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    assert_eq!(listing(capture).lines().collect::<Vec<_>>(), expected);
}

const BASES: [&str; 2] = ["/var/tmp", "/dev/shm"];

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

/// Random commands over few names, in three steps.
#[test]
fn random_steps_are_what_they_are_natively() {
    let mut seed = 7u64;
    let mut random = move |below: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for round in 0..25 {
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
                    8 => format!("test -e {p} && chmod 7{round:02} {p}")
                        .replace('8', "1")
                        .replace('9', "2"),
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
