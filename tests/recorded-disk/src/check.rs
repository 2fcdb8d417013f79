//! Checks one state: mounts it as the root of a host, lets isconf recover by its next start, and
//! compares what is there then with what may be there. Upholds the promise of the commit protocol:
//! each entry is wholly live or not at all, what was told is not lost, and isconf can go on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::error::RigError;
use crate::host::Host;
use crate::listing::Listing;
use crate::recording::{Recording, STATUS};
use crate::states::{Crash, Kind};

/// What is wrong with a state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The filesystem cannot be mounted: not isconf's doing, but nothing is shown by it either.
    Mount,
    /// The first start of isconf fails.
    Recovery,
    /// The tree is neither as before nor as after, or not the one that the history says, or older
    /// than what was told.
    Tree,
    /// Branch, lock, drafts or positions are not those that were told last.
    Told,
    /// A verb that only looks fails, or finds drift.
    Look,
    /// What is to be done next cannot be done, or ends elsewhere.
    Continue,
}

impl Fault {
    /// The fault in words.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Mount => "cannot be mounted",
            Self::Recovery => "recovery fails",
            Self::Tree => "half a change, or a lost one",
            Self::Told => "what was told is lost",
            Self::Look => "status, log, history or diff fails",
            Self::Continue => "cannot go on",
        }
    }
}

/// What came of a state.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// What is wrong and how it shows; nothing for a good one.
    pub fault: Option<(Fault, String)>,
    /// How long the first start of isconf took, recovery and all.
    pub recovery: Duration,
}

/// What `status --json` says, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Status {
    pending: u64,
    wip: u64,
}

/// A place where states are checked, one after another.
#[derive(Debug)]
pub struct Bench {
    dir: PathBuf,
}

impl Bench {
    /// A bench in the directory `dir`, which it makes.
    ///
    /// # Errors
    /// If the directory cannot be made.
    pub fn new(dir: &Path) -> Result<Self, RigError> {
        let root = dir.join("root");
        std::fs::create_dir_all(&root).map_err(|e| RigError::file(&root, e))?;
        Ok(Self {
            dir: dir.to_owned(),
        })
    }

    /// Checks one state.
    ///
    /// # Errors
    /// If the rig itself fails; what is wrong with the state is in the verdict.
    pub fn check(&self, recording: &Recording, crash: &Crash) -> Result<Verdict, RigError> {
        let mut disks = Vec::new();
        let places = recording.workload.disks.iter().zip(&crash.media);
        for (number, (at, medium)) in places.enumerate() {
            // Each under a name of its own: the name tells when a device has let go of it.
            let image = self.dir.join(format!("state-{}-{number}.img", crash.at));
            medium.store(&image)?;
            disks.push(recording.filesystem.disk(image, at));
        }
        let images: Vec<_> = disks.iter().map(|disk| disk.image.clone()).collect();
        let verdict = self.boot_and_look(recording, crash, disks);
        for image in images {
            std::fs::remove_file(&image).map_err(|e| RigError::file(&image, e))?;
        }
        verdict
    }

    fn boot_and_look(
        &self,
        recording: &Recording,
        crash: &Crash,
        disks: Vec<crate::talk::Disk>,
    ) -> Result<Verdict, RigError> {
        let mut host = match Host::start(&self.dir.join("root"), disks) {
            Ok(host) => host,
            Err(RigError::Failed { said, .. }) => {
                return Ok(Verdict {
                    fault: Some((Fault::Mount, said)),
                    recovery: Duration::ZERO,
                });
            }
            Err(other) => return Err(other),
        };
        let mut look = Look {
            host: &mut host,
            recording,
            crash,
            recovery: Duration::ZERO,
        };
        let found = look.all();
        let recovery = look.recovery;
        host.end()?;
        let fault = match found {
            Ok(()) => None,
            Err(Bad::Found(fault, text)) => Some((fault, text)),
            Err(Bad::Rig(error)) => return Err(error),
        };
        Ok(Verdict { fault, recovery })
    }
}

/// Why looking stopped.
enum Bad {
    Found(Fault, String),
    Rig(RigError),
}

impl From<RigError> for Bad {
    fn from(error: RigError) -> Self {
        Self::Rig(error)
    }
}

/// A look at the host of one state.
struct Look<'a> {
    host: &'a mut Host,
    recording: &'a Recording,
    crash: &'a Crash,
    recovery: Duration,
}

impl Look<'_> {
    /// Everything, in the order in which a person would.
    fn all(&mut self) -> Result<(), Bad> {
        let answer = self.host.run(&["isconf", "status"], &[])?;
        self.recovery = Duration::from_micros(answer.micros);
        if answer.status != 0 {
            return Err(Bad::Found(Fault::Recovery, answer.err));
        }
        let tree = Listing::of(&self.host.tree()?);
        let history = self.must(&["isconf", "history", "--json"], &Fault::Look)?;
        let receipts = history.lines().count();
        let judged = self.recording.judge(self.crash.done, &tree, receipts);
        judged.map_err(|text| Bad::Found(Fault::Tree, text))?;
        self.still_says_what_it_told()?;
        self.must(&["isconf", "log"], &Fault::Look)?;
        self.must(&["isconf", "diff"], &Fault::Look)?;
        self.go_on(&tree)
    }

    /// Just after a step was acknowledged the host stands where it stood then.
    fn still_says_what_it_told(&mut self) -> Result<(), Bad> {
        let told = &self.recording.stages[self.crash.done].status;
        if self.crash.kind != Kind::Acknowledged {
            return Ok(());
        }
        let says = self.must(&STATUS, &Fault::Look)?;
        if says == *told {
            return Ok(());
        }
        let text = format!("{} after {}", says.trim(), told.trim());
        Err(Bad::Found(Fault::Told, text))
    }

    /// What a person would do next has to succeed: check in the drafts, replay the rest, pass it on.
    fn go_on(&mut self, tree: &Listing) -> Result<(), Bad> {
        let status = self.status()?;
        if status.wip > 0 {
            self.must(&["isconf", "ci"], &Fault::Continue)?;
            let now = Listing::of(&self.host.tree()?);
            same(&tree.differences(&now))?;
        }
        if status.pending > 0 {
            self.must(&["isconf", "up"], &Fault::Continue)?;
            let begun = self.recording.begun;
            let now = Listing::of(&self.host.tree()?).without_times(begun);
            if let Some(last) = self.recording.entries.last() {
                same(&last.without_times(begun).differences(&now))?;
            }
        }
        // Other hosts need every content that an entry names; /run is memory.
        self.must(
            &["isconf", "bundle", "export", "/run/bundle"],
            &Fault::Continue,
        )?;
        let status = self.status()?;
        if (status.pending, status.wip) == (0, 0) {
            return Ok(());
        }
        Err(Bad::Found(Fault::Continue, format!("{status:?} is left")))
    }

    fn status(&mut self) -> Result<Status, Bad> {
        let line = self.must(&STATUS, &Fault::Look)?;
        serde_json::from_str(&line).map_err(|e| Bad::Found(Fault::Look, format!("{line}: {e}")))
    }

    fn must(&mut self, words: &[&str], fault: &Fault) -> Result<String, Bad> {
        let answer = self.host.run(words, &[])?;
        if answer.status == 0 {
            return Ok(answer.out);
        }
        let text = format!(
            "{} ended with {}: {}{}",
            words.join(" "),
            answer.status,
            answer.err,
            answer.out
        );
        Err(Bad::Found(fault.clone(), text))
    }
}

fn same(differences: &[String]) -> Result<(), Bad> {
    if differences.is_empty() {
        return Ok(());
    }
    Err(Bad::Found(Fault::Continue, differences.join("; ")))
}
