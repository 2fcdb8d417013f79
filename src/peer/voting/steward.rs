//! Who votes. The first host founds; the leader seats others as they come, and replaces those that are gone for
//! long. Upholds: the number of voters is odd; a host that came by another one's address founds nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::super::book;
use super::super::endpoint::Link;
use super::super::local::LocalError;
use super::super::this_host::{Shared, chained};
use super::batches::append_all;
use super::calls::Roads;
use super::charter::{self, Charter, SignedCharter};
use crate::durable::{self, FileError};
use crate::journal::Journal;
use crate::lock::{BranchLock, Holder, HostLock, HostLockError, Ledger, LockError, Row, Wait};
use crate::model::{Moment, PublicKey};
use crate::quorum::{Epoch, Seat, Voter, VoterError};

/// How often it is looked whether there is something to do.
const TICK: Duration = Duration::from_secs(1);

/// How many hosts of the domain have to be connected with the leader, itself included, for so many voters.
const SEATS: [(usize, usize); 2] = [(10, 5), (3, 3)];

/// How long a host is connected before it is seated: one that comes and goes is no voter.
const SETTLED: Duration = Duration::from_secs(1);

/// How long a host is passed over that did not become a voter, and a voter that stopped.
const FAILED_PAUSE: Duration = Duration::from_secs(60);

/// How ready a host is to found: it is not; it is; it has locked branches while it was alone.
pub const FOUNDS_NOT: u8 = 0;
const FOUNDS: u8 = 1;
const FOUNDS_FIRST: u8 = 2;

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
    /// Its file is gone, and what it said to other voters with it.
    #[error(
        "{} is gone, and with it what this host said as a voter: another host takes its place after IS_VOTER_PATIENCE",
        .0.display()
    )]
    Forgotten(PathBuf),
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

/// Attends to the voters as long as the network is there.
pub async fn attend(shared: Arc<Shared>) {
    charter::load(&shared).await;
    let mut saved = shared.voting.charter();
    loop {
        keep_own_voter(&shared).await;
        if shared.voting.charter().is_none() && founds_here(&shared).await {
            match begin(&shared, 1, Ground::Alone).await {
                Ok(epoch) => {
                    tracing::info!("this host keeps the locks of the domain: epoch {epoch}");
                }
                Err(RecoverError::Busy) => {}
                Err(error) => shared.mention("found".to_owned(), || {
                    let why = chained(&error);
                    format!("the locks of the domain cannot be kept here: {why}")
                }),
            }
        }
        publish(&shared);
        let known = shared.voting.charter();
        if let Some(charter) = &known
            && known != saved
            && charter::save(&shared, charter).await
        {
            saved = known;
        }
        wait(&shared).await;
    }
}

/// Seats voters as long as the network is there: in a task of its own, since a host may take long to learn.
pub async fn seat_now_and_then(shared: Arc<Shared>) {
    let mut settled: BTreeMap<PublicKey, Instant> = BTreeMap::new();
    let mut failed: BTreeMap<PublicKey, Instant> = BTreeMap::new();
    loop {
        note_settled(&shared, &mut settled);
        failed.retain(|_, at| at.elapsed() < FAILED_PAUSE);
        seat(&shared, &settled, &mut failed).await;
        tokio::time::sleep(TICK).await;
    }
}

/// Waits for news, or for a while.
async fn wait(shared: &Arc<Shared>) {
    let voter = shared.voting.voter();
    let changed = async {
        match voter {
            Some(voter) => {
                let mut applied = voter.applied();
                applied.mark_unchanged();
                // A voter that was stopped is looked at in the next round.
                if applied.changed().await.is_err() {
                    std::future::pending().await
                }
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = changed => {}
        () = shared.voting.wake.notified() => {}
        () = tokio::time::sleep(TICK) => {}
    }
}

/// Has the voter run here that is to run, and no other.
async fn keep_own_voter(shared: &Arc<Shared>) {
    if let Some(voter) = shared.voting.voter()
        && let Some(why) = voter.trouble()
    {
        // A full disk, mostly: it goes on when there is room.
        shared.mention("voter".to_owned(), || {
            format!("this host does not vote for now: {why}")
        });
        stop(shared).await;
        tokio::time::sleep(FAILED_PAUSE / 10).await;
    }
    let signed = shared.voting.charter();
    let Some(charter) = signed.as_ref().and_then(SignedCharter::charter) else {
        if shared.voting.voter().is_none()
            && let Some(epoch) = kept_epoch(shared).await
        {
            // What was known of the voters is lost, and what this one said as a voter is not.
            report(shared, open(shared, epoch, Opened::Known).await);
        }
        return;
    };
    let runs = shared.voting.voter().map(|voter| voter.epoch());
    if runs.is_some_and(|epoch| epoch != charter.epoch) {
        stop(shared).await;
        tracing::warn!(
            "the voters of the domain are those of epoch {} now; what was not checked in under an earlier lock has to be locked for again",
            charter.epoch
        );
    }
    if charter.has_voter(&shared.member.own) && shared.voting.voter().is_none() {
        report(shared, open(shared, charter.epoch, Opened::Known).await);
    }
}

/// Says why this host does not vote, if it does not.
fn report(shared: &Shared, opened: Result<Voter, RecoverError>) {
    if let Err(error) = opened {
        shared.mention("voter".to_owned(), || {
            format!("this host cannot vote: {}", chained(&error))
        });
    }
}

/// The voter here, for a call of another one of the same epoch; begun, if this host is to become one.
pub async fn voter_for(shared: &Arc<Shared>, link: &Link, epoch: Epoch) -> Option<Voter> {
    let signed = shared.voting.charter();
    let charter = signed.as_ref().and_then(SignedCharter::charter)?;
    if charter.epoch != epoch {
        return None;
    }
    let voter = shared.voting.voter();
    let is_voter = charter.has_voter(&link.peer)
        || voter
            .as_ref()
            .is_some_and(|voter| voter.members().contains_key(&link.peer));
    if !is_voter {
        return None;
    }
    match voter {
        Some(voter) => (voter.epoch() == epoch).then_some(voter),
        None if charter.has_voter(&shared.member.own) => {
            open(shared, epoch, Opened::Known).await.ok()
        }
        None => open(shared, epoch, Opened::New).await.ok(),
    }
}

/// Whether this host is known to vote in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opened {
    /// It votes: without its file it would have forgotten what it said, and might say something else.
    Known,
    /// It may become a voter, and said nothing yet.
    New,
}

/// Opens the voter of an epoch, unless it runs.
async fn open(shared: &Arc<Shared>, epoch: Epoch, opened: Opened) -> Result<Voter, RecoverError> {
    let _alone = shared.voting.changing.lock().await;
    if let Some(voter) = shared.voting.voter() {
        return match voter.epoch() == epoch {
            true => Ok(voter),
            false => Err(RecoverError::Busy),
        };
    }
    let path = ledger_file(shared, epoch);
    if opened == Opened::Known && !exists(shared, &path).await {
        return Err(RecoverError::Forgotten(path));
    }
    let voter = start(shared, epoch).await?;
    shared.voting.voter.send_replace(Some(voter.clone()));
    Ok(voter)
}

async fn exists(shared: &Arc<Shared>, path: &Path) -> bool {
    let path = path.to_path_buf();
    shared
        .on_disk(move |_| path.exists())
        .await
        .unwrap_or(false)
}

/// The file of a voter.
fn ledger_file(shared: &Shared, epoch: Epoch) -> PathBuf {
    let directory = shared.facts.home.ledger(&shared.facts.domain);
    directory.join(format!("{}-{}", epoch.number, epoch.founder))
}

/// The last epoch in which this host voted, by its files.
async fn kept_epoch(shared: &Arc<Shared>) -> Option<Epoch> {
    let listed = shared.on_disk(|shared| {
        let directory = shared.facts.home.ledger(&shared.facts.domain);
        let names = std::fs::read_dir(directory).ok()?.filter_map(Result::ok);
        let epochs = names.filter_map(|entry| {
            let name = entry.file_name();
            let (number, founder) = name.to_str()?.split_once('-')?;
            Some(Epoch {
                number: number.parse().ok()?,
                founder: founder.parse().ok()?,
            })
        });
        epochs.filter(|epoch| epoch.is_sound()).max()
    });
    listed.await.ok().flatten()
}

/// Has the voter of an epoch run. Nobody hears of it yet.
async fn start(shared: &Arc<Shared>, epoch: Epoch) -> Result<Voter, RecoverError> {
    let facts = &shared.facts;
    let directory = facts.home.ledger(&facts.domain);
    let made = shared.on_disk(move |_| durable::create_directories(&directory));
    made.await??;
    let ledger = Ledger::new(Journal::beginning(&facts.domain), epoch.first_fence());
    let roads = Arc::new(Roads {
        shared: Arc::downgrade(shared),
        epoch,
    });
    let path = ledger_file(shared, epoch);
    Ok(Voter::open(&path, epoch, shared.member.own, ledger, roads).await?)
}

/// Stops the voter here, if one runs.
async fn stop(shared: &Arc<Shared>) {
    let _alone = shared.voting.changing.lock().await;
    if let Some(voter) = shared.voting.voter.send_replace(None) {
        voter.stop().await;
    }
}

/// How ready this host is to found. Whoever came by another host's address is not, unless it locked branches
/// before.
pub fn may_found(shared: &Shared) -> u8 {
    let has_locked = shared.local.has_locked();
    match (has_locked, book::joined(shared).is_empty()) {
        (true, _) => FOUNDS_FIRST,
        (false, true) => FOUNDS,
        (false, false) => FOUNDS_NOT,
    }
}

/// Whether this host founds: others are there, none of them knows of voters, and none is to be preferred.
async fn founds_here(shared: &Arc<Shared>) -> bool {
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
enum Ground {
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
    let signed = shared.voting.charter();
    let known = signed.as_ref().and_then(SignedCharter::charter);
    let number = known.map_or(1, |charter| charter.epoch.number + 1);
    begin(shared, number, Ground::Recovered).await
}

/// Begins an epoch with at least this number. Nobody is told before all of it is durable.
async fn begin(shared: &Arc<Shared>, number: u64, ground: Ground) -> Result<Epoch, RecoverError> {
    let founder = shared.member.own;
    let kept = kept_epoch(shared).await;
    // The file of a founding that broke off is never used again.
    let number = kept.map_or(number, |kept| number.max(kept.number + 1));
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
    let before = shared.voting.charter();
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
        let lock = match ground {
            Ground::Alone => BranchLock::load(&path)?,
            Ground::Recovered => BranchLock::default(),
        };
        let head = shared.local.last(&branch).map_err(Box::new)?;
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

/// Tells everybody what the voter here knows, if that is news.
fn publish(shared: &Arc<Shared>) {
    let Some(voter) = shared.voting.voter() else {
        return;
    };
    let (members, applied) = (voter.members(), voter.applied().borrow().clone());
    if !members.contains_key(&shared.member.own) || !voter.has_begun() {
        return;
    }
    let charter = Charter::of(voter.epoch(), &members, &applied);
    let signed = SignedCharter::sign(charter, &shared.key);
    if charter::take(shared, signed) {
        shared.look.notify_one();
    }
}

/// Notes since when hosts are connected.
fn note_settled(shared: &Shared, settled: &mut BTreeMap<PublicKey, Instant>) {
    let table = shared.table();
    settled.retain(|key, _| table.peer(key).is_some_and(|peer| peer.link().is_some()));
    for link in table.links() {
        settled.entry(link.peer).or_insert_with(Instant::now);
    }
}

/// Has as many hosts vote as there should be, if this one leads.
async fn seat(
    shared: &Arc<Shared>,
    settled: &BTreeMap<PublicKey, Instant>,
    failed: &mut BTreeMap<PublicKey, Instant>,
) {
    let voter = shared.voting.voter();
    let Some(voter) = voter.filter(|voter| voter.leads() && voter.has_begun()) else {
        return;
    };
    let members = voter.members();
    let seats = match voter.is_changing() {
        // Somebody began it and did not end it.
        true => Some(members.clone()),
        false => seats(shared, &members, settled, failed),
    };
    let Some(seats) = seats else {
        return;
    };
    let names: Vec<_> = seats.values().map(|seat| seat.host.clone()).collect();
    let new = seats.keys().filter(|key| !members.contains_key(*key));
    let new: Vec<_> = new.copied().collect();
    // Whoever drops it leaves it half done until the next round.
    match voter.seat(seats).await {
        Ok(()) => tracing::info!("the voters of the domain are {}", names.join(", ")),
        Err(error) => {
            shared.mention("seat".to_owned(), || chained(&error));
            failed.extend(new.into_iter().map(|key| (key, Instant::now())));
        }
    }
}

/// Who should vote, if that is not who votes.
fn seats(
    shared: &Shared,
    members: &BTreeMap<PublicKey, Seat>,
    settled: &BTreeMap<PublicKey, Instant>,
    failed: &BTreeMap<PublicKey, Instant>,
) -> Option<BTreeMap<PublicKey, Seat>> {
    let own = shared.member.own;
    let table = shared.table();
    let (now, clock) = (Instant::now(), SystemTime::now());
    let is_gone = |key: &PublicKey| {
        let peer = table.peer(key);
        let seen = peer.and_then(|peer| peer.last_seen);
        let is_long_ago = |at: SystemTime| {
            clock
                .duration_since(at)
                .is_ok_and(|since| since > shared.facts.voter_patience)
        };
        *key != own
            && !settled.contains_key(key)
            && seen.map_or(
                shared.started.elapsed() > shared.facts.voter_patience,
                is_long_ago,
            )
    };
    let stay: BTreeMap<_, _> = members
        .iter()
        .filter(|(key, _)| !is_gone(key))
        .map(|(key, seat)| (*key, seat.clone()))
        .collect();
    let free = settled.iter().filter(|(key, since)| {
        now.duration_since(**since) >= SETTLED
            && !members.contains_key(*key)
            && !failed.contains_key(*key)
    });
    let free = free.filter_map(|(key, _)| {
        let hello = table.peer(key)?.hello.as_ref()?;
        let host = hello.host.to_string();
        // It has to know of the voters before it is called by them.
        hello.charter.as_ref().map(|_| (*key, Seat { host }))
    });
    let free: Vec<_> = free.collect();
    let there = 1 + settled.len();
    let wanted = SEATS.iter().find(|(hosts, _)| there >= *hosts);
    let wanted = wanted.map_or(1, |(_, seats)| *seats).max(members.len());
    wanted_seats(members, stay, free, wanted)
}

/// Those who stay and others, `wanted` of them or the next smaller odd number; `None` when that is who votes now. Nobody's
/// seat is lost for want of another host: two voters are worse than three of which one is gone.
fn wanted_seats(
    members: &BTreeMap<PublicKey, Seat>,
    mut seats: BTreeMap<PublicKey, Seat>,
    free: Vec<(PublicKey, Seat)>,
    wanted: usize,
) -> Option<BTreeMap<PublicKey, Seat>> {
    for (key, seat) in free {
        if seats.len() >= wanted {
            break;
        }
        seats.insert(key, seat);
    }
    if seats.len().is_multiple_of(2) || seats.len() < members.len() {
        // Those that are gone keep their seats until there is somebody for them.
        let gone = members
            .iter()
            .filter(|(key, _)| !seats.contains_key(*key))
            .map(|(key, seat)| (*key, seat.clone()));
        let gone: Vec<_> = gone.collect();
        for (key, seat) in gone {
            if seats.len() % 2 == 1 && seats.len() >= members.len() {
                break;
            }
            seats.insert(key, seat);
        }
    }
    if seats.len().is_multiple_of(2) {
        let newcomer = seats
            .keys()
            .find(|key| !members.contains_key(*key))
            .copied();
        seats.remove(&newcomer?);
    }
    (seats.keys().ne(members.keys())).then_some(seats)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> PublicKey {
        PublicKey::from_bytes([number; 32])
    }

    fn seats_of(numbers: &[u8]) -> BTreeMap<PublicKey, Seat> {
        let seats = numbers.iter().map(|number| (key(*number), Seat::default()));
        seats.collect()
    }

    /// Who votes when `members` vote, `gone` of them are gone, `free` others are there, and `wanted` are wanted.
    fn next(members: &[u8], gone: &[u8], free: &[u8], wanted: usize) -> Option<Vec<u8>> {
        let members = seats_of(members);
        let mut stay = members.clone();
        stay.retain(|key, _| !gone.contains(&key.as_bytes()[0]));
        let free = free.iter().map(|number| (key(*number), Seat::default()));
        let seats = wanted_seats(&members, stay, free.collect(), wanted)?;
        assert_eq!(seats.len() % 2, 1);
        Some(seats.keys().map(|key| key.as_bytes()[0]).collect())
    }

    #[test]
    fn there_are_one_three_or_five_and_those_that_are_gone_are_replaced() {
        assert_eq!(next(&[1], &[], &[2], 3), None);
        assert_eq!(next(&[1], &[], &[2, 3], 3), Some(vec![1, 2, 3]));
        assert_eq!(next(&[1, 2, 3], &[], &[4], 5), None);
        assert_eq!(
            next(&[1, 2, 3], &[], &[4, 5, 6], 5),
            Some(vec![1, 2, 3, 4, 5])
        );
        assert_eq!(next(&[1, 2, 3], &[3], &[], 3), None);
        assert_eq!(next(&[1, 2, 3], &[3], &[4], 3), Some(vec![1, 2, 4]));
        assert_eq!(
            next(&[1, 2, 3, 4, 5], &[2, 3], &[6], 5),
            Some(vec![1, 2, 4, 5, 6])
        );
        assert_eq!(next(&[1, 2, 3], &[2, 3], &[], 3), None);
    }
}
