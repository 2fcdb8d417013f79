//! Entries and drafts as TOML records, in both directions. Pure. Upholds: one value has one text,
//! and what a newer isconf wrote is refused by name.

use isconf_sandbox::change::{Digest, RelPath};
use isconf_sandbox::child::Exit;
use isconf_sandbox::layout::TxId;
use serde::Deserialize;

use super::wip::WipDraft;
use crate::chain::{ChainKind, FormFault, RecordText, check_form, parse_row};
use crate::model::{
    Author, Bytes, ChangeDigests, Draft, DraftId, EffectSummary, Entry, EntryId, EntryKind,
    EntryRef, Exec, Handling, Hazard, HazardName, InvalidExec, Moment, Network, Outcome, PublicKey,
    Signature, Snap,
};

/// Why a record is not an entry or a draft.
#[derive(Debug, thiserror::Error)]
pub enum RecordFault {
    /// Not a record in the form that isconf writes.
    #[error(transparent)]
    Form(#[from] FormFault),
    /// A kind, or another value of a fixed list, that this version does not know.
    #[error("unknown {field} {found:?}: written by a newer isconf")]
    UnknownValue {
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
    },
    /// A value that cannot be.
    #[error("the value of `{0}` is not possible")]
    Impossible(&'static str),
    /// A command that cannot be run.
    #[error("the command cannot be run")]
    Exec(#[from] InvalidExec),
}

impl RecordFault {
    /// Whether a newer isconf wrote the record.
    pub fn is_newer(&self) -> bool {
        matches!(
            self,
            Self::UnknownValue { .. } | Self::Form(FormFault::UnknownField(_))
        )
    }
}

/// The name of the last part of an entry's record.
const SIGNATURE: &str = "signature";
/// The name of the last part of a draft's record.
const SEAL: &str = "seal";

/// The body of an entry's record: all but the first three lines and the signature itself.
pub(super) fn entry_body(draft: &Draft, key: &PublicKey) -> String {
    let table = ChainKind::Journal.table();
    let mut text = RecordText::new();
    write_draft(&mut text, table, draft);
    text.section(table, SIGNATURE).string("key", key);
    text.as_str().to_owned()
}

/// The body of a draft's record in the wip.
pub(super) fn wip_body(wip: &WipDraft) -> String {
    let table = ChainKind::Wip.table();
    let mut text = RecordText::new();
    write_draft(&mut text, table, &wip.draft);
    text.section(table, SEAL);
    if let Some(tx) = &wip.tx {
        text.string("tx", tx);
    }
    text.as_str().to_owned()
}

/// Writes what entries and drafts have in common.
fn write_draft(text: &mut RecordText, table: &str, draft: &Draft) {
    text.string("draft", &draft.id)
        .string("author", &draft.author)
        .string("time", &draft.time)
        .string("message", &draft.message)
        .string("kind", draft.kind.name());
    match &draft.kind {
        EntryKind::Snap(snap) => write_snap(text.section(table, "snap"), snap),
        EntryKind::Exec(exec) => write_exec(text.section(table, "exec"), exec),
        EntryKind::Reboot => {}
    }
    write_outcome(text.section(table, "outcome"), &draft.outcome);
}

/// Writes the part of a snap.
fn write_snap(text: &mut RecordText, snap: &Snap) {
    text.strings("paths", snap.paths.iter().map(absolute))
        .string("manifest", &snap.manifest)
        .plain("count", snap.count)
        .plain("total_bytes", snap.total_bytes);
}

/// Writes the part of an exec.
fn write_exec(text: &mut RecordText, exec: &Exec) {
    text.strings("argv", &exec.argv)
        .string("cwd", &exec.cwd)
        .string("umask", &format!("{:04o}", exec.umask))
        .pairs("env", &exec.env);
    if let Some(stdin) = &exec.stdin {
        text.string("stdin", stdin);
    }
    text.string("network", exec.network.name());
    // As older entries have it, which know no other.
    if exec.effects != Handling::default() {
        text.string("effects", exec.effects.name());
    }
}

/// Writes how it ended on the origin.
fn write_outcome(text: &mut RecordText, outcome: &Outcome) {
    match outcome.exit {
        Exit::Status(status) => text.plain("status", u64::from(status)),
        Exit::Signal(signal) => text.plain("signal", i64::from(signal)),
    };
    text.string("change_set", &outcome.changes.full)
        .string("normal", &outcome.changes.normal)
        .tables("effects", outcome.effects.iter().map(effect_fields));
    // As older entries have it, for which nobody looked.
    if !outcome.hazards.is_empty() {
        text.tables("hazards", outcome.hazards.iter().map(hazard_fields));
    }
    text.plain("duration_ms", outcome.duration_ms)
        .string("version", &outcome.version);
}

/// One effect's fields.
fn effect_fields(effect: &EffectSummary) -> RecordText {
    let mut fields = RecordText::new();
    fields
        .string("kind", &effect.kind)
        .string("operation", &effect.operation)
        .string("target", &effect.target)
        .string("outcome", &effect.outcome)
        .plain("count", u64::from(effect.count));
    fields
}

/// One hazard's fields.
fn hazard_fields(hazard: &Hazard) -> RecordText {
    let mut fields = RecordText::new();
    fields.string("code", &hazard.code);
    if let Some(path) = &hazard.path {
        fields.string("path", &absolute(path));
    }
    fields.string("detail", &hazard.detail);
    fields
}

/// A path as records have it.
fn absolute(path: &RelPath) -> Bytes {
    Bytes::from(path.to_absolute().into_os_string())
}

/// A path of a record.
fn relative(bytes: &Bytes, field: &'static str) -> Result<RelPath, RecordFault> {
    let path = RelPath::from_absolute(bytes.as_os_str().as_ref());
    path.map_err(|_| RecordFault::Impossible(field))
}

/// Reads an entry's record; its signature is not checked here.
pub(super) fn parse_entry(record: &[u8]) -> Result<Entry, RecordFault> {
    let row = Row::parse(ChainKind::Journal, record)?;
    let Some(SignatureRow { key, sig }) = row.signature else {
        return Err(RecordFault::Impossible(SIGNATURE));
    };
    let entry = Entry {
        at: EntryRef {
            seq: row.seq,
            id: EntryId(Digest::of(record)),
        },
        prev: row.prev,
        draft: row.draft_row.into_draft()?,
        key,
        signature: sig,
    };
    check_form(record, &entry_body(&entry.draft, &key))?;
    Ok(entry)
}

/// Reads a draft's record.
pub(super) fn parse_wip(record: &[u8]) -> Result<WipDraft, RecordFault> {
    let row = Row::parse(ChainKind::Wip, record)?;
    let Some(SealRow { tx, .. }) = row.seal else {
        return Err(RecordFault::Impossible(SEAL));
    };
    let tx: Option<TxId> = tx
        .map(|tx| tx.parse().map_err(|_| RecordFault::Impossible("tx")))
        .transpose()?;
    let draft = row.draft_row.into_draft()?;
    let wip = WipDraft { draft, tx };
    check_form(record, &wip_body(&wip))?;
    Ok(wip)
}

/// Reads an entry's record; the body that it would be written with, when it is one.
pub(crate) fn rewritten_entry(record: &[u8]) -> Option<String> {
    let entry = parse_entry(record).ok()?;
    Some(entry_body(&entry.draft, &entry.key))
}

/// Reads a draft's record; the body that it would be written with, when it is one.
pub(crate) fn rewritten_draft(record: &[u8]) -> Option<String> {
    parse_wip(record).ok().map(|wip| wip_body(&wip))
}

/// A record as TOML.
#[derive(Deserialize)]
struct Row {
    seq: u64,
    prev: Digest,
    #[serde(flatten)]
    draft_row: DraftRow,
    signature: Option<SignatureRow>,
    seal: Option<SealRow>,
}

/// What entries and drafts have in common.
#[derive(Deserialize)]
struct DraftRow {
    draft: DraftId,
    author: Author,
    time: Moment,
    message: String,
    kind: String,
    snap: Option<SnapRow>,
    exec: Option<ExecRow>,
    outcome: OutcomeRow,
}

/// Who vouches for an entry.
#[derive(Deserialize)]
struct SignatureRow {
    key: PublicKey,
    sig: Signature,
}

/// What ends a draft.
#[derive(Deserialize)]
struct SealRow {
    tx: Option<String>,
}

/// The part of a snap.
#[derive(Deserialize)]
struct SnapRow {
    paths: Vec<Bytes>,
    manifest: Digest,
    count: u64,
    total_bytes: u64,
}

/// The part of an exec.
#[derive(Deserialize)]
struct ExecRow {
    argv: Vec<Bytes>,
    cwd: Bytes,
    umask: String,
    env: Vec<(Bytes, Bytes)>,
    stdin: Option<Digest>,
    network: String,
    effects: Option<String>,
}

/// How it ended on the origin.
#[derive(Deserialize)]
struct OutcomeRow {
    status: Option<u8>,
    signal: Option<i32>,
    change_set: Digest,
    normal: Digest,
    effects: Vec<EffectRow>,
    #[serde(default)]
    hazards: Vec<HazardTable>,
    duration_ms: u64,
    version: String,
}

/// One effect.
#[derive(Deserialize)]
struct EffectRow {
    kind: String,
    operation: String,
    target: String,
    outcome: String,
    count: u32,
}

/// One hazard.
#[derive(Deserialize)]
struct HazardTable {
    code: String,
    path: Option<Bytes>,
    detail: String,
}

/// The fields of a record by part; the empty name is the record itself.
const KNOWN_FIELDS: [(&str, &[&str]); 8] = [
    (
        "",
        &[
            "seq", "prev", "draft", "author", "time", "message", "kind", "snap", "exec", "outcome",
            SIGNATURE, SEAL,
        ],
    ),
    ("snap", &["paths", "manifest", "count", "total_bytes"]),
    (
        "exec",
        &["argv", "cwd", "umask", "env", "stdin", "network", "effects"],
    ),
    (
        "outcome",
        &[
            "status",
            "signal",
            "change_set",
            "normal",
            "effects",
            "hazards",
            "duration_ms",
            "version",
        ],
    ),
    (
        "effects",
        &["kind", "operation", "target", "outcome", "count"],
    ),
    ("hazards", &["code", "path", "detail"]),
    (SIGNATURE, &["key", "sig"]),
    (SEAL, &["tx", "check"]),
];

/// Finds a field that this version does not know, in the part `part` or below it.
fn unknown_field(part: &str, table: &toml::Table) -> Option<String> {
    let (_, known) = KNOWN_FIELDS.iter().find(|(name, _)| *name == part)?;
    table.iter().find_map(|(name, value)| {
        if !known.contains(&name.as_str()) {
            return Some(name.clone());
        }
        match value {
            toml::Value::Table(inner) => unknown_field(name, inner),
            toml::Value::Array(items) => items
                .iter()
                .find_map(|item| unknown_field(name, item.as_table()?)),
            toml::Value::String(_)
            | toml::Value::Integer(_)
            | toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_) => None,
        }
    })
}

impl Row {
    /// Reads one record of the kind's table.
    fn parse(kind: ChainKind, record: &[u8]) -> Result<Self, FormFault> {
        parse_row(kind, record, |row| unknown_field("", row))
    }
}

impl DraftRow {
    /// Checks what the types alone do not.
    fn into_draft(self) -> Result<Draft, RecordFault> {
        let kind = match (self.kind.as_str(), self.snap, self.exec) {
            ("snap", Some(snap), None) => EntryKind::Snap(snap.into_snap()?),
            ("exec", None, Some(exec)) => EntryKind::Exec(exec.into_exec()?),
            ("reboot", None, None) => EntryKind::Reboot,
            ("snap" | "exec" | "reboot", _, _) => return Err(RecordFault::Impossible("kind")),
            _ => {
                return Err(RecordFault::UnknownValue {
                    field: "kind",
                    found: self.kind,
                });
            }
        };
        Ok(Draft {
            id: self.draft,
            author: self.author,
            time: self.time,
            message: self.message,
            kind,
            outcome: self.outcome.into_outcome()?,
        })
    }
}

impl SnapRow {
    /// Checks the paths.
    fn into_snap(self) -> Result<Snap, RecordFault> {
        let paths = self.paths.iter().map(|path| relative(path, "paths"));
        Ok(Snap {
            paths: paths.collect::<Result<_, _>>()?,
            manifest: self.manifest,
            count: self.count,
            total_bytes: self.total_bytes,
        })
    }
}

impl ExecRow {
    /// Checks the command.
    fn into_exec(self) -> Result<Exec, RecordFault> {
        let unknown = |field, found| RecordFault::UnknownValue { field, found };
        let network = Network::named(&self.network);
        let network = network.ok_or_else(|| unknown("network", self.network))?;
        let effects = match self.effects {
            Some(name) => Handling::named(&name).ok_or_else(|| unknown("effects", name))?,
            None => Handling::default(),
        };
        let exec = Exec {
            argv: self.argv,
            cwd: self.cwd,
            umask: u32::from_str_radix(&self.umask, 8)
                .map_err(|_| RecordFault::Impossible("umask"))?,
            env: self.env,
            stdin: self.stdin,
            network,
            effects,
        };
        exec.check()?;
        Ok(exec)
    }
}

impl OutcomeRow {
    /// Checks that it ended in one way.
    fn into_outcome(self) -> Result<Outcome, RecordFault> {
        let exit = match (self.status, self.signal) {
            (Some(status), None) => Exit::Status(status),
            (None, Some(signal)) => Exit::Signal(signal),
            (Some(_), Some(_)) | (None, None) => return Err(RecordFault::Impossible("status")),
        };
        let summary = |row: EffectRow| EffectSummary {
            kind: row.kind,
            operation: row.operation,
            target: row.target,
            outcome: row.outcome,
            count: row.count,
        };
        let hazards = self.hazards.into_iter().map(HazardTable::into_hazard);
        Ok(Outcome {
            exit,
            changes: ChangeDigests {
                full: self.change_set,
                normal: self.normal,
            },
            effects: self.effects.into_iter().map(summary).collect(),
            hazards: hazards.collect::<Result<_, _>>()?,
            duration_ms: self.duration_ms,
            version: self.version,
        })
    }
}

impl HazardTable {
    /// Checks the path; a name that only a newer isconf knows is kept.
    fn into_hazard(self) -> Result<Hazard, RecordFault> {
        let path = self.path.map(|path| relative(&path, "path")).transpose()?;
        Ok(Hazard {
            code: HazardName::named(self.code),
            path,
            detail: self.detail,
        })
    }
}
