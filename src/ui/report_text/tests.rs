//! Reports as text, against kept pages.

use isconf_sandbox::change::ChangeSet;

use super::super::sample::{
    SampleContents, bare, change, committed, conflicting, directory, endings, file, view,
};
use super::super::summary_text::run_closing_text;
use super::*;
use crate::model::run::{Run, RunMode, RunOutcome};

fn text(report: &Report, detail: Detail) -> String {
    report_text(report, &view(detail), Some(&SampleContents))
}

/// Compares with a kept text; on a difference the test shows both.
#[track_caller]
fn assert_text(text: &str, kept: &str) {
    assert!(text == kept, "found:\n{text}\nkept:\n{kept}");
}

#[test]
fn normal_report_is_as_kept() {
    assert_text(
        &text(&committed(), Detail::Normal),
        include_str!("normal.txt"),
    );
}

#[test]
fn full_report_is_as_kept() {
    assert_text(&text(&committed(), Detail::Full), include_str!("full.txt"));
}

#[test]
fn summary_is_one_line() {
    assert_eq!(
        text(&committed(), Detail::Summary),
        "entry 12: committed: exec sh -c 'make install': \
         20 paths +7 ~4 m2 -3 >2 =2, 3 effects, 1.22 s\n"
    );
}

#[test]
fn conflict_shows_path_and_both_states() {
    assert_text(
        &text(&conflicting(), Detail::Normal),
        include_str!("conflict.txt"),
    );
}

#[test]
fn every_verdict_has_its_sentence() {
    let sentences = [
        "Exit status 0. Would be committed; this was a preview.",
        "Exit status 0. The scratchpad is kept; nothing was committed.",
        "Exit status 7. Failed. Nothing was committed.",
        "Exit status 7. Failed. Committed all the same.",
        "The command was ended by SIGKILL. Failed. Would not be committed; this was a preview.",
        "The command could not be started: No such file or directory. Failed. Nothing was committed.",
        "Exit status 0. Refused. Nothing was committed.",
        "Exit status 0. It acts on the running system. Nothing was committed.",
        "Exit status 0. A service did not follow. Committed, and taken back.",
        "Exit status 0. A service did not follow. Committed, and cannot be taken back.",
        "Exit status 9. Ended: it ran for longer than 1 min 0 s. Nothing was committed.",
        "The command was ended by SIGINT. Interrupted by SIGINT. Nothing was committed.",
        "A reboot is needed. Nothing was committed.",
        "Taken back.",
        "Would be taken back; this was a preview.",
    ];
    let reports = endings();
    assert_eq!(reports.len(), sentences.len());
    for (report, sentence) in reports.iter().zip(sentences) {
        let text = text(report, Detail::Normal);
        assert_eq!(text.lines().last().unwrap().trim_start(), sentence);
    }
    let refused = text(&reports[6], Detail::Normal);
    assert!(refused.contains("\n  refused: /usr/bin: the filesystem is read-only\n"));
    assert!(refused.contains("\n  refused: no space left\n"));
}

#[test]
fn undo_names_what_it_takes_back() {
    let reports = endings();
    let [.., reboot, outside] = reports.as_slice() else {
        panic!("the samples end with two of undo");
    };
    assert!(text(reboot, Detail::Normal).starts_with("try: undo reboot\n"));
    assert!(text(outside, Detail::Normal).contains("undo a change outside of the journal\n"));
}

#[test]
fn what_is_over_the_limit_is_counted() {
    let mut changes: Vec<_> = (0..5)
        .map(|n| change(&format!("f{n}"), None, Some(file(b""))))
        .collect();
    let mut later = directory();
    later.meta.mtime.secs += 1;
    changes.push(change("d", Some(directory()), Some(later)));
    let report = Report {
        changes: ChangeSet::new(changes).unwrap(),
        ..bare()
    };
    let limited = View {
        path_limit: 2,
        ..view(Detail::Normal)
    };
    assert_eq!(
        report_text(&report, &limited, None),
        "try: exec true\n\
        \x20 + /f0  file 0644 0:0, 0 B\n\
        \x20 + /f1  file 0644 0:0, 0 B\n\
        \x20 … and 3 more; --all shows them\n\
        \x20 1 directory with only a new mtime\n\
        \x20 6 paths: 5 added, 1 with only a new mtime\n\
        \x20 Exit status 0. Nothing was committed.\n"
    );
}

#[test]
fn colour_changes_no_other_byte() {
    let coloured = View {
        style: Style::Colour,
        ..view(Detail::Normal)
    };
    let text = report_text(&committed(), &coloured, Some(&SampleContents));
    let escapes = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap();
    assert!(escapes.is_match(&text));
    assert_text(&escapes.replace_all(&text, ""), include_str!("normal.txt"));
}

#[test]
fn secret_content_is_never_shown() {
    let text = text(&committed(), Detail::Full);
    let line = text
        .lines()
        .find(|line| line.contains("/etc/secret"))
        .unwrap();
    assert_eq!(
        line,
        "  ~ /etc/secret      3 B, other bytes, xattr +user.tag"
    );
}

#[test]
fn runs_end_with_a_sentence() {
    let run = |outcome, mode, reports: Vec<Report>, pending| {
        run_closing_text(
            &Run {
                mode,
                host: "alpha".parse().unwrap(),
                branch: "generic".parse().unwrap(),
                entries: reports.len() as u64,
                last: reports.into_iter().next_back(),
                pending,
                outcome,
                duration: Duration::from_secs(2),
            },
            Style::Plain,
        )
    };
    let table = [
        (
            run(RunOutcome::NothingPending, RunMode::Commit, vec![], 0),
            "alpha on generic: Nothing is pending.\n",
        ),
        (
            run(
                RunOutcome::Complete,
                RunMode::Commit,
                vec![bare(), bare()],
                0,
            ),
            "alpha on generic: 2 entries replayed in 2.00 s.\n",
        ),
        (
            run(RunOutcome::Complete, RunMode::Preview, vec![bare()], 1),
            "alpha on generic: 1 entry previewed in 2.00 s; nothing was changed.\n",
        ),
        (
            run(RunOutcome::Stopped, RunMode::Commit, vec![committed()], 3),
            "alpha on generic: Stopped at entry 12; 3 entries are still pending.\n",
        ),
        (
            run(RunOutcome::RebootNeeded, RunMode::Commit, vec![], 1),
            "alpha on generic: A reboot is needed; 1 entry is still pending.\n",
        ),
        (
            run(RunOutcome::Interrupted(15), RunMode::Commit, vec![], 2),
            "alpha on generic: Interrupted by SIGTERM; 2 entries are still pending.\n",
        ),
    ];
    for (found, wanted) in table {
        assert_eq!(found, wanted);
    }
}

proptest::proptest! {
    /// Whatever bytes a name has, its change is one line, and nothing in it can move the cursor.
    #[test]
    fn any_name_is_one_harmless_line(
        name in proptest::collection::vec(1_u8.., 1..40),
        message in ".{0,20}",
    ) {
        let Ok(at) = RelPath::new(name) else {
            return Ok(());
        };
        let added = isconf_sandbox::change::Change {
            path: at,
            ..change("x", None, Some(file(b"")))
        };
        let report = Report {
            changes: ChangeSet::new(vec![added]).unwrap(),
            message,
            ..bare()
        };
        let text = text(&report, Detail::Normal);
        let signed = text.lines().filter(|line| line.starts_with("  + /")).count();
        proptest::prop_assert_eq!(signed, 1);
        proptest::prop_assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{:?}", text);
    }
}
