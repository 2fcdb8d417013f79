//! `try`: a scratchpad for its own sake, dropped or kept under a name, and kept ones made real
//! later. Needs no domain. Upholds: a kept scratchpad is committed by the same code, with the same
//! conflict checks, as an entry.
//!
//! ```text
//! home/scratch/<tx>/keep        says that sweep leaves it alone
//! home/scratch/<tx>/capture     what it changed, as canonical bytes
//! home/scratch/<tx>/volumes     where its volumes are
//! home/scratch/<tx>/kept.json   name, command, how it ended
//! ```

use std::path::{Path, PathBuf};

use isconf_sandbox::capture::Capture;
use isconf_sandbox::change::{DecodeError, Timestamp};
use isconf_sandbox::child::Exit;
use isconf_sandbox::commit::{self, CommitError, Landed, RecordError};
use isconf_sandbox::layout::{Layout, TxId};
use isconf_sandbox::reach::Reach;
use isconf_sandbox::session::{
    DirectoryError, DiscardError, EndError, KeepError, SweepError, VolumesError, hold_kept,
    is_committed, kept_layout, sweep,
};
use serde::{Deserialize, Serialize};

use super::commit::not_committed;
use super::contents::Contents;
use super::judge::{Evidence, judge};
use super::trial::{Afterwards, Bench, TrialError, attempt, blank, prepare};
use super::uncounted::Uncounted;
use super::work::{Streams, Work};
use crate::config::Settings;
use crate::durable::{self, FileError};
use crate::model::report::{Conflict, Description, Ending, Fate, Place, Report, Verdict};
use crate::model::{Bytes, Exec, Handling, Home, ScratchName};
use crate::store::Store;

/// The longest description of a kept scratchpad, in bytes: a command line.
const MAX_KEPT_BYTES: u64 = 4 << 20;
/// The longest capture that is read: 100,000 paths with long names and attributes.
const MAX_CAPTURE_BYTES: u64 = 512 << 20;
const KEPT: &str = "kept.json";
const CAPTURE: &str = "capture";
const KEEP: &str = "keep";
const VERSION: u32 = 1;

/// Why a scratchpad could not be run, kept, shown or committed.
#[derive(Debug, thiserror::Error)]
pub enum ScratchpadError {
    /// It could not be tried.
    #[error(transparent)]
    Trial(#[from] TrialError),
    /// It could not be ended.
    #[error("the scratchpad cannot be ended")]
    End(#[from] EndError),
    /// It could not be removed.
    #[error("the scratchpad cannot be removed")]
    Discard(#[from] DiscardError),
    /// It could not be kept.
    #[error("the scratchpad cannot be kept")]
    Keep(#[from] KeepError),
    /// Where it lies cannot be told.
    #[error(transparent)]
    Volumes(#[from] VolumesError),
    /// Its files could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its files are damaged or of another version.
    #[error("{} is damaged, or was written by another version of isconf", .0.display())]
    Malformed(PathBuf),
    /// Its capture is damaged.
    #[error("{} is damaged", path.display())]
    Capture {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: DecodeError,
    },
    /// There is none of that name.
    #[error("there is no kept scratchpad {0}")]
    Unknown(ScratchName),
    /// There is one of that name.
    #[error("there is a kept scratchpad {0} already")]
    Taken(ScratchName),
    /// Leftovers could not be removed.
    #[error("cannot remove scratch directories")]
    Sweep(#[from] SweepError),
    /// Somebody else commits or drops it.
    #[error("the scratchpad is being committed or dropped by another isconf")]
    Held(#[from] DirectoryError),
    /// The commit was begun and could not be taken back.
    #[error("the commit was interrupted; the next start of isconf goes on with it")]
    Interrupted(#[source] CommitError),
    /// It is live, and its intent could not be finished.
    #[error("cannot finish the transaction's intent")]
    Finish(#[from] RecordError),
}

/// How a command is tried.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// Where isconf's files are.
    pub home: &'a Home,
    /// What a site adds to the environment.
    pub settings: &'a Settings,
    /// Where the command's streams lead.
    pub streams: Streams,
    /// Whether the bytes for unified diffs are kept.
    pub keeps_contents: bool,
    /// The name to keep it under.
    pub keep: Option<&'a ScratchName>,
    /// Whether it is an interactive shell.
    pub is_shell: bool,
}

/// What came of it.
pub struct Attempted {
    /// The report.
    pub report: Report,
    /// The bytes for its unified diffs.
    pub contents: Contents,
    /// Why the command could not be started, for people.
    pub not_started: Option<String>,
}

/// Runs a command in a scratchpad; drops or keeps it.
pub fn try_out(attempted: Attempt<'_>, exec: Exec) -> Result<Attempted, ScratchpadError> {
    sweep(attempted.home.as_path())?;
    if let Some(name) = attempted.keep
        && find(attempted.home, name)?.is_some()
    {
        return Err(ScratchpadError::Taken(name.clone()));
    }
    let row_exec = exec.clone();
    let work = if attempted.is_shell {
        Work::Shell(exec)
    } else {
        Work::Command(exec)
    };
    // Nothing of a store is needed: the command has no recorded input.
    let store = Store::new(attempted.home.as_path());
    // Nobody compares with what no journal holds.
    let uncounted = Uncounted {
        since: Timestamp::default(),
        ignore: Vec::new(),
    };
    let bench = Bench {
        store: &store,
        uncounted: &uncounted,
        settings: attempted.settings,
        streams: attempted.streams,
        keeps_contents: attempted.keeps_contents,
    };
    let mut contents = Contents::new();
    let pad = prepare(attempted.home, Reach::Contained)?;
    let mut trial = attempt(bench, pad, Afterwards::End, &work, &mut contents)?;
    trial.report.place = Place::Try {
        name: attempted.keep.map(ToString::to_string),
    };
    let ended = trial.exited.end()?;
    let is_started = trial.not_started.is_none();
    match attempted.keep {
        Some(name) if is_started && !matches!(trial.report.verdict, Verdict::Interrupted(_)) => {
            let row = Row::of(name, &row_exec, &trial.report);
            let directory = ended.layout().directory.clone();
            write_row(&directory, &row, &trial.capture)?;
            ended.keep()?;
            trial.report.fate = Fate::Kept;
        }
        Some(_) | None => ended.discard()?,
    }
    Ok(Attempted {
        report: trial.report,
        contents,
        not_started: trial.not_started,
    })
}

/// A scratchpad that was kept.
#[derive(Debug)]
pub struct KeptScratchpad {
    /// Its name.
    pub name: ScratchName,
    /// What it changed, and how it ended.
    pub report: Report,
    /// What its command asked of service managers, each as a command line, in order.
    pub services: Vec<String>,
    layout: Layout,
    capture: Capture,
}

/// The names of all kept scratchpads, with their commands.
pub fn kept_names(home: &Home) -> Result<Vec<(String, String)>, ScratchpadError> {
    let mut names = Vec::new();
    for directory in transactions(home)? {
        if let Some(row) = read_row(&directory)? {
            let words: Vec<_> = row.argv.iter().map(ToString::to_string).collect();
            names.push((row.name, words.join(" ")));
        }
    }
    names.sort();
    Ok(names)
}

/// Opens the kept scratchpad of that name.
pub fn open_kept(home: &Home, name: &ScratchName) -> Result<KeptScratchpad, ScratchpadError> {
    let unknown = || ScratchpadError::Unknown(name.clone());
    let (directory, row) = find(home, name)?.ok_or_else(unknown)?;
    let path = directory.join(CAPTURE);
    let bytes = durable::read_small(&path, MAX_CAPTURE_BYTES)?.ok_or_else(unknown)?;
    let capture =
        Capture::decode(&bytes).map_err(|source| ScratchpadError::Capture { path, source })?;
    let layout = kept_layout(&directory)?;
    let mut report = blank(
        Place::Try {
            name: Some(name.to_string()),
        },
        Description::Exec {
            argv: row.argv.clone(),
            cwd: row.cwd.clone(),
        },
    );
    report.changes = capture.set.clone();
    report.shown_only = capture.shown.clone();
    report.findings = capture.findings.clone();
    report.conflicts = Conflict::of_capture(&capture);
    report.ending = row.ending();
    report.verdict = match row.beyond_limit {
        // It was ended, whatever its status says.
        true => Verdict::CommandFailed,
        false => judge(Evidence {
            ending: report.ending,
            interrupted_by: None,
            exceeded: None,
            changes: &capture.set,
            findings: &capture.findings,
            conflicts: capture.conflicts.len(),
            // They were for who kept it to see.
            effects: &[],
            handling: Handling::Contain,
        }),
    };
    report.fate = Fate::Kept;
    Ok(KeptScratchpad {
        name: name.clone(),
        report,
        services: row.services,
        layout,
        capture,
    })
}

impl KeptScratchpad {
    /// Its transaction.
    pub const fn tx(&self) -> &TxId {
        &self.layout.tx
    }

    /// What it changed.
    pub const fn capture(&self) -> &Capture {
        &self.capture
    }

    /// Makes it real. `None` when the report says why it was not: it stays kept then.
    pub fn commit(&mut self, payload: &[u8]) -> Result<Option<Landed>, ScratchpadError> {
        let _hold = hold_kept(&self.layout.directory)?;
        if matches!(self.report.verdict, Verdict::Refused(_)) {
            return Ok(None);
        }
        if !self.capture.conflicts.is_empty() {
            self.report.verdict = Verdict::Conflict;
            return Ok(None);
        }
        match commit::commit(&self.layout, &self.capture, payload) {
            Ok(landed) => {
                // From here on it is the undo copy of a commit, and no kept scratchpad.
                durable::remove(&self.layout.directory.join(KEPT))?;
                durable::remove(&self.layout.directory.join(CAPTURE))?;
                durable::remove(&self.layout.directory.join(KEEP))?;
                self.report.fate = Fate::Committed;
                Ok(Some(landed))
            }
            Err(error) if error.needs_recovery() => Err(ScratchpadError::Interrupted(error)),
            Err(error) => {
                not_committed(&mut self.report, error);
                self.report.fate = Fate::Kept;
                Ok(None)
            }
        }
    }
}

/// Removes the kept scratchpad of that name.
pub fn drop_kept(home: &Home, name: &ScratchName) -> Result<(), ScratchpadError> {
    let found = find(home, name)?;
    let (directory, _) = found.ok_or_else(|| ScratchpadError::Unknown(name.clone()))?;
    let hold = hold_kept(&directory)?;
    // Without its marker it is a leftover like any other, from when nobody holds it.
    durable::remove(&directory.join(KEEP))?;
    drop(hold);
    sweep(home.as_path())?;
    Ok(())
}

/// The description as JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    version: u32,
    name: String,
    argv: Vec<Bytes>,
    cwd: Bytes,
    status: Option<u8>,
    signal: Option<i32>,
    /// Whether it went beyond a limit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    beyond_limit: bool,
    /// What was asked of service managers, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    services: Vec<String>,
}

impl Row {
    fn of(name: &ScratchName, exec: &Exec, report: &Report) -> Self {
        let exit = match report.ending {
            Ending::Exited(exit) => Some(exit),
            Ending::CouldNotStart(_) | Ending::NoCommand => None,
        };
        let (status, signal) = match exit {
            Some(Exit::Status(status)) => (Some(status), None),
            Some(Exit::Signal(signal)) => (None, Some(signal)),
            None => (None, None),
        };
        Self {
            version: VERSION,
            name: name.to_string(),
            argv: exec.argv.clone(),
            cwd: exec.cwd.clone(),
            status,
            signal,
            beyond_limit: matches!(report.verdict, Verdict::LimitExceeded(_)),
            services: report.actions.iter().map(|a| a.action.words()).collect(),
        }
    }

    fn ending(&self) -> Ending {
        match (self.status, self.signal) {
            (Some(status), _) => Ending::Exited(Exit::Status(status)),
            (None, Some(signal)) => Ending::Exited(Exit::Signal(signal)),
            (None, None) => Ending::NoCommand,
        }
    }
}

fn write_row(directory: &Path, row: &Row, capture: &Capture) -> Result<(), ScratchpadError> {
    durable::replace(&directory.join(CAPTURE), &capture.encode())?;
    // Strings and numbers only: there is nothing in it that could fail to be written.
    let text = serde_json::to_vec_pretty(row).unwrap_or_default();
    durable::replace(&directory.join(KEPT), &text)?;
    Ok(())
}

fn read_row(directory: &Path) -> Result<Option<Row>, ScratchpadError> {
    if is_committed(directory) {
        return Ok(None);
    }
    let path = directory.join(KEPT);
    let Some(bytes) = durable::read_small(&path, MAX_KEPT_BYTES)? else {
        return Ok(None);
    };
    match serde_json::from_slice::<Row>(&bytes) {
        Ok(row) if row.version == VERSION => Ok(Some(row)),
        Ok(_) | Err(_) => Err(ScratchpadError::Malformed(path)),
    }
}

fn find(home: &Home, name: &ScratchName) -> Result<Option<(PathBuf, Row)>, ScratchpadError> {
    for directory in transactions(home)? {
        if let Some(row) = read_row(&directory)?
            && row.name == name.as_str()
        {
            return Ok(Some((directory, row)));
        }
    }
    Ok(None)
}

/// The directories of all transactions.
fn transactions(home: &Home) -> Result<Vec<PathBuf>, FileError> {
    let scratch = home.scratch();
    let entries = match std::fs::read_dir(&scratch) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(FileError::of("read", &scratch)(e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(FileError::of("read", &scratch))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.parse::<TxId>().is_ok()) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
