//! `show`: one entry with all that it did where it was made. Upholds: what is marked secret is not
//! shown; reads only.

use isconf_sandbox::change::ChangeSet;

use super::log::state_of;
use crate::cli::invocation::{EntryName, Presentation, ReportForm};
use crate::cli::worksite::secrets;
use crate::cli::{Failure, Member, Session};
use crate::journal::Journal;
use crate::model::{Draft, EntryRef};
use crate::store::{MAX_LIST_BYTES, Store, StoreError};
use crate::ui::Detail;
use crate::ui::change_text::change_set_text;
use crate::ui::exit::ExitCode;
use crate::ui::log_text::{LogLine, LogState, log_json, log_text, show_json};
use crate::ui::report_text::View;

/// What was found under a name.
struct Found {
    at: Option<EntryRef>,
    draft: Draft,
    state: LogState,
}

/// Shows the entry, or draft, of that name.
pub fn show(
    session: &mut Session,
    name: &EntryName,
    show: Presentation,
) -> Result<ExitCode, Failure> {
    let member = session.on_branch()?;
    session.put_right(&member);
    let found = find(&member, name)?;
    let line = LogLine {
        at: found.at,
        draft: &found.draft,
        state: found.state,
    };
    let set = match show.form {
        ReportForm::Summary => None,
        ReportForm::Json | ReportForm::Paths | ReportForm::AllPaths => {
            changes_of(session, &member, &found.draft)?
        }
    };
    let is_secret = secrets(&member.settings);
    let style = session.out.style();
    let mut view = View::new(style, Detail::Normal, &is_secret);
    let mut text = match (show.form, &set) {
        (ReportForm::Json, Some(set)) => show_json(&line, set, &is_secret)?,
        (ReportForm::Json, None) => log_json(&line)?,
        (ReportForm::Summary, _) => log_text(&line, Detail::Summary, style),
        (ReportForm::Paths | ReportForm::AllPaths, _) => log_text(&line, Detail::Full, style),
    };
    if show.form == ReportForm::AllPaths {
        (view.detail, view.path_limit) = (Detail::Full, usize::MAX);
    }
    if let (ReportForm::Paths | ReportForm::AllPaths, Some(set)) = (show.form, &set) {
        text.push_str(&change_set_text(set, &view));
    }
    session.out.result(&text)?;
    Ok(ExitCode::Ok)
}

/// What the entry changed where it was made; `None`, and a word about it, when that is not at hand.
fn changes_of(
    session: &mut Session,
    member: &Member,
    draft: &Draft,
) -> Result<Option<ChangeSet>, Failure> {
    let store = Store::new(member.home().blobs(&member.domain));
    match store.get(&draft.outcome.changes.full, MAX_LIST_BYTES) {
        Err(StoreError::Missing(_)) => {
            session.out.info("what it changed there is not at hand");
            Ok(None)
        }
        other => Ok(Some(ChangeSet::decode(&other?)?)),
    }
}

/// Looks in the journal, then in the wip.
fn find(member: &Member, name: &EntryName) -> Result<Found, Failure> {
    let history = member.history()?;
    let journal = member.journal()?;
    if let Some(journal) = &journal
        && let Some(seq) = seq_of(journal, name)?
    {
        let applied = history
            .as_ref()
            .map_or(Ok(0), |h| h.position(journal.chain()))?;
        let entry = journal.entry(seq)?;
        return Ok(Found {
            at: Some(entry.at),
            draft: entry.draft,
            state: state_of(seq, applied),
        });
    }
    let drafts = member.drafts()?.into_iter();
    let mut drafts = drafts.map(|wip| wip.draft);
    let draft = match name {
        EntryName::Seq(_) => None,
        EntryName::IdStart(start) => drafts.find(|draft| draft.id.to_string().starts_with(start)),
    };
    let entries = journal.map_or(0, |journal| journal.len());
    let draft = draft.ok_or_else(|| no_such_entry(member, name, entries))?;
    Ok(Found {
        at: None,
        draft,
        state: LogState::Wip,
    })
}

/// The number of the only entry of that name.
fn seq_of(journal: &Journal, name: &EntryName) -> Result<Option<u64>, Failure> {
    let start = match name {
        EntryName::Seq(seq) => return Ok((*seq <= journal.len()).then_some(*seq)),
        EntryName::IdStart(start) => start,
    };
    let is_named = |seq: &u64| {
        let at = journal.at(*seq);
        at.is_some_and(|at| at.id.to_string().starts_with(start))
    };
    let mut named = (1..=journal.len()).filter(is_named);
    let first = named.next();
    match (first, named.next()) {
        (Some(one), Some(other)) => {
            let message = format!("{start} is the start of the ids of entries {one} and {other}");
            Err(Failure::new(ExitCode::Failure, message).hint("give more digits of the id."))
        }
        (only, _) => Ok(only),
    }
}

fn no_such_entry(member: &Member, name: &EntryName, entries: u64) -> Failure {
    let branch = member.branch();
    let message = match name {
        EntryName::Seq(seq) => {
            format!("the journal of {branch} has no entry {seq}: it has {entries}")
        }
        EntryName::IdStart(start) => {
            format!("no entry of {branch} has an id that starts with {start}")
        }
    };
    Failure::new(ExitCode::Failure, message).hint("`isconf log` lists the entries.")
}
