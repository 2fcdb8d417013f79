//! Tells a waiting person what is going on. Not for results. Upholds: libraries take a progress
//! sink and do not print; nothing is shown for what is quick, or to a program.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::model::progress::Progress;

/// How long something may take before a person wants to know.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often the line is drawn again at most.
const REDRAW: Duration = Duration::from_millis(200);

/// One line at the bottom of a terminal, from the second second on.
pub struct Line<W, C> {
    writer: W,
    clock: C,
    phase: String,
    steps: Option<u64>,
    began: Instant,
    drawn: Option<Instant>,
}

impl<W: Write, C: Fn() -> Instant> Line<W, C> {
    /// A line on `writer`, which is a terminal; `clock` gives the time.
    pub fn new(writer: W, clock: C) -> Self {
        let began = clock();
        Self {
            writer,
            clock,
            phase: String::new(),
            steps: None,
            began,
            drawn: None,
        }
    }

    fn draw(&mut self, steps: u64) -> io::Result<()> {
        let total = self
            .steps
            .map(|total| format!(" of {total}"))
            .unwrap_or_default();
        // Carriage return and "erase to the end of the line" (ECMA-48, 8.3.41).
        write!(self.writer, "\r\x1b[K{} {steps}{total}", self.phase)?;
        self.writer.flush()
    }

    fn erase(&mut self) -> io::Result<()> {
        write!(self.writer, "\r\x1b[K")?;
        self.writer.flush()
    }
}

impl<W: Write, C: Fn() -> Instant> Progress for Line<W, C> {
    fn begin(&mut self, phase: &str, steps: Option<u64>) {
        self.end();
        phase.clone_into(&mut self.phase);
        self.steps = steps;
        self.began = (self.clock)();
    }

    fn done(&mut self, steps: u64) {
        let now = (self.clock)();
        let due = match self.drawn {
            None => now.duration_since(self.began) >= PATIENCE,
            Some(drawn) => now.duration_since(drawn) >= REDRAW,
        };
        if due {
            self.drawn = Some(now);
            // A terminal that went away must not stop the work.
            let _gone = self.draw(steps);
        }
    }

    fn end(&mut self) {
        if self.drawn.take().is_some() {
            // As in `done`.
            let _gone = self.erase();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn line_appears_after_a_second_and_goes_away() {
        let now = Cell::new(Instant::now());
        let mut shown = Vec::new();
        let mut line = Line::new(&mut shown, || now.get());
        let pass = |millis| now.set(now.get() + Duration::from_millis(millis));
        line.begin("hashing", Some(10));
        line.done(1);
        pass(999);
        line.done(2);
        pass(1);
        line.done(3);
        pass(199);
        line.done(4);
        pass(1);
        line.done(5);
        line.end();
        assert_eq!(
            String::from_utf8(shown).unwrap(),
            "\r\x1b[Khashing 3 of 10\r\x1b[Khashing 5 of 10\r\x1b[K"
        );
    }

    #[test]
    fn quick_phases_show_nothing() {
        let now = Instant::now();
        let mut shown = Vec::new();
        let mut line = Line::new(&mut shown, || now);
        line.begin("hashing", None);
        line.done(1);
        line.end();
        assert!(shown.is_empty());
    }
}
