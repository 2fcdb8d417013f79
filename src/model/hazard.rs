//! The hazards of an entry: reasons why it may do something else on another host, or should not be
//! done there at all. Data only; not for finding them (`hazards`). Upholds: each has a stable name,
//! a reason and a remedy, said in one place, from which `docs/hazards.md` is checked.

use std::fmt;

use isconf_sandbox::change::RelPath;

/// One finding about an entry. It forbids nothing by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hazard {
    /// Which kind.
    pub code: HazardName,
    /// The path it is about; `None` when it is about the entry as a whole.
    pub path: Option<RelPath>,
    /// What was found, as words for people; empty when code and path say all.
    pub detail: String,
}

/// The kinds of hazards that this version finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HazardCode {
    /// It connected out.
    NetworkUsed,
    /// A file has the time in it.
    ClockInFile,
    /// Something differs when run twice, and neither the time nor the host explains it.
    RandomInFile,
    /// A file has the name or an identity of this host in it.
    HostInFile,
    /// The second run ended otherwise than the first.
    EndsDifferently,
    /// It wrote what belongs to one host, or to another tool.
    EnvironmentalPath,
    /// It left a secret that everybody can read.
    SecretReadable,
    /// It names a file that neither an entry nor the base image wrote.
    UnknownInput,
    /// Processes were running when it ended.
    ProcessesLeft,
    /// All that it changed are logs and caches.
    LogsOnly,
}

/// What is said about a kind of hazard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HazardRow {
    /// The kind.
    pub code: HazardCode,
    /// Its name in files and for programs; never changed.
    pub name: &'static str,
    /// Why it is one, a sentence.
    pub reason: &'static str,
    /// What to do about it, a sentence.
    pub remedy: &'static str,
}

const fn row(
    code: HazardCode,
    name: &'static str,
    reason: &'static str,
    remedy: &'static str,
) -> HazardRow {
    HazardRow {
        code,
        name,
        reason,
        remedy,
    }
}

/// All kinds, in the order in which they are declared.
pub const HAZARDS: &[HazardRow] = &[
    row(
        HazardCode::NetworkUsed,
        "network-used",
        "It connected out, and what comes from there may be something else, or nothing, when it is replayed.",
        "Fetch the files once, record them with `isconf snap`, and let the command use those.",
    ),
    row(
        HazardCode::ClockInFile,
        "clock-in-file",
        "A file has the time at which it was written in it, which is another one on each host.",
        "Leave the time out, give a fixed one (many tools obey `SOURCE_DATE_EPOCH`), or record the file with `isconf snap`.",
    ),
    row(
        HazardCode::RandomInFile,
        "random-in-file",
        "It is not the same when the command is run twice, and neither the time nor the host explains it.",
        "Record the result with `isconf snap`; a value that must be another one on each host is better made when the host is installed.",
    ),
    row(
        HazardCode::HostInFile,
        "host-in-file",
        "A file has the host's name, machine-id or network address in it, which is another one on each host.",
        "Let the program find out by itself when it runs, or put the value into main.cf and use it as a variable.",
    ),
    row(
        HazardCode::EndsDifferently,
        "ends-differently",
        "The command ended otherwise when it was run a second time, under another host name and at another time.",
        "Find out what it looks at (`isconf try` runs it without consequences), and make it independent of that.",
    ),
    row(
        HazardCode::EnvironmentalPath,
        "environmental-path",
        "It wrote a path that belongs to one host alone, or that another tool writes as well.",
        "Leave that path to its owner, or switch that owner off in an entry of its own before.",
    ),
    row(
        HazardCode::SecretReadable,
        "secret-readable",
        "Something that looks like a secret can be read by every user of the host.",
        "Take away the right to read it in the same entry (`chmod o= FILE`, or `umask 077` before it is written).",
    ),
    row(
        HazardCode::UnknownInput,
        "unknown-input",
        "The command names something that, as far as is known, neither an entry nor the base image wrote; other hosts may not have it.",
        "Record it with `isconf snap` first, or give it with `--stdin`.",
    ),
    row(
        HazardCode::ProcessesLeft,
        "processes-left",
        "Processes were still running when the command ended; they were ended, and what they had not done yet is missing.",
        "Wait for them in the command; let a service be started by the service manager.",
    ),
    row(
        HazardCode::LogsOnly,
        "logs-only",
        "All that it changed are logs, caches and temporary files, which are not compared between hosts.",
        "Do not record what only looks (`isconf try` runs it without a record); take it back with `isconf undo`.",
    ),
];

impl HazardCode {
    /// What is said about it.
    pub fn row(self) -> &'static HazardRow {
        let row = HAZARDS.iter().find(|row| row.code == self);
        row.expect("every kind of hazard has a row")
    }
}

/// The name of a kind of hazard, which a newer isconf may have found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HazardName {
    /// A kind that this version finds, too.
    Known(HazardCode),
    /// Another.
    Newer(String),
}

impl HazardName {
    /// The kind of that name.
    pub fn named(name: String) -> Self {
        match HAZARDS.iter().find(|row| row.name == name) {
            Some(row) => Self::Known(row.code),
            None => Self::Newer(name),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(code) => code.row().name,
            Self::Newer(name) => name,
        }
    }

    /// What is said about it; `None` for a kind that only a newer isconf knows.
    pub fn row(&self) -> Option<&'static HazardRow> {
        match self {
            Self::Known(code) => Some(code.row()),
            Self::Newer(_) => None,
        }
    }
}

impl fmt::Display for HazardName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Hazard {
    /// A finding about a path.
    pub fn at(code: HazardCode, path: RelPath, detail: impl Into<String>) -> Self {
        Self {
            code: HazardName::Known(code),
            path: Some(path),
            detail: detail.into(),
        }
    }

    /// A finding about the entry as a whole.
    pub fn of_entry(code: HazardCode, detail: impl Into<String>) -> Self {
        Self {
            code: HazardName::Known(code),
            path: None,
            detail: detail.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_row_in_order() {
        let codes: Vec<_> = HAZARDS.iter().map(|row| row.code).collect();
        let mut sorted = codes.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(codes, sorted);
        // The last one: a kind without a row would be behind it, or make this panic.
        assert_eq!(HazardCode::LogsOnly as usize + 1, HAZARDS.len());
    }

    #[test]
    fn names_are_kebab_case_and_texts_are_sentences() {
        for row in HAZARDS {
            assert!(
                row.name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'-')
            );
            for text in [row.reason, row.remedy] {
                assert!(text.ends_with('.') && text.starts_with(char::is_uppercase));
            }
            let name = HazardName::named(row.name.to_owned());
            assert_eq!(name, HazardName::Known(row.code));
            assert_eq!(name.to_string(), row.name);
        }
        let newer = HazardName::named("of-tomorrow".to_owned());
        assert_eq!((newer.as_str(), newer.row()), ("of-tomorrow", None));
    }

    #[test]
    fn the_page_has_every_row_as_it_is_here() {
        let page = include_str!("../../docs/hazards.md");
        let rows: Vec<&str> = page.lines().filter(|l| l.starts_with("| `")).collect();
        let expected: Vec<String> = HAZARDS
            .iter()
            .map(|row| format!("| `{}` | {} | {} |", row.name, row.reason, row.remedy))
            .collect();
        assert_eq!(rows, expected, "docs/hazards.md");
    }
}
