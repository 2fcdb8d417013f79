//! `undo`, and `unlock --discard`: takes back what was committed here. Upholds: to the bit, or not
//! at all.

use std::time::Duration;

use super::serve::tell_daemon;
use crate::check_in::{is_undecided, is_unfinished};
use crate::cli::invocation::{Diffs, Presentation, ReportForm, RunMode};
use crate::cli::{Failure, Session};
use crate::daemon::client;
use crate::durable;
use crate::journal::drafts_of_others;
use crate::lock::{Authority, BranchLock, LockError};
use crate::model::report::{Conflict, Description, Fate, Place, Report, Verdict};
use crate::replay::{self, LastChange, TakeBackError, ThisHost, blank, discard as discard_drafts};
use crate::ui::exit::ExitCode;
use crate::ui::{counted, escaped};

/// How long it may take until entries came that the voters know.
const PATIENCE: Duration = Duration::from_secs(15);

/// Takes back the last change that is in effect on this host.
pub fn undo(session: &mut Session, run: RunMode, show: Presentation) -> Result<ExitCode, Failure> {
    let (host, mut history) = session.this_host("undo")?;
    let last = replay::last_change(&host, &history)?;
    let mut report = report(&host, &last)?;
    if run == RunMode::Commit && last.draft().is_some() {
        refuse_lock_of_another(&host)?;
    }
    if last.draft().is_some() && is_undecided(host.site()) {
        return Err(Failure::undecided());
    }
    let asked = asked_of_services(&host, &last)?;
    let begun = std::time::Instant::now();
    let done = match run {
        RunMode::Preview => replay::check_take_back(&host, &last),
        RunMode::Commit => replay::take_back(&host, &mut history, &last),
    };
    if let Err(error) = done {
        if let TakeBackError::Conflicts(conflicts) = &error {
            show_conflicts(session, &host, (report, conflicts), show)?;
        }
        return Err(error.into());
    }
    if run == RunMode::Commit {
        report.fate = Fate::Committed;
        report.phases.commit = begun.elapsed();
    }
    if run == RunMode::Commit {
        session.note_card(&host, None);
        tell_daemon(session, &host.home);
    }
    session.show_report(&report, &host.settings, show, None)?;
    let what = last.name();
    match run {
        RunMode::Preview => session.out.info(&format!("would take back {what}")),
        RunMode::Commit => session.out.info(&format!("took back {what}")),
    }
    if last.entry.is_some() && run == RunMode::Commit {
        session
            .out
            .hint("the entry is pending again; `isconf up` would apply it.");
    }
    if run == RunMode::Commit && !asked.is_empty() {
        session.out.hint(&format!(
            "services are as they were ({}): those that read what was taken back want a restart.",
            asked.join("; ")
        ));
    }
    Ok(ExitCode::Ok)
}

/// What it asked of service managers, which is not taken back.
fn asked_of_services(host: &ThisHost, last: &LastChange) -> Result<Vec<String>, Failure> {
    let outcome = match last.entry {
        Some(at) => Some(host.journal()?.entry(at.seq)?.draft.outcome),
        None => {
            let drafts = host.wip_drafts()?.into_iter();
            let mut drafts = drafts.map(|wip| wip.draft);
            drafts
                .find(|draft| Some(draft.id) == last.draft())
                .map(|draft| draft.outcome)
        }
    };
    let effects = outcome.into_iter().flat_map(|outcome| outcome.effects);
    let waited = effects.filter(|effect| effect.outcome == "deferred");
    Ok(waited
        .map(|effect| format!("{} {}", effect.operation, effect.target))
        .map(|words| escaped(words.trim_end().as_bytes()))
        .collect())
}

/// Shows what is there and what the entry had left.
fn show_conflicts(
    session: &mut Session,
    host: &ThisHost,
    (mut report, conflicts): (Report, &[Conflict]),
    show: Presentation,
) -> Result<(), Failure> {
    report.conflicts = conflicts.to_vec();
    report.verdict = Verdict::Conflict;
    report.fate = Fate::Dropped;
    session.show_report(&report, &host.settings, show, None)
}

/// What is taken back when it is no entry: a draft, or a change that no journal has.
fn wip_or_outside(
    host: &ThisHost,
    last: &LastChange,
) -> Result<(Place, Option<Description>), Failure> {
    let drafts = host.wip_drafts()?;
    let number = drafts.len() as u64;
    match (last.draft(), drafts.last()) {
        (Some(draft), Some(known)) if known.draft.id == draft => {
            let place = Place::Wip { number, draft };
            Ok((place, Some(Description::from(&known.draft.kind))))
        }
        _ => Ok((Place::Try { name: None }, None)),
    }
}

/// What taking it back changes, in the same form as any other change.
fn report(host: &ThisHost, last: &LastChange) -> Result<Report, Failure> {
    let (place, description) = match last.entry {
        Some(at) => {
            let entry = host.journal()?.entry(at.seq)?;
            let what = Description::from(&entry.draft.kind);
            (Place::Journal(at), Some(what))
        }
        None => wip_or_outside(host, last)?,
    };
    let mut report = blank(place, Description::Undo(description.map(Box::new)));
    report.author = Some(host.author.clone());
    report.changes = replay::inverse(host, last)?;
    report.fate = Fate::Previewed;
    Ok(report)
}

/// Drafts are not taken back while somebody else has the lock. Where nobody has it, anybody may, as
/// anybody may break the lock.
fn refuse_lock_of_another(host: &ThisHost) -> Result<(), Failure> {
    let lock = BranchLock::load(&host.branch_lock());
    match lock.and_then(|lock| lock.check(&host.author, &host.key).map(|_| ())) {
        Ok(()) | Err(LockError::NotLocked) => Ok(()),
        Err(error) => Err(Failure::of_lock(error, &host.branch)),
    }
}

/// Has those who keep the locks decide that a check-in that was asked for will not count: without the lock under which
/// it was asked for it cannot. Refuses where it does.
fn decide(session: &mut Session, host: &ThisHost) -> Result<(), Failure> {
    let Some(wip) = host.wip()? else {
        return Ok(());
    };
    let Some(locks) = session.domain_locks(&host.home, &host.domain, &host.branch)? else {
        return Ok(());
    };
    super::unlock::give_up(session, host)?;
    let (base, head) = (wip.base(), locks.row(&host.branch)?.head);
    if head == base {
        return Ok(());
    }
    // What cannot be asked for now is not here, and that is told.
    let _asked = client::sync(&host.home, &host.branch, PATIENCE);
    if !host.journal()?.contains(head) {
        let message = format!(
            "the entries behind entry {} are not here yet, and the changes here may be among them",
            base.seq
        );
        return Err(Failure::new(ExitCode::Retry, message)
            .hint("`isconf status` shows when they are; then do the same again."));
    }
    let counts = is_unfinished(host.site());
    match counts.map_err(|e| Failure::of_check_in(e, &host.branch))? {
        true => Err(
            Failure::new(ExitCode::Failure, "the changes are checked in")
                .hint("`isconf undo` takes back the last one on this host."),
        ),
        false => Ok(()),
    }
}

/// Takes back everything that was done under the lock, and releases it.
pub fn discard(session: &mut Session) -> Result<ExitCode, Failure> {
    let (host, mut history) = session.this_host("unlock")?;
    session.refresh_lock(&host)?;
    refuse_lock_of_another(&host)?;
    if is_undecided(host.site()) {
        decide(session, &host)?;
    }
    let others = drafts_of_others(&host.wip_drafts()?, &host.author);
    let discarded = match discard_drafts(&host, &mut history) {
        Ok(discarded) => discarded,
        Err(error) => {
            if let TakeBackError::Conflicts(conflicts) = &*error.source {
                let last = replay::last_change(&host, &history)?;
                let show = Presentation {
                    form: ReportForm::Paths,
                    diffs: Diffs::Never,
                };
                show_conflicts(session, &host, (report(&host, &last)?, conflicts), show)?;
            }
            return Err(error.into());
        }
    };
    session.out.info(&format!(
        "took back {} not checked in",
        counted(discarded, "change")
    ));
    for author in others.iter().flat_map(|others| &others.authors) {
        let words = format!("took back changes of {author} -- please notify {author}");
        session.out.warning(&words);
    }
    durable::remove(&host.home.undecided(&host.domain, &host.branch))?;
    if let Some(held) = super::unlock::give_up(session, &host)? {
        let branch = &host.branch;
        session
            .out
            .info(&format!("removing lock on {branch} set by {}", held.author));
    }
    Ok(ExitCode::Ok)
}
