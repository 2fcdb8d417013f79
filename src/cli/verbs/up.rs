//! `up`: applies the entries that this host does not have yet, or shows what they would do. Upholds:
//! stops at the first that does not go through.

use crate::cli::invocation::{Others, Presentation, RebootPolicy, ReportForm, RunMode, UpCommand};
use crate::cli::worksite::{conflict, out_of_reach, service_failure, streams};
use crate::cli::{Failure, Session};
use crate::history::History;
use crate::model::CardFailure;
use crate::model::report::{Place, Refusal, Report, Verdict};
use crate::model::run::{self, Run, RunOutcome};
use crate::model::{connection_count, outward};
use crate::replay::{Input, ThisHost, UpdateRequest, keep_undo, update};
use crate::ui::escaped;
use crate::ui::exit::ExitCode;
use crate::ui::limit_text::{limit_hint, limit_text};
use crate::ui::run_json::run_json;
use crate::ui::summary_text::run_closing_text;

use super::abreast::{Awaited, get_abreast};
use super::hosts::wait_for_all;
use super::prune::prune_applied;
use super::reboot::run_reboot_command;
use super::serve::tell_daemon;

/// Brings this host up to date, or shows how.
pub fn up(session: &mut Session, command: UpCommand) -> Result<ExitCode, Failure> {
    let UpCommand {
        run: mode,
        outside,
        reboot,
        show,
        ..
    } = command;
    let (host, mut history) = session.this_host("up")?;
    if reboot == RebootPolicy::Reboot {
        session.out.info("may reboot...");
    }
    session.out.info("checking for updates");
    get_abreast(
        session,
        &host.home,
        &host.branch,
        Awaited::Contents,
        show.form,
    )?;
    let request = UpdateRequest {
        mode: match mode {
            RunMode::Preview => run::RunMode::Preview,
            RunMode::Commit => run::RunMode::Commit,
        },
        outside,
        may_reboot: reboot == RebootPolicy::Reboot,
        output: streams(Input::Nothing, show).output,
        keeps_contents: session.wants_diffs(show),
        on_failure: command.on_failure,
    };
    let mut shown = Ok(());
    let mut progress = session.progress(show.form);
    let run = update(
        &host,
        &mut history,
        request,
        &mut *progress,
        &mut |report, contents| {
            let contents = request.keeps_contents.then_some(contents as _);
            if shown.is_ok() {
                shown = session.show_report(report, &host.settings, show, contents);
                session.warn_of_failed_service(report);
            }
        },
    )?;
    shown?;
    if mode == RunMode::Commit && run.entries > 0 {
        keep_undo(&host)?;
    }
    if mode == RunMode::Commit {
        session.note_card(&host, failed(&run));
        tell_daemon(session, &host.home);
    }
    let code = close(session, &host, &run, show)?;
    if mode == RunMode::Commit && run.entries > 0 {
        prune_applied(session, &host, &history);
    }
    if command.others == Others::Awaited && code == ExitCode::Ok {
        return wait(session, host, &history);
    }
    Ok(code)
}

/// Waits for the other hosts of the branch.
fn wait(session: &mut Session, host: ThisHost, history: &History) -> Result<ExitCode, Failure> {
    let at = history.standing()?.map_or(0, |(_, at)| at.seq);
    let (home, branch) = (host.home.clone(), host.branch.clone());
    // Other verbs may work here meanwhile.
    drop(host);
    match wait_for_all(session, &home, &branch, at)? {
        true => {
            let words = format!("every host of {branch} is at entry {at}");
            session.out.info(&words);
            Ok(ExitCode::Ok)
        }
        false => Err(
            Failure::new(ExitCode::Failure, "not every host could apply all entries")
                .hint("`isconf hosts` shows which, where and why."),
        ),
    }
}

/// Where it stopped, for the other hosts.
fn failed(run: &Run) -> Option<CardFailure> {
    let last = run
        .last
        .as_ref()
        .filter(|_| run.outcome == RunOutcome::Stopped)?;
    let Place::Journal(at) = &last.place else {
        return None;
    };
    Some(CardFailure::new(at.seq, &stopped(run).message))
}

fn close(
    session: &mut Session,
    host: &ThisHost,
    run: &Run,
    show: Presentation,
) -> Result<ExitCode, Failure> {
    match show.form {
        ReportForm::Json => session.out.result(&run_json(run)?)?,
        ReportForm::Summary | ReportForm::Paths | ReportForm::AllPaths if run.entries > 0 => {
            session
                .out
                .result(&run_closing_text(run, session.out.style()))?;
        }
        ReportForm::Summary | ReportForm::Paths | ReportForm::AllPaths => {}
    }
    match run.outcome {
        RunOutcome::NothingPending => session.out.info("no new updates"),
        RunOutcome::Complete => session.out.info(match run.mode {
            run::RunMode::Commit => "update done",
            run::RunMode::Preview => "nothing was changed: this was a preview",
        }),
        RunOutcome::Rebooting => return run_reboot_command(session, &host.settings),
        RunOutcome::RebootNeeded => {
            return Err(Failure::new(
                ExitCode::Failure,
                "reboot needed: rerun update with -r flag",
            ));
        }
        RunOutcome::Interrupted(signal) => {
            let is_complete = run.last.as_ref().is_some_and(Report::is_approved);
            let message = if is_complete {
                "interrupted; the last entry shown is complete, and none behind it was begun"
            } else {
                "interrupted; the machine is as before the entry that was running"
            };
            return Err(Failure::new(ExitCode::Interrupted(signal), message));
        }
        RunOutcome::Stopped => return Err(stopped(run)),
    }
    Ok(ExitCode::Ok)
}

/// What to say about the entry at which replay stopped.
fn stopped(run: &Run) -> Failure {
    let Some(last) = &run.last else {
        return Failure::new(ExitCode::Internal, "replay stopped without a report");
    };
    let name = crate::ui::report_text::place_words(&last.place);
    let what = crate::ui::report_text::description_words(&last.description);
    if last.verdict == Verdict::Conflict {
        return conflict(last);
    }
    if last.verdict == Verdict::OutOfReach {
        return out_of_reach(last).hint(format!(
            "{name} was recorded without --live and does here what it did not do where it was made; whoever has the lock can make it anew there (`isconf exec --live ...`, or --contained to do without)."
        ));
    }
    if last.verdict == Verdict::ActionFailed {
        return service_failure(last);
    }
    let message = format!(
        "{name} did not go through, and none behind it was run: {what}{}",
        reason(last)
    );
    let refusals: &[Refusal] = match &last.verdict {
        Verdict::Refused(refusals) => refusals,
        _ => &[],
    };
    let limit = match &last.verdict {
        Verdict::LimitExceeded(exceeded) => Some(limit_hint(exceeded)),
        _ => None,
    };
    let failure = Failure::new(ExitCode::Failure, message)
        .remedies(refusals)
        .hint("the machine is as before that entry; mend what it needs and run `isconf up` again: it goes on there.");
    let failure = match limit {
        Some(hint) => failure.hint(hint),
        None => failure,
    };
    match network_hint(run.mode, last) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// What to say about a preview in which an entry tried to connect out and had no network.
fn network_hint(mode: run::RunMode, report: &Report) -> Option<String> {
    let tried = outward(&report.effects).next()?;
    let is_kept_back = mode == run::RunMode::Preview && connection_count(&report.effects) == 0;
    is_kept_back.then(|| {
        format!(
            "in this preview the entry had no network, and it tried to connect to {}; `isconf up` gives it the network that it was recorded with.",
            escaped(tried.target.as_bytes())
        )
    })
}

fn reason(report: &Report) -> String {
    match &report.verdict {
        Verdict::Refused(refusals) => {
            let reasons: Vec<_> = refusals.iter().map(|r| r.reason.as_str()).collect();
            format!(": {}", reasons.join("; "))
        }
        Verdict::LimitExceeded(exceeded) => format!(": {}", limit_text(exceeded)),
        _ => String::new(),
    }
}
