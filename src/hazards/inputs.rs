//! What a command's words name, and whether that is known on other hosts. Pure: the words go in, the
//! files to look at come out; what was found there goes in, the finding comes out. A heuristic: what
//! a command opens by itself is not seen.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use isconf_sandbox::change::{RelPath, Timestamp};

use crate::model::{Bytes, Exec, Hazard, HazardCode};

/// How many names of a command are looked at.
const MAX_NAMES: usize = 64;

/// What separates the words of a shell script, and an option from its value.
const SEPARATORS: &[u8] = b" \t\n;&|<>()'\"`=,";

/// Where nothing is a file of the host.
const PSEUDO: [&str; 3] = ["dev", "proc", "sys"];

/// Where people and programs put what lasts no longer than they need it.
const PASSING: [&str; 2] = ["tmp", "var/tmp"];

/// Where people have their own files.
const PERSONAL: [&str; 2] = ["home", "root"];

/// Absolute paths that the command may read, without `.` and `..`: its program, arguments, and words
/// of arguments that look like paths.
pub fn names(exec: &Exec, path_variable: &OsStr) -> Vec<PathBuf> {
    let cwd = Path::new(exec.cwd.as_os_str());
    let mut names = BTreeSet::new();
    let mut words = exec.argv.iter().map(Bytes::as_slice);
    if let Some(program) = words.next() {
        names.extend(programs(program, cwd, path_variable));
    }
    for word in words {
        names.insert(cwd.join(OsStr::from_bytes(word)));
        let parts = word.split(|b| SEPARATORS.contains(b));
        let is_path = |part: &&[u8]| {
            [b"/".as_slice(), b"./", b"../"]
                .iter()
                .any(|start| part.starts_with(start))
        };
        names.extend(
            parts
                .filter(is_path)
                .map(|p| cwd.join(OsStr::from_bytes(p))),
        );
    }
    let names = names.into_iter().map(|name| without_dots(&name));
    names.filter(|name| is_real(name)).take(MAX_NAMES).collect()
}

/// Where the program may be; the first that exists is the one that runs.
fn programs(program: &[u8], cwd: &Path, path_variable: &OsStr) -> Vec<PathBuf> {
    let program = OsStr::from_bytes(program);
    if program.as_bytes().contains(&b'/') {
        return vec![cwd.join(program)];
    }
    let directories = path_variable.as_bytes().split(|b| *b == b':');
    directories
        .map(|directory| cwd.join(OsStr::from_bytes(directory)).join(program))
        .collect()
}

fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => {
                plain.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    plain
}

fn is_real(path: &Path) -> bool {
    let inside = path.strip_prefix("/").unwrap_or(path);
    let is_whole = inside.as_os_str().is_empty();
    !is_whole && !PSEUDO.iter().any(|pseudo| inside.starts_with(pseudo))
}

/// What was found under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The name.
    pub named: RelPath,
    /// Where it really is.
    pub real: RelPath,
    /// Whether it is a directory, which changes when what is in it does.
    pub is_directory: bool,
    /// When it was last changed in any way.
    pub changed: Timestamp,
    /// When it was made, if the filesystem knows.
    pub born: Option<Timestamp>,
}

/// A finding, unless the input is older than `since` (when this host joined its domain, which
/// stands for the base image) or `is_known`: written by an entry, or in something that one made.
pub fn judge(
    input: &Input,
    since: Timestamp,
    is_known: &mut dyn FnMut(&RelPath) -> bool,
) -> Option<Hazard> {
    let why = suspicion(input, since)?;
    let is_known = is_known(&input.named) || is_known(&input.real);
    (!is_known).then(|| Hazard::at(HazardCode::UnknownInput, input.named.clone(), why))
}

/// Why other hosts may not have it; `None` when they may well.
fn suspicion(input: &Input, since: Timestamp) -> Option<&'static str> {
    let path = &input.real;
    let is_below = |top: &&str| {
        RelPath::new(top.as_bytes()).is_ok_and(|top| path.starts_with(&top) && *path != top)
    };
    let age = match input.is_directory {
        true => input.born,
        false => Some(input.changed),
    };
    let is_young = age.is_some_and(|age| age > since);
    if PASSING.iter().any(&is_below) {
        return Some("in a directory for temporary files");
    }
    if PERSONAL.iter().any(is_below) {
        // What a user starts with comes with the image, and its name has a dot.
        let is_skeleton = path.components().any(|name| name.starts_with(b"."));
        let is_home = input.is_directory && path.depth() <= 2 && path.starts_with(&home());
        return (is_young || !(is_skeleton || is_home)).then_some("in somebody's home");
    }
    is_young.then_some("changed after this host joined its domain, by no entry")
}

fn home() -> RelPath {
    RelPath::new(*b"home").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Handling, Network};

    fn exec(argv: &[&str]) -> Exec {
        Exec {
            argv: argv.iter().map(|word| Bytes::from(*word)).collect(),
            cwd: "/srv/w".into(),
            umask: 0o22,
            env: Vec::new(),
            stdin: None,
            network: Network::Host,
            effects: Handling::Refuse,
        }
    }

    fn named(argv: &[&str]) -> Vec<String> {
        let names = names(&exec(argv), OsStr::new("/usr/bin:/bin"));
        names.iter().map(|n| n.display().to_string()).collect()
    }

    #[test]
    fn a_command_names_its_program_and_what_looks_like_paths() {
        assert_eq!(
            named(&["tar", "xf", "a.tar", "--directory=/opt"]),
            [
                "/bin/tar",
                "/opt",
                "/srv/w/--directory=/opt",
                "/srv/w/a.tar",
                "/srv/w/xf",
                "/usr/bin/tar"
            ]
        );
        let script = named(&["./x", "-c", "cat </tmp/a; cp ../b '/root/c' >/dev/null"]);
        for path in ["/srv/w/x", "/tmp/a", "/srv/b", "/root/c"] {
            assert!(script.contains(&path.to_owned()), "{path} in {script:?}");
        }
        assert!(
            !script
                .iter()
                .any(|path| path.contains("/dev/null") && !path.contains("cat "))
        );
        assert_eq!(named(&["/", "/proc/self", ".."]), ["/srv"]);
    }

    const SINCE: Timestamp = Timestamp {
        secs: 100,
        nanos: 0,
    };

    fn judged(path: &str, changed: i64, is_known: bool) -> bool {
        let path = RelPath::new(path.as_bytes()).unwrap();
        let at = |secs| Timestamp { secs, nanos: 0 };
        let input = Input {
            named: path.clone(),
            real: path,
            is_directory: false,
            changed: at(changed),
            born: None,
        };
        judge(&input, SINCE, &mut |_| is_known).is_some()
    }

    #[test]
    fn what_the_base_image_or_an_entry_brought_is_known() {
        assert!(!judged("usr/bin/tar", 99, false));
        assert!(judged("usr/bin/tar", 101, false));
        assert!(!judged("usr/bin/tar", 101, true));
        for passing in ["tmp/a", "var/tmp/a", "root/a.tar", "home/ann/a"] {
            assert!(judged(passing, 1, false), "{passing}");
            assert!(!judged(passing, 1, true), "{passing}");
        }
        for old in ["root/.bashrc", "home/ann/.profile", "tmp", "root"] {
            assert!(!judged(old, 1, false), "{old}");
        }
        assert!(judged("root/.bashrc", 101, false));
    }

    #[test]
    fn a_directory_is_as_old_as_itself_not_as_what_is_in_it() {
        let path = RelPath::new(*b"etc").unwrap();
        let at = |secs| Timestamp { secs, nanos: 0 };
        let input = |born| Input {
            named: path.clone(),
            real: path.clone(),
            is_directory: true,
            changed: at(500),
            born,
        };
        let judged = |born| judge(&input(born), SINCE, &mut |_| false).is_some();
        assert!(!judged(None) && !judged(Some(at(1))) && judged(Some(at(101))));
    }
}
