//! When two copies of a host count as the same: every path with every attribute, but for the times
//! of the run itself and a short list of paths. Not for undo, which restores to the bit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use isconf::tour::Manifest;
use regex::Regex;

use crate::support::debian::DebianHost;

/// What may differ at a path.
pub struct Allowed {
    /// A regular expression for the whole path.
    pub pattern: &'static str,
    what: What,
}

enum What {
    /// Dates, times and fingerprints of keys in a text; else it must be the same.
    Stamps,
    /// The content, with its length; nothing else.
    Content,
}

/// Everything that may differ. `docs/proof.md` says why.
pub const ALLOWED: &[Allowed] = &[
    stamps("/var/log/dpkg.log"),
    stamps("/var/log/alternatives.log"),
    stamps("/var/log/apt/history.log"),
    stamps("/var/log/apt/term.log"),
    stamps("/etc/shadow-?"),
    content("/var/cache/apt/(src)?pkgcache.bin"),
    content("/var/cache/ldconfig/aux-cache"),
    content("/var/cache/man/.*index.db"),
    content("/etc/aliases.db"),
    content("/etc/ssh/ssh_host_.*_key(.pub)?"),
    content("/etc/ssl/private/ssl-cert-snakeoil.key"),
    content("/etc/ssl/certs/ssl-cert-snakeoil.pem"),
    content("/usr/local/lib/python3.*.pyc"),
];

const fn stamps(pattern: &'static str) -> Allowed {
    let what = What::Stamps;
    Allowed { pattern, what }
}

const fn content(pattern: &'static str) -> Allowed {
    let what = What::Content;
    Allowed { pattern, what }
}

/// A host with its disk before and after a step.
pub struct Copy<'a> {
    pub host: &'a DebianHost,
    pub before: &'a Manifest,
    pub after: &'a Manifest,
}

/// Tells whether a path is isconf's own, or that of the rig: the only ones that no step touches.
pub fn is_ours(path: &Path) -> bool {
    path.starts_with("/var/is") || path == Path::new("/etc/isconf-test-host")
}

/// Lists what differs, with `-` for the one and `+` for the other.
pub fn differences(native: &Copy, captured: &Copy, since: SystemTime) -> Vec<String> {
    let (left, right) = (normal_form(native, since), normal_form(captured, since));
    let paths: BTreeSet<&PathBuf> = left.keys().chain(right.keys()).collect();
    let mut found = Vec::new();
    for path in paths {
        let (natively, ours) = (left.get(path), right.get(path));
        if natively == ours {
            continue;
        }
        let lines = |state: Option<&String>| -> Vec<String> {
            state.map_or_else(Vec::new, |text| text.lines().map(str::to_owned).collect())
        };
        let (natively, ours) = (lines(natively), lines(ours));
        let only = |sign: char, these: &[String], those: &[String]| -> Vec<String> {
            let told = |line: &&String| !those.contains(*line);
            let line = |line: &String| format!("{sign}{} {line}", path.display());
            these.iter().filter(told).map(line).collect()
        };
        found.extend(only('-', &natively, &ours));
        found.extend(only('+', &ours, &natively));
    }
    found
}

/// Returns the state of every path, without what may differ.
fn normal_form(copy: &Copy, since: SystemTime) -> BTreeMap<PathBuf, String> {
    let before: BTreeMap<&Path, &str> = copy.before.states().collect();
    let mut states = BTreeMap::new();
    for (path, state) in copy.after.states().filter(|(path, _)| !is_ours(path)) {
        let mut state = with_time(state, before.get(path).copied(), since);
        match may_differ(path) {
            None => {}
            Some(What::Content) => state = without(&state, &["size=", "sha256="]),
            Some(What::Stamps) => {
                let text = copy.host.read(&path.to_string_lossy());
                let text = VARIABLE
                    .replace_all(&String::from_utf8_lossy(&text), "*")
                    .into_owned();
                state = without(&state, &["size=", "sha256="]) + "\n" + &text;
            }
        }
        states.insert(path.to_owned(), state);
    }
    states
}

/// Dates and times as logs have them, the day of the last change of a password (shadow(5)), and the
/// fingerprints of random keys.
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\d{4}-\d\d-\d\d +\d\d:\d\d:\d\d|:\d{5}:|SHA256:\S+").expect("an expression")
});

/// Returns what may differ at a path.
fn may_differ(path: &Path) -> Option<&'static What> {
    static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
        let whole = |allowed: &Allowed| Regex::new(&format!("^(?:{})$", allowed.pattern));
        ALLOWED
            .iter()
            .map(|allowed| whole(allowed).expect("an expression"))
            .collect()
    });
    let shown = path.to_string_lossy();
    let found = PATTERNS
        .iter()
        .position(|pattern| pattern.is_match(&shown))?;
    Some(&ALLOWED[found].what)
}

/// Replaces a time of the run: by `kept` where the step did not change it, else by `now`. What was
/// set on purpose, as dpkg does, stays.
fn with_time(state: &str, before: Option<&str>, since: SystemTime) -> String {
    let word = |state: &str| {
        state
            .split(' ')
            .find(|word| word.starts_with("mtime="))
            .map(str::to_owned)
    };
    let Some(time) = word(state) else {
        return state.to_owned();
    };
    let seconds = time["mtime=".len()..]
        .split('.')
        .next()
        .and_then(|text| text.parse().ok());
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.unwrap_or(0));
    if at + Duration::from_secs(1) < since {
        return state.to_owned();
    }
    let kept = before.and_then(word).as_ref() == Some(&time);
    state.replace(&time, if kept { "mtime=kept" } else { "mtime=now" })
}

/// Leaves words out.
fn without(state: &str, starts: &[&str]) -> String {
    let left = state
        .split(' ')
        .filter(|word| !starts.iter().any(|start| word.starts_with(start)));
    left.collect::<Vec<_>>().join(" ")
}
