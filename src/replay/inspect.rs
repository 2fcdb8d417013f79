//! `diff`: what this host's history says should be, against what is. Not for the comparison itself
//! (`audit`). Upholds: the history alone says what is expected, entry by entry in order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use isconf_sandbox::change::{
    Change, ChangeSet, Content, DecodeError, Kind, Node, RelPath, decode_nodes,
};

use super::this_host::ThisHost;
use crate::audit::{
    self, AuditError, AuditRequest, ExpectedState, Known, KnownError, live_content,
};
use crate::history::{Effective, History, HistoryError};
use crate::journal::{Journal, JournalError};
use crate::model::contents::ContentSource;
use crate::model::drift::{Audit, Writer, WriterDeed};
use crate::model::progress::{Progress, Silent, Unit};
use crate::model::{ChangeDigests, Deed, Draft, DraftId, EntryKind, Snap};
use crate::store::{MAX_LIST_BYTES, Store, StoreError};

/// Why no answer could be found.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The history cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The journal or the wip cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What a receipt says is not at hand.
    #[error("what receipt {receipt} of this host's history changed is not at hand")]
    Store {
        /// Which receipt.
        receipt: u64,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// What a receipt says is damaged.
    #[error("what receipt {receipt} of this host's history changed is damaged")]
    Damaged {
        /// Which receipt.
        receipt: u64,
        /// Why.
        #[source]
        source: DecodeError,
    },
    /// The audit could not begin.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// Only these paths and what is below them; empty for all.
    pub limit: Vec<RelPath>,
    /// Whether times of modification count.
    pub times: bool,
    /// Whether every file is read.
    pub thorough: bool,
}

/// The answer, with what is needed to show contents.
pub struct Answer {
    /// What was found.
    pub audit: Audit,
    /// The contents that entries brought, and the live ones.
    pub contents: DriftContents,
    /// Why what was found could not be remembered: the next audit reads everything again.
    pub forgotten: Option<KnownError>,
}

/// Compares the live filesystem with the history.
pub fn inspect(
    host: &ThisHost,
    history: &History,
    question: &Question,
    progress: &mut dyn Progress,
) -> Result<Answer, InspectError> {
    let begun = Instant::now();
    let mut expected = ExpectedState::new();
    let mut digests = BTreeMap::new();
    for past in past(host, history, progress)? {
        for node in past
            .set
            .changes()
            .iter()
            .filter_map(|c| Some((&c.path, c.after.as_ref()?)))
        {
            if let Kind::File {
                content: Content::Read(digest),
                ..
            } = node.1.kind
            {
                digests.insert(node.0.clone(), digest);
            }
        }
        expected.apply(past.writer, &past.set);
    }
    let cache = cache_file(host);
    // A damaged cache is no reason to stop: without it everything is read again.
    let mut known = Known::load(&cache).unwrap_or_default();
    let ignore = host.ignore();
    let mut audit = audit::audit(
        &expected,
        &mut known,
        &AuditRequest {
            root: host.root(),
            limit: &question.limit,
            times: question.times,
            thorough: question.thorough,
            is_ignored: &|path| ignore.iter().any(|pattern| pattern.matches(path)),
            now: host.now().to_timestamp(),
        },
        progress,
    )?;
    let forgotten = known.save(&cache).err();
    audit.duration = begun.elapsed();
    let contents = DriftContents {
        digests,
        store: host.store.clone(),
        root: host.root().to_path_buf(),
    };
    Ok(Answer {
        audit,
        contents,
        forgotten,
    })
}

/// What entries wrote on this host, as far as it is still in effect.
pub(super) fn written(host: &ThisHost, history: &History) -> Result<ExpectedState, InspectError> {
    let mut expected = ExpectedState::new();
    for past in past(host, history, &mut Silent)? {
        expected.apply(past.writer, &past.set);
    }
    Ok(expected)
}

fn cache_file(host: &ThisHost) -> PathBuf {
    host.home.conf().join("audit")
}

/// One change of the past.
struct Past {
    writer: Writer,
    set: ChangeSet,
}

/// All changes in effect, in the order in which they were made.
fn past(
    host: &ThisHost,
    history: &History,
    progress: &mut dyn Progress,
) -> Result<Vec<Past>, InspectError> {
    let journal = host.journal()?;
    let drafts = host.wip_drafts()?.into_iter();
    let drafts: Vec<Draft> = drafts.map(|wip| wip.draft).collect();
    let mut effective = history
        .effective_backwards()
        .collect::<Result<Vec<_>, _>>()?;
    effective.reverse();
    let total = effective.len() as u64;
    progress.begin("reading the history", Unit::Records, Some(total));
    let told = effective.iter().zip(1..).map(|(one, number)| {
        progress.done(number);
        past_of(one, &journal, &drafts, &host.store)
    });
    told.collect()
}

fn past_of(
    effective: &Effective,
    journal: &Journal,
    drafts: &[Draft],
    store: &Store,
) -> Result<Past, InspectError> {
    let receipt = effective.receipt.seq;
    let (deed, draft) = match (&effective.receipt.body.deed, effective.entry_seq) {
        (_, Some(seq)) => {
            let entry = journal.entry(seq)?;
            (WriterDeed::Entry(entry.at), Some(entry.draft))
        }
        (Deed::Made(id), None) => (WriterDeed::Wip(*id), find(drafts, *id)),
        _ => (WriterDeed::OutOfBand(receipt), None),
    };
    let snap = draft.as_ref().and_then(|draft| match &draft.kind {
        EntryKind::Snap(snap) => Some(snap.clone()),
        EntryKind::Exec(_) | EntryKind::Reboot => None,
    });
    let changed = changed(receipt, effective.receipt.body.changes, store)?;
    let set = match snap {
        Some(snap) => with_snapshot(receipt, changed, &snap, store)?,
        None => changed,
    };
    let writer = Writer {
        deed,
        author: draft.as_ref().map(|draft| draft.author.clone()),
        message: draft.map(|draft| draft.message).unwrap_or_default(),
    };
    Ok(Past { writer, set })
}

fn find(drafts: &[Draft], id: DraftId) -> Option<Draft> {
    drafts.iter().find(|draft| draft.id == id).cloned()
}

fn changed(
    receipt: u64,
    changes: Option<ChangeDigests>,
    store: &Store,
) -> Result<ChangeSet, InspectError> {
    let Some(changes) = changes else {
        return Ok(ChangeSet::default());
    };
    let bytes = store
        .get(&changes.full, MAX_LIST_BYTES)
        .map_err(|source| InspectError::Store { receipt, source })?;
    ChangeSet::decode(&bytes).map_err(|source| InspectError::Damaged { receipt, source })
}

/// A snapshot says how its objects are also where it found them so: on its origin.
fn with_snapshot(
    receipt: u64,
    changed: ChangeSet,
    snap: &Snap,
    store: &Store,
) -> Result<ChangeSet, InspectError> {
    let bytes = store
        .get(&snap.manifest, MAX_LIST_BYTES)
        .map_err(|source| InspectError::Store { receipt, source })?;
    let nodes = decode_nodes(&bytes).map_err(|source| InspectError::Damaged { receipt, source })?;
    let mut changes: Vec<Change> = changed.changes().to_vec();
    let is_wanted = |path: &RelPath| snap.paths.iter().any(|top| path.starts_with(top));
    for (path, node) in nodes.into_iter().filter(|(path, _)| is_wanted(path)) {
        if changed.get(&path).is_none() {
            changes.push(unchanged(path, node));
        }
    }
    Ok(ChangeSet::new(changes).unwrap_or(changed))
}

/// A path that is as it was.
fn unchanged(path: RelPath, node: Node) -> Change {
    Change {
        path,
        before: Some(node.clone()),
        after: Some(node),
        moved_from: None,
    }
}

/// The contents of drifted files: what an entry brought, where the store has it, and what is live.
pub struct DriftContents {
    digests: BTreeMap<RelPath, isconf_sandbox::change::Digest>,
    store: Store,
    root: PathBuf,
}

/// The largest file of which a diff is shown, in bytes.
const MAX_SHOWN_BYTES: u64 = 64 * 1024;

impl ContentSource for DriftContents {
    fn before(&self, path: &RelPath) -> Option<Vec<u8>> {
        let digest = self.digests.get(path)?;
        // What a command wrote is in no store; only what was snapped can be shown.
        self.store
            .contains(digest)
            .then(|| self.store.get(digest, MAX_SHOWN_BYTES).ok())?
    }

    fn after(&self, path: &RelPath) -> Option<Vec<u8>> {
        live_content(&self.root, path, MAX_SHOWN_BYTES)
    }
}
