//! Decides about each program that speaks with a service manager when it starts: it runs, or an answer
//! stands in for it. Not for noticing the start. Upholds: what is answered with success is done after
//! the commit, in this order, or, with the running system in reach, is done already.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use super::action::{Action, LATER, Manager, recorded_environment};
use super::adjust::{adjust, values_only};
use super::answer::Answer;
use super::expected::Expected;
use super::live::{Call, Said, ask};
use super::start::{Response, Start, names, with_names};
use super::systemctl::{self, Question, QuestionKind};
use super::tool::{Tool, tool};
use super::units::{UnitFile, unit_file};
use super::verb::{Running, Verb};
use super::{scripts, start_stop_daemon, unit_files};
use crate::child::{Effect, EffectKind, EffectOutcome};

/// How long the live manager may take to answer a question.
const QUESTION: Duration = Duration::from_secs(30);

/// How long it may take to do something, with the running system in reach: systemd gives a unit 90
/// seconds to start and as long to stop (systemd-system.conf(5), `DefaultTimeoutStartSec=`).
const REQUEST: Duration = Duration::from_secs(600);

/// How long such a request has to end by itself when isconf is asked to end.
const GRACE: Duration = Duration::from_secs(5);

/// By this systemctl(1) works on files without a manager (systemd's ENVIRONMENT.md).
const OFFLINE: (&str, &str) = ("SYSTEMD_OFFLINE", "1");

/// Actions beyond this number are refused: an entry is not meant to ask for so many.
const MAX_ACTIONS: usize = 1000;

/// When what concerns running services is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// After the commit.
    Later,
    /// At once: the running system is in reach.
    Now,
}

/// Decides, and remembers what waits.
#[derive(Debug)]
pub(crate) struct Desk {
    root: OwnedFd,
    when: When,
    expected: Expected,
    actions: Vec<Action>,
    effects: Vec<Effect>,
}

impl Desk {
    /// Everything waits for the commit. `root` is the scratchpad's root directory; `expected` is what
    /// waits already of entries before this one in the same scratchpad.
    pub(crate) fn deferring(root: OwnedFd, expected: Expected) -> Self {
        Self::new(root, When::Later, expected)
    }

    /// Everything is done at once.
    pub(crate) fn at_once(root: OwnedFd) -> Self {
        Self::new(root, When::Now, Expected::default())
    }

    fn new(root: OwnedFd, when: When, expected: Expected) -> Self {
        Self {
            root,
            when,
            expected,
            actions: Vec::new(),
            effects: Vec::new(),
        }
    }

    /// What waits, in the order in which it was asked, and what is expected of services then.
    pub(crate) fn into_actions(self) -> (Vec<Action>, Expected) {
        (self.actions, self.expected)
    }

    /// How many requests wait.
    pub(crate) fn count(&self) -> usize {
        self.actions.len()
    }

    /// Drops the requests beyond that many: their caller could not be answered, and is refused.
    pub(crate) fn drop_beyond(&mut self, count: usize) {
        self.actions.truncate(count);
        for effect in &mut self.effects {
            effect.outcome = EffectOutcome::Refused(libc::EACCES);
        }
    }

    /// Takes the effects that were found since the last call.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Decides about a program that starts.
    pub(crate) fn respond(&mut self, start: &Start) -> Response {
        let Some(tool) = tool(&start.called, &start.real) else {
            return Response::Itself;
        };
        // Nobody but root is listened to by a manager, without a further question to a user.
        if !start.is_root {
            return Response::Itself;
        }
        let words = || {
            let rest = start.argv.iter().skip(1);
            rest.map(|word| word.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
        };
        // What runs live goes by the name by which it was told, whatever its caller calls it.
        let mut named = start.clone();
        if let (Some(first), Some(name)) = (named.argv.first_mut(), start.called.file_name()) {
            *first = match tool {
                Tool::InitScript(_) => start.called.clone().into_os_string(),
                _ => name.to_owned(),
            };
        }
        let start = &named;
        match tool {
            Tool::Systemctl => self.systemctl(start, &words()),
            Tool::InitScript(name) => {
                let asked = scripts::init_script(&name, &words());
                self.script(start, Manager::InitScript, asked)
            }
            Tool::RcService => self.script(start, Manager::OpenRc, scripts::rc_service(&words())),
            Tool::Initctl(verb) => {
                let asked = scripts::initctl(verb.as_deref(), &words());
                self.script(start, Manager::Upstart, asked)
            }
            Tool::Telinit => self.script(start, Manager::Init, scripts::telinit(&words())),
            Tool::Power(name) => self.script(start, Manager::Init, scripts::power(&name, &words())),
            Tool::StartStopDaemon => self.start_stop_daemon(start, &words()),
            Tool::Mounts if self.when == When::Later => Response::Itself,
            Tool::Mounts => {
                let name = start.called.file_name().unwrap_or_default();
                let name = name.to_string_lossy().into_owned();
                let said = self.now(start, EffectKind::Mount, &name, &words().join(" "));
                Response::Instead(Answer::saying(&said))
            }
        }
    }

    fn systemctl(&mut self, start: &Start, words: &[String]) -> Response {
        // Without systemd it says so itself.
        if start.sets(OFFLINE) || !Path::new("/run/systemd/system").is_dir() {
            return Response::Itself;
        }
        match systemctl::asked(words) {
            systemctl::Asked::Itself => Response::Itself,
            systemctl::Asked::Files { words, then } => {
                // What follows from the files is asked for only when they are changed. It comes here
                // as any other request, and waits, also with the running system in reach: the files
                // are not there before the commit.
                let words: Vec<OsString> = words.iter().map(OsString::from).collect();
                let calls = then.into_iter().map(|(verb, units)| {
                    let begins_like_an_option = units.iter().any(|unit| unit.starts_with('-'));
                    let end = begins_like_an_option.then(|| "--".to_owned());
                    let units = end.into_iter().chain(units).map(OsString::from);
                    std::iter::once(verb.name().into()).chain(units).collect()
                });
                let calls: Vec<Vec<OsString>> = calls.collect();
                Response::Instead(Answer::running(
                    start.called.as_os_str(),
                    (OFFLINE, &words),
                    (LATER, &calls),
                ))
            }
            systemctl::Asked::Edit(edit) => {
                self.defer(start, Manager::Systemd, Verb::ManagerReload, Vec::new());
                Response::Instead(unit_files::edit(&edit))
            }
            systemctl::Asked::Print(units) => Response::Instead(unit_files::print(&units)),
            systemctl::Asked::Runtime { verb, units } => {
                let said = match self.when(start) {
                    When::Now => {
                        self.now(start, EffectKind::Service, verb.name(), &units.join(" "))
                    }
                    When::Later => self
                        .defer_for_units(start, verb, units)
                        .unwrap_or_else(|refused| refused),
                };
                Response::Instead(Answer::saying(&said))
            }
            systemctl::Asked::Question(question) => self.unit_question(start, &question),
            systemctl::Asked::Power(what) => self.power(start, &what),
            systemctl::Asked::Elsewhere(manager) => {
                let outcome = EffectOutcome::Refused(libc::EPERM);
                self.note(EffectKind::Service, "ask", manager, start, outcome);
                Response::refusing(&format!("an entry cannot speak with {manager}"))
            }
        }
    }

    fn when(&self, start: &Start) -> When {
        match start.sets(LATER) {
            true => When::Later,
            false => self.when,
        }
    }

    /// Lets it wait for the commit, or says what the manager would that refuses at once.
    fn defer_for_units(
        &mut self,
        start: &Start,
        verb: Verb,
        units: Vec<String>,
    ) -> Result<Said, Said> {
        if verb.needs_service() {
            for unit in &units {
                if let Some(said) = self.unit_refusal(start, &verb, unit) {
                    return Err(said);
                }
            }
        }
        self.defer(start, Manager::Systemd, verb, units);
        Ok(Said::default())
    }

    /// What the manager would say that refuses at once; `None` when it would go to work.
    fn unit_refusal(&self, start: &Start, verb: &Verb, unit: &str) -> Option<Said> {
        if unit.contains(['*', '?', '[', '/']) {
            return None;
        }
        let file = unit_file(self.root.as_fd(), unit);
        let starts = verb.leaves() == Some(Running::Yes);
        if file == UnitFile::Masked && starts {
            let text = format!("Failed to {verb} {unit}: Unit {unit} is masked.\n");
            return Some(Said::failing(1, text));
        }
        if file == UnitFile::There && *verb != Verb::Reload {
            return None;
        }
        let argv = ["show", "-p", "LoadState", "-p", "ActiveState", "--", unit];
        let state = self.ask_live(start, &argv).ok()?.out;
        if file == UnitFile::Absent && state.contains("LoadState=not-found") {
            let why = if *verb == Verb::Stop {
                "loaded"
            } else {
                "found"
            };
            let text = format!("Failed to {verb} {unit}: Unit {unit} not {why}.\n");
            return Some(Said::failing(5, text));
        }
        let expectation = self.expected.of(Manager::Systemd, unit);
        let runs = match expectation {
            Some(expectation) => expectation.running == Running::Yes,
            None => state.contains("ActiveState=active"),
        };
        (*verb == Verb::Reload && !runs)
            .then(|| Said::failing(1, format!("{unit} is not active, cannot reload.\n")))
    }

    fn unit_question(&self, start: &Start, question: &Question) -> Response {
        let argv: Vec<OsString> = match question.kind {
            // Names and words are needed to adjust them.
            QuestionKind::Show | QuestionKind::IsActive | QuestionKind::IsFailed => {
                let is_kept = |word: &&OsString| {
                    let word = word.to_string_lossy();
                    !["--value", "--quiet", "-q"].contains(&word.as_ref())
                };
                let words = start.argv.iter().filter(is_kept);
                words.map(with_names).collect()
            }
            QuestionKind::Status | QuestionKind::List | QuestionKind::Other => start.argv.clone(),
        };
        let Ok(said) = self.put(start, &argv) else {
            return Response::Itself;
        };
        let is_there = |unit: &str| unit_file(self.root.as_fd(), unit) == UnitFile::There;
        let mut said = adjust(question, said, &self.expected, &is_there);
        if question.kind == QuestionKind::Show && question.only_values {
            said.out = values_only(&said.out);
        }
        if question.is_quiet && question.kind != QuestionKind::Show {
            said.out.clear();
        }
        Response::Instead(Answer::saying(&said))
    }

    fn script(&mut self, start: &Start, manager: Manager, asked: scripts::Asked) -> Response {
        match asked {
            scripts::Asked::Itself => Response::Itself,
            scripts::Asked::Power(what) => self.power(start, &what),
            scripts::Asked::Question { service } => {
                let expectation = service.and_then(|name| {
                    let running = self.expected.of(manager, &name)?.running;
                    Some((name, running))
                });
                match expectation {
                    Some((name, Running::Yes)) => {
                        Response::saying(0, &format!("{name} is running.\n"))
                    }
                    Some((name, Running::No)) => {
                        Response::saying(3, &format!("{name} is not running.\n"))
                    }
                    None => self.question(start),
                }
            }
            scripts::Asked::Runtime { verb, service } => {
                let services: Vec<String> = service.into_iter().collect();
                if self.when == When::Now {
                    let said =
                        self.now(start, EffectKind::Service, verb.name(), &services.join(" "));
                    return Response::Instead(Answer::saying(&said));
                }
                self.defer(start, manager, verb, services);
                Response::saying(0, "")
            }
        }
    }

    fn start_stop_daemon(&mut self, start: &Start, words: &[String]) -> Response {
        let service = start_stop_daemon::selected(words);
        let manager = Manager::StartStopDaemon;
        let expectation = self.expected.of(manager, &service);
        let running = expectation.map(|expectation| expectation.running);
        match (start_stop_daemon::asked(words), running) {
            (start_stop_daemon::Asked::Itself, _) => Response::Itself,
            (start_stop_daemon::Asked::Question, Some(Running::Yes)) => Response::saying(0, ""),
            (start_stop_daemon::Asked::Question, Some(Running::No)) => Response::saying(3, ""),
            (start_stop_daemon::Asked::Question | start_stop_daemon::Asked::Test, _) => {
                self.question(start)
            }
            (start_stop_daemon::Asked::Runtime(verb), running) => {
                if self.when == When::Now {
                    let said = self.now(start, EffectKind::Service, verb.name(), &service);
                    return Response::Instead(Answer::saying(&said));
                }
                let runs = running.or_else(|| self.runs(start));
                if runs.is_some() && runs == verb.leaves() && !start_stop_daemon::is_content(words)
                {
                    // "If nothing was done, exit status 1" (start-stop-daemon(8), --oknodo).
                    return Response::saying(1, "");
                }
                self.defer(start, manager, verb, vec![service]);
                Response::saying(0, "")
            }
        }
    }

    /// Whether what a call of start-stop-daemon(8) selects runs on the live system.
    fn runs(&self, start: &Start) -> Option<Running> {
        let argv = start_stop_daemon::status(&start.argv)?;
        match self.put(start, &argv).ok()?.status {
            0 => Some(Running::Yes),
            1 | 3 => Some(Running::No),
            _ => None,
        }
    }

    /// Puts a question to the live program as it was asked, if the live system has the program.
    fn question(&self, start: &Start) -> Response {
        match self.put(start, &start.argv) {
            Ok(said) => Response::Instead(Answer::saying(&said)),
            Err(_) => Response::Itself,
        }
    }

    fn power(&mut self, start: &Start, what: &str) -> Response {
        let outcome = EffectOutcome::Refused(libc::EPERM);
        self.note(EffectKind::Reboot, what, "", start, outcome);
        Response::refusing(
            "an entry cannot do this; `isconf reboot` makes an entry of its own for it",
        )
    }

    /// Lets it wait for the commit. A manager that is to read its files twice, with nothing between,
    /// is to read them once.
    fn defer(&mut self, start: &Start, manager: Manager, verb: Verb, services: Vec<String>) {
        let target = services.join(" ");
        if self.actions.len() == MAX_ACTIONS {
            // An effect that is lost: the entry will not go through.
            let outcome = EffectOutcome::Refused(libc::E2BIG);
            return self.note(EffectKind::Service, verb.name(), &target, start, outcome);
        }
        self.note(
            EffectKind::Service,
            verb.name(),
            &target,
            start,
            EffectOutcome::Deferred,
        );
        let is_reload = |action: &Action| action.verb == Verb::ManagerReload;
        if verb == Verb::ManagerReload && self.actions.last().is_some_and(is_reload) {
            return;
        }
        self.expected.note(manager, &verb, &services);
        self.actions.push(Action {
            program: start.real.clone(),
            argv: self.later_argv(start, manager, &verb, &services),
            cwd: start.cwd.clone(),
            env: recorded_environment(&start.env),
            manager,
            verb,
            services,
        });
    }

    /// The call to be made later: the caller's own, unless that was about files too.
    fn later_argv(
        &self,
        start: &Start,
        manager: Manager,
        verb: &Verb,
        services: &[String],
    ) -> Vec<OsString> {
        if manager != Manager::Systemd || names(start, verb) {
            return start.argv.clone();
        }
        let words = ["systemctl", verb.name()].map(OsString::from);
        words
            .into_iter()
            .chain(services.iter().map(OsString::from))
            .collect()
    }

    /// Does it on the live system at once.
    fn now(&mut self, start: &Start, kind: EffectKind, operation: &str, target: &str) -> Said {
        self.note(kind, operation, target, start, EffectOutcome::Allowed);
        let asked = ask(Call {
            program: &start.real,
            argv: &start.argv,
            env: &start.env,
            cwd: &start.cwd,
            time: REQUEST,
            grace: Some(GRACE),
        });
        asked.unwrap_or_else(|error| {
            Said::failing(126, format!("{}: {error}\n", start.real.display()))
        })
    }

    fn ask_live(&self, start: &Start, words: &[&str]) -> std::io::Result<Said> {
        let first = start.real.clone().into_os_string();
        let rest = words.iter().map(OsString::from);
        let argv: Vec<OsString> = std::iter::once(first).chain(rest).collect();
        self.put(start, &argv)
    }

    fn put(&self, start: &Start, argv: &[OsString]) -> std::io::Result<Said> {
        ask(Call {
            program: &start.real,
            argv,
            env: &start.env,
            cwd: &start.cwd,
            time: QUESTION,
            grace: Some(Duration::ZERO),
        })
    }

    fn note(
        &mut self,
        kind: EffectKind,
        operation: &str,
        target: &str,
        start: &Start,
        outcome: EffectOutcome,
    ) {
        self.effects.push(Effect {
            kind,
            operation: operation.to_owned(),
            target: target.to_owned(),
            process: start.process.clone(),
            outcome,
            count: 1,
        });
    }
}
