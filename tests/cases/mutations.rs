//! A journal that anything was done to is not replayed: a million random mutations, none accepted.
//! In this process, by the calls that `up` makes: the journal is opened, and each entry is read with
//! its signature. `ISCONF_MUTATIONS` and `ISCONF_SEED` choose more or others.

use std::fs;
use std::path::Path;

use isconf::chain::Head;
use isconf::identity::HostKey;
use isconf::journal::Journal;
use isconf::lock::AppendLock;
use isconf::model::{
    Author, BranchName, ChangeDigests, DomainName, Draft, EntryKind, Hex, Home, Moment, Outcome,
    Snap,
};
use isconf_sandbox::change::{Digest, RelPath};
use isconf_sandbox::child::Exit;

/// So many by default, half of them in each thread.
const MUTATIONS: u64 = 1_000_000;
const THREADS: u64 = 2;

fn number(name: &str, usual: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// SplitMix64.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}

/// A journal in a home of its own, and what it is made of.
struct Site {
    _directory: tempfile::TempDir,
    home: Home,
    domain: DomainName,
    branch: BranchName,
    file: Vec<u8>,
    head: Vec<u8>,
    /// Where the header and each record end.
    ends: Vec<usize>,
}

fn draft(number: u8) -> Draft {
    let kind = match number {
        1 => EntryKind::Snap(Snap {
            paths: vec![RelPath::new("etc/motd").unwrap()],
            manifest: Digest::of(b"manifest"),
            count: 1,
            total_bytes: 9,
        }),
        _ => EntryKind::Reboot,
    };
    Draft {
        id: Hex::from_bytes([number; 16]),
        author: Author::new("root@h1").unwrap(),
        time: Moment::EPOCH,
        message: "because".to_owned(),
        kind,
        outcome: Outcome {
            exit: Exit::Status(0),
            changes: ChangeDigests {
                full: Digest::of(b"full"),
                normal: Digest::of(b"normal"),
            },
            effects: Vec::new(),
            hazards: Vec::new(),
            duration_ms: 12,
            version: "5.0.0".to_owned(),
        },
    }
}

impl Site {
    fn new() -> Self {
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let home = Home::new(directory.path());
        isconf::durable::create_directories(&home.conf()).unwrap();
        let (domain, branch) = (
            DomainName::new("example.com").unwrap(),
            BranchName::generic(),
        );
        let right = AppendLock::take(&home, &domain, &branch).unwrap();
        let mut journal = Journal::open_or_create(&right).unwrap();
        let key = HostKey::from_secret(&[3; 32]);
        journal.append(&right, &[0, 1, 2].map(draft), &key).unwrap();
        let record = |seq| journal.chain().record(seq).unwrap();
        let mut ends = vec![record(1).offset as usize];
        ends.extend((1..=3).map(|seq| (record(seq).offset + record(seq).length) as usize));
        let path = home.journal(&domain, &branch);
        let (file, head) = (read(&path), read(&path.with_file_name("head")));
        Self {
            _directory: directory,
            home,
            domain,
            branch,
            file,
            head,
            ends,
        }
    }

    fn record(&self, index: usize) -> &[u8] {
        &self.file[self.ends[index]..self.ends[index + 1]]
    }

    /// Whether a host with these two files would run all entries.
    fn accepts(&self, file: &[u8], head: &[u8]) -> bool {
        let path = self.home.journal(&self.domain, &self.branch);
        fs::write(&path, file).unwrap();
        fs::write(path.with_file_name("head"), head).unwrap();
        match Journal::open(&self.home, &self.domain, &self.branch) {
            Ok(Some(journal)) => journal
                .pending(0)
                .all(|seq| journal.signed_entry(seq).is_ok()),
            // A host that never had one replays nothing.
            Ok(None) | Err(_) => false,
        }
    }

    /// Some bytes of the file changed, with the head that the host has.
    fn damaged(&self, random: &mut Numbers) -> Vec<u8> {
        let mut file = self.file.clone();
        let length = file.len();
        let at = random.below(length);
        match random.below(6) {
            0 => file[at] ^= 1 << random.below(8),
            1 => file[at] = random.below(256) as u8,
            2 => {
                let bytes: Vec<u8> = (0..1 + random.below(8))
                    .map(|_| random.below(256) as u8)
                    .collect();
                file.splice(at..at, bytes);
            }
            3 => {
                let end = (at + 1 + random.below(64)).min(length);
                file.drain(at..end);
            }
            4 => file.swap(at, random.below(length)),
            _ => file.truncate(at),
        }
        file
    }

    /// Whole records taken away, doubled or in another order.
    fn rearranged(&self, random: &mut Numbers) -> Vec<u8> {
        let mut file = self.file[..self.ends[0]].to_vec();
        for _ in 0..random.below(6) {
            file.extend_from_slice(self.record(random.below(3)));
        }
        file
    }

    /// A record with another text, the records behind it bound to it, and a head that says so: what
    /// somebody can do who may write the files and has no key. Signatures may come from elsewhere.
    fn forged(&self, random: &mut Numbers) -> (Vec<u8>, Vec<u8>) {
        let changed = random.below(3);
        let mut file = self.file[..self.ends[0]].to_vec();
        let mut id = Digest::of(&file);
        for index in 0..3 {
            let mut record = self.record(index).to_vec();
            let prev = record.windows(8).position(|w| w == b"prev = \"").unwrap() + 8;
            record[prev..prev + 64].copy_from_slice(id.to_string().as_bytes());
            if index == changed {
                let from = prev + 66;
                let at = from + random.below(record.len() - from);
                record[at] = b' ' + random.below(95) as u8;
            }
            if random.below(4) == 0 {
                let other = self.record(random.below(3));
                let (at, length) = (record.len() - 131, other.len());
                record[at..].copy_from_slice(&other[length - 131..]);
            }
            id = Digest::of(&record);
            file.extend_from_slice(&record);
        }
        let head = Head {
            seq: 3,
            id,
            length: file.len() as u64,
        };
        (file, head.to_text().into_bytes())
    }

    fn mutation(&self, random: &mut Numbers) -> (Vec<u8>, Vec<u8>) {
        match random.below(16) {
            0 => self.forged(random),
            1 | 2 => (self.rearranged(random), self.head.clone()),
            _ => (self.damaged(random), self.head.clone()),
        }
    }
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

/// Tries so many; those that were accepted.
fn accepted(seed: u64, count: u64) -> Vec<String> {
    let site = Site::new();
    assert!(site.accepts(&site.file, &site.head), "the journal itself");
    let mut random = Numbers(seed);
    let mut found = Vec::new();
    let mut tried = 0;
    while tried < count {
        let (file, head) = site.mutation(&mut random);
        // What stands behind the end that the head names is ignored, as a crashed append's.
        if file.starts_with(&site.file) && head == site.head {
            continue;
        }
        tried += 1;
        if site.accepts(&file, &head) {
            found.push(String::from_utf8_lossy(&file).into_owned());
        }
    }
    found
}

#[test]
fn none_of_a_million_mutations_of_a_journal_is_accepted() {
    let (count, seed) = (
        number("ISCONF_MUTATIONS", MUTATIONS),
        number("ISCONF_SEED", 1),
    );
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| std::thread::spawn(move || accepted(seed + (thread << 32), count / THREADS)))
        .collect();
    for thread in threads {
        let found = thread.join().unwrap();
        assert!(found.is_empty(), "{} accepted: {}", found.len(), found[0]);
    }
}

#[test]
fn every_bit_of_a_journal_counts() {
    let site = Site::new();
    for bit in 0..site.file.len() * 8 {
        let mut file = site.file.clone();
        file[bit / 8] ^= 1 << (bit % 8);
        assert!(!site.accepts(&file, &site.head), "bit {bit}");
    }
    for length in 0..site.file.len() {
        assert!(
            !site.accepts(&site.file[..length], &site.head),
            "cut at {length}"
        );
    }
}
