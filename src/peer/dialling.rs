//! Which hosts are dialled, and when. Upholds: the addresses that an administrator gave are tried for ever;
//! others only until there are enough connections; nobody is dialled without a pause.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::book;
use super::endpoint::MeetError;
use super::nets::{self, MAX_NETS_BYTES, Place};
use super::network::{JoinError, PeerView, Shared, chained};
use crate::durable;

/// How many connections are enough, beside those with the addresses that were given.
const WANTED: usize = 8;

/// How many of the given addresses are kept connected: more hosts than this find each other by the hosts
/// between them.
const MAX_GIVEN: usize = 16;

/// The pause between two looks at who might be dialled.
const TICK: Duration = Duration::from_secs(2);

/// The first pause after an address did not answer, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long an address that is this host's own is left alone.
const OWN_PAUSE: Duration = Duration::from_secs(3600);

/// How often the file of addresses is read, and names are resolved anew.
const READ_EVERY: Duration = Duration::from_secs(20);

/// How often hosts are met that are not connected although there are enough: two halves of a domain that
/// were apart come together by it.
const MIX_EVERY: Duration = Duration::from_secs(300);

/// How long resolving a name may take.
const RESOLVING: Duration = Duration::from_secs(5);

/// What came of dialling an address.
#[derive(Debug, Clone, Copy)]
struct Attempts {
    failures: u32,
    next: Instant,
}

/// Dials as long as the network is there.
pub async fn dial(shared: Arc<Shared>) {
    let mut attempts: HashMap<SocketAddr, Attempts> = HashMap::new();
    let mut given: Vec<SocketAddr> = Vec::new();
    let mut read_next = Instant::now();
    let mut mix_next = Instant::now() + MIX_EVERY.mul_f32(fastrand::f32() + 0.5);
    book::load(&shared).await;
    loop {
        let now = Instant::now();
        if now >= read_next {
            given = given_addresses(&shared).await;
            read_next = now + READ_EVERY;
        }
        if !shared.member.keys_now().is_empty() {
            let mix = now >= mix_next;
            if mix {
                mix_next = now + MIX_EVERY.mul_f32(fastrand::f32() + 0.5);
            }
            let is_due = |address: &SocketAddr| {
                attempts
                    .get(address)
                    .is_none_or(|attempts| now >= attempts.next)
            };
            let due = due(&shared, &given, mix, is_due);
            let outcomes = dial_all(&shared, due).await;
            for (address, outcome) in outcomes {
                note(&mut attempts, address, outcome);
            }
        }
        book::save(&shared).await;
        // Somebody asked for it, or it is time.
        let _in_any_case = timeout(TICK, shared.dial.notified()).await;
    }
}

/// Dials a place that an administrator names, and remembers it.
pub async fn join(shared: &Arc<Shared>, place: Place) -> Result<PeerView, JoinError> {
    let addresses = match &place {
        Place::Address(address) => vec![*address],
        Place::Name(name, port) => {
            let looked_up = timeout(RESOLVING, tokio::net::lookup_host((name.as_str(), *port)));
            let found = looked_up
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            found.map_err(JoinError::Name)?.collect()
        }
    };
    let remembered = shared
        .on_disk(move |shared| book::remember(shared, &place))
        .await;
    remembered.unwrap_or(Ok(()))?;
    let mut failure = JoinError::Name(io::ErrorKind::NotFound.into());
    for address in addresses {
        match shared.port.dial(address).await {
            Ok(link) => {
                let key = link.peer;
                shared.met(link).await;
                let table = shared.table();
                let peer = table.peer(&key).ok_or(JoinError::Gone)?;
                return Ok(PeerView::of(key, peer));
            }
            Err(source) => failure = JoinError::Meet { address, source },
        }
    }
    Err(failure)
}

/// The addresses to dial now.
fn due(
    shared: &Shared,
    given: &[SocketAddr],
    mix: bool,
    is_due: impl Fn(&SocketAddr) -> bool,
) -> Vec<SocketAddr> {
    let now = Instant::now();
    let table = shared.table();
    let connected: Vec<_> = table.links().map(|link| link.address()).collect();
    let is_free = |address: &SocketAddr| !connected.contains(address) && is_due(address);
    let given_there = given
        .iter()
        .filter(|address| connected.contains(address))
        .count();
    let given_wanted = MAX_GIVEN.saturating_sub(given_there);
    let mut given: Vec<_> = given
        .iter()
        .copied()
        .filter(|address| is_free(address))
        .collect();
    fastrand::shuffle(&mut given);
    given.truncate(given_wanted);
    let known = table
        .peers()
        .filter(|(_, peer)| peer.link().is_none() && !peer.is_ignored(now));
    let known = known.filter_map(|(_, peer)| peer.address.filter(is_free));
    let mut known: Vec<_> = known.filter(|address| !given.contains(address)).collect();
    fastrand::shuffle(&mut known);
    let missing = WANTED.saturating_sub(connected.len() + given.len());
    known.truncate(missing + usize::from(mix));
    given.extend(known);
    given
}

/// Dials all these addresses at once.
async fn dial_all(
    shared: &Arc<Shared>,
    due: Vec<SocketAddr>,
) -> Vec<(SocketAddr, Result<(), MeetError>)> {
    let mut dials = tokio::task::JoinSet::new();
    for address in due {
        let shared = Arc::clone(shared);
        dials.spawn(async move {
            let met = match shared.port.dial(address).await {
                Ok(link) => {
                    shared.met(link).await;
                    Ok(())
                }
                Err(error) => Err(error),
            };
            if let Err(MeetError::Stranger | MeetError::NoGreeting) = &met {
                shared.mention(format!("dial {address}"), || match &met {
                    Err(error) => format!("{address} is no peer: {}", chained(error)),
                    Ok(()) => String::new(),
                });
            }
            (address, met)
        });
    }
    // What a dial that panicked did is not noted.
    let mut outcomes = Vec::new();
    while let Some(outcome) = dials.join_next().await {
        outcomes.extend(outcome);
    }
    outcomes
}

fn note(
    attempts: &mut HashMap<SocketAddr, Attempts>,
    address: SocketAddr,
    outcome: Result<(), MeetError>,
) {
    let failures = match outcome {
        Ok(()) => {
            attempts.remove(&address);
            return;
        }
        Err(MeetError::Myself) => 0,
        Err(_) => attempts
            .get(&address)
            .map_or(1, |before| before.failures.saturating_add(1)),
    };
    let pause = match failures {
        0 => OWN_PAUSE,
        failures => (FIRST_PAUSE * 2u32.saturating_pow(failures - 1).min(1000)).min(LONGEST_PAUSE),
    };
    let next = Instant::now() + pause.mul_f32(0.75 + fastrand::f32() / 2.0);
    // As many as there are hosts to be remembered.
    attempts.insert(address, Attempts { failures, next });
}

/// The addresses that an administrator gave: those of the file, and those that were joined.
async fn given_addresses(shared: &Arc<Shared>) -> Vec<SocketAddr> {
    let read = shared.on_disk(|shared| {
        let mut given = book::joined(shared);
        if let Some(path) = &shared.facts.nets {
            match durable::read_small(path, MAX_NETS_BYTES) {
                Ok(Some(bytes)) => {
                    let (places, bad) = nets::places(&bytes, shared.facts.port);
                    given.extend(places);
                    for bad in bad {
                        let (line, path) = (bad.line, path.display());
                        shared.mention(format!("nets {line} {}", bad.fault), || {
                            format!("{path}, line {line}: {}", bad.fault)
                        });
                    }
                }
                Ok(None) => shared.mention("nets".to_owned(), || {
                    format!("{} is not there", path.display())
                }),
                Err(error) => shared.mention("nets".to_owned(), || chained(&error)),
            }
        }
        given
    });
    let mut addresses = Vec::new();
    for place in read.await.unwrap_or_default() {
        match place {
            Place::Address(address) => addresses.push(address),
            Place::Name(name, port) => addresses.extend(resolved(shared, &name, port).await),
        }
    }
    addresses
}

/// The addresses of a name.
async fn resolved(shared: &Shared, name: &str, port: u16) -> Vec<SocketAddr> {
    match timeout(RESOLVING, tokio::net::lookup_host((name, port))).await {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => {
            shared.mention(format!("name {name}"), || {
                format!("the name {name} does not resolve: {error}")
            });
            Vec::new()
        }
        Err(_late) => {
            shared.mention(format!("name {name}"), || {
                format!("the name {name} does not resolve in time")
            });
            Vec::new()
        }
    }
}
