//! A filesystem of its own, in a mount namespace that only one thread is in, for many sequences
//! side by side in one scratchpad. Upholds: nothing is left when the thread ends, however it ends.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag};

use super::super::manifest::{difference, manifest};
use super::super::stage::{after_now, set_time};
use super::case::{Case, unlike};
use crate::change::{RelPath, Timestamp};
use crate::collect::collect;
use crate::commit::{commit, forget, recover, undo};
use crate::layout::{CommitPolicy, Layout, TxId, Volume};

/// Where sequences run; one thread's.
pub struct Ground {
    base: PathBuf,
    kind: &'static str,
    batches: u64,
}

/// Does `job` on a fresh filesystem, in a thread of its own.
pub fn on_ground<T: Send + 'static>(
    kind: &'static str,
    job: impl FnOnce(Ground) -> T + Send + 'static,
) -> T {
    let place = tempfile::tempdir_in("/dev/shm").unwrap();
    let base = place.path().to_path_buf();
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_FS).unwrap();
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        nix::sys::stat::umask(Mode::from_bits_truncate(0o022));
        let ground = Ground::new(base, kind);
        job(ground)
    });
    match thread.join() {
        Ok(value) => value,
        Err(cause) => std::panic::resume_unwind(cause),
    }
}

fn mount_tmpfs(at: &Path) {
    let none: Option<&str> = None;
    mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::MS_NODEV, none).unwrap();
}

fn command(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
}

impl Ground {
    fn new(base: PathBuf, kind: &'static str) -> Self {
        mount_tmpfs(&base);
        let ground = Self {
            base,
            kind,
            batches: 0,
        };
        if kind != "tmpfs" {
            let (image, disk) = (ground.base.join("image"), ground.base.join("disk"));
            std::fs::File::create(&image)
                .unwrap()
                .set_len(4 << 30)
                .unwrap();
            std::fs::create_dir(&disk).unwrap();
            let [image, disk] = [&image, &disk].map(|path| path.to_str().unwrap());
            command(&format!("mkfs.{kind}"), &["-q", image]);
            command("mount", &["-o", "loop,nodev", image, disk]);
        }
        ground
    }

    /// A fresh directory for a batch.
    pub fn fresh(&mut self) -> PathBuf {
        self.batches += 1;
        if self.kind == "tmpfs" {
            umount2(&self.base, MntFlags::MNT_DETACH).unwrap();
            mount_tmpfs(&self.base);
            return self.base.clone();
        }
        let place = self.base.join("disk").join(self.batches.to_string());
        std::fs::create_dir(&place).unwrap();
        place
    }

    /// Runs the cases natively, and all of them in one scratchpad that is then committed and taken
    /// back. What is not as it must be.
    pub fn run(&mut self, cases: &[Case]) -> Result<(), String> {
        let place = self.fresh();
        let (live, native, home) = (place.join("live"), place.join("native"), place.join("home"));
        for tree in [&live, &native] {
            std::fs::create_dir(tree).unwrap();
            std::fs::create_dir(tree.join("outside")).unwrap();
            cases.iter().for_each(|case| case.make(tree));
            for name in ["outside", ""] {
                let time = Timestamp {
                    secs: 1_500_000_000,
                    nanos: 0,
                };
                set_time(tree, &RelPath::new(name).unwrap(), time);
            }
        }
        let layout = layout(&live, &home);
        let since = after_now(&place);
        let before = manifest(&live);
        let merged = Merged::mount(&place, &layout);
        for case in cases {
            let (inside, outside) = (case.carry_out(&merged.at), case.carry_out(&native));
            same("what each step says", &inside, &outside)?;
        }
        drop(merged);
        empty(
            "live before the commit",
            &difference(&manifest(&live).0, &before.0),
        )?;
        let capture = collect(&layout, since).map_err(|e| format!("collect: {e}: {e:?}"))?;
        let landed = commit(&layout, &capture, b"").map_err(|e| format!("commit: {e}: {e:?}"))?;
        landed.finish().map_err(|e| format!("finish: {e}"))?;
        let (now, wanted) = (manifest(&live).0, manifest(&native).0);
        empty("native", &unlike(&now, &wanted, self.kind == "xfs"))?;
        let left = recover(&home, &live).map_err(|e| format!("recover: {e}"))?;
        same("to recover", &left.len(), &0)?;
        let undone =
            undo(&home, &live, &layout.tx, b"").map_err(|e| format!("undo: {e}: {e:?}"))?;
        undone.finish().map_err(|e| format!("finish undo: {e}"))?;
        let after = manifest(&live);
        empty("undone", &difference(&after.0, &before.0))?;
        same("inodes", &after.1, &before.1)?;
        forget(&home, &layout.tx).map_err(|e| format!("forget: {e}"))
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if self.kind != "tmpfs" {
            // The namespace goes with the thread, and the loop device with its mount.
            let _ = umount2(&self.base.join("disk"), MntFlags::MNT_DETACH);
        }
        let _ = umount2(&self.base, MntFlags::MNT_DETACH);
    }
}

fn layout(live: &Path, home: &Path) -> Layout {
    let tx = TxId::from_parts(1, 2);
    let scratch = live.join(".isconf").join(tx.as_str()).join("v0");
    let layout = Layout {
        directory: home.join("scratch").join(tx.as_str()),
        root: live.to_path_buf(),
        volumes: vec![Volume {
            mount_point: RelPath::root(),
            fs_type: "ext4".into(),
            device: (0, 0),
            scratch: scratch.clone(),
            policy: CommitPolicy::Rename,
        }],
        tx,
    };
    for directory in [
        &layout.directory,
        &scratch.join("upper"),
        &scratch.join("work"),
    ] {
        std::fs::create_dir_all(directory).unwrap();
    }
    // Hides the hidden directory from the inside.
    let whiteout = scratch.join("upper/.isconf");
    nix::sys::stat::mknod(&whiteout, SFlag::S_IFCHR, Mode::empty(), 0).unwrap();
    layout
}

/// A mounted scratchpad.
struct Merged {
    at: PathBuf,
}

impl Merged {
    fn mount(place: &Path, layout: &Layout) -> Self {
        let at = place.join("merged");
        std::fs::create_dir(&at).unwrap();
        let volume = &layout.volumes[0];
        let options = format!(
            "lowerdir={},upperdir={},workdir={},index=on,redirect_dir=on,metacopy=on,xino=on,volatile",
            layout.root.display(),
            volume.upper().display(),
            volume.work().display()
        );
        let overlay = Some("overlay");
        mount(
            overlay,
            &at,
            overlay,
            MsFlags::MS_NODEV,
            Some(options.as_str()),
        )
        .unwrap();
        Self { at }
    }
}

impl Drop for Merged {
    fn drop(&mut self) {
        // A panic is on its way if this fails too; the namespace ends with the thread.
        let _ = umount2(&self.at, MntFlags::empty());
    }
}

fn empty(what: &str, difference: &str) -> Result<(), String> {
    match difference {
        "" => Ok(()),
        text => Err(format!("{what}:\n{text}")),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, a: &T, b: &T) -> Result<(), String> {
    match a == b {
        true => Ok(()),
        false => Err(format!("{what}: {a:?}\n is not {b:?}")),
    }
}
