//! What a committed entry still asks of service managers, as a file: after a crash the next start goes
//! on where this one was. Not for doing it (see `actions`). Upholds: from when an entry is recorded
//! until its services have followed, the file says so.
//!
//! ```text
//! conf/actions    made durable before the receipt; replaced before each request; removed at the end
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use isconf_sandbox::layout::TxId;
use isconf_sandbox::services::{Action, Manager, Running, Verb};
use serde::{Deserialize, Serialize};

use crate::durable::{self, FileError};
use crate::model::{Bytes, Home, OnFailure};

/// The form below; another one is refused.
const VERSION: u32 = 1;

/// The longest file: a thousand requests with large environments.
const MAX_BYTES: u64 = 64 << 20;

/// Requests of a committed entry, and how far they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingActions {
    /// The entry's transaction.
    pub tx: TxId,
    /// The requests, in order.
    pub actions: Vec<Action>,
    /// What becomes of the entry when one fails.
    pub on_failure: OnFailure,
    /// How many were begun; the last one of them may not be done.
    pub begun: usize,
    /// How often the last of them was begun.
    pub tries: u32,
    /// Those that failed, by their index, with the exit status.
    pub failed: BTreeMap<usize, u8>,
    /// For each that was begun, which of its services ran before; `None` where that cannot be told.
    pub before: Vec<Vec<Option<Running>>>,
    /// What is going on.
    pub stage: Stage,
}

/// What is going on with the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// They are done one after the other.
    Doing,
    /// One failed: the entry is being taken back.
    TakingBack,
    /// The entry is taken back, and services are being put right.
    TakenBack,
}

/// What an entry asks, if it asks anything.
pub fn pending(tx: TxId, actions: &[Action], on_failure: OnFailure) -> Option<PendingActions> {
    let asks = !actions.is_empty();
    asks.then(|| PendingActions::new(tx, actions.to_vec(), on_failure))
}

/// A file of pending requests that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PendingError {
    /// It could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not what isconf writes, or of another version.
    #[error("{} is damaged, or was written by another version of isconf", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Option<serde_json::Error>,
    },
}

impl PendingActions {
    /// Requests of which none was begun.
    pub fn new(tx: TxId, actions: Vec<Action>, on_failure: OnFailure) -> Self {
        Self {
            tx,
            actions,
            on_failure,
            begun: 0,
            tries: 0,
            failed: BTreeMap::new(),
            before: Vec::new(),
            stage: Stage::Doing,
        }
    }

    /// Reads the file; `None` when nothing is pending.
    pub fn load(home: &Home) -> Result<Option<Self>, PendingError> {
        let path = home.pending_actions();
        let Some(bytes) = durable::read_small(&path, MAX_BYTES)? else {
            return Ok(None);
        };
        let malformed = |source| PendingError::Malformed {
            path: path.clone(),
            source,
        };
        let row: Row = serde_json::from_slice(&bytes).map_err(|e| malformed(Some(e)))?;
        row.into_pending().map(Some).ok_or_else(|| malformed(None))
    }

    /// Makes the file say this, durably: what comes next is not to happen twice unknowingly.
    pub fn store(&self, home: &Home) -> Result<(), FileError> {
        durable::replace(&home.pending_actions(), &self.to_bytes())
    }

    /// Removes the file: nothing is pending any more.
    pub fn remove(home: &Home) -> Result<(), FileError> {
        durable::remove(&home.pending_actions()).map(drop)
    }

    fn to_bytes(&self) -> Vec<u8> {
        // Strings and numbers: there is nothing in it that could fail to be written.
        serde_json::to_vec(&Row::of(self)).unwrap_or_default()
    }
}

/// Reads the file's bytes; those that it would be written with, when it is one.
pub(crate) fn rewritten_pending(bytes: &[u8]) -> Option<Vec<u8>> {
    let row: Row = serde_json::from_slice(bytes).ok()?;
    row.into_pending().map(|pending| pending.to_bytes())
}

/// The file as JSON; also a part of an intent's payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    version: u32,
    tx: String,
    keep: bool,
    stage: Stage,
    begun: usize,
    tries: u32,
    /// Index and exit status.
    #[serde(default)]
    failed: BTreeMap<usize, u8>,
    /// Whether each service ran; null where that cannot be told.
    before: Vec<Vec<Option<bool>>>,
    actions: Vec<ActionRow>,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionRow {
    program: Bytes,
    argv: Vec<Bytes>,
    cwd: Bytes,
    env: Vec<(Bytes, Bytes)>,
    manager: String,
    verb: String,
    services: Vec<String>,
}

impl Row {
    pub(super) fn of(pending: &PendingActions) -> Self {
        let ran = |before: &Vec<Option<Running>>| {
            let ran = before.iter();
            ran.map(|ran| ran.map(|ran| ran == Running::Yes)).collect()
        };
        Self {
            version: VERSION,
            tx: pending.tx.to_string(),
            keep: pending.on_failure == OnFailure::Keep,
            stage: pending.stage,
            begun: pending.begun,
            tries: pending.tries,
            failed: pending.failed.clone(),
            before: pending.before.iter().map(ran).collect(),
            actions: pending.actions.iter().map(ActionRow::of).collect(),
        }
    }

    /// Checks what the types do not.
    pub(super) fn into_pending(self) -> Option<PendingActions> {
        let running = |ran: bool| if ran { Running::Yes } else { Running::No };
        let before = self.before.into_iter();
        let before: Vec<Vec<Option<Running>>> = before
            .map(|services| services.into_iter().map(|ran| ran.map(running)).collect())
            .collect();
        let actions = self.actions.into_iter().map(ActionRow::into_action);
        let actions: Vec<Action> = actions.collect::<Option<_>>()?;
        let fits = self.begun <= actions.len()
            && before.len() == self.begun
            && self.failed.keys().all(|index| *index < self.begun);
        (self.version == VERSION && fits).then_some(PendingActions {
            tx: self.tx.parse().ok()?,
            actions,
            on_failure: match self.keep {
                true => OnFailure::Keep,
                false => OnFailure::TakeBack,
            },
            begun: self.begun,
            tries: self.tries,
            failed: self.failed,
            before,
            stage: self.stage,
        })
    }
}

impl ActionRow {
    fn of(action: &Action) -> Self {
        let bytes = |text: &std::ffi::OsString| Bytes::from(text.as_os_str());
        Self {
            program: Bytes::from(action.program.as_os_str()),
            argv: action.argv.iter().map(bytes).collect(),
            cwd: Bytes::from(action.cwd.as_os_str()),
            env: action
                .env
                .iter()
                .map(|(n, v)| (bytes(n), bytes(v)))
                .collect(),
            manager: action.manager.name().to_owned(),
            verb: action.verb.name().to_owned(),
            services: action.services.clone(),
        }
    }

    fn into_action(self) -> Option<Action> {
        let program = Path::new(self.program.as_os_str()).to_path_buf();
        if !program.is_absolute() || self.argv.is_empty() {
            return None;
        }
        let mut managers = Manager::ALL.into_iter();
        Some(Action {
            program,
            argv: self.argv.iter().map(Bytes::to_os_string).collect(),
            cwd: Path::new(self.cwd.as_os_str()).to_path_buf(),
            env: self
                .env
                .iter()
                .map(|(n, v)| (n.to_os_string(), v.to_os_string()))
                .collect(),
            manager: managers.find(|manager| manager.name() == self.manager)?,
            verb: Verb::named(&self.verb).unwrap_or(Verb::Other(self.verb)),
            services: self.services,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending() -> PendingActions {
        let action = |verb: Verb| Action {
            program: "/bin/systemctl".into(),
            argv: vec!["systemctl".into(), "x".into()],
            cwd: "/".into(),
            env: vec![("A".into(), "b".into())],
            manager: Manager::Systemd,
            verb,
            services: vec!["x.service".to_owned()],
        };
        let mut pending = PendingActions::new(
            TxId::from_parts(1, 2),
            vec![
                action(Verb::TryRestart),
                action(Verb::Other("kill".to_owned())),
            ],
            OnFailure::Keep,
        );
        pending.begun = 1;
        pending.before = vec![vec![Some(Running::Yes), None]];
        pending.tries = 1;
        pending.failed.insert(0, 5);
        pending
    }

    #[test]
    fn what_is_pending_survives_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        durable::create_directories(&home.conf()).unwrap();
        assert_eq!(PendingActions::load(&home).unwrap(), None);
        pending().store(&home).unwrap();
        assert_eq!(PendingActions::load(&home).unwrap(), Some(pending()));
        PendingActions::remove(&home).unwrap();
        assert_eq!(PendingActions::load(&home).unwrap(), None);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |change: fn(&mut Row)| {
            let mut row = Row::of(&pending());
            change(&mut row);
            row.into_pending().is_none()
        };
        assert!(!refused(|_| ()));
        assert!(refused(|row| row.version = 2));
        assert!(refused(|row| row.begun = 3));
        assert!(refused(|row| row.before.clear()));
        assert!(refused(|row| row.failed = [(1, 1)].into()));
        assert!(refused(|row| row.tx = "../x".to_owned()));
        assert!(refused(|row| row.actions[0].program = "systemctl".into()));
        assert!(refused(|row| row.actions[0].manager = "x".to_owned()));
    }
}
