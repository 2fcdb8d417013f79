//! A throwaway live tree with a scratchpad over it, and an equal tree to run in natively.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::collect;
use super::tree::{apply, assert_same, manifest};
use crate::capture::{Capture, Source};
use crate::change::{Label, RelPath, Timestamp};
use crate::layout::{CommitPolicy, Layout, TxId, Volume};

/// Later than everything a test does, so that nothing counts as changed meanwhile.
pub(super) const NEVER: Timestamp = Timestamp {
    secs: i64::MAX,
    nanos: 0,
};

/// What set-up leaves gets this time of modification.
pub(super) const OLD_SECS: i64 = 1_577_836_800;

/// A throwaway live tree with a scratchpad, and an equal tree to run in natively.
pub(crate) struct Bench {
    pub(crate) directory: tempfile::TempDir,
    /// The overlay's option `index`.
    pub(crate) index: &'static str,
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

pub(super) fn run(directory: &Path, script: &str) {
    let output = Command::new("/bin/sh")
        .args(["-ec", script])
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
}

impl Bench {
    /// Makes both trees with `setup`; `None` without root.
    pub(crate) fn new(base: &str, setup: &str) -> Option<Self> {
        if !is_root_here() {
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
        Some(Self {
            directory,
            index: "on",
        })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn layout(&self) -> Layout {
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
    pub(crate) fn in_scratchpad(&self, steps: &[&str], mut after_each: impl FnMut()) {
        // Each step is a process of its own in one mount namespace, which the first one holds.
        let mut holder = Command::new("unshare")
            .args(["-m", "--propagation", "private", "/bin/sh", "-ec"])
            .arg(format!(
                "mount -t overlay overlay -o lowerdir=live,upperdir=scratch/upper,\
                 workdir=scratch/work,index={},redirect_dir=on,metacopy=on,xino=on,volatile merged
                 echo ready; read -r _ || true; cd /; umount \"$OLDPWD/merged\"",
                self.index
            ))
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
    pub(super) fn check(&self, script: &str) -> Capture {
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

/// One line a change: label, path, where it came from, what it is a link of, its source.
pub(crate) fn listing(capture: &Capture) -> String {
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

pub(super) fn assert_listing(capture: &Capture, expected: &str) {
    let expected: Vec<_> = expected
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    assert_eq!(listing(capture).lines().collect::<Vec<_>>(), expected);
}

/// A disk filesystem and a tmpfs.
pub(super) const BASES: [&str; 2] = ["/var/tmp", "/dev/shm"];

/// Whether a test that needs root can run; says so where it cannot, which fails with `CI=true`.
pub(crate) fn is_root_here() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "needs root");
        eprintln!("skipped: needs root");
    }
    is_root
}
