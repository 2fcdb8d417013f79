//! Records what a workload does to its disks, and what isconf had told by when. Upholds: what a
//! step acknowledged is marked in the log before anything else may write.

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use isconf_sandbox::fs::LEAVE_OUT;

use crate::error::RigError;
use crate::filesystem::Filesystem;
use crate::host::Host;
use crate::listing::Listing;
use crate::medium::Medium;
use crate::recorder::{Event, Recorder};
use crate::talk::Disk;
use crate::workload::{Between, Call, ENTRIES, PREPARE, Step, Workload};

/// Asks for what isconf tells of itself.
pub const STATUS: [&str; 3] = ["isconf", "status", "--json"];

/// Where a host stands between two steps.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Its place among the stages.
    pub index: usize,
    /// The number of steps that were begun by then.
    pub steps: usize,
    /// Its tree.
    pub tree: Listing,
    /// How many receipts its history has.
    pub receipts: usize,
    /// What `status --json` says: branch, lock, drafts, positions.
    pub status: String,
}

/// A recorded workload.
#[derive(Debug)]
pub struct Recording {
    /// On which filesystem.
    pub filesystem: Filesystem,
    /// Which one.
    pub workload: Workload,
    /// The disks at the beginning.
    pub disks: Vec<Medium>,
    /// What happened to them.
    pub log: Vec<Event>,
    /// Where the host stood: at the beginning, and after each step that acknowledged something.
    pub stages: Vec<Stage>,
    /// The trees that the origin had after each entry that a target replays.
    pub entries: Vec<Listing>,
    /// Times before this one, in seconds since 1970, are of the beginning.
    pub begun: u64,
}

/// Records a workload in the directory `dir`, which is empty and stays so.
///
/// # Errors
/// If a step does not end as it has to.
pub fn record(
    filesystem: Filesystem,
    workload: Workload,
    leave_out: Option<&str>,
    dir: &Path,
) -> Result<Recording, RigError> {
    let root = dir.join("root");
    let fuse = dir.join("fuse");
    for path in [&root, &fuse] {
        fs::create_dir_all(path).map_err(|e| RigError::file(path, e))?;
    }
    let mut stand = Stand {
        filesystem,
        workload,
        dir,
        root: &root,
    };
    let begun = SystemTime::now().duration_since(UNIX_EPOCH);
    let begun = begun.map_or(0, |since| since.as_secs());
    let mut disks = stand.base()?;
    let mut entries = Vec::new();
    if workload.is_target {
        (disks, entries) = stand.target(&disks)?;
    }
    let recorder = Recorder::start(disks.clone(), &fuse)?;
    let recorded = stand.run_steps(&recorder, leave_out);
    // First the mount, whatever became of the steps.
    let ended = recorder.end();
    let (stages, log) = recorded?;
    ended?;
    Ok(Recording {
        filesystem,
        workload,
        disks,
        log,
        stages,
        entries,
        begun,
    })
}

/// Where hosts are made while recording.
#[derive(Debug)]
struct Stand<'a> {
    filesystem: Filesystem,
    workload: Workload,
    dir: &'a Path,
    root: &'a Path,
}

impl Stand<'_> {
    fn disks(&self, image: impl Fn(usize) -> std::path::PathBuf) -> Vec<Disk> {
        let places = self.workload.disks.iter().enumerate();
        places
            .map(|(number, at)| self.filesystem.disk(image(number), at))
            .collect()
    }

    /// Does something on a host with these disks, unrecorded; returns the disks as they are then.
    fn aside<T>(
        &mut self,
        disks: &[Medium],
        work: impl FnOnce(&mut Host) -> Result<T, RigError>,
    ) -> Result<(Vec<Medium>, T), RigError> {
        let image = |number: usize| self.dir.join(format!("aside{number}.img"));
        for (number, disk) in disks.iter().enumerate() {
            disk.store(&image(number))?;
        }
        let mut host = Host::start(self.root, self.disks(image))?;
        let result = work(&mut host)?;
        host.end()?;
        let mut after = Vec::new();
        for number in 0..disks.len() {
            let image = image(number);
            after.push(Medium::load(&image)?);
            fs::remove_file(&image).map_err(|e| RigError::file(&image, e))?;
        }
        Ok((after, result))
    }

    /// The disks of a host that belongs to a domain and has done nothing yet.
    fn base(&mut self) -> Result<Vec<Medium>, RigError> {
        let image = self.dir.join("empty.img");
        let mut disks = Vec::new();
        for _ in self.workload.disks {
            disks.push(self.filesystem.make(&image)?);
        }
        fs::remove_file(&image).map_err(|e| RigError::file(&image, e))?;
        let (disks, ()) = self.aside(&disks, |host| {
            host.ok(&["sh", "-ec", PREPARE])?;
            host.ok(&["isconf", "init", "example.org"])?;
            host.ok(&["isconf", "keys", "generate"])?;
            // Makes isconf's own directories, which every later entry finds there.
            host.ok(&["isconf", "try", "true"]).map(drop)
        })?;
        Ok(disks)
    }

    /// The disks of a host that has entries to replay, and the trees of the origin after each.
    fn target(&mut self, base: &[Medium]) -> Result<(Vec<Medium>, Vec<Listing>), RigError> {
        const BUNDLE: &str = "/tmp/bundle";
        let (_, (trees, bundle)) = self.aside(base, |host| {
            host.ok(&["isconf", "lock", "made"])?;
            let mut trees = Vec::new();
            for entry in ENTRIES {
                host.ok(&isconf(entry))?;
                trees.push(Listing::of(&host.tree()?));
            }
            host.ok(&["isconf", "ci"])?;
            host.ok(&["isconf", "bundle", "export", BUNDLE])?;
            let path = host.file(BUNDLE);
            let bundle = fs::read(&path).map_err(|e| RigError::file(&path, e))?;
            Ok((trees, bundle))
        })?;
        let (disks, ()) = self.aside(base, |host| {
            let path = host.file(BUNDLE);
            fs::write(&path, bundle).map_err(|e| RigError::file(&path, e))?;
            host.ok(&["isconf", "bundle", "import", BUNDLE])?;
            host.ok(&["sh", "-ec", "rm /tmp/bundle; touch -d 2020-01-01 /tmp"])
                .map(drop)
        })?;
        Ok((disks, trees))
    }

    /// Runs the steps on the recorded disks.
    fn run_steps(
        &mut self,
        recorder: &Recorder,
        leave_out: Option<&str>,
    ) -> Result<(Vec<Stage>, Vec<Event>), RigError> {
        let mut host = Host::start(self.root, self.disks(|number| recorder.disk(number)))?;
        let mut stages = vec![stage(&mut host, (0, 0))?];
        for (number, step) in (1..).zip(self.workload.steps) {
            run_step(&mut host, step, leave_out)?;
            if step.acknowledges() {
                recorder.mark(stages.len());
                let next = stage(&mut host, (stages.len(), number))?;
                stages.push(next);
            }
        }
        // The cut. What the end of the host writes does not count.
        let log = recorder.cut();
        host.end()?;
        Ok((stages, log))
    }
}

/// Runs one step, which has to end as planned.
fn run_step(host: &mut Host, step: &Step, leave_out: Option<&str>) -> Result<(), RigError> {
    let mut vars = Vec::new();
    vars.extend(step.killed_at.map(|point| ("ISCONF_CRASH_AT", point)));
    vars.extend(leave_out.map(|name| (LEAVE_OUT, name)));
    let words = match step.call {
        Call::Isconf(words) => isconf(words),
        Call::Person(script) | Call::Chance(script) => vec!["sh", "-ec", script],
    };
    let answer = host.run(&words, &vars)?;
    let expected = if step.killed_at.is_some() { 137 } else { 0 };
    if answer.status == expected {
        return Ok(());
    }
    Err(RigError::Failed {
        command: words.join(" "),
        status: answer.status,
        said: answer.err,
    })
}

fn isconf<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&["isconf"], words].concat()
}

fn stage(host: &mut Host, (index, steps): (usize, usize)) -> Result<Stage, RigError> {
    Ok(Stage {
        index,
        steps,
        tree: Listing::of(&host.tree()?),
        receipts: host.ok(&["isconf", "history", "--json"])?.lines().count(),
        status: host.ok(&STATUS)?,
    })
}

/// What may be found after a cut.
#[derive(Debug, Clone)]
pub struct Allowed<'a> {
    tree: &'a Listing,
    /// Whether times of the recording have to be the same: not those of another host.
    exact: bool,
    /// The directory that may hold anything.
    beside: Option<&'static str>,
    receipts: RangeInclusive<usize>,
}

impl Allowed<'_> {
    /// How a tree differs from it, that was recorded since `begun`.
    fn differences(&self, tree: &Listing, begun: u64) -> Vec<String> {
        let same_view = |tree: &Listing| {
            let tree = self.beside.map_or(tree.clone(), |at| tree.without(at));
            if self.exact {
                return tree;
            }
            tree.without_times(begun)
        };
        same_view(self.tree).differences(&same_view(tree))
    }
}

impl Recording {
    /// What may be found after a cut when `done` was the last stage that was told of.
    pub fn allowed(&self, done: usize) -> Vec<Allowed<'_>> {
        let before = &self.stages[done];
        let exactly = |stage: &'_ Stage, receipts| Allowed {
            tree: &self.stages[stage.index].tree,
            exact: true,
            beside: None,
            receipts,
        };
        let Some(after) = self.stages.get(done + 1) else {
            return vec![exactly(before, before.receipts..=before.receipts)];
        };
        let all = before.receipts..=after.receipts;
        let mut allowed = match before.tree == after.tree {
            true => vec![exactly(before, all.clone())],
            false => vec![
                exactly(before, before.receipts..=before.receipts),
                exactly(after, after.receipts..=after.receipts),
            ],
        };
        match self.workload.steps[after.steps - 1].between {
            Between::Nothing => {}
            Between::Completed(step) => {
                allowed.extend(self.stage_after(step).map(|stage| Allowed {
                    exact: false,
                    ..exactly(stage, before.receipts + 1..=before.receipts + 1)
                }))
            }
            Between::Beside(at) => allowed.push(Allowed {
                beside: Some(at),
                ..exactly(before, all)
            }),
            Between::After(step) => {
                allowed.extend(self.stage_after(step).map(|stage| exactly(stage, all)));
            }
            Between::Entries => allowed.extend((1..).zip(&self.entries).map(|(n, tree)| Allowed {
                tree,
                exact: false,
                beside: None,
                receipts: before.receipts + n..=before.receipts + n,
            })),
        }
        allowed
    }

    fn stage_after(&self, step: usize) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.steps == step)
    }

    /// Whether this tree with so many receipts is one of those; if not, how it differs.
    ///
    /// # Errors
    /// The lines that differ from the nearest.
    pub fn judge(&self, done: usize, tree: &Listing, receipts: usize) -> Result<(), String> {
        let allowed = self.allowed(done);
        let differs = |one: &Allowed<'_>| one.differences(tree, self.begun);
        let found: Vec<_> = allowed.iter().map(|one| (differs(one), one)).collect();
        let same: Vec<_> = found.iter().filter(|(lines, _)| lines.is_empty()).collect();
        if same.iter().any(|(_, one)| one.receipts.contains(&receipts)) {
            return Ok(());
        }
        if let Some((_, one)) = same.first() {
            return Err(format!(
                "{receipts} receipts where {:?} belong to the tree",
                one.receipts
            ));
        }
        let nearest = found
            .into_iter()
            .map(|(lines, _)| lines)
            .min_by_key(Vec::len);
        Err(nearest.unwrap_or_default().join("; "))
    }
}
