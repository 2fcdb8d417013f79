//! Every state that a power cut can leave on the disks, decided from the log alone (pure). Upholds:
//! what was flushed is there; of what was written since, any part may be there, in any mixture.

use fastrand::Rng;

use crate::medium::{BLOCK, Medium};
use crate::recorder::Event;

/// How a state came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The cut was just after a flush; what the other disks have not flushed is lost.
    Flushed,
    /// The cut was just after a step was acknowledged, and all that was not flushed is lost.
    Acknowledged,
    /// The cut was before a flush, and a random part of what was not flushed is there.
    Part,
}

impl Kind {
    /// The kind in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flushed => "at a flush",
            Self::Acknowledged => "acknowledged",
            Self::Part => "part of the unflushed",
        }
    }
}

/// A state of the disks after a power cut.
#[derive(Debug, Clone)]
pub struct Crash {
    /// How it came about.
    pub kind: Kind,
    /// The number of the event before which the power was cut.
    pub at: usize,
    /// The last step that was acknowledged before.
    pub done: usize,
    /// What the disks hold.
    pub media: Vec<Medium>,
}

/// A write that may be lost.
#[derive(Debug, Clone, Copy)]
struct Pending<'a> {
    offset: u64,
    data: &'a [u8],
}

/// Walks the log and hands out the states one by one.
#[derive(Debug)]
pub struct States<'a> {
    events: std::iter::Enumerate<std::slice::Iter<'a, Event>>,
    durable: Vec<Medium>,
    pending: Vec<Vec<Pending<'a>>>,
    done: usize,
    /// Random states before each flush, and after each mark, on average.
    parts: f64,
    random: Rng,
    ready: std::collections::VecDeque<Crash>,
}

impl<'a> States<'a> {
    /// The states of a log that began with these disks: one at each flush that wrote something, one
    /// at each mark, and on average `parts` random ones before each of these where something is unflushed.
    pub fn new(disks: Vec<Medium>, log: &'a [Event], parts: f64, seed: u64) -> Self {
        Self {
            events: log.iter().enumerate(),
            pending: disks.iter().map(|_| Vec::new()).collect(),
            durable: disks,
            done: 0,
            parts,
            random: Rng::with_seed(seed),
            ready: std::collections::VecDeque::new(),
        }
    }

    fn take(&mut self, at: usize, event: &'a Event) {
        match event {
            Event::Write { disk, offset, data } => self.pending[*disk].push(Pending {
                offset: *offset,
                data,
            }),
            Event::Flush { disk } => self.flush(at, *disk),
            Event::Mark(step) => {
                self.done = *step;
                self.parts(at);
                self.whole(at, Kind::Acknowledged);
            }
        }
    }

    fn flush(&mut self, at: usize, disk: usize) {
        if self.pending[disk].is_empty() {
            return;
        }
        self.parts(at);
        for write in std::mem::take(&mut self.pending[disk]) {
            self.durable[disk].write(write.offset, write.data);
        }
        self.whole(at, Kind::Flushed);
    }

    fn whole(&mut self, at: usize, kind: Kind) {
        let (done, media) = (self.done, self.durable.clone());
        self.ready.push_back(Crash {
            kind,
            at,
            done,
            media,
        });
    }

    fn parts(&mut self, at: usize) {
        if self.pending.iter().all(Vec::is_empty) {
            return;
        }
        // One more or one less, so that the average is met.
        let parts = (self.parts + self.random.f64()) as usize;
        for _ in 0..parts {
            let mut media = self.durable.clone();
            for (medium, pending) in media.iter_mut().zip(&self.pending) {
                write_part(medium, pending, &mut self.random);
            }
            self.ready.push_back(Crash {
                kind: Kind::Part,
                at,
                done: self.done,
                media,
            });
        }
    }
}

/// Writes a random part: up to some moment, and of that some; each write wholly or in blocks.
fn write_part(medium: &mut Medium, pending: &[Pending<'_>], random: &mut Rng) {
    let issued = random.usize(0..=pending.len());
    // Sometimes nearly all arrived, sometimes nearly nothing: the holes between are what hurts.
    let chance = [0.1, 0.5, 0.9, 1.0][random.usize(0..4)];
    let torn = random.bool();
    for write in &pending[..issued] {
        let step = if torn { BLOCK } else { write.data.len().max(1) };
        let mut offset = write.offset;
        for piece in write.data.chunks(step) {
            if random.f64() < chance {
                medium.write(offset, piece);
            }
            offset += piece.len() as u64;
        }
    }
}

impl Iterator for States<'_> {
    type Item = Crash;

    fn next(&mut self) -> Option<Crash> {
        loop {
            if let Some(crash) = self.ready.pop_front() {
                return Some(crash);
            }
            let (at, event) = self.events.next()?;
            self.take(at, event);
        }
    }
}

/// The number of states that [`States`] has for each number of `parts`: those that are always
/// there, and the places with something unflushed.
pub fn count(log: &[Event], disks: usize) -> (usize, usize) {
    let mut pending = vec![false; disks];
    let (mut always, mut places) = (0, 0);
    for event in log {
        match event {
            Event::Write { disk, .. } => pending[*disk] = true,
            Event::Flush { disk } if !pending[*disk] => {}
            Event::Flush { disk } => {
                always += 1;
                places += 1;
                pending[*disk] = false;
            }
            Event::Mark(_) => {
                always += 1;
                places += usize::from(pending.contains(&true));
            }
        }
    }
    (always, places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(disk: usize, block: u64, byte: u8) -> Event {
        Event::Write {
            disk,
            offset: block * BLOCK as u64,
            data: vec![byte; BLOCK].into(),
        }
    }

    fn disks() -> Vec<Medium> {
        vec![Medium::empty(8 * BLOCK as u64); 2]
    }

    #[test]
    fn what_was_flushed_is_in_every_later_state_and_the_other_disk_is_apart() {
        let flush = |disk| Event::Flush { disk };
        let log = [
            write(0, 1, b'a'),
            write(1, 1, b'b'),
            flush(0),
            Event::Mark(1),
            write(0, 1, b'c'),
            flush(1),
            flush(1),
        ];
        let states: Vec<Crash> = States::new(disks(), &log, 5.0, 1).collect();
        assert_eq!(count(&log, 2), (3, 3));
        assert_eq!(states.len(), 3 + 3 * 5);
        let seen = |crash: &Crash| [0, 1].map(|n| crash.media[n].read(BLOCK as u64, 1)[0]);
        for crash in &states {
            let [one, two] = seen(crash);
            match crash.kind {
                Kind::Flushed if crash.at == 2 => assert_eq!([one, two], [b'a', 0]),
                Kind::Flushed => assert_eq!([one, two], [b'a', b'b']),
                Kind::Acknowledged => {
                    assert_eq!(([one, two], crash.done), ([b'a', 0], 1));
                }
                Kind::Part if crash.at > 3 => assert!(one == b'a' || one == b'c'),
                Kind::Part => {}
            }
        }
    }

    #[test]
    fn a_seed_gives_the_same_states_again() {
        let log: Vec<Event> = (0..7).map(|n| write(0, n, 1)).collect();
        let log = [log, vec![Event::Flush { disk: 0 }]].concat();
        let held = |seed| -> Vec<Vec<u8>> {
            let states = States::new(disks(), &log, 20.0, seed);
            states.map(|c| c.media[0].read(0, 8 * BLOCK)).collect()
        };
        assert_eq!(held(7), held(7));
        assert_ne!(held(7), held(8));
    }
}
