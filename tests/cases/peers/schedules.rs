//! Random schedules of people at work, cuts, kills and heals, and what must hold after each: one holder of a lock
//! per fence, one journal, and every check-in that was acknowledged is in it, once. A few run always, by seeds; many
//! with `ISCONF_SCHEDULES=200` (docs/proof.md).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::support::cluster::Cluster;

/// How many hosts: enough for three voters and others.
const HOSTS: usize = 5;

/// How long people work.
const WORK: Duration = Duration::from_secs(12);

/// How long the hosts may take to agree when everything is whole again.
const PATIENCE: Duration = Duration::from_secs(90);

/// What was seen while a schedule ran.
#[derive(Debug, Default)]
struct History {
    /// Who was granted a lock of a fence.
    holders: BTreeMap<u64, BTreeSet<usize>>,
    /// The commands of check-ins that were acknowledged.
    acknowledged: BTreeSet<String>,
    /// Ends of journals that were seen, with the number of the entry.
    heads: BTreeSet<(u64, String)>,
    /// All that happened, in order, for whoever has to understand a failure.
    log: Vec<String>,
}

/// A value in a file of isconf: `name = value`, without quotes.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let lines = text.lines();
    let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
    Some(values.next()?.trim_matches('"'))
}

/// What a person does next.
enum Deed {
    Lock,
    Change,
    CheckIn,
    Other(&'static str),
}

/// A person at a host: locks, changes, checks in, takes back, breaks locks, until told to end.
fn work(cluster: &Cluster, host: usize, mut rng: Rng, ends: &AtomicBool, seen: &Mutex<History>) {
    let (mut number, mut holds) = (0, false);
    let mut open: Vec<String> = Vec::new();
    while !ends.load(Ordering::SeqCst) {
        thread::sleep(Duration::from_millis(rng.u64(0..300)));
        let deed = match (holds, rng.u8(0..20)) {
            (true, 0..=9) => Deed::Change,
            (true, 10..=16) => Deed::CheckIn,
            (false, 0..=8) => Deed::Lock,
            (false, 9..=15) => Deed::Other("up"),
            (_, 17) => Deed::Other("unlock"),
            (_, 18) => Deed::Other("unlock --discard"),
            (true, _) => Deed::Lock,
            (false, _) => Deed::CheckIn,
        };
        match deed {
            Deed::Lock => {
                let done = cluster.isconf(host, "lock work");
                holds = done.status() == 0;
                let lock = cluster.file(host, "fs/cache/example.com/volume/generic/lock");
                let fence = value(&lock, "fence").and_then(|fence| fence.parse().ok());
                if let Some(fence) = fence.filter(|_| holds) {
                    let mut seen = seen.lock().expect("nobody panicked");
                    seen.holders.entry(fence).or_default().insert(host);
                }
                note(seen, format!("h{host} lock: {}", done.status()));
            }
            Deed::Change => {
                number += 1;
                let command = format!("op-{host}-{number}");
                let done = cluster.isconf(host, &format!("exec sh -c ': {command};'"));
                if done.status() == 0 {
                    open.push(command.clone());
                }
                note(seen, format!("h{host} exec {command}: {}", done.status()));
            }
            Deed::CheckIn => {
                let done = cluster.isconf(host, "ci");
                holds &= done.status() == 75;
                let mut seen = seen.lock().expect("nobody panicked");
                seen.log
                    .push(format!("h{host} ci {open:?}: {}", done.status()));
                if done.status() == 0 {
                    seen.acknowledged.extend(open.drain(..));
                }
            }
            Deed::Other(verb) => {
                let done = cluster.isconf(host, verb);
                holds &= verb == "up";
                if verb == "unlock --discard" {
                    // Whatever came of it: what was half taken back is nobody's promise.
                    open.clear();
                }
                note(seen, format!("h{host} {verb}: {}", done.status()));
            }
        }
        let head = cluster.file(host, "fs/cache/example.com/volume/generic/head");
        if let (Some(seq), Some(id)) = (value(&head, "seq"), value(&head, "id")) {
            let seq = seq.parse().expect("a number");
            let mut seen = seen.lock().expect("nobody panicked");
            seen.heads.insert((seq, id.to_owned()));
        }
    }
}

fn note(seen: &Mutex<History>, what: String) {
    seen.lock().expect("nobody panicked").log.push(what);
}

/// Cuts, kills and heals, until told to end.
fn trouble(cluster: &Cluster, mut rng: Rng, ends: &AtomicBool, seen: &Mutex<History>) {
    while !ends.load(Ordering::SeqCst) {
        thread::sleep(Duration::from_millis(rng.u64(700..3500)));
        let what = match rng.u8(0..8) {
            0 | 1 => {
                // Two sides, in both directions.
                let side: Vec<bool> = (0..HOSTS).map(|_| rng.bool()).collect();
                for (a, b) in pairs().filter(|(a, b)| side[*a] != side[*b]) {
                    cluster.cut(a, b);
                }
                format!("parted {side:?}")
            }
            2 => {
                let (from, to) = (rng.usize(0..HOSTS), rng.usize(0..HOSTS));
                cluster.cut(from, to);
                format!("cut h{from} to h{to}")
            }
            3 | 4 => {
                let host = rng.usize(0..HOSTS);
                cluster.kill(host);
                thread::sleep(Duration::from_millis(rng.u64(0..1500)));
                cluster.isconf(host, "start");
                format!("killed h{host} and started it")
            }
            _ => {
                cluster.heal();
                "healed".to_owned()
            }
        };
        note(seen, what);
    }
    cluster.heal();
    for host in 0..HOSTS {
        cluster.isconf(host, "start");
    }
}

fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..HOSTS).flat_map(|a| (0..HOSTS).map(move |b| (a, b)))
}

/// Waits until all hosts have the same journal; gives it.
fn agreed(cluster: &Cluster, seen: &History) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let journals: BTreeSet<_> = (0..cluster.len())
            .map(|host| cluster.journal(host))
            .collect();
        // What is left under way may still come to all.
        if journals.len() == 1 {
            return journals.into_iter().next().unwrap_or_default();
        }
        assert!(
            Instant::now() < deadline,
            "the journals stay different: {:?}\n{}",
            journals.iter().map(String::len).collect::<Vec<_>>(),
            seen.log.join("\n")
        );
        thread::sleep(Duration::from_millis(200));
    }
}

/// What must hold, whatever happened.
fn check(seed: u64, journal: &str, seen: &History) {
    let log = || format!("seed {seed}\n{}", seen.log.join("\n"));
    for (fence, holders) in &seen.holders {
        assert_eq!(
            holders.len(),
            1,
            "lock {fence} was granted to {holders:?}; {}",
            log()
        );
    }
    for command in &seen.acknowledged {
        let times = journal.matches(&format!(": {command};")).count();
        assert_eq!(
            times,
            1,
            "{command} was acknowledged and is there {times} times; {}",
            log()
        );
    }
    for (seq, id) in seen.heads.iter().filter(|(seq, _)| *seq > 0) {
        let next = format!("seq = {}\nprev = \"{id}\"", seq + 1);
        let is_last = !journal.contains(&format!("seq = {}\n", seq + 1));
        assert!(
            is_last || journal.contains(&next),
            "entry {seq} {id} was somewhere and is not in the journal; {}",
            log()
        );
    }
}

/// Runs a schedule; what there was to see, in words.
fn run(seed: u64) -> String {
    let Some(cluster) = Cluster::of(HOSTS) else {
        return "no machine can be made here".to_owned();
    };
    let (ends, seen) = (AtomicBool::new(false), Mutex::new(History::default()));
    let mut rng = Rng::with_seed(seed);
    thread::scope(|scope| {
        for host in 0..HOSTS {
            let (rng, cluster, ends, seen) = (rng.fork(), &cluster, &ends, &seen);
            scope.spawn(move || work(cluster, host, rng, ends, seen));
        }
        let rng = rng.fork();
        let troubled = scope.spawn(|| trouble(&cluster, rng, &ends, &seen));
        thread::sleep(WORK);
        ends.store(true, Ordering::SeqCst);
        troubled.join().expect("trouble ends");
    });
    let seen = seen.into_inner().expect("nobody panicked");
    let journal = agreed(&cluster, &seen);
    check(seed, &journal, &seen);
    let (locks, checked_in) = (seen.holders.len(), seen.acknowledged.len());
    format!("seed {seed}: {locks} locks, {checked_in} entries acknowledged")
}

#[test]
fn whatever_is_cut_and_killed_there_is_one_journal_with_all_that_was_acknowledged() {
    let many = std::env::var("ISCONF_SCHEDULES").ok();
    let many = many.and_then(|many| many.parse().ok()).unwrap_or(2);
    let first = std::env::var("ISCONF_SEED").ok();
    let first = first.and_then(|seed| seed.parse().ok()).unwrap_or(1);
    for seed in first..first + many {
        println!("{}", run(seed));
    }
}
