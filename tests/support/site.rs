//! A home of its own, outside of any throwaway host: for what touches nothing but `IS_HOME`, and so
//! needs no root. Not for anything that runs a scratchpad.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use isconf::identity::HostKey;
use isconf::journal::{Journal, Wip, WipDraft};
use isconf::lock::{AppendLock, Holder, HostLock, Wait};
use isconf::model::{
    Author, BranchName, ChangeDigests, DomainName, Draft, EntryKind, Exec, Handling, Hex, Home,
    Moment, Network, Outcome,
};
use isconf::store::Store;
use isconf_sandbox::change::{Change, ChangeSet, Digest, Kind, Metadata, Node, RelPath};
use isconf_sandbox::child::Exit;

use super::PROGRAM;

/// A home, and the environment in which isconf is run on it.
pub struct Site {
    /// Holds the home.
    pub directory: tempfile::TempDir,
    /// Who runs isconf.
    pub user: &'static str,
}

/// What a process printed and how it ended.
#[derive(Debug)]
pub struct Done {
    /// The exit status; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Done {
    /// Must have ended with this status.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Must have said this on standard error.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "does not say {text:?}: {self:#?}");
        self
    }

    /// Must have printed this on standard output.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        assert!(
            self.out.contains(text),
            "does not print {text:?}: {self:#?}"
        );
        self
    }
}

impl Site {
    /// A home that does not exist yet.
    pub fn bare() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            user: "root",
        }
    }

    /// A member of example.com.
    pub fn member() -> Self {
        let site = Self::bare();
        site.isconf(["init", "example.com"]).code(0);
        site
    }

    /// The home.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("is")
    }

    /// The program under test, in this home.
    pub fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .env_clear()
            .env("IS_HOME", self.path())
            .env("HOSTNAME", "h1")
            .env("LOGNAME", self.user)
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs isconf to its end.
    pub fn isconf<S: AsRef<OsStr>, const N: usize>(&self, words: [S; N]) -> Done {
        let output = self.command().args(words).output().unwrap();
        Done {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The home for the library.
    pub fn home(&self) -> Home {
        Home::new(self.path())
    }

    /// Takes the host lock, as another isconf would.
    pub fn host_lock(&self) -> HostLock {
        let holder = Holder {
            pid: std::process::id(),
            verb: "up".to_owned(),
            since: Moment::EPOCH,
        };
        let path = self.home().host_lock();
        HostLock::take(&path, &holder, Wait::No, &mut |_| ()).unwrap()
    }

    /// Takes the right to append to the generic branch.
    pub fn append_lock(&self) -> AppendLock {
        AppendLock::take(&self.home(), &domain(), &BranchName::generic()).unwrap()
    }

    /// The journal of the generic branch.
    pub fn journal(&self) -> Journal {
        Journal::open_or_create(&self.append_lock()).unwrap()
    }

    /// Puts two entries into the journal that this host has not applied; gives the first's id.
    pub fn with_pending(&self) -> String {
        let key = HostKey::load_or_create(&self.home().host_key()).unwrap();
        let mut journal = self.journal();
        let store = Store::new(self.home().blobs(&domain()));
        let set = changes().encode();
        assert_eq!(store.put_bytes(&set).unwrap(), Digest::of(&set));
        let drafts = [draft(1, "one"), draft(2, "two")];
        journal.append(&self.append_lock(), &drafts, &key).unwrap();
        journal.at(1).unwrap().id.to_string()
    }

    /// Leaves a draft that is not checked in.
    pub fn with_wip(&self) {
        let lock = self.host_lock();
        let base = self.journal().last();
        let branch = BranchName::generic();
        let mut wip = Wip::open_or_create(&lock, &self.home(), &domain(), &branch, base).unwrap();
        let draft = WipDraft {
            draft: draft(9, "nine"),
            tx: None,
        };
        wip.append(&lock, &draft).unwrap();
    }
}

/// The domain of the sites.
pub fn domain() -> DomainName {
    DomainName::new("example.com").unwrap()
}

/// A change set of one directory.
pub fn changes() -> ChangeSet {
    let node = Node {
        kind: Kind::Directory,
        meta: Metadata {
            mode: 0o755,
            ..Metadata::default()
        },
        link_of: None,
    };
    let change = Change {
        path: RelPath::new("srv/made").unwrap(),
        moved_from: None,
        before: None,
        after: Some(node),
    };
    ChangeSet::new(vec![change]).unwrap()
}

/// A draft that makes a directory.
pub fn draft(number: u8, word: &str) -> Draft {
    let full = Digest::of(&changes().encode());
    Draft {
        id: Hex::from_bytes([number; 16]),
        author: Author::new("root@h2").unwrap(),
        time: Moment::EPOCH,
        message: "because".to_owned(),
        kind: EntryKind::Exec(Exec {
            argv: vec!["mkdir".into(), word.into()],
            cwd: "/".into(),
            umask: 0o22,
            env: Vec::new(),
            stdin: None,
            network: Network::Host,
            effects: Handling::Refuse,
        }),
        outcome: Outcome {
            exit: Exit::Status(0),
            changes: ChangeDigests { full, normal: full },
            effects: Vec::new(),
            hazards: Vec::new(),
            duration_ms: 1,
            version: "5".to_owned(),
        },
    }
}
