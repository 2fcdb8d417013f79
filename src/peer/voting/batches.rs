//! What was agreed on becomes part of the journals here: a voter appends the entries of a check-in itself. Upholds:
//! an entry is forgotten by the voter only when the journal has it.

use std::sync::Arc;
use std::time::Duration;

use super::super::catch_up;
use super::super::this_host::{Shared, chained};
use crate::journal::Batch;
use crate::lock::CheckIn;
use crate::quorum::{Applied, Voter};
use tokio::sync::watch;

/// How long it takes until entries are tried again that could not be appended.
const PAUSE: Duration = Duration::from_secs(2);

/// Appends what was checked in, as long as the network is there.
pub async fn append(shared: Arc<Shared>) {
    let mut voters = shared.voting.voter.subscribe();
    loop {
        let voter = voters.borrow_and_update().clone();
        let Some(voter) = voter else {
            if voters.changed().await.is_err() {
                return;
            }
            continue;
        };
        let mut applied = voter.applied();
        loop {
            applied.mark_unchanged();
            let is_done = append_all(&shared, &voter).await;
            let retry = async {
                match is_done {
                    true => std::future::pending().await,
                    false => tokio::time::sleep(PAUSE).await,
                }
            };
            tokio::select! {
                changed = voters.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                () = next_change(&mut applied) => {}
                () = retry => {}
            }
        }
    }
}

/// Waits for news of a voter; one that stopped has none.
pub async fn next_change(applied: &mut watch::Receiver<Applied>) {
    if applied.changed().await.is_err() {
        std::future::pending().await
    }
}

/// Whether nothing is to be appended here. Where that cannot be told something may be.
pub async fn is_settled(shared: &Shared) -> bool {
    match shared.voting.voter() {
        Some(voter) => voter
            .batches()
            .await
            .is_ok_and(|batches| batches.is_empty()),
        None => true,
    }
}

/// Appends what is to be appended; whether nothing is left.
pub async fn append_all(shared: &Arc<Shared>, voter: &Voter) -> bool {
    let batches = match voter.batches().await {
        Ok(batches) => batches,
        Err(error) => {
            shared.mention("batches".to_owned(), || chained(&error));
            return false;
        }
    };
    let mut is_done = true;
    for batch in batches {
        let asked = batch.clone();
        let appended = shared.on_disk(move |shared| append_one(shared, &asked));
        match appended.await.unwrap_or(false) {
            true => {
                shared.look.notify_one();
                // Otherwise it is found to be there the next time.
                let _forgotten = voter.appended(&batch).await;
            }
            false => {
                is_done = false;
                // Others may have what comes before, or the entries themselves.
                let (shared, branch) = (Arc::clone(shared), batch.branch);
                tokio::spawn(async move { catch_up::catch_up(&shared, branch).await });
            }
        }
    }
    is_done
}

/// Appends the entries of one check-in; whether they are in the journal then.
fn append_one(shared: &Shared, batch: &CheckIn) -> bool {
    let local = &shared.local;
    if local.has(&batch.branch, &[batch.last]) {
        return true;
    }
    let Ok(bytes) = super::orders::bytes_of(local, &batch.records) else {
        // It was not among those that were asked to keep them: they come as to any other host.
        return false;
    };
    let read = match Batch::read(&bytes, batch.base) {
        Ok(read) => read,
        Err(error) => {
            shared.mention(format!("batch {}", batch.branch), || {
                format!(
                    "entries {} to {} of branch {}, which the voters agreed on, cannot be read here: {}",
                    batch.base.seq + 1,
                    batch.last.seq,
                    batch.branch,
                    chained(&error)
                )
            });
            return false;
        }
    };
    let records: Vec<_> = read.records().collect();
    match local.take_records(&batch.branch, batch.base, &records) {
        Ok(Some(last)) if last == batch.last => true,
        Ok(Some(last)) => {
            // It may be behind, and others bring what is between; or it is another one.
            if last.seq >= batch.last.seq {
                shared.mention(format!("other {}", batch.branch), || {
                    format!(
                        "the journal of branch {} here has other entries than those that the voters agreed on, up to entry {}",
                        batch.branch, batch.last.seq
                    )
                });
            }
            false
        }
        // Somebody else appends just now.
        Ok(None) => false,
        Err(error) => {
            shared.mention(format!("batch {}", batch.branch), || {
                format!(
                    "entries of branch {} cannot be appended: {}",
                    batch.branch,
                    chained(&error)
                )
            });
            false
        }
    }
}
