//! The locks of a domain of several hosts, by way of the daemon. Upholds: as long as a host was never among
//! others, its own file is all there is; from then on nothing is locked or checked in without those who
//! keep the locks.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use isconf_sandbox::change::Digest;

use super::failure::Failure;
use super::session::Session;
use crate::daemon::client::{self, ClientError};
use crate::daemon::{MAX_KEPT, running_daemon};
use crate::durable;
use crate::lock::{Authority, BranchLock, Kept, NoVerdict, Order, Row, Verdict};
use crate::model::{BranchName, DomainName, Home};
use crate::peer::{Charter, KeptBy, LedgerAnswer, LedgerAsk, Trouble};
use crate::replay::ThisHost;
use crate::ui::exit::ExitCode;

/// How long the daemon may take for one answer: as long as the voters may, through a neighbour, and some more.
const PATIENCE: Duration = Duration::from_secs(45);

/// How long it may take to ask the daemon whether others are there.
const GLANCE: Duration = Duration::from_secs(10);

/// The longest list of addresses that is read, in bytes.
const MAX_LIST: u64 = 1 << 20;

/// Those who keep the locks.
pub struct DomainLocks {
    home: Home,
    /// Whether more than one host votes, as far as is known here. A host that votes alone knows that it does.
    are_several: bool,
}

impl Session {
    /// Those who keep the locks of this host's domain; `None` as long as this host is alone in it.
    pub fn domain_locks(
        &self,
        home: &Home,
        domain: &DomainName,
        branch: &BranchName,
    ) -> Result<Option<DomainLocks>, Failure> {
        let locks = |are_several| DomainLocks {
            home: home.clone(),
            are_several,
        };
        if let Some(voters) = durable::read_small(&home.voters(domain), MAX_LIST)? {
            let charter = Charter::read(&voters);
            return Ok(Some(locks(charter.is_some_and(|c| c.voters.len() > 1))));
        }
        let is_there =
            |path: PathBuf| durable::read_small(&path, MAX_LIST).map(|read| read.is_some());
        let here = BranchLock::load(&home.branch_lock(domain, branch));
        let has_locked = here.map_err(|e| Failure::of_lock(e, branch))?.fence > 0;
        // It met others, or an administrator said where they are.
        let is_among_others = is_there(home.peers())? || (is_there(home.joined())? && !has_locked);
        if is_among_others || (running_daemon(home)?.is_some() && sees_others(home)?) {
            return Ok(Some(locks(false)));
        }
        Ok(None)
    }

    /// Takes what is so among all hosts for what is so here, where the lock here is not the caller's: it may be
    /// since, or somebody else's.
    pub fn refresh_lock(&self, host: &ThisHost) -> Result<(), Failure> {
        let path = host.branch_lock();
        let of_lock = |e| Failure::of_lock(e, &host.branch);
        let here = BranchLock::load(&path).map_err(of_lock)?;
        if here.check(&host.author, &host.key).is_ok() {
            return Ok(());
        }
        if let Some(locks) = self.domain_locks(&host.home, &host.domain, &host.branch)?
            && let Ok(row) = locks.row(&host.branch)
        {
            row.lock.note(&host.lock, &path).map_err(of_lock)?;
        }
        Ok(())
    }
}

/// Whether the daemon is connected with others. One that does not say so in time is no reason to do without them.
fn sees_others(home: &Home) -> Result<bool, Failure> {
    match client::status(home, GLANCE) {
        Ok(status) => Ok(status.peers.iter().any(|peer| peer.connected)),
        Err(ClientError::NotRunning) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl DomainLocks {
    fn ask(&self, what: LedgerAsk) -> Result<LedgerAnswer, NoVerdict> {
        match client::ledger(&self.home, what, PATIENCE) {
            Ok(LedgerAnswer::Trouble(trouble)) => Err(no_verdict(&trouble)),
            Ok(answer) => Ok(answer),
            Err(error) => Err(unasked(&error)),
        }
    }

    fn keep_some(&self, blobs: &[Digest]) -> Result<Kept, NoVerdict> {
        loop {
            match client::keep(&self.home, blobs.to_vec(), PATIENCE) {
                Ok(Some(KeptBy::Host(_))) => return Ok(Kept::Elsewhere),
                Ok(Some(KeptBy::NobodyThere)) => return Ok(Kept::HereAlone),
                Ok(Some(KeptBy::NobodyCould { asked })) => {
                    return Err(NoVerdict {
                        why: format!(
                            "the contents are on this host alone; asked to keep them and could not: {}",
                            asked.join(", ")
                        ),
                        remedy: "your changes are kept. Is there room on those hosts, and what do their logs say? `isconf ci` goes on.".to_owned(),
                        is_passing: true,
                        is_down: false,
                    });
                }
                Ok(None) => {}
                Err(error) => return Err(unasked(&error)),
            }
        }
    }
}

impl Authority for DomainLocks {
    fn carry_out(&self, order: Order) -> Result<Verdict, NoVerdict> {
        match self.ask(LedgerAsk::Order(order))? {
            LedgerAnswer::Verdict(verdict) => Ok(verdict),
            LedgerAnswer::Row(_) | LedgerAnswer::Trouble(_) => {
                Err(unasked(&ClientError::Unexpected))
            }
        }
    }

    fn row(&self, branch: &BranchName) -> Result<Row, NoVerdict> {
        match self.ask(LedgerAsk::Look(branch.clone()))? {
            LedgerAnswer::Row(row) => Ok(row),
            LedgerAnswer::Verdict(_) | LedgerAnswer::Trouble(_) => {
                Err(unasked(&ClientError::Unexpected))
            }
        }
    }

    fn are_several(&self) -> bool {
        self.are_several
    }

    fn keep(&self, blobs: BTreeSet<Digest>) -> Result<Kept, NoVerdict> {
        let blobs: Vec<_> = blobs.into_iter().collect();
        let mut kept = Kept::Elsewhere;
        for part in blobs.chunks(MAX_KEPT) {
            if self.keep_some(part)? == Kept::HereAlone {
                kept = Kept::HereAlone;
            }
        }
        Ok(kept)
    }
}

/// The daemon could not be asked.
fn unasked(error: &ClientError) -> NoVerdict {
    let is_down = matches!(error, ClientError::NotRunning);
    NoVerdict {
        why: match is_down {
            true => "the locks of the domain are kept by several hosts, and the daemon here does not run".to_owned(),
            false => error.to_string(),
        },
        remedy: match is_down {
            true => "`isconf start` starts it; then do the same again.",
            false => "whether it was done is not known; do the same again. `isconf status` shows the daemon.",
        }
        .to_owned(),
        is_passing: !is_down,
        is_down,
    }
}

fn no_verdict(trouble: &Trouble) -> NoVerdict {
    let remedy = match trouble {
        Trouble::NoVoters => {
            "is the first host of the domain up, with its daemon? `isconf join ADDRESS` names one that is; `isconf status` shows who can be reached."
        }
        Trouble::NoQuorum { .. } => {
            "what you did is kept, and `isconf up` needs nobody. Do the same again when they are back; if they are lost for good, `isconf domain recover` begins without them."
        }
        Trouble::Records(_) => "your changes are kept; the log of this host's daemon says more.",
    };
    NoVerdict {
        why: trouble.to_string(),
        remedy: remedy.to_owned(),
        is_passing: !matches!(trouble, Trouble::Records(_)),
        is_down: false,
    }
}

impl From<NoVerdict> for Failure {
    fn from(error: NoVerdict) -> Self {
        let code = match error.is_passing {
            true => ExitCode::Retry,
            false => ExitCode::Failure,
        };
        Self::new(code, error.why).hint(error.remedy)
    }
}
