//! Reads calls of init scripts, rc-service(8), initctl(8), telinit(8) and the commands that end the
//! machine's run. Pure. Not for answering them.

use super::verb::Verb;

/// A call of one of them, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// It runs in the scratchpad: it prints its usage, checks its configuration.
    Itself,
    /// It asks for something to be done to a service.
    Runtime {
        /// What.
        verb: Verb,
        /// The service, where the call names one.
        service: Option<String>,
    },
    /// It only asks.
    Question {
        /// About which service, where the call names one.
        service: Option<String>,
    },
    /// It asks for the end of the machine's run.
    Power(String),
}

/// Words of init scripts that are no [`Verb`] and act on the running service all the same.
const SCRIPT_ACTIONS: [&str; 8] = [
    "rotate",
    "reopen-logs",
    "upgrade",
    "zap",
    "pause",
    "restart-vm",
    "kill",
    "refresh",
];

/// Scripts that are the end of the machine's run.
const ENDING: [&str; 5] = ["reboot", "halt", "poweroff", "killprocs", "sendsigs"];

/// `/etc/init.d/NAME WORD ...`.
pub(super) fn init_script(name: &str, words: &[String]) -> Asked {
    if ENDING.contains(&name) {
        return Asked::Power(name.to_owned());
    }
    let service = Some(name.to_owned());
    // With OpenRC options come first, and several words are done in turn (openrc-run(8)); elsewhere
    // what follows the word are its own arguments.
    let operands = || words.iter().filter(|word| !word.starts_with('-'));
    let mut verbs = operands().filter_map(|word| script_verb(word));
    match (verbs.next(), verbs.next()) {
        (Some(verb), None) => Asked::Runtime { verb, service },
        (Some(_), Some(_)) => {
            let all: Vec<&str> = operands().map(String::as_str).collect();
            let verb = Verb::Other(all.join(" "));
            Asked::Runtime { verb, service }
        }
        (None, _) if operands().next().is_some_and(|word| word == "status") => {
            Asked::Question { service }
        }
        (None, _) => Asked::Itself,
    }
}

/// `rc-service NAME WORD ...`.
pub(super) fn rc_service(words: &[String]) -> Asked {
    let at = words.iter().position(|word| !word.starts_with('-'));
    at.map_or(Asked::Itself, |at| {
        init_script(&words[at], &words[at + 1..])
    })
}

/// `initctl WORD [NAME]`; `by_name` is the verb that the program's own name stands for.
pub(super) fn initctl(by_name: Option<&str>, words: &[String]) -> Asked {
    let mut operands = words.iter().filter(|word| !word.starts_with('-'));
    let Some(word) = by_name.or_else(|| operands.next().map(String::as_str)) else {
        return Asked::Itself;
    };
    let service = operands.next().cloned();
    match word {
        "status" | "list" | "version" | "show-config" | "check-config" => {
            Asked::Question { service }
        }
        "reload-configuration" => Asked::Runtime {
            verb: Verb::ManagerReload,
            service: None,
        },
        "emit" | "set-env" | "unset-env" | "reset-env" => Asked::Runtime {
            verb: Verb::Other(word.to_owned()),
            service: None,
        },
        _ => match Verb::named(word) {
            Some(verb) => Asked::Runtime { verb, service },
            None => Asked::Itself,
        },
    }
}

/// `telinit LEVEL`.
pub(super) fn telinit(words: &[String]) -> Asked {
    let mut operands = words.iter().filter(|word| !word.starts_with('-'));
    match operands.next().map(String::as_str) {
        Some("0") => Asked::Power("poweroff".to_owned()),
        Some("6") => Asked::Power("reboot".to_owned()),
        Some("q" | "Q" | "u" | "U") => Asked::Runtime {
            verb: Verb::ManagerReload,
            service: None,
        },
        Some(level) if level.len() == 1 => Asked::Runtime {
            verb: Verb::Other(format!("runlevel {level}")),
            service: None,
        },
        Some(_) | None => Asked::Itself,
    }
}

/// `shutdown`, `reboot` and their like.
pub(super) fn power(name: &str, words: &[String]) -> Asked {
    let only_says = ["--help", "--version", "--show", "--wtmp-only", "-w"];
    match words.iter().any(|word| only_says.contains(&word.as_str())) {
        true => Asked::Itself,
        false => Asked::Power(name.to_owned()),
    }
}

fn script_verb(word: &str) -> Option<Verb> {
    let other = || {
        SCRIPT_ACTIONS
            .contains(&word)
            .then(|| Verb::Other(word.to_owned()))
    };
    Verb::named(word).filter(Verb::needs_service).or_else(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn runtime(verb: Verb, service: &str) -> Asked {
        Asked::Runtime {
            verb,
            service: Some(service.to_owned()),
        }
    }

    #[test]
    fn init_scripts_are_understood() {
        let script = |line: &str| init_script("apache", &words(line));
        assert_eq!(script("stop"), runtime(Verb::Stop, "apache"));
        assert_eq!(
            script("force-reload"),
            runtime(Verb::ReloadOrRestart, "apache")
        );
        let question = Asked::Question {
            service: Some("apache".to_owned()),
        };
        assert_eq!(script("status"), question);
        assert_eq!(script("--nodeps restart"), runtime(Verb::Restart, "apache"));
        assert_eq!(script("stop eth0"), runtime(Verb::Stop, "apache"));
        let both = Verb::Other("zap start".to_owned());
        assert_eq!(script("zap start"), runtime(both, "apache"));
        for line in ["", "configtest", "--help", "daemon-reload"] {
            assert_eq!(script(line), Asked::Itself, "{line}");
        }
    }

    #[test]
    fn other_managers_are_understood() {
        assert_eq!(
            rc_service(&words("--quiet sshd restart")),
            runtime(Verb::Restart, "sshd")
        );
        assert_eq!(rc_service(&words("--list")), Asked::Itself);
        assert_eq!(
            initctl(None, &words("start cron")),
            runtime(Verb::Start, "cron")
        );
        assert_eq!(
            initctl(Some("stop"), &words("cron")),
            runtime(Verb::Stop, "cron")
        );
        assert_eq!(telinit(&words("6")), Asked::Power("reboot".to_owned()));
        assert_eq!(
            telinit(&words("q")),
            Asked::Runtime {
                verb: Verb::ManagerReload,
                service: None
            }
        );
        assert_eq!(telinit(&words("--help")), Asked::Itself);
        assert_eq!(power("halt", &words("-f")), Asked::Power("halt".to_owned()));
        assert_eq!(power("shutdown", &words("--show")), Asked::Itself);
    }
}
