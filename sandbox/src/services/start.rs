//! A program that starts inside, and what becomes of it. Plain data. Not for deciding (see `desk`).

use std::ffi::OsString;
use std::path::PathBuf;

use super::answer::Answer;
use super::live::Said;
use super::verb::Verb;

/// A program that starts inside.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    /// The path by which it was called.
    pub called: PathBuf,
    /// The same without links, as seen inside.
    pub real: PathBuf,
    /// Its arguments.
    pub argv: Vec<OsString>,
    /// Its environment.
    pub env: Vec<(OsString, OsString)>,
    /// Its working directory, as seen inside.
    pub cwd: PathBuf,
    /// Whether it is root's.
    pub is_root: bool,
    /// Its command line, for the report.
    pub process: String,
}

impl Start {
    /// Whether its environment has this variable with this value.
    pub(super) fn sets(&self, (name, value): (&str, &str)) -> bool {
        self.env.iter().any(|(n, v)| n == name && v == value)
    }
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Response {
    /// It runs.
    Itself,
    /// This runs in its place.
    Instead(Answer),
}

impl Response {
    pub(super) fn saying(status: u8, out: &str) -> Self {
        Self::Instead(Answer::saying(&Said {
            status,
            out: out.to_owned(),
            err: String::new(),
        }))
    }

    pub(super) fn refusing(why: &str) -> Self {
        let said = Said::failing(1, format!("isconf: {why}.\n"));
        Self::Instead(Answer::saying(&said))
    }
}

/// Whether the caller's own words name the verb.
pub(super) fn names(start: &Start, verb: &Verb) -> bool {
    let is_verb = |word: &OsString| Verb::named(&word.to_string_lossy()).as_ref() == Some(verb);
    let is_other = |word: &OsString| matches!(verb, Verb::Other(name) if word == name.as_str());
    start
        .argv
        .iter()
        .skip(1)
        .any(|word| is_verb(word) || is_other(word))
}

/// `-P NAME` asks for values only; `-p NAME` has the names too.
pub(super) fn with_names(word: &OsString) -> OsString {
    let bytes = word.as_encoded_bytes();
    match bytes.strip_prefix(b"-P") {
        Some(rest) => OsString::from(format!("-p{}", String::from_utf8_lossy(rest))),
        None => word.clone(),
    }
}
