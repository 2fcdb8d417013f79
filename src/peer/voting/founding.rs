//! Beginning an epoch: the first one, and the next after most voters were lost. Upholds: a host that came by another
//! one's address founds nothing; nobody hears of an epoch before all of it is durable.

use std::sync::Arc;
use std::time::SystemTime;

use super::super::book;
use super::super::endpoint::{Link, canonical};
use super::super::local::LocalError;
use super::super::nets::Place;
use super::super::this_host::Shared;
use super::batches::append_all;
use super::charter::{self, Charter, SignedCharter};
use super::own_voter::{OwnVoterError, kept_epoch, start};
use crate::durable::FileError;
use crate::journal::Journal;
use crate::lock::{BranchLock, Holder, HostLock, HostLockError, Ledger, LockError, Row, Wait};
use crate::model::Moment;
use crate::quorum::{Epoch, Seat, Voter, VoterError};

/// How ready a host is to found: it is not; it is, and came by the address of another one; it is; it has locked branches
/// while it was alone.
pub const FOUNDS_NOT: u8 = 0;
const FOUNDS_LATE: u8 = 1;
const FOUNDS: u8 = 2;
const FOUNDS_FIRST: u8 = 3;

/// Why an epoch could not be begun.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The voter.
    #[error(transparent)]
    Voter(#[from] VoterError),
    /// A lock of a branch.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The system refused an operation.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is here of the journals.
    #[error(transparent)]
    Local(#[from] Box<LocalError>),
    /// The voter of the epoch.
    #[error(transparent)]
    Own(#[from] OwnVoterError),
    /// What was agreed on is not in the journals here.
    #[error("entries that were agreed on are not in the journal here yet; try again in a moment")]
    NotAppended,
    /// There were too many epochs.
    #[error("the domain cannot begin anew so often")]
    TooMany,
    /// Another host was faster.
    #[error("another host keeps the locks of the domain by now")]
    Outdated,
    /// Another isconf is at work here.
    #[error("another isconf is at work on this host; try again when it is done")]
    Busy,
    /// The new voters could not be written down.
    #[error("who votes now could not be written down")]
    NotWritten,
    /// The work was not done to its end.
    #[error("the work failed")]
    Panicked(#[from] tokio::task::JoinError),
}

/// How ready this host is to found. Whoever came by another host's address is not as long as that host cannot be asked,
/// unless it locked branches before.
pub fn may_found(shared: &Shared) -> u8 {
    if shared.local.has_locked() {
        return FOUNDS_FIRST;
    }
    let joined = book::joined(shared);
    if joined.is_empty() {
        return FOUNDS;
    }
    let connected: Vec<_> = shared.table().links().map(Link::address).collect();
    let is_connected = |place: &Place| match place {
        Place::Address(address) => connected.contains(&canonical(*address)),
        // A name may be anybody's.
        Place::Name(..) => !connected.is_empty(),
    };
    match joined.iter().all(is_connected) {
        true => FOUNDS_LATE,
        false => FOUNDS_NOT,
    }
}

/// Whether this host founds: others are there, none of them knows of voters, and none is to be preferred.
pub async fn founds_here(shared: &Arc<Shared>) -> bool {
    let ready = shared.on_disk(may_found).await.unwrap_or(FOUNDS_NOT);
    let table = shared.table();
    let mut others = table
        .peers()
        .filter(|(_, peer)| peer.link().is_some())
        .peekable();
    if ready == FOUNDS_NOT || others.peek().is_none() {
        return false;
    }
    let own = (ready, std::cmp::Reverse(shared.member.own));
    // One that said nothing yet may know of voters.
    others.all(|(key, peer)| {
        peer.hello.as_ref().is_some_and(|hello| {
            hello.charter.is_none() && (hello.founds, std::cmp::Reverse(*key)) < own
        })
    })
}

/// What a new epoch begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// The journals here, and the locks of a host that was alone.
    Alone,
    /// The journals here; nobody has a lock.
    Recovered,
}

/// Begins the next epoch with this host as its only voter.
pub async fn recover(shared: &Arc<Shared>) -> Result<Epoch, RecoverError> {
    // What was agreed on and is here counts.
    if let Some(voter) = shared.voting.voter()
        && !append_all(shared, &voter).await
    {
        return Err(RecoverError::NotAppended);
    }
    let known = shared.voting.charter();
    let number = known.map_or(1, |charter| charter.epoch.number + 1);
    begin(shared, number, Ground::Recovered).await
}

/// Begins an epoch with at least this number. Nobody is told before all of it is durable.
pub async fn begin(
    shared: &Arc<Shared>,
    number: u64,
    ground: Ground,
) -> Result<Epoch, RecoverError> {
    let founder = shared.member.own;
    let kept = kept_epoch(shared).await;
    let number = match (ground, kept) {
        // What this host said as a voter of an earlier epoch stays what it was.
        (Ground::Recovered, Some(kept)) => number.max(kept.number + 1),
        // It voted, or began to found; that comes first.
        (Ground::Alone, Some(_)) => return Err(RecoverError::Busy),
        (Ground::Recovered | Ground::Alone, None) => number,
    };
    let epoch = Epoch { number, founder };
    if !epoch.is_sound() {
        return Err(RecoverError::TooMany);
    }
    // No verb may take a lock here while they are read, nor before it can know of the voters.
    let made = shared.on_disk(move |shared| ledger_of(shared, epoch, ground));
    let (_host_lock, ledger) = made.await??;
    let _alone = shared.voting.changing.lock().await;
    let voter = start(shared, epoch).await?;
    match found(shared, &voter, ledger).await {
        Ok(()) => {
            if let Some(older) = shared.voting.voter.send_replace(Some(voter)) {
                older.stop().await;
            }
            shared.look.notify_one();
            Ok(epoch)
        }
        Err(error) => {
            voter.stop().await;
            Err(error)
        }
    }
}

/// Founds, and has that known here.
async fn found(shared: &Arc<Shared>, voter: &Voter, ledger: Ledger) -> Result<(), RecoverError> {
    let host = shared.facts.host.to_string();
    voter.found(Seat { host }, ledger).await?;
    let applied = voter.applied().borrow().clone();
    let charter = Charter::of(voter.epoch(), &voter.members(), &applied);
    let signed = SignedCharter::sign(charter, &shared.key);
    let before = shared.voting.signed_charter();
    // Somebody else may have founded meanwhile.
    if !charter::take(shared, signed.clone()) {
        return Err(RecoverError::Outdated);
    }
    if charter::save(shared, &signed).await {
        return Ok(());
    }
    *shared.voting.known() = before;
    Err(RecoverError::NotWritten)
}

/// The ledger made of what is here; the lock keeps it true.
fn ledger_of(
    shared: &Shared,
    epoch: Epoch,
    ground: Ground,
) -> Result<(Option<HostLock>, Ledger), RecoverError> {
    let (home, domain) = (&shared.facts.home, &shared.facts.domain);
    let holder = Holder {
        pid: std::process::id(),
        verb: "the daemon, which founds".to_owned(),
        since: Moment::from_system_time(SystemTime::now()).unwrap_or(Moment::EPOCH),
    };
    let host_lock = match HostLock::take(&home.host_lock(), &holder, Wait::No, &mut |_| {}) {
        Ok(lock) => Some(lock),
        // Whoever has it waits for the voters, and locks nothing by itself.
        Err(HostLockError::Held(_)) if shared.voting.is_asked() => None,
        Err(_held) => return Err(RecoverError::Busy),
    };
    let mut ledger = Ledger::new(Journal::beginning(domain), epoch.first_fence());
    for branch in Journal::branches(home, domain)? {
        let path = home.branch_lock(domain, &branch);
        let head = shared.local.last(&branch).map_err(Box::new)?;
        let lock = match ground {
            Ground::Alone => BranchLock::load(&path)?,
            Ground::Recovered => BranchLock::default(),
        };
        // Its holder checked in, and the power failed before the file said so for good.
        let is_given_up = lock.held.as_ref().is_some_and(|held| held.journal != head);
        let lock = match is_given_up {
            true => lock.broken(),
            false => lock,
        };
        let begun_by = None;
        let row = Row {
            lock,
            head,
            begun_by,
        };
        ledger.insert(branch, row);
    }
    Ok((host_lock, ledger))
}
