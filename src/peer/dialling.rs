//! Which hosts are dialled, and when. Upholds: the addresses that an administrator gave are tried for ever;
//! others only until there are enough connections; no address is dialled without a pause.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::book;
use super::endpoint::{CloseCode, MeetError, canonical};
use super::nets::{self, MAX_NETS_BYTES, Place};
use super::network::{JoinError, PeerView};
use super::this_host::{Shared, chained};
use super::voting;
use crate::durable;
use crate::model::PublicKey;

/// How many connections are enough, beside those with the addresses that were given.
const WANTED: usize = 8;

/// From how many connections on some are closed again, one at a time.
const SURPLUS: usize = 3 * WANTED;

/// How many of the given addresses are kept connected: more hosts than this find each other by the hosts
/// between them.
const MAX_GIVEN: usize = 16;

/// The pause between two looks at who might be dialled.
const TICK: Duration = Duration::from_secs(2);

/// The first pause after an address did not answer, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// The pause after an address did answer: whoever ends connections at once is not dialled all the time.
const MET_PAUSE: Duration = Duration::from_secs(5);

/// How long an address that is this host's own is left alone.
const OWN_PAUSE: Duration = Duration::from_secs(3600);

/// How often the file of addresses is read, and names are resolved anew.
const READ_EVERY: Duration = Duration::from_secs(20);

/// How often hosts are met that are not connected although there are enough: two halves of a domain that
/// were apart come together by it.
const MIX_EVERY: Duration = Duration::from_secs(300);

/// How long resolving a name may take, and how many are resolved at once.
const RESOLVING: Duration = Duration::from_secs(5);
const RESOLVED_AT_ONCE: usize = 16;

/// What is known of the addresses that were dialled.
#[derive(Debug, Default)]
struct Dialled(BTreeMap<SocketAddr, Attempts>);

/// What came of dialling an address.
#[derive(Debug, Clone, Copy)]
struct Attempts {
    failures: u32,
    next: Instant,
    /// Who was there. A host may have several addresses.
    key: Option<PublicKey>,
}

/// Dials as long as the network is there.
pub async fn dial(shared: Arc<Shared>) {
    let mut dialled = Dialled::default();
    let mut mix_next = Instant::now() + jittered(MIX_EVERY);
    book::load(&shared).await;
    loop {
        let now = Instant::now();
        if !shared.member.keys_now().is_empty() {
            let mix = now >= mix_next;
            if mix {
                mix_next = now + jittered(MIX_EVERY);
                close_surplus(&shared);
            }
            let given = shared.given().clone();
            let due = due(&shared, &given, &dialled, mix);
            for (address, outcome) in dial_all(&shared, due).await {
                dialled.note(address, outcome);
            }
        }
        book::save(&shared).await;
        // Somebody asked for it, or it is time.
        let _in_any_case = timeout(TICK, shared.dial.notified()).await;
    }
}

/// Half as long to half as long again, so that hosts do not act in step.
fn jittered(time: Duration) -> Duration {
    time.mul_f32(fastrand::f32() + 0.5)
}

/// Dials a place that an administrator names, and remembers it.
pub async fn join(shared: &Arc<Shared>, place: Place) -> Result<PeerView, JoinError> {
    let addresses = addresses_of(&place).await.map_err(JoinError::Name)?;
    let remembered = shared.on_disk(move |shared| book::remember(shared, &place));
    remembered.await.unwrap_or(Ok(()))?;
    // A host that came by another one's address founds nothing, which the other one has to know.
    shared.read_heads().await;
    let mut failure = JoinError::Name(io::ErrorKind::NotFound.into());
    for address in addresses {
        match shared.port.dial(address).await {
            Ok(link) => {
                let key = link.peer;
                shared.met(link).await;
                let table = shared.table();
                let peer = table.peer(&key).ok_or(JoinError::Gone)?;
                return Ok(PeerView::of(shared, key, peer));
            }
            Err(source) => failure = JoinError::Meet { address, source },
        }
    }
    Err(failure)
}

/// The addresses of a place.
pub async fn addresses_of(place: &Place) -> io::Result<Vec<SocketAddr>> {
    match place {
        Place::Address(address) => Ok(vec![*address]),
        Place::Name(name, port) => {
            let looked_up = timeout(RESOLVING, tokio::net::lookup_host((name.as_str(), *port)));
            let found = looked_up.await;
            let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
            Ok(found.map(canonical).collect())
        }
    }
}

/// The addresses to dial now.
fn due(shared: &Shared, given: &[SocketAddr], dialled: &Dialled, mix: bool) -> Vec<SocketAddr> {
    let now = Instant::now();
    let table = shared.table();
    let connected: BTreeSet<PublicKey> = table.links().map(|link| link.peer).collect();
    let addresses: HashSet<SocketAddr> = table.links().map(|link| link.address()).collect();
    let is_there = |address: &SocketAddr| {
        let key = dialled.0.get(address).and_then(|attempts| attempts.key);
        addresses.contains(address) || key.is_some_and(|key| connected.contains(&key))
    };
    let is_ignored = |address: &SocketAddr| {
        let key = dialled.0.get(address).and_then(|attempts| attempts.key);
        let peer = key.and_then(|key| table.peer(&key));
        peer.is_some_and(|peer| peer.is_ignored(now))
    };
    let is_free = |address: &SocketAddr| {
        dialled.is_due(address, now) && !is_there(address) && !is_ignored(address)
    };
    let given_there = given.iter().filter(|address| is_there(address)).count();
    let mut chosen: Vec<_> = given.iter().copied().filter(is_free).collect();
    fastrand::shuffle(&mut chosen);
    chosen.truncate(MAX_GIVEN.saturating_sub(given_there));
    // Voters have to reach each other.
    let fellows = voting::fellows(shared);
    let voters = fellows.iter().filter(|key| !connected.contains(*key));
    let voters = voters.filter_map(|key| table.peer(key)?.address);
    chosen.extend(voters.filter(is_free));
    let missing = WANTED.saturating_sub(connected.len() + chosen.len()) + usize::from(mix);
    if missing > 0 {
        let known = table
            .peers()
            .filter(|(key, peer)| !connected.contains(*key) && !peer.is_ignored(now));
        let known = known.filter_map(|(_, peer)| peer.address.filter(|address| is_free(address)));
        let mut known: Vec<_> = known.filter(|address| !chosen.contains(address)).collect();
        fastrand::shuffle(&mut known);
        known.truncate(missing);
        chosen.extend(known);
    }
    chosen
}

/// Closes one of too many connections, but none with an address that was given.
fn close_surplus(shared: &Shared) {
    let given = shared.given().clone();
    let table = shared.table();
    if table.links().count() > SURPLUS {
        let fellows = voting::fellows(shared);
        let others = table
            .links()
            .filter(|link| !given.contains(&link.address()) && !fellows.contains(&link.peer));
        if let Some(link) = fastrand::choice(others.collect::<Vec<_>>()) {
            link.close(CloseCode::Enough);
        }
    }
}

/// Dials all these addresses at once.
async fn dial_all(
    shared: &Arc<Shared>,
    due: Vec<SocketAddr>,
) -> Vec<(SocketAddr, Result<PublicKey, MeetError>)> {
    let mut dials = JoinSet::new();
    for address in due {
        let shared = Arc::clone(shared);
        dials.spawn(async move {
            let dialled = shared.port.dial(address).await.map(|link| {
                let key = link.peer;
                let shared = Arc::clone(&shared);
                tokio::spawn(async move { shared.met(link).await });
                key
            });
            match &dialled {
                Err(error @ (MeetError::Stranger | MeetError::NoGreeting | MeetError::Version)) => {
                    shared.mention_stranger(format!("dial {address}"), || {
                        format!("{address} is no peer: {error}")
                    });
                }
                Err(error @ MeetError::Myself) => {
                    shared.mention_stranger(format!("dial {address}"), || {
                        format!("{address} is left alone: {error}")
                    });
                }
                Ok(_) | Err(_) => {}
            }
            (address, dialled)
        });
    }
    // What a dial that panicked did is not noted.
    let mut outcomes = Vec::new();
    while let Some(outcome) = dials.join_next().await {
        outcomes.extend(outcome);
    }
    outcomes
}

impl Dialled {
    fn is_due(&self, address: &SocketAddr, now: Instant) -> bool {
        let attempts = self.0.get(address);
        attempts.is_none_or(|attempts| now >= attempts.next)
    }

    /// Notes what came of an address. There are as many as there are hosts to be remembered.
    fn note(&mut self, address: SocketAddr, outcome: Result<PublicKey, MeetError>) {
        let before = self.0.get(&address);
        let (failures, pause) = match &outcome {
            Ok(_) => (0, MET_PAUSE),
            Err(MeetError::Myself) => (0, OWN_PAUSE),
            Err(_) => {
                let failures = before.map_or(1, |before| before.failures.saturating_add(1));
                let factor = 2u32.saturating_pow(failures - 1).min(1000);
                (failures, (FIRST_PAUSE * factor).min(LONGEST_PAUSE))
            }
        };
        let key = outcome
            .ok()
            .or_else(|| before.and_then(|before| before.key));
        let next = Instant::now() + jittered(pause);
        let attempts = Attempts {
            failures,
            next,
            key,
        };
        self.0.insert(address, attempts);
    }
}

/// Finds out the addresses that an administrator gave, again and again: those of the file, and those that
/// were joined. In a task of its own, since names may take long.
pub async fn resolve(shared: Arc<Shared>) {
    loop {
        let addresses = given_addresses(&shared).await;
        let is_news = *shared.given() != addresses;
        if is_news {
            *shared.given() = addresses;
            shared.dial.notify_one();
        }
        tokio::time::sleep(READ_EVERY).await;
    }
}

async fn given_addresses(shared: &Arc<Shared>) -> Vec<SocketAddr> {
    let places = shared.on_disk(given_places).await.unwrap_or_default();
    let mut addresses = BTreeSet::new();
    let mut resolving = JoinSet::new();
    for place in places {
        match place {
            Place::Address(address) => {
                addresses.insert(canonical(address));
            }
            Place::Name(name, port) => {
                if resolving.len() >= RESOLVED_AT_ONCE {
                    let found = resolving.join_next().await;
                    addresses.extend(found.into_iter().flatten().flatten());
                }
                let shared = Arc::clone(shared);
                resolving.spawn(async move { resolved(&shared, &name, port).await });
            }
        }
    }
    while let Some(found) = resolving.join_next().await {
        addresses.extend(found.into_iter().flatten());
    }
    addresses.into_iter().collect()
}

fn given_places(shared: &Shared) -> Vec<Place> {
    let mut given = book::joined(shared);
    let Some(path) = &shared.facts.nets else {
        return given;
    };
    match durable::read_small(path, MAX_NETS_BYTES) {
        Ok(Some(bytes)) => {
            let (places, bad) = nets::places(&bytes, shared.facts.port);
            given.extend(places);
            for bad in bad {
                let (line, path) = (bad.line, path.display());
                shared.mention(format!("nets {line}"), || {
                    format!("{path}, line {line}: {}", bad.fault)
                });
            }
        }
        Ok(None) => shared.mention("nets".to_owned(), || {
            format!("{} is not there", path.display())
        }),
        Err(error) => shared.mention("nets".to_owned(), || chained(&error)),
    }
    given
}

/// The addresses of a name.
async fn resolved(shared: &Shared, name: &str, port: u16) -> Vec<SocketAddr> {
    let found = addresses_of(&Place::Name(name.to_owned(), port)).await;
    found.unwrap_or_else(|error| {
        shared.mention(format!("name {name}"), || {
            format!("the name {name} does not resolve: {error}")
        });
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Hex;

    #[test]
    fn pauses_grow_while_nobody_answers_and_who_was_there_is_remembered() {
        let address = "192.0.2.1:65027".parse().unwrap();
        let (mut dialled, begin) = (Dialled::default(), Instant::now());
        assert!(dialled.is_due(&address, begin));
        let mut last = Duration::ZERO;
        for round in 0..6 {
            dialled.note(address, Err(MeetError::Late));
            let pause = dialled.0[&address].next.duration_since(begin);
            assert!(!dialled.is_due(&address, Instant::now()));
            // Each is the double of the one before, by half as much or half as much again.
            assert!(round < 2 || pause > last / 3, "{pause:?} after {last:?}");
            assert!(pause < LONGEST_PAUSE * 2);
            last = pause;
        }
        let key: PublicKey = Hex::from_bytes([7; 32]);
        dialled.note(address, Ok(key));
        let met = dialled.0[&address];
        assert_eq!((met.failures, met.key), (0, Some(key)));
        assert!(
            !dialled.is_due(&address, Instant::now()),
            "not at once again"
        );
        dialled.note(address, Err(MeetError::Late));
        assert_eq!(dialled.0[&address].key, Some(key));
        dialled.note(address, Err(MeetError::Myself));
        assert!(dialled.0[&address].next > Instant::now() + OWN_PAUSE / 3);
    }
}
