//! `ci`: the drafts become entries of the journal, and the lock is released. Upholds: all or none;
//! each entry keeps its author, who is named where that is not the one who checks in.

use super::serve::tell_daemon;
use crate::check_in::{self, CheckInError, CheckedIn, EntriesBy, Hazardous, Strictness};
use crate::cli::{Failure, Session};
use crate::history::History;
use crate::identity::HostKey;
use crate::lock::{Authority, Kept, LockError};
use crate::model::Author;
use crate::replay::{ThisHost, keep_undo};
use crate::ui::counted;
use crate::ui::exit::ExitCode;
use crate::ui::hazard_text::hazard_words;
use crate::ui::report_text::description_words;

/// Checks in.
pub fn check_in(
    session: &mut Session,
    strictness: Option<Strictness>,
) -> Result<ExitCode, Failure> {
    let (host, history) = session.this_host("ci")?;
    let key = HostKey::load_or_create(&host.home.host_key())?;
    let strictness = strictness.unwrap_or(match host.settings.ci_strict.value {
        true => Strictness::Refuse,
        false => Strictness::Tell,
    });
    session.refresh_lock(&host)?;
    let locks = session.domain_locks(&host.home, &host.domain, &host.branch)?;
    let done = check_in::check_in(
        host.site(),
        &host.author,
        &key,
        host.now(),
        strictness,
        locks.as_ref().map(|locks| locks as &dyn Authority),
    );
    let done = match done {
        // It was this host's check-in that had been interrupted, and it gave up the lock.
        Err(CheckInError::Lock(_)) if session.has_checked_in && host.wip()?.is_none() => {
            session.note_card(&host, None);
            tell_daemon(session, &host.home);
            return Ok(ExitCode::Ok);
        }
        done => done.map_err(|error| failure(&host, &history, error))?,
    };
    tell(session, &host.author, &done);
    warn(session, &done);
    if done.kept == Kept::HereAlone {
        session.out.warning(
            "no other host can be reached: the contents are on this host alone until one comes",
        );
    }
    session.note_card(&host, None);
    tell_daemon(session, &host.home);
    // The drafts' undo copies were kept whatever the policy says; now they are like any other.
    keep_undo(&host)?;
    if let Some(held) = done.released {
        let branch = &host.branch;
        session
            .out
            .info(&format!("removing lock on {branch} set by {}", held.author));
    }
    Ok(ExitCode::Ok)
}

/// Says what was checked in; whose it is only where that is news.
fn tell(session: &mut Session, caller: &Author, done: &CheckedIn) {
    match done.entries {
        0 => session.out.info("no outstanding updates"),
        entries => session.out.info(&format!(
            "changes checked in: {entries}, up to entry {}",
            done.last.seq
        )),
    }
    if done.authors.iter().all(|by| by.author == *caller) {
        return;
    }
    for EntriesBy {
        author,
        first,
        last,
    } in &done.authors
    {
        session.out.info(&match first == last {
            true => format!("entry {first} is by {author}"),
            false => format!("entries {first} to {last} are by {author}"),
        });
    }
}

/// Says what was found when the changes were made, and is now for everybody.
fn warn(session: &mut Session, done: &CheckedIn) {
    let before = done.last.seq - done.entries;
    for Hazardous {
        number,
        what,
        hazards,
    } in &done.hazardous
    {
        let what = description_words(what);
        for hazard in hazards {
            let words = hazard_words(hazard);
            let seq = before + number;
            session
                .out
                .warning(&format!("entry {seq} ({what}): {words}"));
        }
    }
    let found = done.hazardous.iter().flat_map(|draft| &draft.hazards);
    session.advise_of_hazards(found);
}

/// The failure, with the way out for somebody whose lock was broken.
fn failure(host: &ThisHost, history: &History, error: CheckInError) -> Failure {
    let drafts = host.drafts(history).map_or(0, |drafts| drafts.len());
    let changes = counted(drafts as u64, "change");
    let way_out = match &error {
        CheckInError::Lock(LockError::NotLocked) => Some(format!(
            "not lost: {changes} made here under an earlier lock. Locking again goes on with them; `isconf unlock --discard` takes them back."
        )),
        CheckInError::Lock(LockError::HeldByOther(held)) if held.takes_over => Some(format!(
            "{} took over the {changes} made here.",
            held.author
        )),
        CheckInError::Lock(LockError::HeldByOther(_)) => Some(format!(
            "not lost: {changes} made here. Once the lock is yours again, `isconf ci` checks them in."
        )),
        _ => None,
    };
    let failure = Failure::of_check_in(error, &host.branch);
    match way_out.filter(|_| drafts > 0) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
