//! The time of a run in the text that it wrote. Pure. Not for times of modification (see the normal
//! form). A zone is not needed: zones differ by quarters of an hour, so that the minutes and
//! seconds past the quarter are the same everywhere, and the date is one of those around the run.

use isconf_sandbox::change::Timestamp;
use time::{Date, OffsetDateTime};

use super::text::Added;

/// When something ran, in whole seconds since 1970, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    from: i64,
    to: i64,
}

/// Zones are at most so far from UTC, in seconds.
const WEST: i64 = 12 * 3600;
/// The same, to the east.
const EAST: i64 = 14 * 3600;
/// A quarter of an hour, in seconds.
const QUARTER: i64 = 900;
/// A run of more days than this is looked at only by its last ones.
const MAX_DATES: usize = 8;

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

impl Window {
    /// From the first to the last moment of a run.
    pub fn of(run: (Timestamp, Timestamp)) -> Self {
        Self {
            from: run.0.secs,
            to: run.1.secs,
        }
    }

    /// The last second of it.
    pub fn last_second(&self) -> i64 {
        self.to
    }

    /// Parts of every time of it that can be found: one that has none of them has no such time.
    pub(super) fn marks(&self) -> Vec<String> {
        let (from, to) = (self.from.to_string(), self.to.to_string());
        let same = from.bytes().zip(to.bytes()).take_while(|(a, b)| a == b);
        let mut marks = vec![from[..same.count()].to_owned()];
        for date in self.dates() {
            marks.extend(forms_with_year(date));
            marks.extend(forms_without_year(date));
            marks.push(compact_form(date));
        }
        // An empty one would stand everywhere, which is right: the window is wider than a life.
        marks
    }

    pub(super) fn holds(&self, secs: i64) -> bool {
        (self.from..=self.to).contains(&secs)
    }

    /// Whether this time past a quarter of an hour is in it, to `unit` seconds.
    fn holds_in_quarter(&self, past: i64, unit: i64) -> bool {
        let (from, to) = (self.from.div_euclid(unit), self.to.div_euclid(unit));
        let (past, cycle) = (past.div_euclid(unit), QUARTER / unit);
        to - from >= cycle || (from..=to).any(|at| at.rem_euclid(cycle) == past % cycle)
    }

    /// The dates that it was somewhere.
    fn dates(&self) -> Vec<Date> {
        let day = 24 * 3600;
        let (first, last) = ((self.from - WEST) / day, (self.to + EAST) / day);
        let dates = (first..=last).rev().take(MAX_DATES);
        dates
            .filter_map(|n| OffsetDateTime::from_unix_timestamp(n * day).ok())
            .map(OffsetDateTime::date)
            .collect()
    }
}

/// The first time of the run in the new lines, as it stands there (in lower case).
pub(super) fn find(added: &Added, window: &Window) -> Option<String> {
    let text = added.as_str();
    let of_date = |date: Date| {
        whole_date(text, date)
            .or_else(|| compact_date(text, date, window))
            .or_else(|| day_of_month(text, date, window))
    };
    epoch(text, window).or_else(|| window.dates().into_iter().find_map(of_date))
}

/// The same, where a time of day alone is told as well: for what is known to differ.
pub(super) fn find_loosely(added: &Added, window: &Window) -> Option<String> {
    find(added, window).or_else(|| time_of_day(added.as_str(), window).map(str::to_owned))
}

/// Seconds since 1970, also in milliseconds, microseconds and nanoseconds.
fn epoch(text: &str, window: &Window) -> Option<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_word(c));
    let is_time = |word: &&str| {
        matches!(word.len(), 10 | 13 | 16 | 19)
            && word.bytes().all(|b| b.is_ascii_digit())
            && word[..10].parse().is_ok_and(|secs| window.holds(secs))
    };
    words.into_iter().find(is_time).map(str::to_owned)
}

/// A date with its year, in the usual forms.
fn forms_with_year(date: Date) -> [String; 9] {
    let (y, m, d) = (date.year(), u8::from(date.month()), date.day());
    let month = month(date);
    [
        format!("{y:04}-{m:02}-{d:02}"),
        format!("{y:04}/{m:02}/{d:02}"),
        format!("{d:02}.{m:02}.{y:04}"),
        format!("{d:02}/{month}/{y:04}"),
        format!("{d} {month} {y:04}"),
        format!("{d:02}-{month}-{y:04}"),
        format!("{month} {d}, {y:04}"),
        format!("{month} {d:02}, {y:04}"),
        format!("{month} {d} {y:04}"),
    ]
}

/// A day of a month, in the usual forms.
fn forms_without_year(date: Date) -> [String; 4] {
    let (month, d) = (month(date), date.day());
    [
        format!("{month} {d:>2}"),
        format!("{month} {d:02}"),
        format!("{d:02} {month}"),
        format!("{d}. {month}"),
    ]
}

fn compact_form(date: Date) -> String {
    let (y, m, d) = (date.year(), u8::from(date.month()), date.day());
    format!("{y:04}{m:02}{d:02}")
}

fn month(date: Date) -> &'static str {
    MONTHS[usize::from(u8::from(date.month())) - 1]
}

fn whole_date(text: &str, date: Date) -> Option<String> {
    let is_digit = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_digit());
    let stands = |form: &String| {
        text.match_indices(form.as_str()).any(|(at, _)| {
            let before = text[..at].bytes().next_back();
            !is_digit(before) && !is_digit(text[at + form.len()..].bytes().next())
        })
    };
    forms_with_year(date).into_iter().find(stands)
}

/// `20261121`, `20261121T2000`, `20261121200032`: in what is not longer than that. A number of eight
/// digits alone is taken for the date, too.
fn compact_date(text: &str, date: Date, window: &Window) -> Option<String> {
    let form = compact_form(date);
    text.match_indices(&form).find_map(|(at, _)| {
        let before = text[..at].bytes().next_back();
        if before.is_some_and(|b| b.is_ascii_alphanumeric()) {
            return None;
        }
        let rest = &text[at + form.len()..];
        let word = rest.find(|c: char| !c.is_ascii_alphanumeric());
        let word = &rest[..word.unwrap_or(rest.len())];
        let clock = word.trim_start_matches('t').trim_end_matches('z');
        let is_time = clock.len() >= 4
            && clock.bytes().all(|b| b.is_ascii_digit())
            && clock[2..4]
                .parse::<i64>()
                .is_ok_and(|minute| window.holds_in_quarter(minute * 60, 60));
        (word.is_empty() || is_time).then(|| format!("{form}{word}"))
    })
}

/// `Nov 21` or `21 Nov` on a line that has the year, or a time of day of the run.
fn day_of_month(text: &str, date: Date, window: &Window) -> Option<String> {
    let (year, forms) = (date.year().to_string(), forms_without_year(date));
    let tells = |line: &&str| {
        let has = |form: &String| super::text::words_at(line, form).next().is_some();
        forms.iter().any(has)
            && (super::text::words_at(line, &year).next().is_some()
                || time_of_day(line, window).is_some())
    };
    if !forms.iter().any(|form| text.contains(form.as_str())) {
        return None;
    }
    let line = text.lines().find(tells)?;
    // Nothing else of the line, which may hold a secret: what is found is recorded for all hosts.
    let has = |form: &&String| super::text::words_at(line, form).next().is_some();
    forms.iter().find(has).cloned()
}

/// `20:00` or `20:00:32` of the run.
fn time_of_day<'a>(text: &'a str, window: &Window) -> Option<&'a str> {
    text.match_indices(':').find_map(|(at, _)| {
        let hour = text.get(at.checked_sub(2)?..at)?;
        let minute = text.get(at + 1..at + 3)?;
        let before = text[..at - 2].bytes().next_back();
        if before.is_some_and(|b| b.is_ascii_digit() || b == b':') {
            return None;
        }
        let (_hour, minute) = (two_digits(hour, 24)?, two_digits(minute, 60)?);
        let second = text
            .get(at + 3..at + 6)
            .and_then(|rest| two_digits(rest.strip_prefix(':')?, 61));
        let is_of_run = match second {
            Some(second) => window.holds_in_quarter(minute * 60 + second, 1),
            None => window.holds_in_quarter(minute * 60, 60),
        };
        let length = if second.is_some() { 8 } else { 5 };
        is_of_run.then(|| &text[at - 2..at - 2 + length])
    })
}

fn two_digits(text: &str, below: i64) -> Option<i64> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|n| is_number && *n < below)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21 20:00:32 UTC, for two seconds.
    const WINDOW: Window = Window {
        from: 1_795_291_232,
        to: 1_795_291_233,
    };

    fn found(text: &str) -> Option<String> {
        find(&Added::new(None, text.as_bytes()), &WINDOW)
    }

    #[test]
    fn the_time_of_the_run_is_found_in_all_usual_forms() {
        for text in [
            "built 2026-11-21",
            "2026-11-21T20:00:32Z",
            "stamp_2026-11-21_20:00.tar",
            "in Auckland it is 2026-11-22",
            "serial 20261121",
            "20261121T200032Z",
            "20261121200033",
            "t=1795291232;",
            "1795291233.123",
            "1795291232999",
            "1795291232123456789",
            "Sat Nov 21 20:00:32 UTC 2026",
            "Sat Nov 21 15:00:33 EST",
            "Sat, 21 Nov 2026 20:00:32 +0000",
            "[21/Nov/2026:20:00:32 +0000]",
            "November 21, 2026 and Nov 21, 2026",
            "21.11.2026",
        ] {
            assert!(found(text).is_some(), "{text}");
        }
    }

    #[test]
    fn a_text_without_any_mark_has_no_time_of_the_run() {
        let marks = WINDOW.marks();
        for mark in ["179529123", "2026-11-21", "20261122", "nov 21", "21. nov"] {
            assert!(marks.contains(&mark.to_owned()), "{mark} in {marks:?}");
        }
        let long = Window {
            from: 999,
            to: 1_000_000_000,
        };
        assert!(long.marks().contains(&String::new()));
    }

    #[test]
    fn other_times_and_numbers_are_not() {
        for text in [
            "2025-11-21",
            "2026-11-19",
            "12026-11-21",
            "1795291230",
            "1795291234",
            "x1795291232",
            "17952912321",
            "20261121ab",
            "ab20261121",
            "2026112123",
            "Nov 21 20:07:32",
            "Nov 21",
            "the 21st of November",
            "20:00",
            "",
            "::",
            "é:é",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_known_to_differ_may_be_a_time_of_day_alone() {
        let loosely = |text: &str| find_loosely(&Added::new(None, text.as_bytes()), &WINDOW);
        assert_eq!(loosely("at 20:00:32").as_deref(), Some("20:00:32"));
        assert_eq!(loosely("at 23:15").as_deref(), Some("23:15"));
        assert_eq!(loosely("at 20:00:35"), None);
        assert_eq!(loosely("20:00:32:11:22"), Some("20:00:32".to_owned()));
        assert_eq!(loosely("02:20:00:32"), None);
    }

    #[test]
    fn a_run_of_an_hour_holds_every_minute() {
        let long = Window { from: 0, to: 3600 };
        assert!(long.holds_in_quarter(123, 1) && long.holds_in_quarter(0, 60));
        assert!(long.dates().len() <= 3);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80), pick in 0..4_usize) {
            let seeds = ["2026-11-21", ":20:00:", "20261121", "nov 21 2026"];
            let text = [seeds[pick].as_bytes(), &bytes, seeds[pick].as_bytes()].concat();
            let added = Added::new(Some(&bytes), &text);
            let _ = (find(&added, &WINDOW), find_loosely(&added, &WINDOW));
        }
    }
}
