//! Tells a waiting person what is going on. Not for results. Upholds: libraries take a progress
//! sink and do not print; nothing is shown for what is quick, or to a program; the line is gone
//! before anything else is written, and before a signal ends the process.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};

use super::quantity::human_bytes;
use crate::model::progress::{Progress, Unit};

/// How long something may take before a person wants to know.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often the line is drawn again at most. It is also how long a signal may wait.
const REDRAW: Duration = Duration::from_millis(200);

/// Carriage return and "erase to the end of the line" (ECMA-48, 8.3.41).
const ERASE: &str = "\r\x1b[K";

/// What ends or stops a process from the terminal or by a friendly kill(1).
const HELD: [Signal; 5] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGTSTP,
];

/// One line at the bottom of a terminal, once its owner had to wait. It goes when it is dropped.
pub struct Line<W: Write, C: Fn() -> Instant> {
    writer: W,
    clock: C,
    phase: String,
    unit: Unit,
    total: Option<u64>,
    /// When the first phase began since nothing was going on.
    began: Option<Instant>,
    shown: Option<Shown>,
}

/// A line that is on the terminal.
struct Shown {
    /// When it was drawn.
    at: Instant,
    /// The signals that are blocked for its sake, so that none of them ends the process with the
    /// line on the terminal; not those that somebody else blocks.
    held: SigSet,
}

impl<W: Write, C: Fn() -> Instant> Line<W, C> {
    /// A line on `writer`, which is a terminal; `clock` gives the time.
    pub fn new(writer: W, clock: C) -> Self {
        Self {
            writer,
            clock,
            phase: String::new(),
            unit: Unit::Paths,
            total: None,
            began: None,
            shown: None,
        }
    }

    fn draw(&mut self, steps: u64) -> io::Result<()> {
        let words = words(&self.phase, self.unit, steps, self.total);
        write!(self.writer, "{ERASE}{words}")?;
        self.writer.flush()
    }

    /// Takes the line away, and only then lets the signals in that came meanwhile.
    fn erase(&mut self) {
        let Some(shown) = self.shown.take() else {
            return;
        };
        // A terminal that went away must not stop the work.
        let _gone = write!(self.writer, "{ERASE}").and_then(|()| self.writer.flush());
        // Giving the kernel a set of its own signals cannot fail.
        let _let_in = shown.held.thread_unblock();
    }
}

/// Holds back what could end the process; gives what was not held back before.
fn hold_signals() -> SigSet {
    let Ok(before) = SigSet::thread_get_mask() else {
        return SigSet::empty();
    };
    let free = HELD.into_iter().filter(|signal| !before.contains(*signal));
    let held: SigSet = free.collect();
    match held.thread_block() {
        Ok(()) => held,
        Err(_) => SigSet::empty(),
    }
}

/// The line: `hashing: 1.5 GiB of 4.0 GiB`.
fn words(phase: &str, unit: Unit, steps: u64, total: Option<u64>) -> String {
    let amount = |number| match unit {
        Unit::Bytes => human_bytes(number),
        Unit::Paths | Unit::Records | Unit::Actions => number.to_string(),
    };
    let noun = match unit {
        Unit::Bytes => "",
        Unit::Paths => " paths",
        Unit::Records => " records",
        Unit::Actions => " requests",
    };
    match total {
        // What grew since it was counted is not told as more than all.
        Some(total) => format!(
            "{phase}: {} of {}{noun}",
            amount(steps.min(total)),
            amount(total)
        ),
        None => format!("{phase}: {}{noun}", amount(steps)),
    }
}

impl<W: Write, C: Fn() -> Instant> Progress for Line<W, C> {
    fn is_watched(&self) -> bool {
        true
    }

    fn begin(&mut self, phase: &str, unit: Unit, total: Option<u64>) {
        self.erase();
        self.began.get_or_insert_with(&self.clock);
        phase.clone_into(&mut self.phase);
        self.unit = unit;
        self.total = total;
    }

    fn done(&mut self, steps: u64) {
        let now = (self.clock)();
        let due = match &self.shown {
            None => {
                let began = *self.began.get_or_insert(now);
                now.duration_since(began) >= PATIENCE
            }
            Some(shown) => now.duration_since(shown.at) >= REDRAW,
        };
        if due {
            self.erase();
            let held = hold_signals();
            self.shown = Some(Shown { at: now, held });
            // As in `erase`.
            let _gone = self.draw(steps);
        }
    }

    fn end(&mut self) {
        self.erase();
        self.began = None;
    }
}

impl<W: Write, C: Fn() -> Instant> Drop for Line<W, C> {
    fn drop(&mut self) {
        self.erase();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn is_held() -> bool {
        let mask = SigSet::thread_get_mask().unwrap();
        HELD.into_iter().all(|signal| mask.contains(signal))
    }

    #[test]
    fn line_appears_after_half_a_second_and_goes_away() {
        let now = Cell::new(Instant::now());
        let mut shown = Vec::new();
        let mut line = Line::new(&mut shown, || now.get());
        let pass = |millis| now.set(now.get() + Duration::from_millis(millis));
        line.begin("comparing", Unit::Paths, Some(10));
        line.done(1);
        pass(499);
        line.done(2);
        pass(1);
        line.done(3);
        pass(199);
        line.done(4);
        pass(1);
        line.done(11);
        line.begin("hashing", Unit::Bytes, None);
        line.done(1536);
        drop(line);
        assert_eq!(
            String::from_utf8(shown).unwrap(),
            "\r\x1b[Kcomparing: 3 of 10 paths\r\x1b[K\
             \r\x1b[Kcomparing: 10 of 10 paths\r\x1b[K\
             \r\x1b[Khashing: 1.5 KiB\r\x1b[K"
        );
    }

    #[test]
    fn quick_phases_show_nothing() {
        let now = Instant::now();
        let mut shown = Vec::new();
        let mut line = Line::new(&mut shown, || now);
        line.begin("hashing", Unit::Bytes, None);
        line.done(1);
        line.end();
        drop(line);
        assert!(shown.is_empty());
    }

    #[test]
    fn no_signal_ends_the_process_while_the_line_is_there() {
        let now = Cell::new(Instant::now());
        let mut line = Line::new(Vec::new(), || now.get());
        line.begin("hashing", Unit::Bytes, None);
        now.set(now.get() + PATIENCE);
        line.done(1);
        assert!(is_held());
        line.end();
        assert!(!is_held());
        let others = SigSet::from(Signal::SIGINT);
        others.thread_block().unwrap();
        line.done(1);
        now.set(now.get() + PATIENCE);
        line.done(1);
        line.end();
        assert!(SigSet::thread_get_mask().unwrap().contains(Signal::SIGINT));
        others.thread_unblock().unwrap();
    }
}
