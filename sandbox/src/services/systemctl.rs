//! Reads a call of systemctl(1): does it concern files, running services, or is it a question? Pure.
//! Not for answering it. Upholds: a call that is not understood is never taken for a harmless one.

use super::verb::{Running, Verb};
use super::vocabulary::{
    ENDING_TARGETS, FLAGS, LONG_WITH_VALUE, OTHER_QUESTIONS, OTHER_RUNTIME, POWER, READING_FILES,
    RELOADING, SHORT_FLAGS, SHORT_WITH_VALUE, SUFFIXES,
};

/// A call of systemctl(1), understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// It does what it does without a manager: it prints its version, or works on another root.
    Itself,
    /// It changes or reads unit files; then the manager is to do this.
    Files {
        /// The arguments without what concerns running units.
        words: Vec<String>,
        /// What the manager natively does with it, each with its units.
        then: Vec<(Verb, Vec<String>)>,
    },
    /// It edits unit files.
    Edit(Edit),
    /// It prints unit files with what extends them.
    Print(Vec<String>),
    /// It asks for something to be done to running units.
    Runtime {
        /// What.
        verb: Verb,
        /// The units, with their suffixes; patterns as they are.
        units: Vec<String>,
    },
    /// It only asks.
    Question(Question),
    /// It asks for the end of the machine's run.
    Power(String),
    /// It speaks with the manager of a user, another machine or a container.
    Elsewhere(&'static str),
}

/// A question to the manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    /// Which.
    pub kind: QuestionKind,
    /// The units it names.
    pub units: Vec<String>,
    /// Whether only the exit status is wanted.
    pub is_quiet: bool,
    /// Whether values are wanted without their names.
    pub only_values: bool,
}

/// The kinds of questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QuestionKind {
    /// `is-active`.
    IsActive,
    /// `is-failed`.
    IsFailed,
    /// `status`.
    Status,
    /// `show`.
    Show,
    /// `list-units` and its like.
    List,
    /// Any other, which what waits does not change.
    Other,
}

/// `systemctl edit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    /// The units.
    pub units: Vec<String>,
    /// Whether the whole unit file is to be edited, not what extends it.
    pub is_full: bool,
    /// The name of the extending file.
    pub drop_in: String,
    /// Whether the text comes from standard input.
    pub from_stdin: bool,
    /// Whether it is to hold until the next boot only.
    pub is_runtime: bool,
}

/// The words of a call, sorted.
#[derive(Debug, Default)]
struct Words {
    /// Each option's name without dashes, and its value.
    options: Vec<(String, Option<String>)>,
    /// The verb and what it is about.
    operands: Vec<String>,
}

impl Words {
    /// Sorts the arguments, without the first, as getopt_long(3) does.
    fn of(arguments: &[String]) -> Self {
        let mut words = Self::default();
        let mut rest = arguments.iter();
        while let Some(word) = rest.next() {
            if word == "--" {
                words.operands.extend(rest.cloned());
                break;
            }
            if let Some(long) = word.strip_prefix("--") {
                let (name, value) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None if LONG_WITH_VALUE.contains(&long) => (long, rest.next().cloned()),
                    None => (long, None),
                };
                words.options.push((name.to_owned(), value));
            } else if let Some(short) = word.strip_prefix('-').filter(|short| !short.is_empty()) {
                words.push_short(short, &mut rest);
            } else {
                words.operands.push(word.clone());
            }
        }
        words
    }

    fn push_short<'w>(&mut self, short: &str, rest: &mut impl Iterator<Item = &'w String>) {
        for (at, letter) in short.char_indices() {
            if !SHORT_WITH_VALUE.contains(letter) {
                self.options.push((letter.to_string(), None));
                continue;
            }
            let attached = &short[at + letter.len_utf8()..];
            let value = match attached {
                "" => rest.next().cloned(),
                attached => Some(attached.to_owned()),
            };
            self.options.push((letter.to_string(), value));
            return;
        }
    }

    /// Whether every option is known.
    fn are_known(&self) -> bool {
        self.options.iter().all(|(name, _)| match name.len() {
            1 => SHORT_FLAGS.contains(name.as_str()) || SHORT_WITH_VALUE.contains(name.as_str()),
            _ => FLAGS.contains(&name.as_str()) || LONG_WITH_VALUE.contains(&name.as_str()),
        })
    }

    fn has(&self, names: &[&str]) -> bool {
        let mut options = self.options.iter();
        options.any(|(name, _)| names.contains(&name.as_str()))
    }

    fn value(&self, wanted: &str) -> Option<&str> {
        let mut options = self.options.iter().rev();
        let found = options.find(|(name, _)| name == wanted)?;
        found.1.as_deref()
    }
}

/// Understands the arguments of a call, without the program's own name.
pub(super) fn asked(arguments: &[String]) -> Asked {
    let words = Words::of(arguments);
    if !words.are_known() || words.has(&["help", "h", "version", "root", "image"]) {
        return Asked::Itself;
    }
    if words.has(&["user"]) {
        return Asked::Elsewhere("a user's manager");
    }
    if words.has(&["global"]) {
        return files(arguments, &words);
    }
    if words.has(&["host", "H"]) {
        return Asked::Elsewhere("another machine");
    }
    if words.has(&["machine", "M", "capsule", "C"]) {
        return Asked::Elsewhere("a container");
    }
    let Some(verb) = words.operands.first().map(String::as_str) else {
        return question(QuestionKind::List, &words);
    };
    match verb {
        _ if RELOADING.contains(&verb) || READING_FILES.contains(&verb) => files(arguments, &words),
        "edit" => edit(&words),
        "cat" => Asked::Print(units(&words)),
        "is-active" => question(QuestionKind::IsActive, &words),
        "is-failed" => question(QuestionKind::IsFailed, &words),
        "status" => question(QuestionKind::Status, &words),
        "show" => question(QuestionKind::Show, &words),
        "list-units" | "list-sockets" | "list-timers" | "list-automounts" | "list-paths" => {
            question(QuestionKind::List, &words)
        }
        _ if POWER.contains(&verb) => Asked::Power(verb.to_owned()),
        _ if ends_the_run(&words) => Asked::Power(units(&words).join(" ")),
        _ => match Verb::named(verb) {
            Some(verb) => Asked::Runtime {
                units: if verb.needs_service() {
                    units(&words)
                } else {
                    Vec::new()
                },
                verb,
            },
            None if OTHER_RUNTIME.contains(&verb) => Asked::Runtime {
                verb: Verb::Other(verb.to_owned()),
                units: units(&words),
            },
            None if OTHER_QUESTIONS.contains(&verb) => question(QuestionKind::Other, &words),
            // It finds no manager inside, and says so.
            None => Asked::Itself,
        },
    }
}

/// Whether a unit is to run that ends everything.
fn ends_the_run(words: &Words) -> bool {
    let verb = words.operands.first().map_or("", String::as_str);
    let starts =
        verb == "isolate" || Verb::named(verb).is_some_and(|v| v.leaves() == Some(Running::Yes));
    starts
        && units(words)
            .iter()
            .any(|unit| ENDING_TARGETS.contains(&unit.as_str()))
}

fn units(words: &Words) -> Vec<String> {
    words
        .operands
        .iter()
        .skip(1)
        .map(|name| unit(name))
        .collect()
}

/// The full name of a unit; a pattern or a path is left as it is.
pub(super) fn unit(name: &str) -> String {
    let is_whole = SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
    if is_whole || name.contains(['*', '?', '[', '/']) {
        name.to_owned()
    } else {
        format!("{name}.service")
    }
}

fn files(arguments: &[String], words: &Words) -> Asked {
    let verb = words.operands.first().map_or("", String::as_str);
    let mut then = Vec::new();
    if RELOADING.contains(&verb) && !words.has(&["no-reload", "global"]) {
        then.push((Verb::ManagerReload, Vec::new()));
    }
    if words.has(&["now"]) && !words.has(&["global"]) {
        let running = match verb {
            "enable" | "reenable" => Some(Verb::Start),
            "disable" | "mask" => Some(Verb::Stop),
            _ => None,
        };
        // A unit file that is linked from elsewhere is known by its own name then.
        let name = |unit: String| unit.rsplit('/').next().unwrap_or_default().to_owned();
        let units: Vec<String> = units(words).into_iter().map(name).collect();
        then.extend(running.map(|verb| (verb, units)));
    }
    let words = arguments.iter().filter(|word| *word != "--now");
    Asked::Files {
        words: words.cloned().collect(),
        then,
    }
}

fn edit(words: &Words) -> Asked {
    Asked::Edit(Edit {
        units: units(words),
        is_full: words.has(&["full"]),
        drop_in: words.value("drop-in").unwrap_or("override.conf").to_owned(),
        from_stdin: words.has(&["stdin"]),
        is_runtime: words.has(&["runtime"]),
    })
}

fn question(kind: QuestionKind, words: &Words) -> Asked {
    Asked::Question(Question {
        kind,
        units: units(words),
        is_quiet: words.has(&["quiet", "q"]),
        only_values: words.has(&["value", "P"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Asked {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        asked(&words)
    }

    fn runtime(verb: Verb, units: &[&str]) -> Asked {
        Asked::Runtime {
            verb,
            units: units.iter().map(|unit| (*unit).to_owned()).collect(),
        }
    }

    #[test]
    fn what_concerns_running_units_is_told_with_its_units() {
        assert_eq!(
            of("restart nginx"),
            runtime(Verb::Restart, &["nginx.service"])
        );
        assert_eq!(
            of("--no-block -q start a.socket b@1"),
            runtime(Verb::Start, &["a.socket", "b@1.service"])
        );
        assert_eq!(of("daemon-reload"), runtime(Verb::ManagerReload, &[]));
        assert_eq!(
            of("kill -s HUP nginx"),
            runtime(Verb::Other("kill".to_owned()), &["nginx.service"])
        );
        assert_eq!(
            of("-sHUP kill -- -x"),
            runtime(Verb::Other("kill".to_owned()), &["-x.service"])
        );
        assert_eq!(of("stop 'a*'"), runtime(Verb::Stop, &["'a*'"]));
        assert_eq!(
            of("isolate rescue.target"),
            runtime(Verb::Other("isolate".to_owned()), &["rescue.target"])
        );
    }

    #[test]
    fn files_are_told_from_what_the_manager_does_with_them() {
        let Asked::Files { words, then } = of("enable --now nginx") else {
            panic!("enable concerns files");
        };
        assert_eq!(words, ["enable", "nginx"]);
        let units = vec!["nginx.service".to_owned()];
        assert_eq!(then, [(Verb::ManagerReload, vec![]), (Verb::Start, units)]);
        let Asked::Files { then, .. } = of("enable --now /srv/app/app.service") else {
            panic!("enabling is about files");
        };
        let units = vec!["app.service".to_owned()];
        assert_eq!(then[1], (Verb::Start, units));
        let Asked::Files { then, .. } = of("--global enable --now nginx") else {
            panic!("enabling is about files");
        };
        assert_eq!(then, []);
        let Asked::Files { then, .. } = of("is-enabled nginx") else {
            panic!("is-enabled concerns files");
        };
        assert_eq!(then, []);
        assert_eq!(of("--root=/srv enable nginx"), Asked::Itself);
        assert_eq!(of("--version"), Asked::Itself);
    }

    #[test]
    fn questions_power_and_other_managers_are_told() {
        let Asked::Question(question) = of("show -p ActiveState --value nginx") else {
            panic!("show is a question");
        };
        assert_eq!(question.kind, QuestionKind::Show);
        assert_eq!(question.units, ["nginx.service"]);
        assert!(question.only_values);
        assert_eq!(of("reboot"), Asked::Power("reboot".to_owned()));
        assert_eq!(of("--user restart x"), Asked::Elsewhere("a user's manager"));
        assert_eq!(
            of("-H root@x restart x"),
            Asked::Elsewhere("another machine")
        );
        let Asked::Edit(edit) = of("edit --full --stdin nginx") else {
            panic!("edit is told");
        };
        assert!(edit.is_full && edit.from_stdin);
    }

    /// What a newer systemctl can be asked that is not known here is never put to the live manager.
    #[test]
    fn every_verb_that_does_something_is_known() {
        for verb in OTHER_RUNTIME {
            assert!(matches!(of(verb), Asked::Runtime { .. }), "{verb}");
        }
        for verb in POWER {
            assert!(matches!(of(verb), Asked::Power(_)), "{verb}");
        }
        for line in [
            "renice x",
            "--sig 9 kill x",
            "--new-option no restart x",
            "-X restart x",
        ] {
            assert_eq!(of(line), Asked::Itself, "{line}");
        }
        for line in [
            "--boot-loader-menu 5 reboot",
            "start reboot.target",
            "isolate runlevel6.target",
        ] {
            assert!(matches!(of(line), Asked::Power(_)), "{line}");
        }
        assert!(matches!(of("--legend no restart x"), Asked::Runtime { .. }));
    }
}
