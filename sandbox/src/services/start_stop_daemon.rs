//! Reads calls of start-stop-daemon(8), and makes others of them. Pure. Upholds: which process a call
//! means is said by its own options, which are kept as they are.

use std::ffi::{OsStr, OsString};

use super::verb::Verb;

/// A call of start-stop-daemon(8), understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// It prints its usage or its version.
    Itself,
    /// It starts or stops what its options select.
    Runtime(Verb),
    /// It asks whether that runs.
    Question,
    /// It says what it would do.
    Test,
}

/// Options that select a process, each with a value: short and long.
const SELECTING: [(&str, &str); 6] = [
    ("-p", "--pidfile"),
    ("-x", "--exec"),
    ("-n", "--name"),
    ("-u", "--user"),
    ("", "--pid"),
    ("", "--ppid"),
];

/// Other options with a value.
const WITH_VALUE: [&str; 22] = [
    "-s",
    "--signal",
    "-R",
    "--retry",
    "-a",
    "--startas",
    "-g",
    "--group",
    "-c",
    "--chuid",
    "-r",
    "--chroot",
    "-d",
    "--chdir",
    "-N",
    "--nicelevel",
    "-P",
    "--procsched",
    "-I",
    "--iosched",
    "-k",
    "--umask",
];

/// Understands the arguments, without the program's own name.
pub(super) fn asked(words: &[String]) -> Asked {
    let own = own(words);
    let has = |short: char, long: &str| own.iter().any(|word| is(word, short, long));
    if has('H', "--help") || has('V', "--version") {
        Asked::Itself
    } else if has('t', "--test") {
        Asked::Test
    } else if has('T', "--status") {
        Asked::Question
    } else if has('S', "--start") {
        Asked::Runtime(Verb::Start)
    } else if has('K', "--stop") {
        Asked::Runtime(Verb::Stop)
    } else {
        Asked::Itself
    }
}

/// Whether it is no failure if there is nothing to do.
pub(super) fn is_content(words: &[String]) -> bool {
    own(words).iter().any(|word| is(word, 'o', "--oknodo"))
}

/// What the options select, as a name for it.
pub(super) fn selected(words: &[String]) -> String {
    let of = |wanted: &[&str]| {
        let found = selecting(words).into_iter();
        let mut found = found.filter(|(name, _)| wanted.contains(&name.as_str()));
        found.next().map(|(_, value)| value)
    };
    of(&["--exec", "-x"])
        .or_else(|| of(&["--startas", "-a"]))
        .or_else(|| of(&["--name", "-n"]))
        .or_else(|| of(&["--pidfile", "-p"]))
        .unwrap_or_default()
}

/// The call that asks whether what this one selects runs.
pub(super) fn status(argv: &[OsString]) -> Option<Vec<OsString>> {
    with_selection(argv, "--status")
}

/// The call that stops what this one starts.
pub(super) fn stop(argv: &[OsString]) -> Option<Vec<OsString>> {
    let mut call = with_selection(argv, "--stop")?;
    call.extend(["--oknodo", "--retry", "30"].map(OsString::from));
    Some(call)
}

fn with_selection(argv: &[OsString], what: &str) -> Option<Vec<OsString>> {
    let words: Option<Vec<String>> = argv
        .iter()
        .map(|word| word.to_str().map(str::to_owned))
        .collect();
    let words = words?;
    let (program, rest) = words.split_first()?;
    let selection = selecting(rest);
    if selection.is_empty() {
        return None;
    }
    let mut call = vec![OsString::from(program), OsString::from(what)];
    for (name, value) in selection {
        call.push(name.into());
        call.push(value.into());
    }
    Some(call)
}

/// The options that select a process, with their values.
fn selecting(words: &[String]) -> Vec<(String, String)> {
    let is_selecting = |name: &str| {
        let known = |(short, long): &(&str, &str)| name == *short || name == *long;
        SELECTING.iter().any(known) || ["--startas", "-a"].contains(&name)
    };
    let mut found = Vec::new();
    let mut rest = own(words).into_iter();
    while let Some(word) = rest.next() {
        match word.split_once('=') {
            Some((name, value)) if is_selecting(name) => {
                found.push((name.to_owned(), value.to_owned()));
            }
            Some(_) => {}
            None if is_selecting(word) => {
                found.extend(rest.next().map(|value| (word.to_owned(), value.to_owned())));
            }
            None if WITH_VALUE.contains(&word) => {
                rest.next();
            }
            None => {}
        }
    }
    found
}

/// The words that are its own, and not of the program that it starts.
fn own(words: &[String]) -> Vec<&str> {
    let words = words.iter().map(String::as_str);
    words.take_while(|word| *word != "--").collect()
}

/// Whether a word is the option, by its long name or among short ones.
fn is(word: &str, short: char, long: &str) -> bool {
    let among = |word: &str| {
        let word = word.strip_prefix('-');
        word.is_some_and(|w| !w.starts_with('-') && w.contains(short) && takes_none(w))
    };
    word == long || among(word)
}

/// Whether a group of short options is one of those without values.
fn takes_none(group: &str) -> bool {
    OsStr::new(group).len() <= 1 || group.chars().all(|c| "SKTtoqvbmCHV".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn calls_are_understood() {
        let asked = |line: &str| asked(&words(line));
        let start = "--start --quiet --pidfile /run/x.pid --exec /usr/sbin/x -- -t -T --stop";
        assert_eq!(asked(start), Asked::Runtime(Verb::Start));
        assert_eq!(asked("-S -x /usr/sbin/x"), Asked::Runtime(Verb::Start));
        assert_eq!(asked("-Kqo -p /run/x.pid"), Asked::Runtime(Verb::Stop));
        assert_eq!(asked("--stop --test --name x"), Asked::Test);
        assert_eq!(asked("--status --pidfile /run/x.pid"), Asked::Question);
        assert_eq!(asked("--help"), Asked::Itself);
        assert!(is_content(&words("--stop --oknodo")));
    }

    #[test]
    fn other_calls_keep_the_selection() {
        let argv = |line: &str| {
            let words = std::iter::once("/sbin/start-stop-daemon".to_owned()).chain(words(line));
            words.map(OsString::from).collect::<Vec<_>>()
        };
        let line = "--start --chuid x --pidfile=/run/x.pid -x /usr/sbin/x -- --name y";
        let line_of = |call: Vec<OsString>| call.join(" ".as_ref()).into_string().unwrap();
        assert_eq!(
            line_of(status(&argv(line)).unwrap()),
            "/sbin/start-stop-daemon --status --pidfile /run/x.pid -x /usr/sbin/x"
        );
        assert_eq!(
            line_of(stop(&argv(line)).unwrap()),
            "/sbin/start-stop-daemon --stop --pidfile /run/x.pid -x /usr/sbin/x --oknodo --retry 30"
        );
        assert_eq!(status(&argv("--start")), None);
        assert_eq!(selected(&words("--stop --name=x")), "x");
    }
}
