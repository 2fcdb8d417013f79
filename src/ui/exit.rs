//! The exit codes, which are an interface. Not for choosing one (the verbs do). Upholds: the codes
//! of the original keep their meaning; `docs/exit-codes.md` is checked against [`TABLE`].

use isconf_sandbox::child::Exit;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitCode {
    /// 0: done, or the answer is yes.
    Ok,
    /// 1: a negative answer or an ordinary failure (original).
    Failure,
    /// 2: a named file does not exist, `ENOENT` (original).
    NotFound,
    /// 3: refused because the live system changed meanwhile.
    Conflict,
    /// 5: the answer could not be found because something could not be read or written, `EIO`.
    Trouble,
    /// 22: wrong usage or settings, `EINVAL` (original).
    Usage,
    /// 75: busy or peers unreachable; the same command may work later (`EX_TEMPFAIL`, sysexits.h).
    Retry,
    /// 126: the command of `exec` or `try` exists and could not be started (POSIX `env`).
    CommandNotStartable,
    /// 127: the command of `exec` or `try` was not found (POSIX `env`).
    CommandNotFound,
    /// 128 and the signal's number: isconf itself was told to stop.
    Interrupted(i32),
    /// 220: somebody else holds the lock (original).
    Locked,
    /// 221: the branch is not locked (original).
    NotLocked,
    /// 222: a lock message is needed (original).
    NeedMessage,
    /// 223: a fault of isconf itself (the original's unused `PANIC`).
    Internal,
    /// 224: an interrupted commit waits for recovery, which could not be finished.
    Recovery,
    /// 0 to 255: the status of the command, passed through by `exec` and `try`.
    Child(Exit),
}

/// One line of the table of exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The code or codes.
    pub code: &'static str,
    /// Its name.
    pub name: &'static str,
    /// When it is given.
    pub meaning: &'static str,
}

/// All exit codes in order, for the page and for `isconf --help`.
pub const TABLE: &[Row] = &[
    row(
        "0",
        "ok",
        "Done. For a question: the answer is yes, or nothing differs.",
    ),
    row(
        "1",
        "failure",
        "A negative answer or an ordinary failure: an entry failed, `diff` found drift, the host is out of date, local changes are not checked in, `ci --strict` found a hazard, `conf/domain` is missing; or a commit or undo was not possible (no room, a read-only filesystem), and the live tree is as before. As in the original.",
    ),
    row(
        "2",
        "not found",
        "A file named on the command line does not exist (`ENOENT`). As in the original.",
    ),
    row(
        "3",
        "conflict",
        "Refused because the live system changed while the entry ran, or because undo would overwrite a later change. Nothing was changed. Run it again.",
    ),
    row(
        "5",
        "trouble",
        "The answer could not be found: something could not be read, a file of isconf could not be written (`EIO`), or is damaged. The message names the file.",
    ),
    row(
        "22",
        "usage",
        "Wrong usage or settings (`EINVAL`): unknown flag or verb, arguments that do not belong together, a mistake in main.cf. As in the original.",
    ),
    row(
        "75",
        "retry",
        "Worth retrying (`EX_TEMPFAIL`): another isconf is at work, a package manager holds its lock, or the peers that are needed cannot be reached.",
    ),
    row(
        "126",
        "not startable",
        "The command of `exec` or `try` was found and could not be started.",
    ),
    row(
        "127",
        "command not found",
        "The command of `exec` or `try` was not found.",
    ),
    row(
        "129 to 192",
        "interrupted",
        "128 and the number of the signal that told isconf to stop (130 for Ctrl-C, 143 for SIGTERM). Nothing is half done.",
    ),
    row(
        "220",
        "locked",
        "Somebody else holds the lock. As in the original.",
    ),
    row(
        "221",
        "not locked",
        "The branch is not locked. As in the original.",
    ),
    row(
        "222",
        "need message",
        "A lock message is required. As in the original.",
    ),
    row(
        "223",
        "internal fault",
        "A fault of isconf itself. Please report it.",
    ),
    row(
        "224",
        "recovery",
        "An interrupted commit or undo could not be finished because the live system was changed in between, or its end could not be made durable because the disk fails; the message says what to look at.",
    ),
    row(
        "0 to 255",
        "child",
        "`exec` and `try` end with the status of their command, 128 and the number of the signal if one killed it. A message on standard error says so, and that nothing was committed, when it is not 0.",
    ),
];

const fn row(code: &'static str, name: &'static str, meaning: &'static str) -> Row {
    Row {
        code,
        name,
        meaning,
    }
}

impl ExitCode {
    /// The code for exit(3).
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failure => 1,
            Self::NotFound => 2,
            Self::Conflict => 3,
            Self::Trouble => 5,
            Self::Usage => 22,
            Self::Retry => 75,
            Self::CommandNotStartable => 126,
            Self::CommandNotFound => 127,
            Self::Interrupted(signal) => Exit::Signal(signal).shell_status(),
            Self::Locked => 220,
            Self::NotLocked => 221,
            Self::NeedMessage => 222,
            Self::Internal => 223,
            Self::Recovery => 224,
            Self::Child(exit) => exit.shell_status(),
        }
    }

    /// What the original appended to the message of an error with this code; `None` for codes that
    /// say nothing by themselves.
    pub const fn suffix(self) -> Option<&'static str> {
        match self {
            Self::NotFound => Some("No such file or directory"),
            Self::Usage => Some("Invalid argument"),
            Self::Locked => Some("resource is locked"),
            Self::NotLocked => Some("resource is not locked"),
            Self::NeedMessage => Some("changelog/lock message (-m) required"),
            Self::Ok
            | Self::Failure
            | Self::Conflict
            | Self::Trouble
            | Self::Retry
            | Self::CommandNotStartable
            | Self::CommandNotFound
            | Self::Interrupted(_)
            | Self::Internal
            | Self::Recovery
            | Self::Child(_) => None,
        }
    }

    /// The code for a command that could not be started with `errno`.
    pub const fn of_start_failure(errno: i32) -> Self {
        if errno == nix::errno::Errno::ENOENT as i32 {
            Self::CommandNotFound
        } else {
            Self::CommandNotStartable
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.code())
    }
}

/// The page `docs/exit-codes.md`, made from [`TABLE`].
pub fn exit_code_page() -> String {
    let mut page = String::from(
        "# Exit codes\n\n\
         An interface: a code never changes its meaning. Made from `src/ui/exit.rs`; a test compares the two.\n\n\
         | code | name | meaning |\n|---|---|---|\n",
    );
    for row in TABLE {
        page.push_str(&format!(
            "| {} | {} | {} |\n",
            row.code, row.name, row.meaning
        ));
    }
    page.push_str(
        "\n`diff` answers as diff(1) does: 0 no drift, 1 drift, anything else trouble.\n\
         `probe` gives 1 when something is missing that isconf needs, 5 when only root can find out.\n\
         `up` gives 1 when an entry failed, 3 when the live system changed too often while it ran.\n",
    );
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every variant once, so that adding one without a row is noticed.
    const ALL: &[ExitCode] = &[
        ExitCode::Ok,
        ExitCode::Failure,
        ExitCode::NotFound,
        ExitCode::Conflict,
        ExitCode::Trouble,
        ExitCode::Usage,
        ExitCode::Retry,
        ExitCode::CommandNotStartable,
        ExitCode::CommandNotFound,
        ExitCode::Interrupted(2),
        ExitCode::Locked,
        ExitCode::NotLocked,
        ExitCode::NeedMessage,
        ExitCode::Internal,
        ExitCode::Recovery,
        ExitCode::Child(Exit::Status(7)),
    ];

    fn range(text: &str) -> (u8, u8) {
        let (low, high) = text.split_once(" to ").unwrap_or((text, text));
        (low.parse().unwrap(), high.parse().unwrap())
    }

    #[test]
    fn table_has_a_row_for_each_code_in_order() {
        assert_eq!(TABLE.len(), ALL.len());
        for (row, code) in TABLE.iter().zip(ALL) {
            let (low, high) = range(row.code);
            assert!((low..=high).contains(&code.code()), "{row:?} {code:?}");
        }
    }

    #[test]
    fn fixed_codes_are_told_apart() {
        let fixed: Vec<_> = TABLE.iter().map(|row| row.code).collect();
        let unique: std::collections::BTreeSet<_> = fixed.iter().collect();
        assert_eq!(unique.len(), fixed.len());
    }

    #[test]
    fn page_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/exit-codes.md");
        let page = std::fs::read_to_string(path).unwrap();
        assert_eq!(page, exit_code_page(), "write exit_code_page() to {path}");
    }

    #[test]
    fn signals_and_statuses_are_as_a_shell_shows_them() {
        assert_eq!(ExitCode::Interrupted(2).code(), 130);
        assert_eq!(ExitCode::Child(Exit::Signal(9)).code(), 137);
        assert_eq!(ExitCode::Child(Exit::Status(7)).code(), 7);
        assert_eq!(ExitCode::of_start_failure(2).code(), 127);
        assert_eq!(ExitCode::of_start_failure(13).code(), 126);
    }
}
