//! Adjusts what the live systemctl(1) answered by what waits for the commit. Pure. Upholds: what
//! nothing waits for is answered as the live system does, to the byte.

use super::action::Manager;
use super::expected::{Expectation, Expected};
use super::live::Said;
use super::systemctl::{Question, QuestionKind, unit};
use super::verb::Running;

/// Exit status of `is-active` for what does not run, and of `status` for the same (systemctl(1),
/// "Exit status").
const NOT_RUNNING: u8 = 3;

/// Adjusts an answer. `is_there` says whether the scratchpad has the file of a unit.
pub(super) fn adjust(
    question: &Question,
    said: Said,
    expected: &Expected,
    is_there: &dyn Fn(&str) -> bool,
) -> Said {
    let of = |unit: &str| expected.of(Manager::Systemd, unit);
    let concerns = question
        .units
        .iter()
        .any(|unit| of(unit).is_some() || is_there(unit));
    match question.kind {
        QuestionKind::IsActive if concerns => each_active(question, said, &of),
        QuestionKind::IsFailed if concerns => each_failed(question, said, &of),
        QuestionKind::Show if concerns => show(question, said, &of, is_there),
        QuestionKind::Status if concerns => status(question, said, &of, is_there),
        QuestionKind::List => list(said, &of),
        _ => said,
    }
}

const fn state(running: Running) -> &'static str {
    match running {
        Running::Yes => "active",
        Running::No => "inactive",
    }
}

const fn sub_state(running: Running) -> &'static str {
    match running {
        Running::Yes => "running",
        Running::No => "dead",
    }
}

type Of<'a> = dyn Fn(&str) -> Option<&'a Expectation> + 'a;

/// The lines of an answer that has one for each unit; `None` where a pattern made it more.
fn by_unit(question: &Question, said: &Said) -> Option<Vec<String>> {
    let lines: Vec<String> = said.out.lines().map(str::to_owned).collect();
    (lines.len() == question.units.len()).then_some(lines)
}

fn each_active(question: &Question, mut said: Said, of: &Of<'_>) -> Said {
    let Some(mut lines) = by_unit(question, &said) else {
        return said;
    };
    for (line, unit) in lines.iter_mut().zip(&question.units) {
        if let Some(expectation) = of(unit) {
            state(expectation.running).clone_into(line);
        }
    }
    // "is-active: Returns an exit code 0 if at least one is active".
    let is_active = |line: &String| matches!(line.as_str(), "active" | "reloading");
    said.status = if lines.iter().any(is_active) {
        0
    } else {
        NOT_RUNNING
    };
    said.out = joined(&lines);
    said
}

fn each_failed(question: &Question, mut said: Said, of: &Of<'_>) -> Said {
    let Some(mut lines) = by_unit(question, &said) else {
        return said;
    };
    for (line, unit) in lines.iter_mut().zip(&question.units) {
        if let Some(expectation) = of(unit) {
            state(expectation.running).clone_into(line);
        }
    }
    said.status = u8::from(!lines.iter().any(|line| line == "failed"));
    said.out = joined(&lines);
    said
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Properties, in blocks with an empty line between, one block for each unit.
fn show(question: &Question, mut said: Said, of: &Of<'_>, is_there: &dyn Fn(&str) -> bool) -> Said {
    let blocks: Vec<&str> = said.out.split("\n\n").collect();
    if blocks.len() != question.units.len() {
        return said;
    }
    let blocks: Vec<String> = blocks
        .iter()
        .zip(&question.units)
        .map(|(block, unit)| {
            let is_new = is_there(unit) && block.contains("LoadState=not-found");
            let lines = block
                .split('\n')
                .map(|line| property(line, of(unit), is_new));
            lines.collect::<Vec<_>>().join("\n")
        })
        .collect();
    said.out = blocks.join("\n\n");
    said
}

fn property(line: &str, expectation: Option<&Expectation>, is_new: bool) -> String {
    let Some((name, _)) = line.split_once('=') else {
        return line.to_owned();
    };
    let running = expectation.map(|expectation| expectation.running);
    match (name, running) {
        ("ActiveState", Some(running)) => format!("ActiveState={}", state(running)),
        ("SubState", Some(running)) => format!("SubState={}", sub_state(running)),
        ("LoadState", _) if is_new => "LoadState=loaded".to_owned(),
        ("UnitFileState", _) if is_new => "UnitFileState=disabled".to_owned(),
        (_, _) => line.to_owned(),
    }
}

/// Drops the names, where only values are wanted; [`show`] needs them.
pub(super) fn values_only(out: &str) -> String {
    let value = |line: &str| match line.split_once('=') {
        Some((_, value)) => value.to_owned(),
        None => line.to_owned(),
    };
    out.split('\n').map(value).collect::<Vec<_>>().join("\n")
}

/// The report for people: its line `Active:`, and the exit status.
fn status(
    question: &Question,
    mut said: Said,
    of: &Of<'_>,
    is_there: &dyn Fn(&str) -> bool,
) -> Said {
    if let [unit] = question.units.as_slice() {
        let expectation = of(unit);
        if said.out.is_empty() && is_there(unit) {
            said.err.clear();
            said.out = format!("○ {unit}\n     Active: inactive (dead)\n");
            said.status = NOT_RUNNING;
        }
        if let Some(expectation) = expectation {
            said.out = with_active_line(&said.out, expectation);
            said.status = match expectation.running {
                Running::Yes => 0,
                Running::No => NOT_RUNNING,
            };
        }
    }
    said
}

fn with_active_line(out: &str, expectation: &Expectation) -> String {
    let (state, sub) = (state(expectation.running), sub_state(expectation.running));
    let line = format!(
        "     Active: {state} ({sub}), {} waits for the commit",
        expectation.by
    );
    let lines = out
        .lines()
        .map(|old| match old.trim_start().starts_with("Active:") {
            true => line.as_str(),
            false => old,
        });
    lines.map(|line| format!("{line}\n")).collect()
}

/// A table: unit, load state, state, sub-state, and more.
fn list(mut said: Said, of: &Of<'_>) -> Said {
    let lines = said.out.lines().map(|line| row(line, of));
    said.out = lines.map(|line| format!("{line}\n")).collect();
    said
}

fn row(line: &str, of: &Of<'_>) -> String {
    let bare = line.trim_start_matches(['●', '○', '×', '↻', '*', ' ']);
    let mut words = bare.split_whitespace();
    let name = words.next().filter(|name| unit(name) == *name);
    let Some(expectation) = name.and_then(of) else {
        return line.to_owned();
    };
    let (Some(_load), Some(active), Some(sub)) = (words.next(), words.next(), words.next()) else {
        return line.to_owned();
    };
    // Words are replaced in their columns; the first two columns have others.
    let replaced = replaced_word(line, active, state(expectation.running), 2);
    replaced_word(&replaced, sub, sub_state(expectation.running), 3)
}

/// Puts `new` in the place of word number `index` (from 0) behind the mark, which is `old`, keeping
/// the columns.
fn replaced_word(line: &str, old: &str, new: &str, index: usize) -> String {
    let start = line.len()
        - line
            .trim_start_matches(['●', '○', '×', '↻', '*', ' '])
            .len();
    let mut at = start;
    for _ in 0..index {
        let rest = &line[at..];
        let word = rest.find(' ').unwrap_or(rest.len());
        let gap = rest[word..].find(|c| c != ' ').unwrap_or(rest.len() - word);
        at += word + gap;
    }
    let tail = &line[at + old.len()..];
    let gap = tail.len() - tail.trim_start_matches(' ').len();
    let width = old.len() + gap;
    let padded = format!("{new:<width$}");
    let padded = if tail.trim().is_empty() {
        new.to_owned()
    } else if padded.ends_with(' ') {
        padded
    } else {
        format!("{padded} ")
    };
    format!("{}{padded}{}", &line[..at], &tail[gap..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::verb::Verb;

    fn said(status: u8, out: &str) -> Said {
        Said {
            status,
            out: out.to_owned(),
            err: String::new(),
        }
    }

    fn question(kind: QuestionKind, units: &[&str]) -> Question {
        Question {
            kind,
            units: units.iter().map(|unit| (*unit).to_owned()).collect(),
            is_quiet: false,
            only_values: false,
        }
    }

    fn expected() -> Expected {
        let mut expected = Expected::default();
        let units = |name: &str| [name.to_owned()];
        expected.note(Manager::Systemd, &Verb::Start, &units("a.service"));
        expected.note(Manager::Systemd, &Verb::Stop, &units("b.service"));
        expected
    }

    fn adjusted(kind: QuestionKind, units: &[&str], from: Said) -> Said {
        let is_there = |unit: &str| unit == "new.service";
        adjust(&question(kind, units), from, &expected(), &is_there)
    }

    #[test]
    fn states_are_those_after_the_commit() {
        use QuestionKind::{IsActive, IsFailed};
        let units = ["a.service", "b.service"];
        let both = adjusted(IsActive, &units, said(0, "inactive\nactive\n"));
        assert_eq!((both.status, both.out.as_str()), (0, "active\ninactive\n"));
        let one = adjusted(IsActive, &["b.service"], said(0, "active\n"));
        assert_eq!((one.status, one.out.as_str()), (3, "inactive\n"));
        let other = adjusted(IsActive, &["c.service"], said(3, "inactive\n"));
        assert_eq!(other, said(3, "inactive\n"));
        let failed = adjusted(IsFailed, &["a.service"], said(0, "failed\n"));
        assert_eq!((failed.status, failed.out.as_str()), (1, "active\n"));
    }

    #[test]
    fn properties_are_those_after_the_commit() {
        let block = "LoadState=loaded\nActiveState=inactive\nSubState=dead\nMainPID=0\n";
        let shown = adjusted(QuestionKind::Show, &["a.service"], said(0, block));
        assert_eq!(
            shown.out,
            "LoadState=loaded\nActiveState=active\nSubState=running\nMainPID=0\n"
        );
        let new = said(0, "LoadState=not-found\nActiveState=inactive\n");
        let shown = adjusted(QuestionKind::Show, &["new.service"], new);
        assert_eq!(shown.out, "LoadState=loaded\nActiveState=inactive\n");
        assert_eq!(values_only(&shown.out), "loaded\ninactive\n");
    }

    #[test]
    fn reports_and_tables_say_what_waits() {
        let report = "● b.service - B\n     Loaded: loaded\n     Active: active (running) since\n";
        let shown = adjusted(QuestionKind::Status, &["b.service"], said(0, report));
        assert_eq!(shown.status, 3);
        assert!(shown.out.contains("Active: inactive (dead), stop waits"));
        let table =
            "  a.service loaded inactive dead    A thing\n● c.service loaded active   running C\n";
        let shown = adjusted(QuestionKind::List, &[], said(0, table));
        assert_eq!(
            shown.out,
            "  a.service loaded active   running A thing\n● c.service loaded active   running C\n"
        );
    }
}
