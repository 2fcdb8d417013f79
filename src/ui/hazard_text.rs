//! Hazards for people: what was found, in a report and in the log, and what to do about it, as
//! messages. Not for finding them (`hazards`). Upholds: a finding is a fact of the report; what
//! follows from it is said once a kind, behind it.

use std::collections::BTreeSet;

use super::page::{Page, counted, escaped};
use super::style::Role;
use crate::model::{Hazard, HazardName};

/// Shows what was found, one line each.
pub(super) fn hazards_into(page: &mut Page, hazards: &[Hazard]) {
    if !hazards.is_empty() {
        page.line(2, "hazards:");
    }
    for hazard in hazards {
        page.line(4, &page.paint(Role::Doubt, &hazard_words(hazard)));
    }
}

/// One finding: `clock-in-file /etc/stamp: 2026-11-21`.
pub fn hazard_words(hazard: &Hazard) -> String {
    let mut words = escaped(hazard.code.as_str().as_bytes());
    if let Some(path) = &hazard.path {
        words.push_str(&format!(" {path}"));
    }
    if !hazard.detail.is_empty() {
        words.push_str(&format!(": {}", escaped(hazard.detail.as_bytes())));
    }
    words
}

/// One kind of hazard among findings, with what is said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// Which kind, how often, and the reason; a sentence.
    pub warning: String,
    /// The remedy; a sentence.
    pub remedy: String,
}

/// What is said about findings, once a kind.
pub fn hazard_advice<'a>(hazards: impl Iterator<Item = &'a Hazard> + Clone) -> Vec<Advice> {
    let kinds: BTreeSet<&HazardName> = hazards.clone().map(|hazard| &hazard.code).collect();
    kinds
        .into_iter()
        .map(|kind| {
            let number = hazards.clone().filter(|h| h.code == *kind).count();
            advice(kind, number as u64)
        })
        .collect()
}

fn advice(kind: &HazardName, number: u64) -> Advice {
    let times = match number {
        1 => String::new(),
        more => format!(" ({})", counted(more, "finding")),
    };
    let name = escaped(kind.as_str().as_bytes());
    match kind.row() {
        Some(row) => Advice {
            warning: format!("hazard {name}{times}: {}", row.reason),
            remedy: row.remedy.to_owned(),
        },
        None => Advice {
            warning: format!("hazard {name}{times}, which only a newer isconf knows."),
            remedy: "Ask the isconf that made the entry.".to_owned(),
        },
    }
}

/// Findings of every form, for the tests of reports.
#[cfg(test)]
pub(super) fn sample_hazards() -> Vec<Hazard> {
    use crate::model::HazardCode;
    use isconf_sandbox::change::RelPath;
    let motd = RelPath::new(*b"etc/motd").unwrap_or_default();
    vec![
        Hazard::of_entry(HazardCode::NetworkUsed, "1 connection: 10.0.0.1:80"),
        Hazard::at(HazardCode::ClockInFile, motd, "2026-11-21"),
        Hazard {
            code: HazardName::named("of-tomorrow".to_owned()),
            path: None,
            detail: String::new(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use isconf_sandbox::change::RelPath;

    use super::*;
    use crate::model::HazardCode;

    #[test]
    fn each_kind_is_explained_once() {
        let path = |name: &str| RelPath::new(name).unwrap();
        let hazards = [
            Hazard::at(HazardCode::ClockInFile, path("etc/a"), "2026-11-21"),
            Hazard::at(HazardCode::ClockInFile, path("etc/b"), ""),
            Hazard {
                code: HazardName::named("of-tomorrow".to_owned()),
                path: None,
                detail: "x\u{1b}".to_owned(),
            },
        ];
        let words: Vec<_> = hazards.iter().map(hazard_words).collect();
        assert_eq!(
            words,
            [
                "clock-in-file /etc/a: 2026-11-21",
                "clock-in-file /etc/b",
                "of-tomorrow: x\\u{1b}"
            ]
        );
        let advice = hazard_advice(hazards.iter());
        assert_eq!(advice.len(), 2);
        assert!(
            advice[0]
                .warning
                .starts_with("hazard clock-in-file (2 findings): A file")
        );
        assert!(advice[1].warning.contains("newer isconf"));
    }
}
