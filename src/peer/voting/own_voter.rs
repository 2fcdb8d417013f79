//! The voter that runs on this host. Upholds: a host serves one epoch at a time; a voter that lost its file does not vote
//! again, since it might say something else than before.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::super::endpoint::Link;
use super::super::this_host::{Shared, chained};
use super::calls::Roads;
use crate::durable::{self, FileError};
use crate::journal::Journal;
use crate::lock::Ledger;
use crate::quorum::{Epoch, Voter, VoterError};

/// The pause before a voter that stopped is begun again: its disk may be full for a while.
const STOPPED_PAUSE: Duration = Duration::from_secs(6);

/// How long a voter that is alone may take until it knows what it founded: an election.
const BEGINNING: Duration = Duration::from_secs(15);

/// Why this host does not vote.
#[derive(Debug, thiserror::Error)]
pub enum OwnVoterError {
    /// The voter.
    #[error(transparent)]
    Voter(#[from] VoterError),
    /// The system refused an operation.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its file is gone, and what it said to other voters with it.
    #[error(
        "{} is gone, and with it what this host said as a voter: another host takes its place after IS_VOTER_PATIENCE",
        .0.display()
    )]
    Forgotten(PathBuf),
    /// The voter of another epoch runs.
    #[error("the voter of another epoch runs here")]
    OtherEpoch,
    /// The work was not done to its end.
    #[error("the work failed")]
    Panicked(#[from] tokio::task::JoinError),
}

/// Has the voter run here that is to run, and no other.
pub async fn keep(shared: &Arc<Shared>) {
    if let Some(voter) = shared.voting.voter()
        && let Some(why) = voter.trouble()
    {
        // A full disk, mostly: it goes on when there is room.
        shared.mention("voter".to_owned(), || {
            format!("this host does not vote for now: {why}")
        });
        stop(shared).await;
        tokio::time::sleep(STOPPED_PAUSE).await;
    }
    let Some(charter) = shared.voting.charter() else {
        if shared.voting.voter().is_none()
            && let Some(epoch) = kept_epoch(shared).await
        {
            // What was known of the voters is lost, and what this one said as a voter is not.
            go_on(shared, epoch).await;
        }
        return;
    };
    let runs = shared.voting.voter().map(|voter| voter.epoch());
    if runs.is_some_and(|epoch| epoch != charter.epoch) {
        stop(shared).await;
        tracing::warn!(
            "the voters of the domain are those of epoch {} now; what was not checked in under an earlier lock has to be locked for again",
            charter.epoch
        );
    }
    if charter.has_voter(&shared.member.own) && shared.voting.voter().is_none() {
        report(shared, open(shared, charter.epoch, Opened::Known).await);
    }
}

/// Goes on as a voter of an epoch of which nothing else is known. One that this host founded and that never began, since
/// something was in the way, is forgotten: nothing was granted in it.
async fn go_on(shared: &Arc<Shared>, epoch: Epoch) {
    let voter = match open(shared, epoch, Opened::Known).await {
        Ok(voter) => voter,
        Err(error) => return report(shared, Err(error)),
    };
    if epoch.founder != shared.member.own {
        return;
    }
    let mut applied = voter.applied();
    let begun = applied.wait_for(|applied| applied.has_begun);
    if !matches!(timeout(BEGINNING, begun).await, Ok(Ok(_))) {
        stop(shared).await;
        let path = ledger_file(shared, epoch);
        let removed = shared.on_disk(move |_| durable::remove(&path));
        // What could not be removed is tried again.
        let _removed = removed.await;
    }
}

/// Says why this host does not vote, if it does not.
fn report(shared: &Shared, opened: Result<Voter, OwnVoterError>) {
    if let Err(error) = opened {
        shared.mention("voter".to_owned(), || {
            format!("this host cannot vote: {}", chained(&error))
        });
    }
}

/// The voter here, for a call of another one of the same epoch; begun, if this host is to become one.
pub async fn voter_for(shared: &Arc<Shared>, link: &Link, epoch: Epoch) -> Option<Voter> {
    let charter = shared.voting.charter()?;
    if charter.epoch != epoch {
        return None;
    }
    let voter = shared.voting.voter();
    let is_voter = charter.has_voter(&link.peer)
        || voter
            .as_ref()
            .is_some_and(|voter| voter.members().contains_key(&link.peer));
    if !is_voter {
        return None;
    }
    match voter {
        Some(voter) => (voter.epoch() == epoch).then_some(voter),
        None if charter.has_voter(&shared.member.own) => {
            open(shared, epoch, Opened::Known).await.ok()
        }
        None => open(shared, epoch, Opened::New).await.ok(),
    }
}

/// Whether this host is known to vote in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opened {
    /// It votes: without its file it would have forgotten what it said, and might say something else.
    Known,
    /// It may become a voter, and said nothing yet.
    New,
}

/// Opens the voter of an epoch, unless it runs.
async fn open(shared: &Arc<Shared>, epoch: Epoch, opened: Opened) -> Result<Voter, OwnVoterError> {
    let _alone = shared.voting.changing.lock().await;
    if let Some(voter) = shared.voting.voter() {
        return match voter.epoch() == epoch {
            true => Ok(voter),
            false => Err(OwnVoterError::OtherEpoch),
        };
    }
    let path = ledger_file(shared, epoch);
    if opened == Opened::Known && !exists(shared, &path).await {
        return Err(OwnVoterError::Forgotten(path));
    }
    let voter = start(shared, epoch).await?;
    shared.voting.voter.send_replace(Some(voter.clone()));
    Ok(voter)
}

async fn exists(shared: &Arc<Shared>, path: &Path) -> bool {
    let path = path.to_path_buf();
    shared
        .on_disk(move |_| path.exists())
        .await
        .unwrap_or(false)
}

/// The file of a voter.
fn ledger_file(shared: &Shared, epoch: Epoch) -> PathBuf {
    let directory = shared.facts.home.ledger(&shared.facts.domain);
    directory.join(format!("{}-{}", epoch.number, epoch.founder))
}

/// The last epoch in which this host voted, by its files.
pub async fn kept_epoch(shared: &Arc<Shared>) -> Option<Epoch> {
    let listed = shared.on_disk(|shared| {
        let directory = shared.facts.home.ledger(&shared.facts.domain);
        let names = std::fs::read_dir(directory).ok()?.filter_map(Result::ok);
        let epochs = names.filter_map(|entry| {
            let name = entry.file_name();
            let (number, founder) = name.to_str()?.split_once('-')?;
            Some(Epoch {
                number: number.parse().ok()?,
                founder: founder.parse().ok()?,
            })
        });
        epochs.filter(|epoch| epoch.is_sound()).max()
    });
    listed.await.ok().flatten()
}

/// Has the voter of an epoch run. Nobody hears of it yet.
pub async fn start(shared: &Arc<Shared>, epoch: Epoch) -> Result<Voter, OwnVoterError> {
    let facts = &shared.facts;
    let directory = facts.home.ledger(&facts.domain);
    let made = shared.on_disk(move |_| durable::create_directories(&directory));
    made.await??;
    let ledger = Ledger::new(Journal::beginning(&facts.domain), epoch.first_fence());
    let roads = Arc::new(Roads {
        shared: Arc::downgrade(shared),
        epoch,
    });
    let path = ledger_file(shared, epoch);
    Ok(Voter::open(&path, epoch, shared.member.own, ledger, roads).await?)
}

/// Stops the voter here, if one runs.
async fn stop(shared: &Arc<Shared>) {
    let _alone = shared.voting.changing.lock().await;
    if let Some(voter) = shared.voting.voter.send_replace(None) {
        voter.stop().await;
    }
}
