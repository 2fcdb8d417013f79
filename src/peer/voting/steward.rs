//! Who votes. The leader seats hosts as they come, and replaces those that are gone for long. Upholds: the number of
//! voters is odd; everybody hears who they are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::super::this_host::{Shared, chained};
use super::batches::next_change;
use super::charter::{self, Charter, SignedCharter};
use super::founding::{Ground, RecoverError, begin, founds_here};
use super::own_voter;
use crate::model::PublicKey;
use crate::quorum::Seat;

/// How often it is looked whether there is something to do.
const TICK: Duration = Duration::from_secs(1);

/// How many hosts of the domain have to be connected with the leader, itself included, for so many voters.
const SEATS: [(usize, usize); 2] = [(10, 5), (3, 3)];

/// How long a host is connected before it is seated: one that comes and goes is no voter.
const SETTLED: Duration = Duration::from_secs(1);

/// How long a host is passed over that did not become a voter.
const FAILED_PAUSE: Duration = Duration::from_secs(60);

/// Attends to the voters as long as the network is there.
pub async fn attend(shared: Arc<Shared>) {
    charter::load(&shared).await;
    let mut saved = shared.voting.signed_charter();
    loop {
        own_voter::keep(&shared).await;
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
        let known = shared.voting.signed_charter();
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
                next_change(&mut applied).await;
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
    if shared
        .voting
        .charter()
        .is_some_and(|known| *known == charter)
    {
        return;
    }
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
