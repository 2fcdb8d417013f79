//! Entries of a journal, and drafts of the wip, for `log` and `show`. Not for what they do here
//! (`report_text`). Upholds: text and JSON are made from the same line.

use serde::Serialize;

use super::attributes::Detail;
use super::diff::Secrets;
use super::hazard_json::HazardJson;
use super::hazard_text::hazard_words;
use super::object_json::{BytesJson, ChangeJson};
use super::page::{Page, escaped};
use super::quantity::{human_duration, human_time, signal_name};
use super::report_json::{JSON_VERSION, line};
use super::report_text::{description_words, made_by_words};
use super::style::{Role, Style};
use crate::model::report::Description;
use crate::model::{Draft, EntryKind, EntryRef, Exec, Handling, Outcome};
use isconf_sandbox::change::ChangeSet;
use isconf_sandbox::child::Exit;
use std::time::Duration;

/// One entry or draft, and what it means to this host.
#[derive(Debug, Clone, Copy)]
pub struct LogLine<'a> {
    /// The entry's place; `None` for a draft of the wip.
    pub at: Option<EntryRef>,
    /// What it is.
    pub draft: &'a Draft,
    /// Whether it was committed on this host.
    pub state: LogState,
}

/// What an entry means to this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogState {
    /// It was committed here.
    Applied,
    /// It is still to be replayed here.
    Pending,
    /// It is not checked in yet.
    Wip,
}

impl LogState {
    const fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Pending => "pending",
            Self::Wip => "wip",
        }
    }

    const fn role(self) -> Role {
        match self {
            Self::Applied => Role::Faint,
            Self::Pending => Role::Modified,
            Self::Wip => Role::Noted,
        }
    }
}

/// The entry for people: a line in summary, two normally, everything in full.
pub fn log_text(log: &LogLine<'_>, detail: Detail, style: Style) -> String {
    let mut page = Page::new(style);
    let draft = log.draft;
    let name = match (log.at, detail) {
        (Some(at), Detail::Full) => format!("entry {} {}", at.seq, at.id),
        (Some(at), Detail::Summary | Detail::Normal) => {
            format!("entry {} {}", at.seq, at.id.0.short())
        }
        (None, Detail::Full) => format!("wip {}", draft.id),
        (None, Detail::Summary | Detail::Normal) => "wip".to_owned(),
    };
    let name = page.paint(Role::Heading, &name);
    let state = page.paint(log.state.role(), log.state.word());
    let time = human_time(draft.time.to_timestamp());
    let what = description_words(&Description::from(&draft.kind));
    if detail == Detail::Summary {
        page.line(0, &format!("{name}  {time}  {state}  {what}"));
        return page.into_text();
    }
    page.line(0, &format!("{name}  {time}  {state}"));
    if let Some(words) = made_by_words(Some(&draft.author), &draft.message) {
        page.line(2, &words);
    }
    page.line(2, &what);
    if detail == Detail::Full {
        kind_into(&mut page, &draft.kind);
        outcome_into(&mut page, &draft.outcome);
    }
    page.into_text()
}

fn kind_into(page: &mut Page, kind: &EntryKind) {
    match kind {
        EntryKind::Exec(exec) => {
            page.line(4, &format!("in {}", escaped(exec.cwd.as_slice())));
            page.line(4, &format!("umask {:04o}", exec.umask));
            for (name, value) in &exec.env {
                let (name, value) = (escaped(name.as_slice()), escaped(value.as_slice()));
                page.line(4, &format!("with {name}={value}"));
            }
            if let Some(stdin) = exec.stdin {
                page.line(4, &format!("standard input {stdin}"));
            }
            page.line(4, &format!("network {}", exec.network.name()));
            match exec.effects {
                Handling::Refuse => {}
                Handling::Contain => page.line(4, "without the effects that are contained"),
                Handling::Live => page.line(4, "with the running system in reach"),
            }
        }
        EntryKind::Snap(snap) => {
            page.line(4, &format!("manifest {}", snap.manifest));
            let objects = super::page::counted(snap.count, "object");
            let bytes = super::quantity::human_bytes(snap.total_bytes);
            page.line(4, &format!("{objects}, {bytes}"));
        }
        EntryKind::Reboot => {}
    }
}

fn outcome_into(page: &mut Page, outcome: &Outcome) {
    page.line(2, "on the origin:");
    let exit = match outcome.exit {
        Exit::Status(status) => format!("exit status {status}"),
        Exit::Signal(signal) => format!("ended by {}", signal_name(signal)),
    };
    let time = match outcome.duration_ms {
        0 => "less than 1 ms".to_owned(),
        whole => human_duration(Duration::from_millis(whole)),
    };
    let version = escaped(outcome.version.as_bytes());
    page.line(4, &format!("{exit} after {time}, isconf {version}"));
    page.line(4, &format!("change set {}", outcome.changes.full));
    page.line(4, &format!("normal form {}", outcome.changes.normal));
    for effect in &outcome.effects {
        let parts = [
            &effect.kind,
            &effect.operation,
            &effect.target,
            &effect.outcome,
        ];
        let words: Vec<String> = parts
            .iter()
            .filter(|part| !part.is_empty())
            .map(|part| escaped(part.as_bytes()))
            .collect();
        page.line(
            4,
            &format!("effect {}, {} times", words.join(" "), effect.count),
        );
    }
    for hazard in &outcome.hazards {
        page.line(4, &format!("hazard {}", hazard_words(hazard)));
    }
}

/// The entry for programs, with everything, as one line of JSON.
pub fn log_json(log: &LogLine<'_>) -> Result<String, serde_json::Error> {
    line(&LogJson::of(log))
}

/// As [`log_json`], with what the entry changed where it was made.
pub fn show_json(
    log: &LogLine<'_>,
    changes: &ChangeSet,
    secrets: &dyn Secrets,
) -> Result<String, serde_json::Error> {
    let changes = changes.changes().iter();
    let changes = changes.map(|change| ChangeJson::of(change, secrets, None));
    line(&LogJson {
        changes: Some(changes.collect()),
        ..LogJson::of(log)
    })
}

#[derive(Serialize)]
struct LogJson<'a> {
    version: u32,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    draft: String,
    state: &'static str,
    author: &'a str,
    time: String,
    message: &'a str,
    entry: KindJson,
    origin: OriginJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<ChangeJson>>,
}

impl<'a> LogJson<'a> {
    fn of(log: &LogLine<'a>) -> Self {
        let draft = log.draft;
        Self {
            version: JSON_VERSION,
            kind: "entry",
            seq: log.at.map(|at| at.seq),
            id: log.at.map(|at| at.id.to_string()),
            draft: draft.id.to_string(),
            state: log.state.word(),
            author: draft.author.as_str(),
            time: draft.time.to_string(),
            message: &draft.message,
            entry: KindJson::of(&draft.kind),
            origin: OriginJson::of(&draft.outcome),
            changes: None,
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum KindJson {
    Exec {
        argv: Vec<BytesJson>,
        cwd: BytesJson,
        umask: String,
        env: Vec<(BytesJson, BytesJson)>,
        stdin: Option<String>,
        network: &'static str,
        effects: &'static str,
    },
    Snap {
        paths: Vec<BytesJson>,
        manifest: String,
        count: u64,
        total_bytes: u64,
    },
    Reboot,
}

#[derive(Serialize)]
struct OriginJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    full: String,
    normal: String,
    duration_ms: u64,
    isconf: &'a str,
    effects: Vec<EffectSummaryJson<'a>>,
    hazards: Vec<HazardJson<'a>>,
}

#[derive(Serialize)]
struct EffectSummaryJson<'a> {
    kind: &'a str,
    operation: &'a str,
    target: &'a str,
    outcome: &'a str,
    count: u32,
}

impl KindJson {
    pub(super) fn of(kind: &EntryKind) -> Self {
        match kind {
            EntryKind::Exec(exec) => Self::exec(exec),
            EntryKind::Snap(snap) => Self::Snap {
                paths: snap.paths.iter().map(BytesJson::path).collect(),
                manifest: snap.manifest.to_string(),
                count: snap.count,
                total_bytes: snap.total_bytes,
            },
            EntryKind::Reboot => Self::Reboot,
        }
    }

    fn exec(exec: &Exec) -> Self {
        let bytes = |bytes: &crate::model::Bytes| BytesJson::of(bytes.as_slice());
        Self::Exec {
            argv: exec.argv.iter().map(bytes).collect(),
            cwd: bytes(&exec.cwd),
            umask: format!("{:04o}", exec.umask),
            env: exec
                .env
                .iter()
                .map(|(name, value)| (bytes(name), bytes(value)))
                .collect(),
            stdin: exec.stdin.map(|digest| digest.to_string()),
            network: exec.network.name(),
            effects: exec.effects.name(),
        }
    }
}

impl<'a> OriginJson<'a> {
    fn of(outcome: &'a Outcome) -> Self {
        let (status, signal) = match outcome.exit {
            Exit::Status(status) => (Some(status), None),
            Exit::Signal(signal) => (None, Some(signal_name(signal))),
        };
        let effects = outcome.effects.iter().map(|effect| EffectSummaryJson {
            kind: &effect.kind,
            operation: &effect.operation,
            target: &effect.target,
            outcome: &effect.outcome,
            count: effect.count,
        });
        Self {
            status,
            signal,
            full: outcome.changes.full.to_string(),
            normal: outcome.changes.normal.to_string(),
            duration_ms: outcome.duration_ms,
            isconf: &outcome.version,
            effects: effects.collect(),
            hazards: outcome.hazards.iter().map(HazardJson::of).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
