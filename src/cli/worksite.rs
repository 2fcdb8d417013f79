//! What the verbs that run entries have in common: this host opened for work, and reports shown.
//! Not for what any of them does. Upholds: whatever an interrupted isconf left behind is put right
//! before anything new begins, and the user is told.

use isconf_sandbox::change::RelPath;
use isconf_sandbox::child::Exit;

use super::failure::Failure;
use super::invocation::{Diffs, Presentation, ReportForm};
use super::session::{Member, Session};
use crate::config::Settings;
use crate::history::History;
use crate::lock::{Holder, HostLock, Wait};
use crate::model::contents::ContentSource;
use crate::model::report::{Description, Ending, Fate, Report, Verdict};
use crate::model::{Hazard, Home};
use crate::replay::{Input, Output, Repaired, Streams, ThisHost, recover};
use crate::ui::Detail;
use crate::ui::actions::failed_action;
use crate::ui::command_line;
use crate::ui::effect_text::effect_words;
use crate::ui::exit::ExitCode;
use crate::ui::hazard_text::hazard_advice;
use crate::ui::limit_text::{limit_hint, limit_text};
use crate::ui::report_json::report_json;
use crate::ui::report_text::{View, report_text};

/// How many effects are named in one message.
const MAX_NAMED: usize = 5;

impl Session {
    /// Opens this host for `verb`: says on which branch it works, takes the host lock, and puts
    /// right what an interrupted isconf left behind.
    pub fn this_host(&mut self, verb: &str) -> Result<(ThisHost, History), Failure> {
        let member = self.on_branch()?;
        self.open(member, verb)
    }

    /// The same for a verb that said already on which branch it works.
    pub fn open(&mut self, member: Member, verb: &str) -> Result<(ThisHost, History), Failure> {
        let lock = self.host_lock(member.home(), verb)?;
        let key = member.host_key()?;
        let host = ThisHost::new(member.settings, member.domain, lock, key, self.clock)?;
        let (repaired, history) = recover(&host)?;
        self.has_checked_in |= repaired.contains(&Repaired::CheckedIn);
        for repair in repaired {
            self.out.info(&repair.sentence());
        }
        let ignored = host.verify_journal()?;
        if ignored > 0 {
            self.out.warning(&format!(
                "{ignored} bytes behind the end of the journal are ignored: a check-in or an import was interrupted before it counted"
            ));
        }
        Ok((host, history))
    }

    /// Takes the right to change things on this host, if nobody has it and the caller may.
    pub fn lock_if_free(&self, home: &Home, verb: &str) -> Option<HostLock> {
        let holder = Holder {
            pid: std::process::id(),
            verb: verb.to_owned(),
            since: (self.clock)(),
        };
        // Busy, or not root: whoever is at work, or comes next, does it.
        HostLock::take(&home.host_lock(), &holder, Wait::No, &mut |_| {}).ok()
    }

    /// Puts right what an interrupted isconf left behind, if nobody else is at work and the caller
    /// may; gives the reason when it could not be, in words.
    pub fn put_right(&mut self, member: &Member) -> Option<String> {
        let lock = self.lock_if_free(member.home(), "status")?;
        let member = member.clone();
        let key = member.host_key().ok()?;
        let host = ThisHost::new(member.settings, member.domain, lock, key, self.clock).ok()?;
        match recover(&host) {
            Ok((repaired, history)) => {
                for repair in repaired {
                    self.out.info(&repair.sentence());
                }
                let drafts = host.drafts(&history);
                drafts.err().map(|error| Failure::from(error).message)
            }
            Err(error) => Some(Failure::from(error).message),
        }
    }

    /// Shows one report in the form that was asked for.
    pub fn show_report(
        &mut self,
        report: &Report,
        settings: &Settings,
        show: Presentation,
        contents: Option<&dyn ContentSource>,
    ) -> Result<(), Failure> {
        let is_secret = secrets(settings);
        let mut view = View::new(self.out.style(), Detail::Normal, &is_secret);
        let text = match show.form {
            ReportForm::Json => report_json(report, &view, contents)?,
            ReportForm::Summary => {
                view.detail = Detail::Summary;
                report_text(report, &view, None)
            }
            ReportForm::Paths => report_text(report, &view, contents),
            ReportForm::AllPaths => {
                view.detail = Detail::Full;
                view.path_limit = usize::MAX;
                report_text(report, &view, contents)
            }
        };
        Ok(self.out.result(&text)?)
    }

    /// Says what is hazardous about what was found, and what to do about it, once a kind.
    pub fn advise_of_hazards<'a>(&mut self, found: impl Iterator<Item = &'a Hazard> + Clone) {
        for advice in hazard_advice(found) {
            self.out.warning(&advice.warning);
            self.out.hint(&advice.remedy);
        }
    }

    /// Says that an entry was kept although a service manager did not do what it asks.
    pub fn warn_of_failed_service(&mut self, report: &Report) {
        let failed = failed_action(&report.actions);
        if let Some(failed) = failed.filter(|_| report.is_approved()) {
            self.out
                .warning(&format!("{failed}; its entry was kept, as you said"));
        }
    }

    /// Whether a report is shown with the lines that changed.
    pub fn wants_diffs(&self, show: Presentation) -> bool {
        match show.diffs {
            Diffs::Always => true,
            Diffs::Never => false,
            Diffs::Auto => self.out.is_terminal() && show.form != ReportForm::Json,
        }
    }
}

/// Which paths have content that is never shown.
pub fn secrets(settings: &Settings) -> impl Fn(&RelPath) -> bool + use<'_> {
    let globs = &settings.secret.value;
    move |path| {
        let absolute = [b"/", path.as_bytes()].concat();
        globs.iter().any(|glob| glob.matches(&absolute))
    }
}

/// Where a command's streams lead, so that results for programs are not mixed with its output.
pub fn streams(input: Input, show: Presentation) -> Streams {
    let output = match show.form {
        ReportForm::Json | ReportForm::Summary => Output::Aside,
        ReportForm::Paths | ReportForm::AllPaths => Output::Callers,
    };
    Streams { input, output }
}

/// How `exec` and `try` end, and what they say about it: the command's own status is passed
/// through.
pub fn ending(report: &Report, not_started: Option<String>) -> Result<ExitCode, Failure> {
    match (&report.verdict, report.ending) {
        (Verdict::Approved, _) => Ok(ExitCode::Ok),
        (Verdict::Interrupted(signal), _) => Err(Failure::new(
            ExitCode::Interrupted(*signal),
            "interrupted; nothing was changed",
        )),
        (_, Ending::CouldNotStart(errno)) => Err(Failure::new(
            ExitCode::of_start_failure(errno),
            not_started.unwrap_or_else(|| "the command could not be started".to_owned()),
        )),
        (Verdict::CommandFailed, Ending::Exited(exit)) => Err(command_failure(report, exit)),
        (Verdict::LimitExceeded(exceeded), ended) => {
            let message = format!("nothing was changed: {}", limit_text(exceeded));
            let code = match ended {
                Ending::Exited(exit) if !exit.is_success() => ExitCode::Child(exit),
                Ending::Exited(_) | Ending::CouldNotStart(_) | Ending::NoCommand => {
                    ExitCode::Failure
                }
            };
            Err(Failure::new(code, message).hint(limit_hint(exceeded)))
        }
        (Verdict::OutOfReach, _) => Err(out_of_reach(report).hint(ways_to_reach(report))),
        (Verdict::Conflict, _) => Err(conflict(report)),
        (Verdict::Refused(refusals), _) => {
            let reasons: Vec<_> = refusals
                .iter()
                .map(|refusal| refusal.reason.clone())
                .collect();
            let message = format!("nothing was changed: {}", reasons.join("; "));
            Err(Failure::new(ExitCode::Failure, message).remedies(refusals))
        }
        (Verdict::ActionFailed, _) => Err(service_failure(report)),
        (Verdict::CommandFailed | Verdict::RebootNotAllowed, _) => {
            Err(Failure::new(ExitCode::Failure, "nothing was changed"))
        }
    }
}

/// The command failed, as it was kept from the running system or of itself.
fn command_failure(report: &Report, exit: Exit) -> Failure {
    let message = "the command failed; nothing was changed, and this is its exit status";
    let failure = Failure::new(ExitCode::Child(exit), message);
    let is_rehearsed = report.rehearsal.is_some();
    match report.out_of_reach().next() {
        Some(effect) if !is_rehearsed => failure.hint(format!(
            "it was kept from the running system ({}). {}",
            effect_words(effect),
            ways_to_reach(report)
        )),
        Some(_) | None => failure,
    }
}

/// The command acts on the running system, which nobody allowed.
pub fn out_of_reach(report: &Report) -> Failure {
    let mut effects: Vec<String> = report.out_of_reach().map(effect_words).collect();
    let more = effects.len().saturating_sub(MAX_NAMED);
    effects.truncate(MAX_NAMED);
    if more > 0 {
        effects.push(format!("{more} more"));
    }
    let message = format!(
        "nothing was changed: the command acts on the running system, from which a scratchpad keeps it: {}",
        effects.join("; ")
    );
    Failure::new(ExitCode::Failure, message)
}

/// How it can be made all the same.
fn ways_to_reach(report: &Report) -> String {
    let command = match &report.description {
        Description::Exec { argv, .. } => command_line(argv),
        _ => "COMMAND".to_owned(),
    };
    format!(
        "`isconf exec --live {command}` lets it, after a rehearsal; `isconf exec --contained {command}` records it without that."
    )
}

/// A service manager did not do what the entry asks.
pub fn service_failure(report: &Report) -> Failure {
    let failed = failed_action(&report.actions).unwrap_or_else(|| "a service failed".to_owned());
    let (message, hint) = match report.fate {
        Fate::TakenBack => (
            format!(
                "nothing was changed: the changes were made, then {failed}, and they were taken back"
            ),
            "see what the service says of it (`systemctl status`, its log), mend it and try again; `--keep` keeps the changes when a service fails.",
        ),
        _ => (
            format!(
                "the changes are made, {failed}, and they cannot be taken back: something changed what was changed"
            ),
            "see what the service says of it; `isconf undo` tells what is in its way.",
        ),
    };
    Failure::new(ExitCode::Failure, message).hint(hint)
}

/// The live system changed meanwhile, and the command can be run again.
pub fn conflict(report: &Report) -> Failure {
    changed_meanwhile(report).hint("look at what changed them, then run the same command again.")
}

/// The live system changed meanwhile.
pub fn changed_meanwhile(report: &Report) -> Failure {
    let paths = report.conflicts.iter().take(10);
    let paths: Vec<String> = paths.map(|conflict| conflict.path.to_string()).collect();
    let message = format!(
        "nothing was changed, because these paths changed on the live system meanwhile: {}",
        paths.join(", ")
    );
    Failure::new(ExitCode::Conflict, message)
}
