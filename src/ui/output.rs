//! Where results and messages go: results to standard output, everything else to standard error.
//! Not for making text. Upholds: a closed pipe is not an error; colour only on a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::Instant;

use super::exit::ExitCode;
use super::progress::Line;
use super::style::{Role, Style};
use crate::model::progress::{Progress, Silent};

/// How much a user wants to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Volume {
    /// Warnings and errors only (`-q`).
    Quiet,
    /// Also information.
    #[default]
    Normal,
    /// Also debugging messages (`-D`).
    Debug,
}

/// The importance of a message, as the original named it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Debug,
    Info,
    Warning,
    Error,
}

/// The two streams, and what may be sent over them.
pub struct Output {
    out: Stream,
    err: Stream,
    volume: Volume,
}

struct Stream {
    writer: Box<dyn Write>,
    terminal: bool,
    style: Style,
    closed: bool,
}

/// Standard output took no more, for another reason than a closed pipe.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub struct WriteOutput(#[source] io::Error);

impl Output {
    /// The process's own streams. `colour_allowed` is false when `NO_COLOR` is set and not empty
    /// (no-color.org) or `TERM` is `dumb`.
    pub fn process(volume: Volume, colour_allowed: bool) -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        let (out_terminal, err_terminal) = (out.is_terminal(), err.is_terminal());
        Self {
            out: Stream::new(Box::new(out), out_terminal, colour_allowed),
            err: Stream::new(Box::new(err), err_terminal, colour_allowed),
            volume,
        }
    }

    /// Writers that are no terminals.
    pub fn to_writers(out: Box<dyn Write>, err: Box<dyn Write>, volume: Volume) -> Self {
        Self {
            out: Stream::new(out, false, false),
            err: Stream::new(err, false, false),
            volume,
        }
    }

    /// The style of results.
    pub const fn style(&self) -> Style {
        self.out.style
    }

    /// Whether results go to a terminal.
    pub const fn is_terminal(&self) -> bool {
        self.out.terminal
    }

    /// Where a stage tells how far it is: a line below the messages, on a terminal and not with
    /// `-q`. It must be gone before the next message.
    pub fn progress(&self) -> Box<dyn Progress> {
        if self.err.terminal && self.volume >= Volume::Normal {
            Box::new(Line::new(io::stderr(), Instant::now))
        } else {
            Box::new(Silent)
        }
    }

    /// How much the user wants to hear.
    pub const fn volume(&self) -> Volume {
        self.volume
    }

    /// Whether nobody reads the results any more, so that making more of them is of no use.
    pub const fn is_closed(&self) -> bool {
        self.out.closed
    }

    /// Writes a result as it is. A closed pipe is not an error (see [`Self::is_closed`]).
    pub fn result(&mut self, text: &str) -> Result<(), WriteOutput> {
        self.bytes(text.as_bytes())
    }

    /// Writes a result that is bytes as they are (an entry's content, a script).
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), WriteOutput> {
        self.out.write(bytes).map_err(WriteOutput)
    }

    /// Writes what the parser says about wrong usage to standard error, as it is.
    pub fn usage(&mut self, text: &str) {
        self.err.write_message(&printable(text));
    }

    /// `isconf: debug: text`, with `-D` only.
    pub fn debug(&mut self, text: &str) {
        self.message(Level::Debug, text);
    }

    /// `isconf: info: text`, not with `-q`.
    pub fn info(&mut self, text: &str) {
        self.message(Level::Info, text);
    }

    /// `isconf: warning: text`.
    pub fn warning(&mut self, text: &str) {
        self.message(Level::Warning, text);
    }

    /// `isconf: error: text`, with the words of `code` after it when the code has some and the text
    /// does not end with them, as the original did.
    pub fn error(&mut self, code: ExitCode, text: &str) {
        match code.suffix() {
            Some(suffix) if !text.ends_with(suffix) => {
                self.message(Level::Error, &format!("{text}: {suffix}"));
            }
            _ => self.message(Level::Error, text),
        }
    }

    /// What to do next, below an error or a warning: `isconf: hint: text`.
    pub fn hint(&mut self, text: &str) {
        let label = self.err.style.paint(Role::Noted, "hint:");
        self.err
            .write_message(&format!("isconf: {label} {}\n", printable(text)));
    }

    fn message(&mut self, level: Level, text: &str) {
        let heard = match level {
            Level::Debug => self.volume >= Volume::Debug,
            Level::Info => self.volume >= Volume::Normal,
            Level::Warning | Level::Error => true,
        };
        if heard {
            let label = self.err.style.paint(level.role(), level.label());
            self.err
                .write_message(&format!("isconf: {label} {}\n", printable(text)));
        }
    }
}

impl Level {
    const fn label(self) -> &'static str {
        match self {
            Self::Debug => "debug:",
            Self::Info => "info:",
            Self::Warning => "warning:",
            Self::Error => "error:",
        }
    }

    const fn role(self) -> Role {
        match self {
            Self::Debug | Self::Info => Role::Faint,
            Self::Warning => Role::Doubt,
            Self::Error => Role::Failure,
        }
    }
}

impl Stream {
    fn new(writer: Box<dyn Write>, terminal: bool, colour_allowed: bool) -> Self {
        let style = if terminal && colour_allowed {
            Style::Colour
        } else {
            Style::Plain
        };
        Self {
            writer,
            terminal,
            style,
            closed: false,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let written = self
            .writer
            .write_all(bytes)
            .and_then(|()| self.writer.flush());
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            other => other,
        }
    }

    /// Writes a message; when standard error takes it not, there is nobody left to tell.
    fn write_message(&mut self, text: &str) {
        if self.write(text.as_bytes()).is_err() {
            self.closed = true;
        }
    }
}

/// Messages may hold text from outside: everything but line ends and tabs that could move the
/// cursor is escaped.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' && c != '\t' {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Rc<RefCell<Vec<u8>>>);

    impl Kept {
        fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).unwrap()
        }
    }

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn everything(volume: Volume) -> (String, String) {
        let (out, err) = (Kept::default(), Kept::default());
        let mut output = Output::to_writers(Box::new(out.clone()), Box::new(err.clone()), volume);
        output.result("result\n").unwrap();
        output.debug("d");
        output.info("i");
        output.warning("w\x1b[2J");
        output.error(ExitCode::Failure, "e");
        output.error(ExitCode::NotLocked, "generic is not locked");
        output.error(
            ExitCode::NeedMessage,
            "x: changelog/lock message (-m) required",
        );
        output.hint("isconf lock MESSAGE");
        (out.text(), err.text())
    }

    const WARNING_AND_ERRORS: &str = "isconf: warning: w\\u{1b}[2J\n\
        isconf: error: e\n\
        isconf: error: generic is not locked: resource is not locked\n\
        isconf: error: x: changelog/lock message (-m) required\n\
        isconf: hint: isconf lock MESSAGE\n";

    #[test]
    fn results_and_messages_go_to_their_streams() {
        let (out, err) = everything(Volume::Normal);
        assert_eq!(out, "result\n");
        assert_eq!(err, format!("isconf: info: i\n{WARNING_AND_ERRORS}"));
    }

    #[test]
    fn quiet_and_debug_choose_the_messages() {
        assert_eq!(everything(Volume::Quiet).1, WARNING_AND_ERRORS);
        assert_eq!(
            everything(Volume::Debug).1,
            format!("isconf: debug: d\nisconf: info: i\n{WARNING_AND_ERRORS}")
        );
    }

    #[test]
    fn closed_pipe_is_no_error_and_other_failures_are() {
        let broken = |kind| {
            Output::to_writers(
                Box::new(Broken(kind)),
                Box::new(Broken(kind)),
                Volume::Normal,
            )
        };
        let mut closed = broken(io::ErrorKind::BrokenPipe);
        closed.result("x").unwrap();
        assert!(closed.is_closed());
        let mut full = broken(io::ErrorKind::StorageFull);
        full.info("x");
        assert!(full.result("x").is_err());
    }
}
