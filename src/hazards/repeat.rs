//! Two runs of one command, the second on a disguised host at another second: what differs, and as
//! far as it can be told, why. Pure. Not for running anything. Upholds: what counts is what would
//! count between two hosts, the normal form.

use isconf_sandbox::change::{
    Change, ChangeSet, Difference, DifferenceKind, Kind, NormalRules, RelPath, differences_of_runs,
};

use super::clock::{Window, find_loosely};
use super::host_facts::{HostFacts, Place};
use super::text::Added;
use crate::model::contents::ContentSource;
use crate::model::report::Ending;
use crate::model::{Hazard, HazardCode};

/// One of the two runs.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// How the command ended.
    pub ending: Ending,
    /// What it changed.
    pub changes: &'a ChangeSet,
    /// How its times of modification are told from those it set; when it ran.
    pub rules: &'a NormalRules,
    /// The contents of what it changed, as far as they were read.
    pub contents: &'a dyn ContentSource,
}

impl Run<'_> {
    fn window(&self) -> Window {
        Window::of(self.rules.run)
    }

    /// What is at a path after the run, as bytes: a file's content, a link's target.
    fn bytes(&self, path: &RelPath) -> Option<Vec<u8>> {
        let after = self.changes.get(path)?.after.as_ref()?;
        match &after.kind {
            Kind::Symlink { target } => Some(target.clone()),
            _ => self.contents.after(path),
        }
    }

    fn has(&self, path: &RelPath) -> bool {
        let after = |change: &Change| change.after.is_some();
        self.changes.get(path).is_some_and(after)
    }
}

/// Every difference, as a hazard. `disguise` is what the second run was told of its host.
pub fn compare(first: &Run<'_>, second: &Run<'_>, disguise: &HostFacts) -> Vec<Hazard> {
    let differences =
        differences_of_runs((first.changes, first.rules), (second.changes, second.rules));
    let explained = differences
        .into_iter()
        .map(|difference| explain(difference, (first, second), disguise));
    let ending = (first.ending != second.ending).then(|| {
        let detail = format!("the second time with {}", words(second.ending));
        Hazard::of_entry(HazardCode::EndsDifferently, detail)
    });
    ending.into_iter().chain(explained).collect()
}

fn words(ending: Ending) -> String {
    use isconf_sandbox::child::Exit;
    match ending {
        Ending::Exited(Exit::Status(status)) => format!("exit status {status}"),
        Ending::Exited(Exit::Signal(signal)) => format!("signal {signal}"),
        Ending::CouldNotStart(errno) => format!("error {errno} when it was started"),
        Ending::NoCommand => "nothing to run".to_owned(),
    }
}

/// Says why the runs differ at a path. The disguise stands only in what the second one wrote; a time
/// stands in both, each its own.
fn explain(difference: Difference, runs: (&Run<'_>, &Run<'_>), disguise: &HostFacts) -> Hazard {
    let path = difference.path;
    let name = path.as_bytes().to_vec();
    // A name that only one of the runs made can tell by itself.
    let (one, other) = match (runs.0.has(&path), runs.1.has(&path)) {
        (true, false) => (Some(name), None),
        (false, true) => (None, Some(name)),
        _ => (runs.0.bytes(&path), runs.1.bytes(&path)),
    };
    let new_in = |bytes: &Option<Vec<u8>>, base: &Option<Vec<u8>>| {
        let bytes = bytes.as_deref()?;
        Some(Added::new(base.as_deref(), bytes))
    };
    let (in_one, in_other) = (new_in(&one, &other), new_in(&other, &one));
    let told = in_other
        .as_ref()
        .and_then(|a| disguise.find(a, Place::Other, &|_| false));
    if let Some(words) = told {
        return Hazard::at(HazardCode::HostInFile, path, words);
    }
    let time = |added: &Option<Added>, run: &Run<'_>| {
        let added = added.as_ref()?;
        find_loosely(added, &run.window())
    };
    let times = (time(&in_one, runs.0), time(&in_other, runs.1));
    let is_clock = match (&one, &other) {
        (Some(one), Some(other)) => {
            (times.0.is_some() && times.1.is_some())
                || has_binary_time((one, runs.0.window()), (other, runs.1.window()))
        }
        _ => times.0.is_some() || times.1.is_some(),
    };
    if is_clock {
        let detail = times.0.or(times.1).unwrap_or_default();
        return Hazard::at(HazardCode::ClockInFile, path, detail);
    }
    let aspects: Vec<&str> = difference.aspects.iter().map(|a| aspect(*a)).collect();
    Hazard::at(HazardCode::RandomInFile, path, aspects.join(", "))
}

/// Whether both have the seconds of their own run at the same place, as a number of four bytes (the
/// header of gzip(1), among others).
fn has_binary_time(one: (&[u8], Window), other: (&[u8], Window)) -> bool {
    let pairs = one.0.windows(4).zip(other.0.windows(4));
    let number = |bytes: &[u8], read: fn([u8; 4]) -> u32| {
        bytes.try_into().map_or(0, |four| i64::from(read(four)))
    };
    pairs.filter(|(a, b)| a != b).any(|(a, b)| {
        [u32::from_le_bytes, u32::from_be_bytes]
            .into_iter()
            .any(|read| one.1.holds(number(a, read)) && other.1.holds(number(b, read)))
    })
}

/// In what they differ, in words.
const fn aspect(kind: DifferenceKind) -> &'static str {
    match kind {
        DifferenceKind::OnlyAtOrigin => "changed in the first run only",
        DifferenceKind::OnlyHere => "changed in the second run only",
        DifferenceKind::Before => "another state before",
        DifferenceKind::Existence => "another kind",
        DifferenceKind::Content => "another content",
        DifferenceKind::Mode => "another mode",
        DifferenceKind::Owner => "another owner",
        DifferenceKind::Mtime => "another time of modification that it set",
        DifferenceKind::Xattrs => "other extended attributes",
        DifferenceKind::Flags => "other flags",
        DifferenceKind::Link => "a link to something else",
        DifferenceKind::MovedFrom => "moved from elsewhere",
    }
}
