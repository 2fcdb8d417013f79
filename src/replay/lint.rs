//! Gathers what the hazard lint looks at, and asks it. Not for deciding what is hazardous
//! (`hazards`). Upholds: what cannot be read is no finding, and never stops an entry.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use isconf_sandbox::capture::Capture;
use isconf_sandbox::change::{Change, ChangeSet, NormalRules, RelPath, Timestamp};
use isconf_sandbox::layout::Layout;

use super::disguise::facts;
use super::inspect::written as written_by_entries;
use super::snapshot::Snapshot;
use super::this_host::ThisHost;
use super::written::{Reading, Written};
use crate::hazards::inputs::{self, Input};
use crate::hazards::{self, Evidence, HostFacts, Window};
use crate::history::History;
use crate::model::report::Report;
use crate::model::{Exec, Hazard};

/// The right of others to go through a directory (inode(7)).
const OTHERS_SEARCH: u32 = 0o001;

/// What is looked at of one run.
#[derive(Clone, Copy)]
pub(super) struct Looked<'a> {
    /// The entry.
    pub exec: &'a Exec,
    /// Where its scratchpad lies.
    pub layout: &'a Layout,
    /// What it holds.
    pub capture: &'a Capture,
    /// The report so far.
    pub report: &'a Report,
    /// What does not count, and when it ran.
    pub rules: &'a NormalRules,
}

/// What is hazardous about an entry that ran in its scratchpad and is not made real yet.
pub(super) fn lint(host: &ThisHost, history: &History, looked: Looked<'_>) -> Vec<Hazard> {
    let mut found = unknown_inputs(host, history, looked.exec);
    let ignored = &looked.rules.ignore;
    let contents = Written::read(looked.layout, looked.capture, ignored, Reading::Text);
    let (report, root) = (looked.report, host.root());
    let known_host = match report.changes.is_empty() {
        // There is nothing to look for it in.
        true => HostFacts::new(),
        false => facts(host),
    };
    found.extend(hazards::find(&Evidence {
        changes: &report.changes,
        shown_only: &report.shown_only,
        effects: &report.effects,
        contents: &contents,
        said: &said(looked.exec),
        window: Some(Window::of(looked.rules.run)),
        host: &known_host,
        is_ignored: &|path| ignored.iter().any(|pattern| pattern.matches(path)),
        is_secret: &|path| is_secret(host, path),
        is_out_of_reach: &|path| is_out_of_reach(&report.changes, root, path),
    }));
    found
}

/// What is hazardous about a snapshot of live files.
pub(super) fn lint_snapshot(host: &ThisHost, snapshot: &Snapshot) -> Vec<Hazard> {
    let is_wanted = |path: &RelPath| snapshot.paths.iter().any(|top| path.starts_with(top));
    let nodes = snapshot.nodes.iter().filter(|(path, _)| is_wanted(path));
    let made = nodes.map(|(path, node)| Change {
        path: path.clone(),
        before: None,
        after: Some(node.clone()),
        moved_from: None,
    });
    let Ok(changes) = ChangeSet::new(made.collect()) else {
        return Vec::new();
    };
    let (ignored, root) = (host.ignore(), host.root());
    hazards::limited(hazards::find_in_files(&Evidence {
        changes: &changes,
        shown_only: &ChangeSet::default(),
        effects: &[],
        contents: &Written::read_live(root, &changes, &ignored),
        said: &[],
        window: None,
        host: &facts(host),
        is_ignored: &|path| ignored.iter().any(|pattern| pattern.matches(path)),
        is_secret: &|path| is_secret(host, path),
        is_out_of_reach: &|path| is_out_of_reach(&changes, root, path),
    }))
}

/// Whether a setting says that the content of a path is secret.
fn is_secret(host: &ThisHost, path: &RelPath) -> bool {
    let absolute = [b"/", path.as_bytes()].concat();
    let globs = &host.settings.secret.value;
    globs.iter().any(|glob| glob.matches(&absolute))
}

/// What the entry says by itself.
fn said(exec: &Exec) -> Vec<u8> {
    let env = exec.env.iter().map(|(_, value)| value);
    let words: Vec<&[u8]> = exec.argv.iter().chain(env).map(|b| b.as_slice()).collect();
    words.join(&b'\n')
}

/// Whether a directory above keeps others out: one that the entry left so, else a live one.
fn is_out_of_reach(changes: &ChangeSet, root: &Path, path: &RelPath) -> bool {
    let mut next = path.parent();
    while let Some(directory) = next {
        let after = changes.get(&directory);
        let mode = match after.and_then(|change| change.after.as_ref()) {
            Some(node) => Some(node.meta.mode),
            None => fs::symlink_metadata(directory.to_path_under(root))
                .ok()
                .map(|status| status.mode()),
        };
        if mode.is_some_and(|mode| mode & OTHERS_SEARCH == 0) {
            return true;
        }
        next = directory.parent();
    }
    false
}

/// What the command names and other hosts may not have. What entries wrote is read only when
/// something is in doubt, since that takes time.
fn unknown_inputs(host: &ThisHost, history: &History, exec: &Exec) -> Vec<Hazard> {
    let Ok(joined) = fs::symlink_metadata(host.home.domain_file()) else {
        return Vec::new();
    };
    let since = Timestamp {
        secs: joined.ctime(),
        nanos: joined.ctime_nsec() as u32,
    };
    let path_variable = exec.env.iter().find(|(name, _)| name.as_slice() == b"PATH");
    let path_variable = path_variable.map_or(OsStr::new("/bin:/usr/bin"), |(_, v)| v.as_os_str());
    let mut known = None;
    let mut is_known = |path: &RelPath| {
        let known = known.get_or_insert_with(|| written_by_entries(host, history));
        let known = match known {
            Ok(known) => known,
            // What is not at hand cannot be told; the audit complains about it.
            Err(_) => return true,
        };
        let mut next = Some(path.clone());
        while let Some(place) = next.filter(|place| !place.is_root()) {
            if known.get(&place).is_some_and(|at| at.node.is_some()) {
                return true;
            }
            next = place.parent();
        }
        // A directory in which entries wrote is one that hosts have; it was told when they began to.
        known.iter().any(|(place, _)| place.starts_with(path))
    };
    inputs::names(exec, path_variable)
        .iter()
        .filter_map(|name| input(name))
        .filter_map(|input| inputs::judge(&input, since, &mut is_known))
        .collect()
}

/// What is under a name, if it is a file or directory.
fn input(name: &Path) -> Option<Input> {
    let status = fs::metadata(name).ok()?;
    if !status.is_file() && !status.is_dir() {
        return None;
    }
    let real = fs::canonicalize(name).ok()?;
    let born = status.created().ok();
    let born = born.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    Some(Input {
        named: RelPath::from_absolute(name).ok()?,
        real: RelPath::from_absolute(&real).ok()?,
        is_directory: status.is_dir(),
        changed: Timestamp {
            secs: status.ctime(),
            nanos: status.ctime_nsec() as u32,
        },
        born: born.map(|at| Timestamp {
            secs: at.as_secs().cast_signed(),
            nanos: at.subsec_nanos(),
        }),
    })
}
