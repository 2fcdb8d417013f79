//! A live tree and an upper layer made by hand, and next to them the same operations done natively
//! on a copy, which is what a commit must lead to.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::capture::{Capture, LiveIdentity, Provenance, Source};
use crate::change::{Change, ChangeSet, Content, Digest, Kind, Node, RelPath, Timestamp};
use crate::fs::{Dir, Stat, read_metadata, set_mtime};
use crate::layout::{CommitPolicy, Layout, TxId, Volume};

pub fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

/// See the module.
pub struct Stage {
    pub base: PathBuf,
    pub layout: Layout,
    changes: BTreeMap<RelPath, (Change, Provenance)>,
    since: Timestamp,
    clock: i64,
}

pub const SEEN_BEFORE: i64 = 1_600_000_000;

pub fn stat_of(root: &Path, path: &RelPath) -> Option<Stat> {
    let dir = Dir::open(&path.parent().unwrap_or_default().to_path_under(root)).ok()?;
    dir.at(path.file_name().unwrap_or(b"")).stat().unwrap()
}

pub fn node_of(root: &Path, path: &RelPath) -> Option<Node> {
    let stat = stat_of(root, path)?;
    let full = path.to_path_under(root);
    let dir = Dir::open(&path.parent().unwrap_or_default().to_path_under(root)).unwrap();
    let meta = read_metadata(dir.at(path.file_name().unwrap_or(b"")), &stat).unwrap();
    let kind = match stat.kind_bits() {
        libc::S_IFREG => Kind::File {
            size: stat.identity.size,
            content: Content::Read(Digest::of(&std::fs::read(&full).unwrap())),
            hole_bytes: 0,
        },
        libc::S_IFDIR => Kind::Directory,
        libc::S_IFLNK => Kind::Symlink {
            target: {
                use std::os::unix::ffi::OsStrExt as _;
                std::fs::read_link(&full)
                    .unwrap()
                    .as_os_str()
                    .as_bytes()
                    .to_vec()
            },
        },
        libc::S_IFIFO => Kind::Fifo,
        other => panic!("kind {other:o}"),
    };
    Some(Node {
        kind,
        meta,
        link_of: None,
    })
}

impl Stage {
    /// Makes the live tree with `make`, and its copy.
    pub fn new(base: &Path, make: impl FnOnce(&Path)) -> Self {
        let root = base.join("live");
        std::fs::create_dir_all(&root).unwrap();
        make(&root);
        settle_times(&root);
        let tx = TxId::from_parts(SEEN_BEFORE as u64, 7);
        let directory = base.join("home/scratch").join(tx.as_str());
        let scratch = root.join(".isconf").join(tx.as_str()).join("v0");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::create_dir_all(scratch.join("upper")).unwrap();
        let copied = std::process::Command::new("cp")
            .arg("-a")
            .arg(&root)
            .arg(base.join("native"))
            .status();
        assert!(copied.unwrap().success());
        std::fs::remove_dir_all(base.join("native/.isconf")).unwrap();
        let stage = Self {
            base: base.to_path_buf(),
            layout: Layout {
                tx,
                directory,
                root,
                volumes: vec![Volume {
                    mount_point: RelPath::root(),
                    fs_type: "ext4".into(),
                    device: (0, 0),
                    scratch,
                    policy: CommitPolicy::Rename,
                }],
            },
            changes: BTreeMap::new(),
            since: Timestamp::default(),
            clock: SEEN_BEFORE + 1000,
        };
        Self {
            since: after_now(&stage.base),
            ..stage
        }
    }

    pub fn live(&self) -> &Path {
        &self.layout.root
    }

    pub fn native(&self) -> PathBuf {
        self.base.join("native")
    }

    pub fn home(&self) -> PathBuf {
        self.base.join("home")
    }

    fn upper(&self) -> PathBuf {
        self.layout.volumes[0].upper()
    }

    fn tick(&mut self) -> Timestamp {
        self.clock += 1;
        Timestamp {
            secs: self.clock,
            nanos: 123_456_789,
        }
    }

    /// The old path of what the overlay shows at `new`.
    fn old(&self, new: &RelPath) -> RelPath {
        let mut at = Some(new.clone());
        while let Some(path) = at {
            if let Some((change, _)) = self.changes.get(&path)
                && let Some(from) = &change.moved_from
            {
                return from.join(&new.strip_prefix(&path).unwrap()).unwrap();
            }
            at = path.parent();
        }
        new.clone()
    }

    fn identity(&self, old: &RelPath) -> Option<LiveIdentity> {
        stat_of(self.live(), old).map(|stat| stat.identity)
    }

    /// Makes the upper layer's directories above a path, as copies of the live ones.
    fn upper_parents(&self, new: &RelPath) {
        let parent = new.parent().unwrap_or_default();
        std::fs::create_dir_all(parent.to_path_under(&self.upper())).unwrap();
    }

    /// Records that the directory holding `new` has a new time, natively and in the set.
    fn touch_parent(&mut self, new: &RelPath, mtime: Timestamp) {
        let parent = new.parent().unwrap();
        set_time(&self.native(), &parent, mtime);
        if let Some((change, provenance)) = self.changes.get_mut(&parent) {
            change.after.as_mut().unwrap().meta.mtime = mtime;
            if matches!(provenance.source, Source::Upper { .. }) {
                set_time(&self.layout.volumes[0].upper(), &parent, mtime);
            }
            return;
        }
        let old = self.old(&parent);
        let before = node_of(self.live(), &old).unwrap();
        let mut after = before.clone();
        after.meta.mtime = mtime;
        let live = self.identity(&old);
        self.put(
            &parent,
            Some(before),
            Some(after),
            live,
            &old,
            Source::MergedDirectory {
                path: parent.clone(),
            },
        );
    }

    #[allow(clippy::too_many_arguments, reason = "each is one field of a change")]
    fn put(
        &mut self,
        new: &RelPath,
        before: Option<Node>,
        after: Option<Node>,
        live: Option<LiveIdentity>,
        old: &RelPath,
        source: Source,
    ) {
        let moved_from = self
            .changes
            .get(new)
            .and_then(|(change, _)| change.moved_from.clone());
        self.changes.insert(
            new.clone(),
            (
                Change {
                    path: new.clone(),
                    before,
                    after,
                    moved_from,
                },
                Provenance {
                    volume: 0,
                    source,
                    live,
                    live_path: old.clone(),
                    replaced: None,
                    linked: None,
                },
            ),
        );
    }

    fn put_upper(&mut self, new: &RelPath, modified: bool) {
        let old = self.old(new);
        let live = self.identity(&old);
        let source = Source::Upper {
            path: new.clone(),
            ino: stat_of(&self.upper(), new).unwrap().ino(),
            origin: live.filter(|_| modified).map(|live| live.ino),
        };
        let before = node_of(self.live(), &old);
        let after = node_of(&self.upper(), new);
        self.put(new, before, after, live, &old, source);
    }

    /// Writes a file: a new one, or in place of another, or (`modified`) the same with new bytes.
    pub fn write(&mut self, name: &str, bytes: &[u8], modified: bool) {
        let (new, mtime) = (path(name), self.tick());
        self.upper_parents(&new);
        let upper = new.to_path_under(&self.upper());
        let native = new.to_path_under(&self.native());
        std::fs::write(&upper, bytes).unwrap();
        if modified {
            let old = native.metadata().unwrap();
            std::fs::set_permissions(&upper, old.permissions()).unwrap();
        } else {
            if native.is_dir() && !native.is_symlink() {
                std::fs::remove_dir_all(&native).unwrap();
            }
            let _ = std::fs::remove_file(&native);
            std::fs::set_permissions(&upper, std::fs::Permissions::from_mode(0o640)).unwrap();
        }
        set_time(&self.upper(), &new, mtime);
        std::fs::write(&native, bytes).unwrap();
        if !modified {
            std::fs::set_permissions(&native, std::fs::Permissions::from_mode(0o640)).unwrap();
        }
        set_time(&self.native(), &new, mtime);
        let replaced_directory =
            stat_of(self.live(), &self.old(&new)).is_some_and(|s| s.is_directory());
        self.put_upper(&new, modified);
        if replaced_directory {
            self.hide_below(&new);
        }
        if !modified {
            self.touch_parent(&new, mtime);
        }
    }

    /// Makes a directory, new or in place of whatever is there.
    pub fn mkdir(&mut self, name: &str) {
        let (new, mtime) = (path(name), self.tick());
        self.upper_parents(&new);
        let native = new.to_path_under(&self.native());
        if native.is_dir() {
            std::fs::remove_dir_all(&native).unwrap();
        }
        let _ = std::fs::remove_file(&native);
        std::fs::create_dir(&native).unwrap();
        let _ = std::fs::create_dir(new.to_path_under(&self.upper()));
        for root in [self.upper(), self.native()] {
            let full = new.to_path_under(&root);
            std::fs::set_permissions(full, std::fs::Permissions::from_mode(0o751)).unwrap();
            set_time(&root, &new, mtime);
        }
        let was_directory = stat_of(self.live(), &self.old(&new)).is_some_and(|s| s.is_directory());
        self.put_upper(&new, false);
        if was_directory {
            self.hide_below(&new);
        }
        self.touch_parent(&new, mtime);
    }

    /// Everything live below a path is gone.
    fn hide_below(&mut self, new: &RelPath) {
        let old = self.old(new);
        let top = Dir::open(&old.to_path_under(self.live())).unwrap();
        let mut below = Vec::new();
        crate::fs::walk::<nix::errno::Errno>(&top, &mut |path, _, _| {
            below.push(path.clone());
            Ok(())
        })
        .unwrap();
        for path in below {
            let (new, old) = (new.join(&path).unwrap(), old.join(&path).unwrap());
            if self
                .changes
                .values()
                .any(|(c, _)| c.moved_from.as_ref() == Some(&old))
            {
                continue;
            }
            let before = node_of(self.live(), &old);
            let live = self.identity(&old);
            self.put(&new, before, None, live, &old, Source::Gone);
        }
    }

    /// Removes a path with everything below it.
    pub fn remove(&mut self, name: &str) {
        let (new, mtime) = (path(name), self.tick());
        let native = new.to_path_under(&self.native());
        if native.is_dir() && !native.is_symlink() {
            std::fs::remove_dir_all(&native).unwrap();
        } else {
            std::fs::remove_file(&native).unwrap();
        }
        let old = self.old(&new);
        let before = node_of(self.live(), &old);
        let live = self.identity(&old);
        let is_directory = stat_of(self.live(), &old).unwrap().is_directory();
        self.put(&new, before, None, live, &old, Source::Gone);
        if is_directory {
            self.hide_below(&new);
        }
        self.touch_parent(&new, mtime);
    }

    /// Renames a live file or directory.
    pub fn rename(&mut self, from: &str, to: &str) {
        let (old, new, mtime) = (path(from), path(to), self.tick());
        let native = self.native();
        std::fs::rename(old.to_path_under(&native), new.to_path_under(&native)).unwrap();
        self.upper_parents(&new);
        let node = node_of(self.live(), &old).unwrap();
        let live = self.identity(&old);
        let upper = new.to_path_under(&self.upper());
        let source = if node.kind == Kind::Directory {
            std::fs::create_dir(&upper).unwrap();
            Source::MergedDirectory { path: new.clone() }
        } else {
            std::fs::write(&upper, b"stub").unwrap();
            Source::LiveData {
                path: new.clone(),
                data: old.clone(),
                ino: live.unwrap().ino,
            }
        };
        self.put(&old, Some(node.clone()), None, live, &old, Source::Gone);
        self.put(&new, Some(node.clone()), Some(node), live, &old, source);
        self.changes.get_mut(&new).unwrap().0.moved_from = Some(old.clone());
        self.touch_parent(&old, mtime);
        self.touch_parent(&new, mtime);
    }

    /// Changes the mode of a live file or directory.
    pub fn chmod(&mut self, name: &str, mode: u32) {
        let new = path(name);
        let native = new.to_path_under(&self.native());
        std::fs::set_permissions(native, std::fs::Permissions::from_mode(mode)).unwrap();
        if let Some((change, _)) = self.changes.get_mut(&new) {
            change.after.as_mut().unwrap().meta.mode = mode;
            return;
        }
        let old = self.old(&new);
        let before = node_of(self.live(), &old).unwrap();
        let live = self.identity(&old);
        let mut after = before.clone();
        after.meta.mode = mode;
        let source = if before.kind == Kind::Directory {
            Source::MergedDirectory { path: new.clone() }
        } else {
            self.upper_parents(&new);
            std::fs::write(new.to_path_under(&self.upper()), b"stub").unwrap();
            Source::LiveData {
                path: new.clone(),
                data: old.clone(),
                ino: live.unwrap().ino,
            }
        };
        self.put(&new, Some(before), Some(after), live, &old, source);
    }

    /// Gives a live file one more name.
    pub fn link(&mut self, from: &str, to: &str) {
        let (data, new, mtime) = (path(from), path(to), self.tick());
        let native = self.native();
        std::fs::hard_link(data.to_path_under(&native), new.to_path_under(&native)).unwrap();
        self.upper_parents(&new);
        std::fs::write(new.to_path_under(&self.upper()), b"stub").unwrap();
        let old = self.old(&data);
        let ino = self.identity(&old).unwrap().ino;
        let after = match self.changes.get(&data) {
            Some((change, _)) => change.after.clone(),
            None => node_of(self.live(), &old),
        };
        let source = Source::LiveData {
            path: new.clone(),
            data: old,
            ino,
        };
        self.put(&new, None, after, None, &new, source);
        self.touch_parent(&new, mtime);
    }

    /// A symbolic link, new or in place of a file.
    pub fn symlink(&mut self, name: &str, target: &str) {
        let (new, mtime) = (path(name), self.tick());
        self.upper_parents(&new);
        let native = new.to_path_under(&self.native());
        let _ = std::fs::remove_file(&native);
        for root in [self.upper(), self.native()] {
            std::os::unix::fs::symlink(target, new.to_path_under(&root)).unwrap();
            set_time(&root, &new, mtime);
        }
        self.put_upper(&new, false);
        self.touch_parent(&new, mtime);
    }

    pub fn capture(&self) -> Capture {
        let (mut changes, mut provenance) = (Vec::new(), Vec::new());
        for (change, from) in self.changes.values() {
            changes.push(change.clone());
            provenance.push(from.clone());
        }
        Capture {
            set: ChangeSet::new(changes).unwrap(),
            shown: ChangeSet::default(),
            provenance,
            since: self.since,
            present: None,
            findings: Vec::new(),
            conflicts: Vec::new(),
        }
    }
}

pub fn set_time(root: &Path, path: &RelPath, mtime: Timestamp) {
    let dir = Dir::open(&path.parent().unwrap_or_default().to_path_under(root)).unwrap();
    set_mtime(dir.at(path.file_name().unwrap_or(b"")), mtime).unwrap();
}

/// Gives every object a time of its own, so that a lost one shows.
fn settle_times(root: &Path) {
    let top = Dir::open(root).unwrap();
    let mut paths = vec![];
    crate::fs::walk::<nix::errno::Errno>(&top, &mut |path, _, _| {
        paths.push(path.clone());
        Ok(())
    })
    .unwrap();
    for (i, path) in paths.iter().enumerate() {
        let mtime = Timestamp {
            secs: SEEN_BEFORE + i as i64,
            nanos: 42,
        };
        set_time(root, path, mtime);
    }
}

/// A time that is later than every ctime so far, and not later than any to come: the ctime of a
/// file made in a later tick of the kernel's clock.
pub fn after_now(base: &Path) -> Timestamp {
    let probe = base.join("probe");
    let ctime = || {
        std::fs::write(&probe, b"").unwrap();
        let meta = probe.metadata().unwrap();
        (meta.ctime(), meta.ctime_nsec())
    };
    let first = ctime();
    loop {
        let now = ctime();
        if now > first {
            return Timestamp {
                secs: now.0,
                nanos: now.1 as u32,
            };
        }
    }
}
