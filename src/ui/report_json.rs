//! Reports for programs, as `docs/report.schema.json` describes. Not for people (`report_text`
//! shows them the same facts). Upholds: output for programs is versioned and has a schema.
//!
//! A document is one line. `up --json` writes one `report` a line as the entries go, and one `run`
//! at the end.

use std::time::Duration;

use isconf_sandbox::capture::FindingReason;
use isconf_sandbox::change::ChangeSet;
use isconf_sandbox::child::{Effect, EffectOutcome, Exceeded, Exit, Phases};
use serde::Serialize;

use super::actions::ActionJson;
use super::conflict_json::ConflictJson;
use super::diff::{Secrets, content_diff};
use super::hazard_json::HazardJson;
use super::limit_text::{limit_setting, limit_text};
use super::object_json::{BytesJson, ChangeJson};
use super::quantity::{errno_name, signal_name};
use super::report_text::View;
use crate::model::contents::ContentSource;
use crate::model::report::{
    Congruence, Description, Divergence, Ending, Fate, Place, Rehearsal, Report, Verdict,
};
use crate::model::{Author, connection_count};

/// The version of every JSON document that isconf writes; raised when a reader could be misled.
pub const JSON_VERSION: u32 = 1;

/// One report as one line of JSON. Of `view`, only the secrets and the limits of diffs count: a
/// program gets every path.
pub fn report_json(
    report: &Report,
    view: &View<'_>,
    contents: Option<&dyn ContentSource>,
) -> Result<String, serde_json::Error> {
    line(&ReportJson::of(report, view, contents))
}

/// A document on a line of its own.
pub(super) fn line(document: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string(document)?;
    text.push('\n');
    Ok(text)
}

#[derive(Serialize)]
struct ReportJson<'a> {
    version: u32,
    kind: &'static str,
    place: PlaceJson<'a>,
    entry: DescriptionJson,
    author: Option<&'a str>,
    message: &'a str,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<LimitJson>,
    fate: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refusals: Vec<RefusalJson<'a>>,
    ending: EndingJson,
    changes: Vec<ChangeJson>,
    shown_only: Vec<ChangeJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digests: Option<DigestsJson>,
    totals: TotalsJson,
    effects: Vec<EffectJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rehearsal: Option<RehearsalJson<'a>>,
    actions: Vec<ActionJson<'a>>,
    connections: u32,
    hazards: Vec<HazardJson<'a>>,
    uncovered: Vec<UncoveredJson<'a>>,
    findings: Vec<FindingJson>,
    conflicts: Vec<ConflictJson>,
    congruence: CongruenceJson,
    retries: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_by: Option<String>,
    seconds: PhasesJson,
}

#[derive(Serialize)]
#[serde(tag = "in", rename_all = "snake_case")]
enum PlaceJson<'a> {
    Journal {
        seq: u64,
        id: String,
    },
    Wip {
        number: u64,
        draft: String,
    },
    Try {
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
    },
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum DescriptionJson {
    Exec {
        argv: Vec<BytesJson>,
        cwd: BytesJson,
    },
    Snap {
        paths: Vec<BytesJson>,
    },
    Reboot,
    Shell,
    Undo {
        of: Option<Box<DescriptionJson>>,
    },
}

#[derive(Serialize)]
struct RefusalJson<'a> {
    path: Option<BytesJson>,
    reason: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum EndingJson {
    Status(u8),
    Signal(String),
    CouldNotStart(String),
    NoCommand,
}

#[derive(Serialize)]
struct DigestsJson {
    full: String,
    normal: String,
}

#[derive(Serialize)]
struct TotalsJson {
    paths: usize,
    added: usize,
    modified: usize,
    metadata: usize,
    rewritten: usize,
    deleted: usize,
    moved: usize,
    bytes_added: u64,
    bytes_removed: u64,
}

#[derive(Serialize)]
struct EffectJson<'a> {
    kind: String,
    operation: &'a str,
    target: &'a str,
    process: &'a str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<String>,
    count: u32,
}

#[derive(Serialize)]
struct RehearsalJson<'a> {
    ending: EndingJson,
    effects: Vec<EffectJson<'a>>,
    acted_before: bool,
}

#[derive(Serialize)]
struct UncoveredJson<'a> {
    mount_point: BytesJson,
    fs_type: &'a str,
    treatment: &'a str,
}

#[derive(Serialize)]
struct FindingJson {
    path: BytesJson,
    reason: &'static str,
}

#[derive(Serialize)]
struct CongruenceJson {
    answer: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differs: Vec<DivergenceJson>,
}

#[derive(Serialize)]
struct DivergenceJson {
    path: BytesJson,
    origin: Option<ChangeJson>,
    here: Option<ChangeJson>,
    differs_in: Vec<&'static str>,
}

/// The limit that a command went beyond.
#[derive(Serialize)]
struct LimitJson {
    setting: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<BytesJson>,
    words: String,
}

impl LimitJson {
    fn of(exceeded: &Exceeded) -> Self {
        Self {
            setting: limit_setting(exceeded),
            place: match exceeded {
                Exceeded::Room(place) => Some(BytesJson::path(place)),
                Exceeded::Time(_) | Exceeded::Processes(_) | Exceeded::Disk(_) => None,
            },
            words: limit_text(exceeded),
        }
    }
}

#[derive(Serialize)]
struct PhasesJson {
    set_up: f64,
    run: f64,
    collect: f64,
    commit: f64,
}

impl<'a> ReportJson<'a> {
    fn of(report: &'a Report, view: &View<'_>, contents: Option<&dyn ContentSource>) -> Self {
        Self {
            version: JSON_VERSION,
            kind: "report",
            place: PlaceJson::of(&report.place),
            entry: DescriptionJson::of(&report.description),
            author: report.author.as_ref().map(Author::as_str),
            message: &report.message,
            verdict: verdict_name(&report.verdict),
            signal: match report.verdict {
                Verdict::Interrupted(signal) => Some(signal_name(signal)),
                _ => None,
            },
            limit: match &report.verdict {
                Verdict::LimitExceeded(exceeded) => Some(LimitJson::of(exceeded)),
                _ => None,
            },
            fate: fate_name(report.fate),
            refusals: refusals(&report.verdict),
            ending: EndingJson::of(report.ending),
            changes: changes(&report.changes, view, contents),
            shown_only: changes(&report.shown_only, view, None),
            digests: report.digests.map(|digests| DigestsJson {
                full: digests.full.to_string(),
                normal: digests.normal.to_string(),
            }),
            totals: TotalsJson::of(&report.changes),
            effects: report.effects.iter().map(EffectJson::of).collect(),
            rehearsal: report.rehearsal.as_ref().map(RehearsalJson::of),
            actions: report.actions.iter().map(ActionJson::of).collect(),
            connections: connection_count(&report.effects),
            hazards: report.hazards.iter().map(HazardJson::of).collect(),
            uncovered: report
                .uncovered
                .iter()
                .map(|mount| UncoveredJson {
                    mount_point: BytesJson::path(&mount.mount_point),
                    fs_type: &mount.fs_type,
                    treatment: &mount.treatment,
                })
                .collect(),
            findings: report
                .findings
                .iter()
                .map(|finding| FindingJson {
                    path: BytesJson::path(&finding.path),
                    reason: finding_name(finding.reason),
                })
                .collect(),
            conflicts: report
                .conflicts
                .iter()
                .map(|conflict| ConflictJson::of(conflict, view.secrets))
                .collect(),
            congruence: CongruenceJson::of(&report.congruence, view.secrets),
            retries: report.retries,
            stopped_by: report.stopped_by.map(signal_name),
            seconds: PhasesJson::of(&report.phases),
        }
    }
}

fn changes(
    set: &ChangeSet,
    view: &View<'_>,
    contents: Option<&dyn ContentSource>,
) -> Vec<ChangeJson> {
    let diff = |change| {
        contents
            .and_then(|contents| content_diff(change, contents, &view.diff_limits, view.secrets))
    };
    set.changes()
        .iter()
        .map(|change| ChangeJson::of(change, view.secrets, diff(change)))
        .collect()
}

const fn verdict_name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Approved => "approved",
        Verdict::CommandFailed => "command_failed",
        Verdict::Conflict => "conflict",
        Verdict::Refused(_) => "refused",
        Verdict::LimitExceeded(_) => "limit_exceeded",
        Verdict::Interrupted(_) => "interrupted",
        Verdict::RebootNotAllowed => "reboot_not_allowed",
        Verdict::OutOfReach => "out_of_reach",
        Verdict::ActionFailed => "action_failed",
    }
}

const fn fate_name(fate: Fate) -> &'static str {
    match fate {
        Fate::Committed => "committed",
        Fate::TakenBack => "taken_back",
        Fate::Previewed => "previewed",
        Fate::Dropped => "dropped",
        Fate::Kept => "kept",
    }
}

const fn finding_name(reason: FindingReason) -> &'static str {
    match reason {
        FindingReason::ShowOnly => "shown_only",
        FindingReason::SocketOfEndedProcess => "socket_of_ended_process",
        FindingReason::LinksTorn => "links_torn",
    }
}

fn refusals(verdict: &Verdict) -> Vec<RefusalJson<'_>> {
    let Verdict::Refused(refusals) = verdict else {
        return Vec::new();
    };
    refusals
        .iter()
        .map(|refusal| RefusalJson {
            path: refusal.path.as_ref().map(BytesJson::path),
            reason: &refusal.reason,
        })
        .collect()
}

impl<'a> PlaceJson<'a> {
    fn of(place: &'a Place) -> Self {
        match place {
            Place::Journal(at) => Self::Journal {
                seq: at.seq,
                id: at.id.to_string(),
            },
            Place::Wip { number, draft } => Self::Wip {
                number: *number,
                draft: draft.to_string(),
            },
            Place::Try { name } => Self::Try {
                name: name.as_deref(),
            },
        }
    }
}

impl DescriptionJson {
    fn of(description: &Description) -> Self {
        match description {
            Description::Exec { argv, cwd } => Self::Exec {
                argv: argv
                    .iter()
                    .map(|word| BytesJson::of(word.as_slice()))
                    .collect(),
                cwd: BytesJson::of(cwd.as_slice()),
            },
            Description::Snap { paths } => Self::Snap {
                paths: paths.iter().map(BytesJson::path).collect(),
            },
            Description::Reboot => Self::Reboot,
            Description::Shell => Self::Shell,
            Description::Undo(what) => Self::Undo {
                of: what.as_deref().map(|what| Box::new(Self::of(what))),
            },
        }
    }
}

impl EndingJson {
    fn of(ending: Ending) -> Self {
        match ending {
            Ending::Exited(Exit::Status(status)) => Self::Status(status),
            Ending::Exited(Exit::Signal(signal)) => Self::Signal(signal_name(signal)),
            Ending::CouldNotStart(errno) => Self::CouldNotStart(errno_name(errno)),
            Ending::NoCommand => Self::NoCommand,
        }
    }
}

impl TotalsJson {
    fn of(set: &ChangeSet) -> Self {
        let totals = set.totals();
        Self {
            paths: set.len(),
            added: totals.added,
            modified: totals.modified,
            metadata: totals.metadata,
            rewritten: totals.rewritten,
            deleted: totals.deleted,
            moved: totals.moved,
            bytes_added: totals.bytes_added,
            bytes_removed: totals.bytes_removed,
        }
    }
}

impl<'a> EffectJson<'a> {
    fn of(effect: &'a Effect) -> Self {
        let (outcome, errno) = match effect.outcome {
            EffectOutcome::Refused(errno) => ("refused", Some(errno_name(errno))),
            EffectOutcome::Contained => ("contained", None),
            EffectOutcome::Allowed => ("allowed", None),
            EffectOutcome::Deferred => ("deferred", None),
        };
        Self {
            kind: effect.kind.name(),
            operation: &effect.operation,
            target: &effect.target,
            process: &effect.process,
            outcome,
            errno,
            count: effect.count,
        }
    }
}

impl<'a> RehearsalJson<'a> {
    fn of(rehearsal: &'a Rehearsal) -> Self {
        Self {
            ending: EndingJson::of(rehearsal.ending),
            effects: rehearsal.effects.iter().map(EffectJson::of).collect(),
            acted_before: rehearsal.acted_before,
        }
    }
}

impl CongruenceJson {
    fn of(congruence: &Congruence, secrets: &dyn Secrets) -> Self {
        let divergence = |divergence: &Divergence| DivergenceJson {
            path: BytesJson::path(&divergence.path),
            origin: side(divergence.origin.as_ref(), secrets),
            here: side(divergence.here.as_ref(), secrets),
            differs_in: divergence.aspects.iter().map(|a| a.name()).collect(),
        };
        match congruence {
            Congruence::Same => Self::plain("same"),
            Congruence::Unknown => Self::plain("unknown"),
            Congruence::Differs(paths) => Self {
                answer: "differs",
                differs: paths.iter().map(divergence).collect(),
            },
        }
    }

    const fn plain(answer: &'static str) -> Self {
        Self {
            answer,
            differs: Vec::new(),
        }
    }
}

fn side(
    change: Option<&isconf_sandbox::change::Change>,
    secrets: &dyn Secrets,
) -> Option<ChangeJson> {
    change.map(|change| ChangeJson::of(change, secrets, None))
}

impl PhasesJson {
    fn of(phases: &Phases) -> Self {
        let seconds = |time: Duration| time.as_secs_f64();
        Self {
            set_up: seconds(phases.set_up),
            run: seconds(phases.run),
            collect: seconds(phases.collect),
            commit: seconds(phases.commit),
        }
    }
}

#[cfg(test)]
mod tests;
