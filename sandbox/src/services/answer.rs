//! The programs that stand in for one that speaks with a service manager: a few lines of sh(1), which
//! say what it would have said. Pure.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::live::Said;

/// A program of sh(1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer(Vec<u8>);

impl Answer {
    /// One that says this and ends so.
    pub(super) fn saying(said: &Said) -> Self {
        let mut script = b"#!/bin/sh\n".to_vec();
        if !said.out.is_empty() {
            script.extend_from_slice(b"printf %s ");
            push_quoted(&mut script, said.out.as_bytes());
            script.push(b'\n');
        }
        if !said.err.is_empty() {
            script.extend_from_slice(b"printf %s ");
            push_quoted(&mut script, said.err.as_bytes());
            script.extend_from_slice(b" >&2\n");
        }
        script.extend_from_slice(format!("exit {}\n", said.status).as_bytes());
        Self(script)
    }

    /// One that runs a program with a further variable, and, if that went well, with one more and
    /// without the first one, each of the calls that follow.
    pub(super) fn running(
        program: &OsStr,
        ((name, value), words): ((&str, &str), &[OsString]),
        ((later_name, later_value), calls): ((&str, &str), &[Vec<OsString>]),
    ) -> Self {
        let mut script = format!("#!/bin/sh\n(export {name}={value}; exec").into_bytes();
        let line = |script: &mut Vec<u8>, words: &[OsString]| {
            for word in std::iter::once(program).chain(words.iter().map(OsString::as_os_str)) {
                script.push(b' ');
                push_quoted(script, word.as_bytes());
            }
        };
        line(&mut script, words);
        script.extend_from_slice(
            format!(") || exit\nexport {later_name}={later_value}\n").as_bytes(),
        );
        for call in calls {
            line(&mut script, call);
            script.extend_from_slice(b" || exit\n");
        }
        Self(script)
    }

    /// One that does this; `lines` are of sh(1).
    pub(super) fn doing(lines: &str) -> Self {
        Self(format!("#!/bin/sh\n{lines}").into_bytes())
    }

    /// Its bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Quotes for sh(1). A NUL byte, which no word has, is left out.
pub(super) fn push_quoted(script: &mut Vec<u8>, word: &[u8]) {
    script.push(b'\'');
    for byte in word {
        match byte {
            b'\'' => script.extend_from_slice(br"'\''"),
            0 => {}
            byte => script.push(*byte),
        }
    }
    script.push(b'\'');
}

/// The same as text.
pub(super) fn quoted(word: &str) -> String {
    let mut bytes = Vec::new();
    push_quoted(&mut bytes, word.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(answer: &Answer) -> std::process::Output {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("answer");
        std::fs::write(&path, answer.as_bytes()).unwrap();
        let mut sh = std::process::Command::new("sh");
        sh.arg(&path).output().unwrap()
    }

    #[test]
    fn what_follows_is_done_only_when_the_first_went_well() {
        let running = |status: &str| {
            let line = format!("echo $A $B; exit {status}");
            let first = ["-c", &line].map(OsString::from);
            let then = [vec!["-c".into(), "echo \"it's\" $A $B; exit 4".into()]];
            run(&Answer::running(
                "/bin/sh".as_ref(),
                (("A", "a"), &first),
                (("B", "b"), &then),
            ))
        };
        let done = running("0");
        assert_eq!(done.stdout, b"a\nit's b\n");
        assert_eq!(done.status.code(), Some(4));
        let done = running("3");
        assert_eq!(done.stdout, b"a\n");
        assert_eq!(done.status.code(), Some(3));
    }

    #[test]
    fn an_answer_says_it_to_the_byte() {
        let said = Said {
            status: 3,
            out: "it's\n-n \\ 100% %s".to_owned(),
            err: "$HOME `x`\n".to_owned(),
        };
        let done = run(&Answer::saying(&said));
        assert_eq!(done.status.code(), Some(3));
        assert_eq!(done.stdout, said.out.as_bytes());
        assert_eq!(done.stderr, said.err.as_bytes());
    }
}
