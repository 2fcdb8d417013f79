//! `status`: where this host stands. Upholds: waits for nobody, so that it answers while an `up`
//! runs; an answer that can still be given is given, whatever else is damaged. When nobody else is
//! at work it first puts right what an interrupted isconf left, as every verb does.

use super::serve::{daemon_pid, daemon_standing, daemon_status};
use crate::chain::{ChainError, Fault};
use crate::cli::invocation::Format;
use crate::cli::{Failure, Member, Session};
use crate::daemon::{PeerStatus, Standing, VotingStatus};
use crate::history::{History, HistoryError};
use crate::lock::Held;
use crate::model::{EntryRef, Moment};
use crate::replay::kept_names;
use crate::ui::exit::ExitCode;
use crate::ui::status_text::{
    ArrivingRow, ContentsRow, LockView, PeerRow, StatusView, VoterRow, VotersRow, status_json,
    status_text,
};

/// Shows where this host stands.
pub fn status(session: &mut Session, format: Format) -> Result<ExitCode, Failure> {
    // Not told before: it is the first thing the answer says.
    let member = session.member()?;
    let recovery = session.put_right(&member);
    let mut view = view(&member)?;
    view.recovery = view.recovery.or(recovery);
    let text = match format {
        Format::Text => status_text(&view, session.out.style()),
        Format::Json => status_json(&view)?,
    };
    session.out.result(&text)?;
    Ok(ExitCode::Ok)
}

fn view(member: &Member) -> Result<StatusView, Failure> {
    // The history first: an `up` that goes on meanwhile can only make it older than the journal.
    let (history, recovery) = readable(member.history())?;
    let journal = member.journal()?;
    let (at, applied) = match (&history, &journal) {
        (Some(history), Some(journal)) => {
            let applied = history.position(journal.chain())?;
            (journal.at(applied).filter(is_an_entry), applied)
        }
        (Some(history), None) => {
            let standing = history.standing()?.map(|(_, at)| at);
            (standing.filter(is_an_entry), 0)
        }
        (None, _) => (None, 0),
    };
    let head = journal.as_ref().map(|journal| journal.last());
    let daemon = daemon_pid(member)?;
    let asked = daemon.and_then(|_| daemon_status(member));
    let (peers, voting) =
        asked.map_or_else(Default::default, |status| (status.peers, status.voting));
    let peers = peers.into_iter().map(peer_row).collect();
    let contents = daemon.and_then(|_| daemon_standing(member));
    let lock = match &voting {
        // Where several hosts keep the lock, the file here says what was so when it was last asked for.
        Some(voting) => {
            let mut locks = voting.locks.iter();
            let own = locks.find(|lock| lock.branch == *member.branch());
            own.map(|lock| lock_view(lock.held.clone()))
        }
        None => member.branch_lock()?.held.map(lock_view),
    };
    let kept = kept_names(member.home())?.into_iter();
    let entries = journal.as_ref().map_or(0, |journal| journal.len());
    Ok(StatusView {
        host: member.settings.host.value.clone(),
        domain: member.domain.clone(),
        branch: member.branch().clone(),
        lock,
        at,
        head: head.filter(is_an_entry),
        pending: entries - applied,
        wip: member.drafts()?.len() as u64,
        daemon,
        peers,
        contents: contents.map(contents_row),
        voters: voting.map(voters_row),
        kept: kept.map(|(name, _command)| name).collect(),
        recovery,
    })
}

/// How contents come, as the daemon tells of it.
fn contents_row(standing: Standing) -> ContentsRow {
    ContentsRow {
        complete: standing.complete,
        arriving: standing.arriving.map(|arriving| ArrivingRow {
            entry: arriving.entry,
            here: arriving.here,
            length: arriving.length,
        }),
        hindrance: standing.hindrance,
    }
}

/// A peer as the daemon tells of it.
fn peer_row(peer: PeerStatus) -> PeerRow {
    PeerRow {
        host: peer.host,
        key: peer.key,
        address: peer.address,
        isconf: peer.isconf,
        branch: peer.branch,
        entry: peer.entry,
        seen: peer.seen.and_then(Moment::from_unix_seconds),
        connected: peer.connected,
        ignored: peer.ignored,
        diverged: peer.diverged,
    }
}

/// Whether it is not the place before the first entry.
const fn is_an_entry(at: &EntryRef) -> bool {
    at.seq > 0
}

/// The history; one that a crash left with an incomplete receipt is no error here, but waits for
/// the next verb that changes something.
fn readable(
    opened: Result<Option<History>, HistoryError>,
) -> Result<(Option<History>, Option<String>), Failure> {
    match opened {
        Ok(history) => Ok((history, None)),
        Err(HistoryError::Chain(ChainError::Broken(broken)))
            if matches!(broken.fault, Fault::TornTail { .. }) =>
        {
            let words = format!(
                "{broken}; if a crash left it, the next verb that changes this host repairs it"
            );
            Ok((None, Some(words)))
        }
        Err(error) => Err(error.into()),
    }
}

fn lock_view(held: Held) -> LockView {
    LockView {
        holder: held.author,
        message: held.message.to_string(),
        since: held.since,
    }
}

fn voters_row(voting: VotingStatus) -> VotersRow {
    let hosts = voting.voters.into_iter().map(|voter| VoterRow {
        host: voter.host,
        key: voter.key,
        reachable: voter.connected,
    });
    VotersRow {
        epoch: voting.epoch,
        hosts: hosts.collect(),
    }
}
