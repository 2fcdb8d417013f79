//! What every verb gets: the surroundings, the output, the clock, and from them the settings and
//! this host as a member of its domain. Not for doing anything. Upholds: a verb that works on a
//! branch first says on which; no verb but `init` makes `IS_HOME` on a host without a domain.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::config::{Settings, Surroundings};
use crate::durable::{self, FileError};
use crate::history::{History, HistoryError};
use crate::identity::HostKey;
use crate::journal::{Journal, JournalError, Wip, WipDraft};
use crate::lock::{BranchLock, Holder, HostLock, Wait};
use crate::model::progress::{Progress, Silent};
use crate::model::{Author, BranchName, DomainName, Home, Moment, PublicKey};
use crate::ui::exit::ExitCode;
use crate::ui::output::{Output, Volume};

use super::failure::Failure;
use super::invocation::ReportForm;

/// How long a verb waits for another isconf before it gives up: long enough for one that is about
/// to end, short enough that nobody wonders what happens.
const WAIT_FOR_OTHERS: Duration = Duration::from_secs(2);

/// The caller's directory cannot be told.
#[derive(Debug, thiserror::Error)]
#[error("cannot tell the working directory")]
struct WorkingDirectory(#[source] io::Error);

/// One call of isconf.
pub struct Session {
    /// What the process found around it.
    pub around: Surroundings,
    /// Where results and messages go.
    pub out: Output,
    /// The only clock.
    pub clock: fn() -> Moment,
    config: Option<PathBuf>,
    /// Whether an interrupted check-in was finished by this call, before what it was made for.
    pub has_checked_in: bool,
}

/// This host as a member of its domain.
#[derive(Debug, Clone)]
pub struct Member {
    /// What was configured.
    pub settings: Settings,
    /// The domain.
    pub domain: DomainName,
}

impl Session {
    /// Takes what the command line said about the call as a whole.
    pub fn new(around: Surroundings, config: Option<PathBuf>, volume: Volume) -> Self {
        let is_dumb = around.var("TERM").is_some_and(|term| term == "dumb");
        let colour_allowed = around.var("NO_COLOR").is_none() && !is_dumb;
        Self {
            around,
            out: Output::process(volume, colour_allowed),
            clock: system_time,
            config,
            has_checked_in: false,
        }
    }

    /// Reads the settings; with `-D` shows each with its origin.
    pub fn settings(&mut self) -> Result<Settings, Failure> {
        let settings = Settings::load(&self.around, self.config.as_deref())?;
        if self.out.volume() == Volume::Debug {
            for listed in settings.listing() {
                let value = listed.value.as_deref().unwrap_or_default();
                self.out
                    .debug(&format!("{} = {value} ({})", listed.name, listed.origin));
            }
        }
        Ok(settings)
    }

    /// The settings of a host that has a domain.
    pub fn member(&mut self) -> Result<Member, Failure> {
        let settings = self.settings()?;
        let domain = settings.require_domain()?.clone();
        Ok(Member { settings, domain })
    }

    /// As [`member`](Self::member), for verbs that work on its branch: says on which.
    pub fn on_branch(&mut self) -> Result<Member, Failure> {
        let member = self.member()?;
        let host = &member.settings.host.value;
        self.out
            .info(&format!("{host} is on {} branch", member.branch()));
        Ok(member)
    }

    /// Where a stage tells how far it is; nowhere when the result is for programs.
    pub fn progress(&self, form: ReportForm) -> Box<dyn Progress> {
        // A dumb terminal cannot erase a line.
        let is_dumb = self.around.var("TERM").is_some_and(|term| term == "dumb");
        if form == ReportForm::Json || is_dumb {
            Box::new(Silent)
        } else {
            self.out.progress()
        }
    }

    /// The caller's directory, in which the paths on the command line begin.
    pub fn working_directory(&self) -> Result<PathBuf, Failure> {
        std::env::current_dir().map_err(|error| match error.kind() {
            // getcwd(3): the directory has been unlinked.
            io::ErrorKind::NotFound => {
                let message = "the working directory was removed after you went there";
                Failure::new(ExitCode::Trouble, message)
                    .hint("go to one that exists (`cd /`), then run the same command again.")
            }
            _ => Failure::of(ExitCode::Trouble, &WorkingDirectory(error)),
        })
    }

    /// The flags with which another isconf reads the same settings.
    pub fn flags_for_daemon(&self) -> Vec<OsString> {
        let named = self.config.iter();
        let flags = named.map(|path| [OsString::from("-c"), path.clone().into_os_string()]);
        flags.flatten().collect()
    }

    /// Takes the right to change things on this host, for `verb`.
    pub fn host_lock(&mut self, home: &Home, verb: &str) -> Result<HostLock, Failure> {
        durable::create_directories(&home.conf())?;
        for directory in [home.as_path(), &home.conf()] {
            refuse_exposed(directory)?;
        }
        let holder = Holder {
            pid: std::process::id(),
            verb: verb.to_owned(),
            since: (self.clock)(),
        };
        let out = &mut self.out;
        let mut on_wait = |other: Option<&Holder>| match other {
            Some(other) => out.info(&format!("waiting for {other}")),
            None => out.info("waiting for another isconf"),
        };
        let wait = Wait::AtMost(WAIT_FOR_OTHERS);
        let lock = HostLock::take(&home.host_lock(), &holder, wait, &mut on_wait)?;
        Ok(lock)
    }
}

/// Refuses a directory of isconf's that others may write: what lies in it is run as root.
fn refuse_exposed(directory: &Path) -> Result<(), Failure> {
    let meta = std::fs::metadata(directory).map_err(FileError::of("stat", directory))?;
    let is_own = meta.uid() == 0 || nix::unistd::geteuid().as_raw() == meta.uid();
    if is_own && meta.mode() & 0o022 == 0 {
        return Ok(());
    }
    let directory = directory.display();
    let message = format!(
        "{directory} can be written by others than its owner, and what lies in it is run as root"
    );
    Err(Failure::new(ExitCode::Failure, message).hint(format!(
        "look at what is in it, then `chown root {directory}; chmod go-w {directory}`."
    )))
}

/// The system's clock. One that is set outside of the years 0 to 9999 is worth no failed verb.
fn system_time() -> Moment {
    Moment::from_system_time(SystemTime::now()).unwrap_or(Moment::EPOCH)
}

impl Member {
    /// Where isconf's files are.
    pub fn home(&self) -> &Home {
        &self.settings.home.value
    }

    /// The branch that this host follows.
    pub fn branch(&self) -> &BranchName {
        &self.settings.branch.value
    }

    /// Who makes entries and takes the lock here.
    pub fn author(&self) -> Result<Author, Failure> {
        Ok(self.settings.author()?)
    }

    /// Which host this is; its key is made when it has none.
    pub fn host_key(&self) -> Result<PublicKey, Failure> {
        Ok(HostKey::load_or_create(&self.home().host_key())?.public())
    }

    /// The branch's journal; `None` when this host has none.
    pub fn journal(&self) -> Result<Option<Journal>, JournalError> {
        Journal::open(self.home(), &self.domain, self.branch())
    }

    /// This host's history; `None` when it never did anything.
    pub fn history(&self) -> Result<Option<History>, HistoryError> {
        History::open(self.home(), &self.domain)
    }

    /// The file with the branch's lock.
    pub fn branch_lock_file(&self) -> PathBuf {
        self.home().branch_lock(&self.domain, self.branch())
    }

    /// The branch's lock as it stands.
    pub fn branch_lock(&self) -> Result<BranchLock, Failure> {
        BranchLock::load(&self.branch_lock_file()).map_err(|e| Failure::of_lock(e, self.branch()))
    }

    /// The drafts that are not checked in.
    pub fn drafts(&self) -> Result<Vec<WipDraft>, Failure> {
        let wip = Wip::open(self.home(), &self.domain, self.branch())?;
        Ok(wip.map(|wip| wip.drafts()).transpose()?.unwrap_or_default())
    }
}
