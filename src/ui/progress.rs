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
    began: Instant,
    shown: Option<Shown>,
}

/// A line that is on the terminal.
struct Shown {
    /// When it was drawn.
    at: Instant,
    /// The signals that were blocked before; the line blocks more, so that none of them ends the
    /// process with the line on the terminal. `None` when they could not be.
    mask: Option<SigSet>,
}

impl<W: Write, C: Fn() -> Instant> Line<W, C> {
    /// A line on `writer`, which is a terminal, for something that begins now; `clock` gives the
    /// time.
    pub fn new(writer: W, clock: C) -> Self {
        let began = clock();
        Self {
            writer,
            clock,
            phase: String::new(),
            unit: Unit::Paths,
            total: None,
            began,
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
        if let Some(mask) = shown.mask {
            // Setting a mask that was read from the kernel cannot fail.
            let _set = mask.thread_set_mask();
        }
    }
}

/// Holds back what could end the process; gives the mask as it was.
fn hold_signals() -> Option<SigSet> {
    let before = SigSet::thread_get_mask().ok()?;
    let held: SigSet = HELD.into_iter().collect();
    held.thread_block().ok()?;
    Some(before)
}

/// The line: `hashing: 1.5 GiB of 4.0 GiB`.
fn words(phase: &str, unit: Unit, steps: u64, total: Option<u64>) -> String {
    let amount = |number| match unit {
        Unit::Bytes => human_bytes(number),
        Unit::Paths | Unit::Records => number.to_string(),
    };
    let noun = match unit {
        Unit::Bytes => "",
        Unit::Paths => " paths",
        Unit::Records => " records",
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
        phase.clone_into(&mut self.phase);
        self.unit = unit;
        self.total = total;
    }

    fn done(&mut self, steps: u64) {
        let now = (self.clock)();
        let due = match &self.shown {
            None => now.duration_since(self.began) >= PATIENCE,
            Some(shown) => now.duration_since(shown.at) >= REDRAW,
        };
        if due {
            self.erase();
            let mask = hold_signals();
            self.shown = Some(Shown { at: now, mask });
            // As in `erase`.
            let _gone = self.draw(steps);
        }
    }

    fn end(&mut self) {
        self.erase();
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
        now.set(now.get() + PATIENCE);
        line.done(1);
        assert!(is_held());
        line.end();
        assert!(!is_held());
    }
}
