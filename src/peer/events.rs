//! What happens in the domain, as far as this host hears of it, for people who watch. Upholds: the last ones are kept,
//! whoever is slow misses the older ones and can tell.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::{Event, Numbered};

/// How many are kept.
const KEPT: usize = 2000;

/// How many are told at a time.
pub const AT_A_TIME: usize = 500;

/// The last events.
#[derive(Debug, Default)]
pub struct Events(Mutex<VecDeque<Numbered>>);

impl Events {
    /// Notes that something happened.
    pub fn happened(&self, event: Event) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut kept = self.kept();
        let number = kept.back().map_or(1, |last| last.number + 1);
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(Numbered {
            number,
            at: now.map_or(0, |since| since.as_secs()),
            event,
        });
    }

    /// The events behind a number, as many as are told at a time; those of before the daemon started for a number
    /// that it never gave.
    pub fn after(&self, number: u64) -> Vec<Numbered> {
        let kept = self.kept();
        let last = kept.back().map_or(0, |last| last.number);
        let number = if number > last { 0 } else { number };
        let behind = kept.iter().filter(|event| event.number > number);
        behind.take(AT_A_TIME).cloned().collect()
    }

    /// The number of the last one.
    pub fn last(&self) -> u64 {
        self.kept().back().map_or(0, |last| last.number)
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Numbered>> {
        // Each change is whole after a panic, too: at worst the oldest one is gone.
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_slow_misses_the_oldest_ones() {
        let events = Events::default();
        let connected = |number: usize| Event::Connected {
            host: format!("h{number}"),
        };
        assert_eq!(events.last(), 0);
        for number in 1..=KEPT + 5 {
            events.happened(connected(number));
        }
        let told = events.after(0);
        assert_eq!(told.len(), AT_A_TIME);
        assert_eq!(told[0].number, 6);
        let last = events.after(KEPT as u64 + 4);
        assert_eq!(last.len(), 1);
        assert_eq!(last[0].event, connected(KEPT + 5));
        assert!(events.after(events.last()).is_empty());
        assert_eq!(
            events.after(u64::MAX)[0].number,
            6,
            "the daemon was started again"
        );
    }
}
