//! A live tree and what an entry made of it, planned and ready to be done, in memory.

use std::collections::BTreeMap;

use nix::errno::Errno;

use super::capture::{Rows, capture};
use super::disk::{Body, Disk, LIVE, SCRATCH, Tree};
use super::ground::{Fragile, handle_of};
use super::work::Work;
use crate::capture::Capture;
use crate::change::{ChangeSet, FLAG_IMMUTABLE, Metadata, RelPath, Timestamp};
use crate::commit::facts::Facts;
use crate::commit::guard::{self, Below, Conflicts, Strangers};
use crate::commit::item::{self, Item, Origin, Refusal};
use crate::commit::plan::{self, VolumePlan};
use crate::commit::shape::Shape;
use crate::commit::step::Steps;
use crate::layout::{CommitPolicy, Layout, TxId, Volume};

/// Where the volumes are mounted.
const MOUNTS: [&str; 2] = ["", "mnt/second"];

/// What is done on one volume, and what makes it awkward.
#[derive(Clone)]
pub struct Story {
    pub setup: Vec<Work>,
    pub entry: Vec<Work>,
    /// Which names an entry used, which files are open for writing: any number will do.
    pub choice: u8,
    /// Whether the filesystem ages exchanged directories.
    pub ages: bool,
}

/// The rig tells what came of it.
impl std::fmt::Debug for Story {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "choice {} ages {}", self.choice, self.ages)
    }
}

/// See the module.
pub struct Rig {
    layout: Layout,
    capture: Capture,
    /// The live disks, each with its upper layer.
    pub disks: Vec<Disk>,
    /// What the live trees are to be.
    pub wanted: Vec<Tree>,
    choice: u8,
    told: String,
}

/// A plan ready to be done.
pub struct Ready {
    pub disks: Vec<Disk>,
    pub steps: Steps,
}

fn layout(volumes: usize) -> Layout {
    let volume = |mount: &&str| Volume {
        mount_point: RelPath::new(*mount).unwrap(),
        fs_type: "model".into(),
        device: (8, 1),
        scratch: "/scratch".into(),
        policy: CommitPolicy::Rename,
    };
    Layout {
        tx: TxId::from_parts(1, 2),
        directory: "/home/scratch".into(),
        root: "/".into(),
        volumes: MOUNTS.iter().take(volumes).map(volume).collect(),
    }
}

impl Rig {
    pub fn new(stories: &[Story]) -> Self {
        let layout = layout(stories.len());
        let (mut disks, mut wanted) = (Vec::new(), Vec::new());
        let mut all = Rows::new();
        let (mut since, mut told) = (0, String::new());
        for (index, story) in stories.iter().enumerate() {
            let mut live = Disk::new(story.ages);
            let made = live.work(&story.setup);
            let mut view = live.clone();
            let done = view.work(&story.entry);
            told += &format!("volume {index}, had {made:?}\nentry {done:?}\n");
            wanted.push(view.tree());
            let mount = &layout.volumes[index].mount_point;
            let (rows, mut disk) = capture(&live, &view, (index, mount), story.choice);
            all.extend(rows.into_values().map(|row| (row.0.path.clone(), row)));
            // What others do comes after everything that the scratchpad did.
            disk.clock = view.clock.max(disk.clock) + 10;
            since = since.max(disk.clock);
            disks.push(disk);
        }
        let (changes, provenance) = all.into_values().unzip();
        let capture = Capture {
            set: ChangeSet::new(changes).unwrap(),
            provenance,
            shown: ChangeSet::default(),
            since: Timestamp {
                secs: since,
                nanos: 0,
            },
            present: None,
            findings: Vec::new(),
            conflicts: Vec::new(),
        };
        for disk in &mut disks {
            disk.clock = since;
        }
        Self {
            layout,
            capture,
            disks,
            wanted,
            choice: stories[0].choice,
            told,
        }
    }

    pub fn listing(&self) -> String {
        let rows = self
            .capture
            .set
            .changes()
            .iter()
            .zip(&self.capture.provenance);
        let line = |(change, provenance): (&crate::change::Change, &crate::capture::Provenance)| {
            let from = change.moved_from.as_ref().map(ToString::to_string);
            let label = change.label();
            format!(
                "{label:?} {} <- {from:?} {:?}\n",
                change.path, provenance.source
            )
        };
        self.told.clone() + &rows.map(line).collect::<String>()
    }

    /// Changes the live object of one of the changes, as somebody else might; gives its path. `None`
    /// where this cannot be done.
    pub fn meddle(&mut self, which: usize, how: usize) -> Option<RelPath> {
        let changes = self.capture.set.len();
        let provenance = &self.capture.provenance[which.checked_rem(changes)?];
        let (volume, named) = (provenance.volume, provenance.live_path.clone());
        let path = named.strip_prefix(&self.layout.volumes[volume].mount_point)?;
        let disk = &mut self.disks[volume];
        let there = disk.at(LIVE, &path);
        let work = match there.map(|ino| (how, disk.entries(ino).is_ok())) {
            None => Work::Make(path, how % 2),
            Some((_, true)) if path.is_root() => return None,
            Some((0, true)) => Work::Mode(path, 0o7),
            Some((0, false)) => Work::Write(path),
            Some((1, _)) => Work::Remove(path),
            Some((3, is_directory)) => {
                let flags = disk.inode(there?).meta.flags;
                if !is_directory || flags & FLAG_IMMUTABLE != 0 {
                    return None;
                }
                Work::Lock(path, flags | FLAG_IMMUTABLE)
            }
            Some((_, true)) => {
                let aside = RelPath::new("meddled").ok()?;
                disk.try_work(&Work::Move(path.clone(), aside))?;
                Work::Make(path, 1)
            }
            Some((_, false)) => Work::WriteOver(path),
        };
        disk.try_work(&work)?;
        Some(named)
    }

    /// Conflicts, or the steps with everything prepared.
    pub fn plan(&self) -> Result<Result<Ready, Conflicts>, Refusal> {
        let volumes = item::items(&self.layout, &self.capture)?;
        let mut ready = Ready {
            disks: self.disks.clone(),
            steps: Steps::default(),
        };
        let mut conflicts = Conflicts::default();
        for (volume, items) in volumes.iter().enumerate() {
            let disk = &mut ready.disks[volume];
            let mut facts = self.facts(disk, items);
            let shape = Shape::new(items, &facts, &std::collections::BTreeSet::new())?;
            self.guard(volume, disk, (&shape, &mut facts), &mut conflicts);
            if !conflicts.is_empty() {
                continue;
            }
            let plan = plan::plan(volume, &shape, &facts);
            prepare(disk, &plan, &shape);
            ready.steps.moves.extend(plan.steps.moves);
            ready.steps.rewrites.extend(plan.steps.rewrites);
            ready.steps.settings.extend(plan.steps.settings);
        }
        Ok(match conflicts.is_empty() {
            true => Ok(ready),
            false => Err(conflicts),
        })
    }

    fn facts(&self, disk: &Disk, items: &[Item<'_>]) -> Facts {
        let mut facts = Facts::default();
        let mut paths: Vec<RelPath> = Shape::occupants(items);
        for item in items {
            paths.extend([item.from.clone(), item.path.clone()]);
            paths.extend(item.from.parent());
            paths.extend(item.path.parent());
            if let Origin::LiveData { data, .. } = &item.source {
                paths.push(data.clone());
                paths.extend(data.parent());
            }
        }
        for path in paths {
            let stat = disk.at(LIVE, &path).map(|ino| disk.stat(ino));
            if let Some(stat) = stat.filter(|s| s.identity.nlink > 1 && !s.is_directory()) {
                facts.handles.insert(stat.ino(), handle_of(stat.ino()));
            }
            facts.live.insert(path, stat);
        }
        for item in items {
            if let (Some(stat), Some((live, _))) = (facts.at(&item.from).copied(), item.copy())
                && live == stat.ino()
                && stat.is_file()
                && stat.locks == 0
                && (live + u64::from(self.choice)).is_multiple_of(3)
            {
                facts.held.insert(item.from.clone());
            }
        }
        facts
    }

    fn guard(
        &self,
        volume: usize,
        disk: &Disk,
        (shape, facts): (&Shape<'_>, &mut Facts),
        conflicts: &mut Conflicts,
    ) {
        let mount = &self.layout.volumes[volume].mount_point;
        let (since, window) = (self.capture.since, self.capture.window());
        guard::compare(mount, shape.items, facts, window, conflicts);
        guard::compare_replaced(mount, shape, facts, window, conflicts);
        let strangers = Strangers::new(shape, since);
        let mut is_live = |path: &RelPath| Ok::<_, Errno>(disk.at(LIVE, path).is_some());
        for top in strangers.tops(facts) {
            for (path, ino) in disk.walk(disk.at(LIVE, top).unwrap()) {
                let old = top.join(&path).unwrap();
                let stat = disk.stat(ino);
                let found = strangers.judge(top, (&old, &stat), &mut is_live).unwrap();
                match found {
                    _ if path.is_root() => {}
                    Below::Known => {}
                    Below::Unnamed if stat.is_directory() || stat.identity.nlink < 2 => {}
                    Below::Unnamed => {
                        facts.handles.insert(ino, handle_of(ino));
                        let parent = old.parent().unwrap();
                        let holder = disk.at(LIVE, &parent).map(|ino| disk.stat(ino));
                        facts.live.insert(parent, holder);
                        facts.live.insert(old.clone(), Some(stat));
                        facts.unnamed.insert(old);
                    }
                    Below::Differs(kind) => conflicts.push(guard::Conflict {
                        path: mount.join(&old).unwrap(),
                        kind,
                        expected: None,
                        found: Some(stat.identity),
                    }),
                }
            }
        }
    }
}

/// What `prepare` does, on a disk in memory.
fn prepare(disk: &mut Disk, plan: &VolumePlan, shape: &Shape<'_>) {
    for (from, to) in &plan.relocations {
        match disk.rename((SCRATCH, from), (SCRATCH, to)) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => panic!("relocate {from} to {to}: {errno}"),
        }
    }
    for (source, target) in &plan.sources {
        let top = disk.at(SCRATCH, source);
        let top = top.unwrap_or_else(|| panic!("{source} is not there"));
        let comes = |path: &RelPath| {
            let item = shape.item_at(&target.join(path).unwrap());
            item.is_some_and(|item| !item.stays_live() && item.change.after.is_some())
        };
        let below: BTreeMap<RelPath, u64> = disk.walk(top);
        for path in below.keys().rev().filter(|path| !comes(path)) {
            disk.remove((SCRATCH, &source.join(path).unwrap())).unwrap();
        }
        for (path, ino) in below.iter().filter(|(path, _)| comes(path)) {
            let item = shape.item_at(&target.join(path).unwrap()).unwrap();
            let mut meta = disk.inode(*ino).meta.clone();
            meta.mtime = item.change.after.as_ref().unwrap().meta.mtime;
            disk.set(*ino, meta).unwrap();
        }
    }
    for donor in &plan.donors {
        assert!(disk.at(SCRATCH, donor).is_some(), "donor {donor}");
    }
    for (live, size, keep) in &plan.preimages {
        let Body::File(bytes) = disk.inode(disk.at(LIVE, live).unwrap()).body.clone() else {
            panic!("{live} is no file");
        };
        assert_eq!(bytes.len() as u64, *size);
        let made = disk.make((SCRATCH, keep), Body::File(bytes), Metadata::default());
        made.unwrap();
    }
}

impl Ready {
    /// A copy that takes so many changes.
    pub fn fragile(&self, left: usize) -> Fragile {
        Fragile {
            disks: self.disks.clone(),
            left,
        }
    }
}
