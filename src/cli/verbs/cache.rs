//! `cache`: what this host has of the domain's contents, and whether it is still what it was. Upholds: what is
//! damaged is set aside, so that it is never used and is fetched again.

use std::collections::BTreeSet;
use std::io;

use isconf_sandbox::change::Digest;

use super::serve::tell_daemon;
use crate::cli::invocation::{Format, Reading, ReportForm};
use crate::cli::{Failure, Member, Session};
use crate::journal::Journal;
use crate::model::CachePolicy;
use crate::model::progress::Unit;
use crate::needs::{Needs, ReferenceError};
use crate::store::{Store, StoreError, Stored};
use crate::ui::cache_text::{BranchRow, CacheView, cache_json, cache_text};
use crate::ui::exit::ExitCode;

/// Shows the cache; with [`Reading::Everything`] verifies it before.
pub fn cache(session: &mut Session, reading: Reading, format: Format) -> Result<ExitCode, Failure> {
    let member = session.member()?;
    let store = Store::new(member.home().blobs(&member.domain));
    let stored: Vec<Stored> = store.walk().collect::<Result<_, _>>()?;
    let found = match reading {
        Reading::Everything => verify(session, &store, &stored, format)?,
        Reading::Changed => BTreeSet::new(),
    };
    let there = stored.iter().filter(|blob| !found.contains(&blob.digest));
    let (blobs, bytes) = there.fold((0, 0), |(count, sum), blob| (count + 1, sum + blob.length));
    let view = CacheView {
        domain: member.domain.clone(),
        blobs,
        bytes,
        found_damaged: found,
        set_aside: store.damaged()?,
        branches: branches(&member, &store)?,
    };
    let is_whole = view.is_whole();
    if !is_whole {
        // It fetches what is missing.
        tell_daemon(session, member.home());
    }
    let text = match format {
        Format::Text => cache_text(&view, session.out.style()),
        Format::Json => cache_json(&view)?,
    };
    session.out.result(&text)?;
    if is_whole {
        return Ok(ExitCode::Ok);
    }
    Err(Failure::new(ExitCode::Failure, "contents are missing here")
        .hint("a running daemon gets them from hosts that have them; `isconf status` shows who is connected. `isconf bundle import` of a bundle with them brings them, too."))
}

/// Reads all blobs; gives those that were found damaged.
fn verify(
    session: &mut Session,
    store: &Store,
    stored: &[Stored],
    format: Format,
) -> Result<BTreeSet<Digest>, Failure> {
    let form = match format {
        Format::Text => ReportForm::Paths,
        Format::Json => ReportForm::Json,
    };
    let mut progress = session.progress(form);
    let all = stored.iter().map(|blob| blob.length).sum();
    progress.begin("reading the cache", Unit::Bytes, Some(all));
    let (mut damaged, mut read) = (BTreeSet::new(), 0);
    for blob in stored {
        match store.copy_to(&blob.digest, &mut io::sink()) {
            // One that is missing was set aside by somebody else just now.
            Ok(_) | Err(StoreError::Missing(_)) => {}
            Err(StoreError::Corrupt { expected, .. }) => {
                damaged.insert(expected);
            }
            Err(error) => return Err(error.into()),
        }
        read += blob.length;
        progress.done(read);
    }
    progress.end();
    Ok(damaged)
}

/// The branches that are here, each with the entries whose contents are not all here.
fn branches(member: &Member, store: &Store) -> Result<Vec<BranchRow>, Failure> {
    let mut rows = Vec::new();
    let policy = member.settings.cache.value;
    let history = match policy {
        CachePolicy::Full => None,
        CachePolicy::Needed => member.history()?,
    };
    for branch in Journal::branches(member.home(), &member.domain)? {
        if let Some(journal) = Journal::open(member.home(), &member.domain, &branch)? {
            let is_own = branch == *member.branch();
            let applied = match &history {
                // What is wrong with it is told by verbs that need it.
                Some(history) if is_own => history.position(journal.chain()).unwrap_or(0),
                _ => 0,
            };
            let wants = |seq| policy.wants(is_own, seq <= applied);
            let incomplete = incomplete(&journal, store, wants)?;
            rows.push(BranchRow {
                branch,
                entries: journal.len(),
                incomplete,
            });
        }
    }
    Ok(rows)
}

/// The entries of a journal of which something is not here that is wanted: of some also what their files hold.
fn incomplete(
    journal: &Journal,
    store: &Store,
    wants_files: impl Fn(u64) -> bool,
) -> Result<Vec<u64>, Failure> {
    let mut incomplete = Vec::new();
    for seq in journal.pending(0) {
        let needs = Needs::of(&journal.entry(seq)?.draft);
        let is_complete = match needs.resolve(store) {
            Ok(_) if !wants_files(seq) => true,
            Ok(all) => all.iter().all(|digest| store.contains(digest)),
            Err(ReferenceError::Store(StoreError::Missing(_) | StoreError::Corrupt { .. })) => {
                false
            }
            Err(ReferenceError::NotAManifest { .. }) => false,
            Err(ReferenceError::Store(error)) => return Err(error.into()),
        };
        if !is_complete {
            incomplete.push(seq);
        }
    }
    Ok(incomplete)
}
