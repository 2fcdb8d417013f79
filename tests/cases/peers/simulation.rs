//! A model of how news and entries spread among ten thousand hosts: who is connected with whom by the rules of the real
//! thing (design 021), and how long it takes until all have what one had. Not for how a host really behaves: its
//! processor and its network are ideal here. Upholds: the same seed gives the same run; seeds are printed.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use fastrand::Rng;

/// How many hosts.
const HOSTS: usize = 10_000;

/// How many connections a host makes (`src/peer/dialling.rs`), and how many it has at most.
const WANTED: usize = 8;
const MOST: usize = 200;

/// How many others a host is introduced to at a time.
const INTRODUCED: usize = 16;

/// How long one message is on its way, in microseconds.
const WAY: std::ops::Range<u64> = 1_000..20_000;

/// How long a host that got entries works on them before it tells, in microseconds: one append with its syncs.
const WORK: u64 = 2_000;

/// Who is connected with whom.
fn connections(rng: &mut Rng) -> Vec<Vec<usize>> {
    let mut links: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); HOSTS];
    for host in 1..HOSTS {
        // Set up by a script, one after the other, each with the address of one that is there.
        let mut known: BTreeSet<usize> = BTreeSet::from([rng.usize(0..host.min(100))]);
        while links[host].len() < WANTED.min(host) {
            let left: Vec<usize> = known.difference(&links[host]).copied().collect();
            let Some(&other) = rng.choice(&left) else {
                break;
            };
            if links[other].len() < MOST {
                links[host].insert(other);
                links[other].insert(host);
            } else {
                // It says hello, and that it has enough.
                known.remove(&other);
            }
            let of_other: Vec<usize> = links[other].iter().copied().collect();
            for _ in 0..INTRODUCED {
                known.extend(rng.choice(&of_other).filter(|third| **third != host));
            }
        }
    }
    links
        .into_iter()
        .map(|links| links.into_iter().collect())
        .collect()
}

/// What came of a run.
struct Spread {
    /// When the last host had it, in microseconds.
    last: u64,
    /// How many messages of news were sent.
    told: u64,
    /// How many hosts never had it.
    missed: usize,
}

/// One host has something new; each that has it tells all that it is connected with; who lacks it asks for it and gets
/// it. `up` says who is there.
fn spread(links: &[Vec<usize>], from: usize, up: &[bool], rng: &mut Rng) -> Spread {
    let mut has: Vec<Option<u64>> = vec![None; links.len()];
    let mut asked = vec![false; links.len()];
    let (mut told, mut last) = (0, 0);
    // Times at which a host has it.
    let mut due = BinaryHeap::from([Reverse((0, from))]);
    while let Some(Reverse((now, host))) = due.pop() {
        if has[host].is_some() {
            continue;
        }
        has[host] = Some(now);
        last = last.max(now);
        for &other in links[host].iter().filter(|other| up[**other]) {
            told += 1;
            if !asked[other] {
                // The first who tells is asked; later ones say the same.
                asked[other] = true;
                let arrives = now + rng.u64(WAY) + rng.u64(WAY) + rng.u64(WAY) + WORK;
                due.push(Reverse((arrives, other)));
            }
        }
    }
    let missed = (0..links.len()).filter(|host| up[*host] && has[*host].is_none());
    Spread {
        last,
        told,
        missed: missed.count(),
    }
}

#[test]
fn news_reach_ten_thousand_hosts_and_who_was_away_catches_up() {
    for seed in 1..=3 {
        let mut rng = Rng::with_seed(seed);
        let links = connections(&mut rng);
        let most = links.iter().map(Vec::len).max().unwrap_or(0);
        let all = vec![true; HOSTS];
        let from = rng.usize(0..HOSTS);
        let whole = spread(&links, from, &all, &mut rng);
        // One in ten is off, anywhere.
        let mut up = all.clone();
        for host in (0..HOSTS).filter(|host| *host != from) {
            up[host] = rng.u8(0..10) > 0;
        }
        let part = spread(&links, from, &up, &mut rng);
        // Those that come back meet one that they know, hear of it in the first hello, and ask.
        let back = (0..HOSTS).filter(|host| !up[*host]);
        let alone = back.filter(|host| links[*host].iter().all(|other| !up[*other]));
        println!(
            "seed {seed}: {HOSTS} hosts, at most {most} connections; all had it after {} ms, {:.1} messages each; \
             with a tenth away after {} ms; {} of those know nobody who has it",
            whole.last / 1000,
            whole.told as f64 / HOSTS as f64,
            part.last / 1000,
            alone.clone().count()
        );
        assert_eq!((whole.missed, part.missed), (0, 0), "seed {seed}");
        assert_eq!(alone.count(), 0, "seed {seed}");
        assert!(
            whole.last < 1_000_000,
            "seed {seed}: {} ms",
            whole.last / 1000
        );
        assert!(most <= MOST, "seed {seed}");
    }
}
