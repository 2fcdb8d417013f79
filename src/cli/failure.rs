//! The edge, where errors become what a person reads: a message, what to do next, and an exit code.
//! Not for which kind of error gets which (`advice`), or for deciding whether something is an
//! error. Upholds: reporting happens once; a message tells the whole chain of causes on one line.

use std::error::Error;
use std::io;

use nix::errno::Errno;

use crate::lock::{Denial, LockError};
use crate::model::BranchName;
use crate::model::report::Refusal;
use crate::replay::chain;
use crate::ui::exit::ExitCode;
use crate::ui::human_time;
use crate::ui::output::Output;

/// Why a verb did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How the process ends.
    pub code: ExitCode,
    /// What went wrong, on one line, with its causes.
    pub message: String,
    /// What to do next, one sentence each.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure in words of its own.
    pub fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hints: Vec::new(),
        }
    }

    /// An error with all its causes, and with the hints that its last cause calls for.
    pub fn of(code: ExitCode, error: &(dyn Error + 'static)) -> Self {
        Self {
            code,
            message: chain(error),
            hints: hint_of_system(error)
                .map(str::to_owned)
                .into_iter()
                .collect(),
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// What those who keep the locks denied.
    pub fn of_denial(denial: &Denial, branch: &BranchName) -> Self {
        match denial {
            Denial::HeldByOther(held) => {
                Self::of_lock(LockError::HeldByOther(held.clone()), branch)
            }
            Denial::NotLocked => Self::of_lock(LockError::NotLocked, branch),
            Denial::Fenced { expected, found } => {
                let (expected, found) = (*expected, *found);
                Self::of_lock(LockError::Fenced { expected, found }, branch)
            }
            Denial::OtherHead(last) => Self::new(
                ExitCode::Failure,
                format!(
                    "those who keep the locks know {branch} up to entry {}, and this host has another journal",
                    last.seq
                ),
            )
            .hint("`isconf up` gets what they have. If entries came by a bundle, they count when the voters have them too: import it there."),
            Denial::Exists => Self::new(ExitCode::Failure, format!("{branch} already exists"))
                .hint(format!("`isconf migrate {branch}` moves this host there.")),
            Denial::TooManyBranches => Self::of(ExitCode::Failure, denial)
                .hint("use one of them; `isconf cache` lists those that are here."),
        }
    }

    /// An error of a lock, which does not know its branch.
    pub fn of_lock(error: LockError, branch: &BranchName) -> Self {
        match error {
            LockError::NotLocked => Self::new(ExitCode::NotLocked, format!("{branch} is not locked"))
                .hint("`isconf lock WHY` locks it for you."),
            LockError::HeldByOther(held) => Self::new(
                ExitCode::Locked,
                format!(
                    "{branch} is locked by: {}: {} (lock time {})",
                    held.author,
                    held.message,
                    human_time(held.since.to_timestamp())
                ),
            )
            .hint(format!(
                "ask {} to check in or unlock; `isconf unlock` breaks the lock.",
                held.author
            )),
            LockError::Fenced { .. } => Self::new(
                ExitCode::Locked,
                format!("the lock on {branch} was broken: {}", chain(&error)),
            )
            .hint("`isconf status` shows who holds it now."),
            LockError::Malformed { .. } => Self::of(ExitCode::Trouble, &error).hint(
                "look at the file; when nobody is at work on the branch, remove it, which unlocks the branch.",
            ),
            LockError::File(error) => error.into(),
        }
    }

    /// `lock` without a message.
    pub fn need_message(branch: &BranchName) -> Self {
        let message = format!("did not lock {branch}: changelog/lock message (-m) required");
        Self::new(ExitCode::NeedMessage, message).hint("say why: `isconf lock adding ntp`.")
    }

    /// A host with entries still to apply.
    pub fn out_of_date() -> Self {
        let message = "local node is out of date -- try 'isconf up' first";
        Self::new(ExitCode::Failure, message)
    }

    /// A host with drafts where there must be none.
    pub fn not_checked_in() -> Self {
        Self::new(ExitCode::Failure, "local changes not checked in")
            .hint("`isconf ci` checks them in; `isconf unlock --discard` takes them back.")
    }

    /// What to do about each of these, once.
    pub fn remedies(mut self, refusals: &[Refusal]) -> Self {
        for remedy in refusals.iter().filter_map(|refusal| refusal.remedy) {
            if !self.hints.iter().any(|hint| hint == remedy) {
                self.hints.push(remedy.to_owned());
            }
        }
        self
    }

    /// Says it, and gives the code to end with.
    pub fn tell(&self, out: &mut Output) -> ExitCode {
        out.error(self.code, &self.message);
        for hint in &self.hints {
            out.hint(hint);
        }
        self.code
    }
}

/// What to do about the system's refusal that an error comes from, if it does.
fn hint_of_system(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(refusal) = cause.downcast_ref::<io::Error>() {
            return hint_of_kind(refusal.kind());
        }
        // The sandbox's other refusals can have causes that these hints do not fit.
        if let Some(Errno::ENOSPC | Errno::EDQUOT) = cause.downcast_ref::<Errno>() {
            return hint_of_kind(io::ErrorKind::StorageFull);
        }
        next = cause.source();
    }
    None
}

const fn hint_of_kind(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::PermissionDenied => Some(
            "isconf's files are root's own, and only root can change this host: run it as root, for example with sudo.",
        ),
        io::ErrorKind::ReadOnlyFilesystem => Some(
            "inside a scratchpad isconf's own files cannot be changed: run isconf outside of it; anywhere else the filesystem is mounted read-only.",
        ),
        io::ErrorKind::NotADirectory => {
            Some("something on that path is a file where a directory is needed.")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("make room on the filesystem, then run the same command again.")
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "failure_tests.rs"]
mod tests;
