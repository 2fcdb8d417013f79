//! A request to a service manager that waits for the commit. Plain data, and which programs ask about
//! it and take it back. Not for running them.

use std::ffi::OsString;
use std::path::PathBuf;

use super::live::Said;
use super::verb::{Running, Verb};

/// A request to a service manager that waits for the commit: what was called, and what it means.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Action {
    /// The program, absolute, as seen inside and, after the commit, live.
    pub program: PathBuf,
    /// Its arguments, the first of which is its own name.
    pub argv: Vec<OsString>,
    /// Where it was called, absolute.
    pub cwd: PathBuf,
    /// The environment it was called with.
    pub env: Vec<(OsString, OsString)>,
    /// Whose request it is.
    pub manager: Manager,
    /// What is asked.
    pub verb: Verb,
    /// The services it is about, by the manager's names; none where it is about the manager itself.
    pub services: Vec<String>,
}

/// The kinds of service managers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Manager {
    /// systemd(1), asked by systemctl(1).
    Systemd,
    /// A script of `/etc/init.d`, which is the program.
    InitScript,
    /// start-stop-daemon(8): the service is what its options select.
    StartStopDaemon,
    /// OpenRC, asked by rc-service(8).
    OpenRc,
    /// Upstart, asked by initctl(8).
    Upstart,
    /// init(8) of System V, asked by telinit(8).
    Init,
}

impl Manager {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Systemd,
        Self::InitScript,
        Self::StartStopDaemon,
        Self::OpenRc,
        Self::Upstart,
        Self::Init,
    ];

    /// Its name in files and for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::InitScript => "init-script",
            Self::StartStopDaemon => "start-stop-daemon",
            Self::OpenRc => "openrc",
            Self::Upstart => "upstart",
            Self::Init => "init",
        }
    }
}

/// The longest environment that is written down with a request, in bytes.
const MAX_ENVIRONMENT: usize = 8 << 10;

impl Action {
    /// The call that does this to one of its services; `None` where the manager has no word for it,
    /// or another call would need more than is known.
    pub fn call(&self, verb: &Verb, service: &str) -> Option<Vec<OsString>> {
        let words = |words: &[&str]| {
            let first = self.program.clone().into_os_string();
            let rest = words.iter().map(OsString::from);
            Some(std::iter::once(first).chain(rest).collect())
        };
        if matches!(verb, Verb::Other(_)) {
            return None;
        }
        match self.manager {
            Manager::Systemd if *verb == Verb::ManagerReload => words(&[verb.name()]),
            Manager::Systemd => words(&[verb.name(), "--", service]),
            Manager::InitScript => words(&[script_word(verb)?]),
            Manager::OpenRc => words(&[service, script_word(verb)?]),
            Manager::Upstart => words(&[script_word(verb)?, service]),
            Manager::StartStopDaemon if *verb == Verb::Stop => {
                super::start_stop_daemon::stop(&self.argv)
            }
            Manager::StartStopDaemon | Manager::Init => None,
        }
    }

    /// What the answer to [`Self::question`] says; `None` when it does not tell.
    pub fn runs(&self, said: &Said) -> Option<Running> {
        match self.manager {
            Manager::Systemd => match said.out.trim() {
                "active" | "reloading" | "activating" | "refreshing" => Some(Running::Yes),
                "inactive" | "failed" | "deactivating" => Some(Running::No),
                _ => None,
            },
            Manager::InitScript | Manager::OpenRc | Manager::StartStopDaemon => {
                let is_usage = |text: &str| text.to_lowercase().contains("usage");
                match said.status {
                    0 => Some(Running::Yes),
                    // A script that does not know the question says how it is used.
                    1..=3 if !is_usage(&said.out) && !is_usage(&said.err) => Some(Running::No),
                    _ => None,
                }
            }
            Manager::Upstart | Manager::Init => None,
        }
    }

    /// The call that asks whether the service runs.
    pub fn question(&self, service: &str) -> Option<Vec<OsString>> {
        let first = self.program.clone().into_os_string();
        let with = |words: &[&str]| {
            let rest = words.iter().map(OsString::from);
            Some(std::iter::once(first.clone()).chain(rest).collect())
        };
        match self.manager {
            Manager::Systemd => with(&["show", "-p", "ActiveState", "--value", "--", service]),
            Manager::InitScript => with(&["status"]),
            Manager::OpenRc => with(&[service, "status"]),
            Manager::StartStopDaemon => super::start_stop_daemon::status(&self.argv),
            // Its answer is in words: `initctl status NAME` ends with 0 for a stopped job too.
            Manager::Upstart | Manager::Init => None,
        }
    }

    /// What takes it back, given which of its services ran before: the calls to be made before its
    /// files are as they were, and those to be made after.
    pub fn reverse(&self, before: &[Option<Running>]) -> Reverse {
        let mut reverse = Reverse::default();
        if self.verb == Verb::ManagerReload {
            reverse.is_manager_reload = true;
            reverse.after.extend(self.call(&Verb::ManagerReload, ""));
            return reverse;
        }
        for (service, before) in self.services.iter().zip(before) {
            let Some(before) = before else {
                // What ran is not stopped, and what did not is not started, on a guess.
                reverse.is_partial = true;
                continue;
            };
            let Some(verb) = self.verb.reverse(*before) else {
                continue;
            };
            match self.call(&verb, service) {
                // What an entry brought has to end while its files are there.
                Some(call) if verb == Verb::Stop => reverse.before.push(call),
                Some(call) => reverse.after.push(call),
                None => reverse.is_partial = true,
            }
        }
        reverse.is_partial |= !self.verb.is_reversible();
        reverse
    }

    /// In words: the command line, without what makes it long.
    pub fn words(&self) -> String {
        let mut words = vec![self.program.display().to_string()];
        if let Some(name) = self.program.file_name()
            && self.manager != Manager::InitScript
        {
            words[0] = name.to_string_lossy().into_owned();
        }
        let rest = self.argv.iter().skip(1);
        words.extend(rest.map(|word| word.to_string_lossy().into_owned()));
        words.join(" ")
    }
}

/// What an answer sets for requests that wait for the commit in any case.
pub(super) const LATER: (&str, &str) = ("ISCONF_LATER", "1");

/// The environment that a request is made with later: the caller's, or, of one that is too large to be
/// written down with every request, what programs need in any case.
pub(super) fn recorded_environment(env: &[(OsString, OsString)]) -> Vec<(OsString, OsString)> {
    let length: usize = env
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    let is_needed = |name: &OsString| {
        let name = name.to_string_lossy();
        ["PATH", "HOME", "LANG", "TZ", "TERM"].contains(&name.as_ref()) || name.starts_with("LC_")
    };
    let pairs = env.iter();
    pairs
        .filter(|(name, _)| name != LATER.0)
        .filter(|(name, value)| {
            length <= MAX_ENVIRONMENT || (is_needed(name) && value.len() <= MAX_ENVIRONMENT / 16)
        })
        .cloned()
        .collect()
}

/// Calls that take an action back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reverse {
    /// To be made while the entry's files are still there.
    pub before: Vec<Vec<OsString>>,
    /// To be made when they are as they were.
    pub after: Vec<Vec<OsString>>,
    /// Whether something of it cannot be taken back.
    pub is_partial: bool,
    /// Whether it has the manager read its files again, which comes before all that is started.
    pub is_manager_reload: bool,
}

/// The word that init scripts have for it (Debian policy, 9.3.2; Linux Standard Base, "Init Script
/// Actions").
fn script_word(verb: &Verb) -> Option<&'static str> {
    match verb {
        Verb::Start => Some("start"),
        Verb::Stop => Some("stop"),
        Verb::Restart => Some("restart"),
        Verb::Reload => Some("reload"),
        Verb::ReloadOrRestart => Some("force-reload"),
        Verb::TryRestart | Verb::TryReloadOrRestart | Verb::ManagerReload | Verb::Other(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(program: &str, words: &[&str], manager: Manager, verb: Verb) -> Action {
        Action {
            program: program.into(),
            argv: std::iter::once(&program)
                .chain(words)
                .map(OsString::from)
                .collect(),
            cwd: "/".into(),
            env: Vec::new(),
            manager,
            verb,
            services: vec!["a.service".to_owned(), "b.service".to_owned()],
        }
    }

    fn lines(calls: &[Vec<OsString>]) -> Vec<String> {
        let line = |call: &Vec<OsString>| call.join(" ".as_ref()).into_string().unwrap();
        calls.iter().map(line).collect()
    }

    #[test]
    fn what_was_started_is_stopped_before_its_files_go() {
        let words = ["start", "a", "b"];
        let start = action("/bin/systemctl", &words, Manager::Systemd, Verb::Start);
        let reverse = start.reverse(&[Some(Running::Yes), Some(Running::No)]);
        assert_eq!(lines(&reverse.before), ["/bin/systemctl stop -- b.service"]);
        assert_eq!(lines(&reverse.after), [""; 0]);
        assert!(!reverse.is_partial);
        assert_eq!(start.words(), "systemctl start a b");
    }

    #[test]
    fn what_was_restarted_is_restarted_with_the_old_files() {
        let mut restart = action(
            "/etc/init.d/a",
            &["restart"],
            Manager::InitScript,
            Verb::Restart,
        );
        restart.services.truncate(1);
        let reverse = restart.reverse(&[Some(Running::Yes)]);
        assert_eq!(lines(&reverse.after), ["/etc/init.d/a restart"]);
        assert_eq!(
            restart.question("a"),
            Some(vec!["/etc/init.d/a".into(), "status".into()])
        );
        assert_eq!(restart.words(), "/etc/init.d/a restart");
    }

    #[test]
    fn nothing_is_stopped_on_a_guess() {
        let words = ["restart", "a", "b"];
        let restart = action("/bin/systemctl", &words, Manager::Systemd, Verb::Restart);
        let reverse = restart.reverse(&[None, Some(Running::No)]);
        assert_eq!(lines(&reverse.before), ["/bin/systemctl stop -- b.service"]);
        assert!(reverse.is_partial);
        let said = |status, out: &str| Said {
            status,
            out: out.to_owned(),
            err: String::new(),
        };
        assert_eq!(restart.runs(&said(3, "activating\n")), Some(Running::Yes));
        assert_eq!(restart.runs(&said(1, "")), None);
        let script = action(
            "/etc/init.d/a",
            &["start"],
            Manager::InitScript,
            Verb::Start,
        );
        assert_eq!(script.runs(&said(3, "")), Some(Running::No));
        assert_eq!(script.runs(&said(1, "Usage: a start|stop")), None);
    }

    #[test]
    fn what_has_no_reverse_is_said_to_have_none() {
        let kill = Verb::Other("kill".to_owned());
        let kill = action("/bin/systemctl", &["kill", "a"], Manager::Systemd, kill);
        let reverse = kill.reverse(&[Some(Running::Yes), Some(Running::Yes)]);
        assert!(reverse.is_partial && reverse.before.is_empty() && reverse.after.is_empty());
    }
}
