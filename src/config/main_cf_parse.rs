//! The grammar of main.cf. Not for what a host gets of it (see `main_cf`). Upholds: every mistake
//! is named by line with its remedy, none is guessed around, and no input makes it panic.
//!
//! ```text
//! # comment                       also after white space behind anything; skipped
//! targets...: includes...         no indentation; divided at the last colon
//!     name = value                indented; the value verbatim
//!                                 a blank line ends the stanza
//! ```
//!
//! Indentation that all lines share does not count, so that the example of the manual, which is
//! printed indented, can be used as it stands.

use std::collections::BTreeSet;

use super::main_cf::{Block, BodyLine, DEFAULT_SECTION, MainCf};
use super::target::{InvalidPattern, Target};

/// The longest main.cf, in bytes: a hundred bytes for each of ten thousand hosts.
pub const MAX_MAIN_CF_BYTES: u64 = 1024 * 1024;

/// The longest line, in bytes. Linux takes 128 KiB for a variable; this leaves room for its name and for
/// the commands that add to it.
pub const MAX_LINE_BYTES: usize = 64 * 1024;

/// How many patterns a file may have: each is compiled at every start, at about 20 µs.
pub const MAX_PATTERNS: usize = 1024;

/// How many faults are listed; a file that is no main.cf at all would have one a line.
const MAX_FAULTS: usize = 20;

/// A line that breaks the grammar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub kind: FaultKind,
}

/// The ways to break the grammar. Each says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// The line is longer than [`MAX_LINE_BYTES`].
    #[error("the line has {0} bytes, at most {MAX_LINE_BYTES} are allowed. Shorten it.")]
    TooLong(usize),
    /// Not text.
    #[error("the line is not UTF-8 text. Only comments may be.")]
    NotText,
    /// A NUL byte, which no environment can hold.
    #[error("the line has a NUL byte. Remove it.")]
    Nul,
    /// Neither a stanza's first line nor an indented variable.
    #[error(
        "syntax error: {0:?} is neither `target: includes` nor an indented `name = value`. Add the colon, or indent the line."
    )]
    NotAHeader(String),
    /// A variable that is not indented.
    #[error("syntax error: the variable `{0}` is not indented. Indent it below its target.")]
    NotIndented(String),
    /// An indented line that is not `name = value`.
    #[error(
        "syntax error: {0:?} is not `name = value`, with a name of letters, digits and `_` that starts with no digit. Correct it, or remove its indentation if it starts a stanza."
    )]
    NotAVariable(String),
    /// An indented line with no stanza above it.
    #[error(
        "the variable `{0}` belongs to no stanza: a blank line ends one. Remove the blank line above it, or use a comment line instead."
    )]
    OutsideStanza(String),
    /// Nothing before the colon.
    #[error("syntax error: there is no target before the colon. Name one.")]
    NoTarget,
    /// An include that is not defined above.
    #[error("section not found: {0}. An include must be defined above the line that uses it.")]
    UnknownSection(String),
    /// The first stanza is another one.
    #[error(
        "section not found: DEFAULT. The first stanza must be `DEFAULT:`, add one (it may be empty)."
    )]
    DefaultNotFirst,
    /// A pattern that cannot be compiled.
    #[error("{0}. Correct the pattern.")]
    Pattern(#[from] InvalidPattern),
    /// More than [`MAX_PATTERNS`].
    #[error("more than {MAX_PATTERNS} patterns. Join some with `|`.")]
    TooManyPatterns,
}

/// Parses a main.cf. Gives all faults, up to twenty, in the order of lines.
pub(super) fn parse(bytes: &[u8]) -> Result<MainCf, Vec<Fault>> {
    let lines: Vec<Raw<'_>> = bytes.split(|b| *b == b'\n').map(Raw::of).collect();
    let indentation = common_indentation(&lines);
    let mut parser = Parser::default();
    for (index, line) in lines.iter().enumerate() {
        parser.line = index + 1;
        match line.meaning(indentation) {
            Ok(meaning) => parser.take(meaning),
            Err(kind) => parser.refuse(kind),
        }
    }
    parser.finish()
}

/// A line divided from its comment.
struct Raw<'a> {
    /// What stands before the comment, without the line end.
    content: &'a [u8],
    has_comment: bool,
}

/// What a line says.
enum Meaning<'a> {
    Comment,
    Blank,
    Header { targets: &'a str, includes: &'a str },
    Variable { name: &'a str, value: &'a str },
}

impl<'a> Raw<'a> {
    /// A `#` begins a comment at the start of a line and after white space, so that the fragment of
    /// a URL is none. (The manual says "any text following a hash on any line".)
    fn of(line: &'a [u8]) -> Self {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let starts = |&i: &usize| line[i] == b'#' && (i == 0 || line[i - 1].is_ascii_whitespace());
        let comment = (0..line.len()).find(starts);
        Self {
            content: &line[..comment.unwrap_or(line.len())],
            has_comment: comment.is_some(),
        }
    }

    fn is_empty(&self) -> bool {
        self.content.trim_ascii().is_empty()
    }

    /// The white space it starts with.
    fn indentation(&self) -> &'a [u8] {
        let text = self.content.trim_ascii_start().len();
        &self.content[..self.content.len() - text]
    }

    /// Reads the line, not counting `indentation` bytes that all lines share.
    fn meaning(&self, indentation: usize) -> Result<Meaning<'a>, FaultKind> {
        if self.is_empty() {
            let blank = !self.has_comment;
            return Ok(if blank {
                Meaning::Blank
            } else {
                Meaning::Comment
            });
        }
        if self.content.len() > MAX_LINE_BYTES {
            return Err(FaultKind::TooLong(self.content.len()));
        }
        if self.content.contains(&0) {
            return Err(FaultKind::Nul);
        }
        let is_indented = self.indentation().len() > indentation;
        let text = std::str::from_utf8(self.content.trim_ascii());
        let text = text.map_err(|_| FaultKind::NotText)?;
        if is_indented {
            variable(text)
        } else {
            header(text)
        }
    }
}

/// The number of bytes of white space that every line with content starts with.
fn common_indentation(lines: &[Raw<'_>]) -> usize {
    let mut filled = lines.iter().filter(|l| !l.is_empty());
    let Some(first) = filled.next() else {
        return 0;
    };
    let shared = |common: &[u8], line: &Raw<'_>| {
        let pairs = common.iter().zip(line.indentation());
        pairs.take_while(|(a, b)| a == b).count()
    };
    filled.fold(first.indentation().len(), |length, line| {
        shared(&first.indentation()[..length], line)
    })
}

/// Reads a line that is not indented.
fn header(text: &str) -> Result<Meaning<'_>, FaultKind> {
    if let Ok(Meaning::Variable { name, .. }) = variable(text) {
        return Err(FaultKind::NotIndented(name.to_owned()));
    }
    match text.rsplit_once(':') {
        Some((targets, includes)) if !targets.trim_ascii().is_empty() => {
            Ok(Meaning::Header { targets, includes })
        }
        Some(_) => Err(FaultKind::NoTarget),
        None => Err(FaultKind::NotAHeader(shortened(text))),
    }
}

/// Reads an indented line.
fn variable(text: &str) -> Result<Meaning<'_>, FaultKind> {
    let bad = || FaultKind::NotAVariable(shortened(text));
    let (name, value) = text.split_once('=').ok_or_else(bad)?;
    let (name, value) = (name.trim_ascii(), value.trim_ascii());
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let starts_well = !name.is_empty() && !name.as_bytes()[0].is_ascii_digit();
    if starts_well && name.bytes().all(is_word) {
        Ok(Meaning::Variable { name, value })
    } else {
        Err(bad())
    }
}

/// The start of a line, for a message.
fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

/// What was understood so far.
#[derive(Default)]
struct Parser {
    done: MainCf,
    open: Open,
    any_stanza: bool,
    patterns: usize,
    faults: Vec<Fault>,
    /// The line being read, from 1.
    line: usize,
}

/// The stanza that takes the next variable.
#[derive(Default)]
enum Open {
    /// None; a variable is a fault.
    #[default]
    Nothing,
    /// One whose first line was refused; its variables are read and dropped.
    Refused,
    /// This one.
    Stanza(Block),
}

impl Parser {
    fn refuse(&mut self, kind: FaultKind) {
        if self.faults.len() < MAX_FAULTS {
            let line = self.line;
            self.faults.push(Fault { line, kind });
        }
    }

    fn take(&mut self, meaning: Meaning<'_>) {
        match meaning {
            Meaning::Comment => {}
            Meaning::Blank => self.close(),
            Meaning::Header { targets, includes } => self.start(targets, includes),
            Meaning::Variable { name, value } => self.set(name, value),
        }
    }

    /// Ends the open stanza, if any.
    fn close(&mut self) {
        if let Open::Stanza(block) = std::mem::take(&mut self.open) {
            self.done.push(block);
        }
    }

    fn start(&mut self, targets: &str, includes: &str) {
        self.close();
        let faults_before = self.faults.len();
        let is_first = !std::mem::replace(&mut self.any_stanza, true);
        let mut names = targets.split_ascii_whitespace();
        if is_first && !names.any(|n| n == DEFAULT_SECTION) {
            self.refuse(FaultKind::DefaultNotFirst);
        }
        let block = Block {
            targets: self.targets(targets),
            includes: self.includes(includes),
            body: Vec::new(),
        };
        // A file whose only fault is the missing DEFAULT is still read on, for its other faults.
        let is_whole = self.faults.len() == faults_before || is_first;
        self.open = if is_whole {
            Open::Stanza(block)
        } else {
            Open::Refused
        };
    }

    /// The targets, each once.
    fn targets(&mut self, text: &str) -> Vec<Target> {
        let mut seen = BTreeSet::new();
        let mut targets = Vec::new();
        for name in text.split_ascii_whitespace().filter(|n| seen.insert(*n)) {
            match Target::new(name) {
                Ok(target) => {
                    self.patterns += usize::from(target.is_pattern());
                    targets.push(target);
                }
                Err(invalid) => self.refuse(invalid.into()),
            }
        }
        if self.patterns > MAX_PATTERNS {
            self.refuse(FaultKind::TooManyPatterns);
        }
        targets
    }

    /// The includes, each with the version of its section that stands above.
    fn includes(&mut self, text: &str) -> Vec<(String, usize)> {
        let mut includes = Vec::new();
        for name in text.split_ascii_whitespace() {
            match self.done.latest(name) {
                Some(version) => includes.push((name.to_owned(), version)),
                None => self.refuse(FaultKind::UnknownSection(name.to_owned())),
            }
        }
        includes
    }

    fn set(&mut self, name: &str, value: &str) {
        match &mut self.open {
            Open::Nothing => self.refuse(FaultKind::OutsideStanza(name.to_owned())),
            Open::Refused => {}
            Open::Stanza(block) => block.body.push(BodyLine {
                line: self.line,
                name: name.to_owned(),
                value: value.to_owned(),
            }),
        }
    }

    fn finish(mut self) -> Result<MainCf, Vec<Fault>> {
        self.close();
        if self.faults.is_empty() {
            Ok(self.done)
        } else {
            Err(self.faults)
        }
    }
}
