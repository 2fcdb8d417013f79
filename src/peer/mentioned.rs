//! What was said of whom lately, so that it is not said again and again. Pure. Upholds: one line for each
//! subject and interval; the memory is bounded.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long a subject is not mentioned again.
pub const INTERVAL: Duration = Duration::from_secs(600);

/// How many subjects are remembered.
const MAX_SUBJECTS: usize = 1000;

/// What was mentioned when.
#[derive(Debug, Default)]
pub struct Mentioned(HashMap<String, Instant>);

impl Mentioned {
    /// Whether `subject` is to be mentioned now; if so it is noted that it was. When there are too many
    /// subjects, none is mentioned.
    pub fn is_due(&mut self, subject: String, now: Instant) -> bool {
        let is_over = |at: &Instant| now.duration_since(*at) >= INTERVAL;
        if self.0.len() >= MAX_SUBJECTS {
            self.0.retain(|_, at| !is_over(at));
        }
        match self.0.get(&subject) {
            Some(at) if !is_over(at) => false,
            None if self.0.len() >= MAX_SUBJECTS => false,
            Some(_) | None => {
                self.0.insert(subject, now);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_mentioned_once_an_interval() {
        let (mut mentioned, begin) = (Mentioned::default(), Instant::now());
        let mut is_due = |subject: &str, at| mentioned.is_due(subject.to_owned(), begin + at);
        assert!(is_due("a", Duration::ZERO));
        assert!(!is_due("a", INTERVAL / 2));
        assert!(is_due("b", INTERVAL / 2));
        assert!(is_due("a", INTERVAL));
        for number in 0..2 * MAX_SUBJECTS {
            is_due(&number.to_string(), INTERVAL);
        }
        assert!(!is_due("new", INTERVAL));
        assert!(is_due("new", 3 * INTERVAL), "the others are over");
    }
}
