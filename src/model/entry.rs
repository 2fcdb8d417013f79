//! What is replayed: entries, and drafts that are not checked in yet. Not for how they are written
//! (see `journal`). Upholds: an entry is all that a target needs to do the same again.

use std::fmt;

use isconf_sandbox::change::{Digest, RelPath};
use serde::{Deserialize, Serialize};

use super::{Author, Bytes, Hex, Moment, Outcome, PublicKey, Signature};

/// Names a draft and the entry made of it: 16 random bytes. It says after a crash whether a draft
/// is already in the journal; it is not the entry's identity.
pub type DraftId = Hex<16>;

/// An entry's identity: the SHA-256 of its record, which includes the identity of the entry before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryId(pub Digest);

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An entry's place in its journal and its identity. Since identities are chained, two journals
/// that hold the same reference are equal up to there. Sequence number 0 with the journal's genesis
/// stands for the place before the first entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EntryRef {
    /// Sequence number, from 1.
    pub seq: u64,
    /// Identity.
    pub id: EntryId,
}

/// A journal record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Place and identity.
    pub at: EntryRef,
    /// The identity of the entry before, or the journal's genesis.
    pub prev: Digest,
    /// What was made on the origin.
    pub draft: Draft,
    /// The key of the host that checked it in.
    pub key: PublicKey,
    /// Its signature; see `journal::verify_signature`.
    pub signature: Signature,
}

/// What an origin made under the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Its name until (and after) it is checked in.
    pub id: DraftId,
    /// Who made it.
    pub author: Author,
    /// When it was made.
    pub time: Moment,
    /// The lock's message; an entry has that of the lock under which it was checked in.
    pub message: String,
    /// What is to be done.
    pub kind: EntryKind,
    /// What it did on the origin.
    pub outcome: Outcome,
}

/// What an entry does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// Installs files as they were on the origin.
    Snap(Snap),
    /// Runs a command.
    Exec(Exec),
    /// Restarts the machine.
    Reboot,
}

impl EntryKind {
    /// `snap`, `exec` or `reboot`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Snap(_) => "snap",
            Self::Exec(_) => "exec",
            Self::Reboot => "reboot",
        }
    }
}

/// Installs files as they were on the origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snap {
    /// What the user named, in that order.
    pub paths: Vec<RelPath>,
    /// The blob that lists every object, a node list of the sandbox.
    pub manifest: Digest,
    /// How many objects it lists, without parents.
    pub count: u64,
    /// The sum of the lengths of its files.
    pub total_bytes: u64,
}

/// What network a command sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {
    /// The host's.
    Host,
    /// None but a loopback of its own.
    None,
}

/// What becomes of what a command does, or tries to do, outside of the filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Handling {
    /// What can be deferred is done behind the commit; an entry that needs anything else is refused.
    #[default]
    Refuse,
    /// The same, but the entry goes through without what was contained.
    Contain,
    /// The command first runs contained, as a rehearsal, and then with the running system in reach.
    Live,
}

impl Network {
    /// Its name in settings, files and for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::None => "none",
        }
    }

    /// The network of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Host, Self::None]
            .into_iter()
            .find(|network| network.name() == name)
    }
}

impl Handling {
    /// Its name in files and for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Contain => "contain",
            Self::Live => "live",
        }
    }

    /// The handling of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Refuse, Self::Contain, Self::Live]
            .into_iter()
            .find(|handling| handling.name() == name)
    }
}

/// Runs a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// Program and arguments; empty arguments and line ends are kept.
    pub argv: Vec<Bytes>,
    /// The working directory, absolute.
    pub cwd: Bytes,
    /// The file mode creation mask, at most 0o777.
    pub umask: u32,
    /// The chosen environment, in order of its names.
    pub env: Vec<(Bytes, Bytes)>,
    /// The blob that is its standard input; none: `/dev/null`.
    pub stdin: Option<Digest>,
    /// What network it sees.
    pub network: Network,
    /// What becomes of its effects.
    pub effects: Handling,
}

/// What no command can be run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidExec {
    /// There is no program.
    #[error("the command is empty")]
    NoProgram,
    /// The system ends arguments, names and values at a NUL byte.
    #[error("a NUL byte in {0}")]
    Nul(&'static str),
    /// The working directory is not absolute.
    #[error("the working directory is not absolute")]
    RelativeCwd,
    /// The mask has more than permission bits.
    #[error("the umask {0:o} is more than 777")]
    Umask(u32),
    /// A variable's name is empty, has `=`, or names are not in strict order.
    #[error("the names of the environment are empty, have a = or are out of order")]
    Environment,
}

impl Exec {
    /// Checks what the system would refuse or change silently.
    pub fn check(&self) -> Result<(), InvalidExec> {
        let has_nul = |bytes: &Bytes| bytes.as_slice().contains(&0);
        if self.argv.first().is_none_or(|p| p.as_slice().is_empty()) {
            return Err(InvalidExec::NoProgram);
        }
        if self.argv.iter().any(has_nul) {
            return Err(InvalidExec::Nul("an argument"));
        }
        if has_nul(&self.cwd) {
            return Err(InvalidExec::Nul("the working directory"));
        }
        if self.cwd.as_slice().first() != Some(&b'/') {
            return Err(InvalidExec::RelativeCwd);
        }
        if self.umask > 0o777 {
            return Err(InvalidExec::Umask(self.umask));
        }
        if self.env.iter().any(|(n, v)| has_nul(n) || has_nul(v)) {
            return Err(InvalidExec::Nul("the environment"));
        }
        let is_bad = |name: &Bytes| name.as_slice().is_empty() || name.as_slice().contains(&b'=');
        let in_order = self.env.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if !in_order || self.env.iter().any(|(name, _)| is_bad(name)) {
            return Err(InvalidExec::Environment);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec() -> Exec {
        Exec {
            argv: vec!["true".into()],
            cwd: "/".into(),
            umask: 0o22,
            env: vec![("A".into(), "".into()), ("B".into(), "=\n".into())],
            stdin: None,
            network: Network::Host,
            effects: Handling::Refuse,
        }
    }

    #[test]
    fn what_the_system_cannot_run_is_named() {
        assert_eq!(exec().check(), Ok(()));
        let bad = |change: fn(&mut Exec)| {
            let mut exec = exec();
            change(&mut exec);
            exec.check().unwrap_err()
        };
        assert_eq!(bad(|e| e.argv.clear()), InvalidExec::NoProgram);
        assert_eq!(bad(|e| e.argv[0] = "".into()), InvalidExec::NoProgram);
        assert_eq!(
            bad(|e| e.argv.push("\0".into())),
            InvalidExec::Nul("an argument")
        );
        assert_eq!(bad(|e| e.cwd = "tmp".into()), InvalidExec::RelativeCwd);
        assert_eq!(bad(|e| e.umask = 0o1000), InvalidExec::Umask(0o1000));
        assert_eq!(bad(|e| e.env.reverse()), InvalidExec::Environment);
        assert_eq!(bad(|e| e.env[0].0 = "A=".into()), InvalidExec::Environment);
    }
}
