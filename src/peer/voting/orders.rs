//! An order on its way to the leader of the voters, and what the leader checks before it is agreed on. Upholds:
//! no entries are checked in whose records are not with more than half of the voters; what the end of a journal
//! is said to be was seen in one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::super::contents;
use super::super::endpoint::Link;
use super::super::messages::{Answer, LedgerRequest, Request};
use super::super::serve::ask;
use super::super::this_host::{Shared, chained};
use super::copies;
use crate::journal::{Batch, MAX_BATCH_BYTES};
use crate::lock::{CheckIn, Order, Row, Verdict};
use crate::model::{BranchName, EntryRef, PublicKey};
use crate::quorum::{NotNow, Voter};

/// How long a verb waits for the voters: an election takes up to two seconds, and there may be two.
const PATIENCE: Duration = Duration::from_secs(6);

/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// How many hosts an order may pass through: a neighbour, a voter, the leader.
pub const MAX_HOPS: u8 = 3;

/// How many neighbours are asked at once where no voter can be reached.
const MAX_NEIGHBOURS: usize = 3;

/// What somebody wants of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LedgerAsk {
    /// An order.
    Order(Order),
    /// How a branch stands.
    Look(BranchName),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LedgerAnswer {
    /// The voters' verdict.
    Verdict(Verdict),
    /// How the branch stands.
    Row(Row),
    /// No verdict.
    Trouble(Trouble),
}

/// Why there is no verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// No voters are known.
    #[error("no host is known that keeps the locks of the domain")]
    NoVoters,
    /// Too few of the voters can be reached.
    #[error("{}", no_quorum_words(*voters, missing))]
    NoQuorum {
        /// How many voters there are.
        voters: usize,
        /// Those that cannot be reached from here, by name.
        missing: Vec<String>,
    },
    /// What was to be checked in cannot be.
    #[error("what was to be checked in cannot be: {0}")]
    Records(String),
}

fn no_quorum_words(voters: usize, missing: &[String]) -> String {
    let needed = voters / 2 + 1;
    let of = match voters {
        1 => "its only voter".to_owned(),
        _ => format!("{needed} of its {voters} voters"),
    };
    match missing {
        [] => format!("the locks of the domain need {of}, which did not agree in time"),
        missing => format!(
            "the locks of the domain need {of}; not reached: {}",
            missing.join(", ")
        ),
    }
}

/// Brings an ask to the leader, however long an election may take; what came of it.
pub async fn place(shared: &Arc<Shared>, ask: LedgerAsk) -> LedgerAnswer {
    let deadline = Instant::now() + PATIENCE;
    let _asking = shared.voting.asks();
    shared.voting.wake.notify_one();
    loop {
        let trouble = match pass(shared, &ask, MAX_HOPS, None).await {
            LedgerAnswer::Trouble(trouble @ Trouble::Records(_)) => {
                return LedgerAnswer::Trouble(trouble);
            }
            LedgerAnswer::Trouble(trouble) => trouble,
            answer => return answer,
        };
        if Instant::now() + PAUSE > deadline {
            return LedgerAnswer::Trouble(trouble);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Brings an ask one step nearer to the leader, once. `from` is the host from which it came.
pub async fn pass(
    shared: &Arc<Shared>,
    ask: &LedgerAsk,
    hops: u8,
    from: Option<&Link>,
) -> LedgerAnswer {
    if let LedgerAsk::Order(Order::CheckIn(check_in)) = ask
        && let Some(from) = from
        // Whoever is asked next gets them from here.
        && !contents::fetch_for(shared, from, check_in.records).await
    {
        let name = shared.name_of(&from.peer);
        let why = format!("their records do not come from {name}");
        return LedgerAnswer::Trouble(Trouble::Records(why));
    }
    let mut trouble = trouble_here(shared);
    let mut hint = None;
    if let Some(voter) = shared.voting.voter() {
        match lead(shared, &voter, ask).await {
            Ok(answer) => return answer,
            Err(NotNow::OtherLeads(leader)) => hint = leader,
            Err(NotNow::NoQuorum) => {}
        }
    }
    if hops == 0 {
        return LedgerAnswer::Trouble(trouble);
    }
    for link in next(shared, hint, from) {
        match forward(&link, ask, hops - 1).await {
            Some(LedgerAnswer::Trouble(theirs)) => trouble = graver(trouble, theirs),
            Some(answer) => return answer,
            None => {}
        }
    }
    LedgerAnswer::Trouble(trouble)
}

/// Whom to ask next: the leader, if it is known; voters; others, where no voter can be reached.
fn next(shared: &Shared, leader: Option<PublicKey>, from: Option<&Link>) -> Vec<Link> {
    let charter = shared.voting.charter();
    let charter = charter.as_ref().and_then(|signed| signed.charter());
    let table = shared.table();
    if let Some(link) = leader.and_then(|leader| table.peer(&leader)?.link()) {
        return vec![link.clone()];
    }
    let is_other = |link: &&Link| from.is_none_or(|from| from.peer != link.peer);
    let mut links: Vec<_> = table.links().filter(is_other).cloned().collect();
    drop(table);
    fastrand::shuffle(&mut links);
    let is_voter = |link: &Link| charter.is_some_and(|charter| charter.has_voter(&link.peer));
    if links.iter().any(is_voter) {
        links.retain(is_voter);
    } else {
        links.truncate(MAX_NEIGHBOURS);
    }
    links
}

async fn forward(link: &Link, asked: &LedgerAsk, hops: u8) -> Option<LedgerAnswer> {
    let request = Request::Ledger(LedgerRequest {
        ask: asked.clone(),
        hops,
    });
    match ask(link, &request).await {
        Ok((Answer::Ledger(answer), _)) => Some(answer),
        Ok(_) | Err(_) => None,
    }
}

/// What is in the way as far as this host sees.
fn trouble_here(shared: &Shared) -> Trouble {
    let signed = shared.voting.charter();
    let Some(charter) = signed.as_ref().and_then(|signed| signed.charter()) else {
        return Trouble::NoVoters;
    };
    let missing = charter
        .voters
        .iter()
        .filter(|voter| voter.key != shared.member.own && shared.link_to(&voter.key).is_none());
    Trouble::NoQuorum {
        voters: charter.voters.len(),
        missing: missing.map(|voter| voter.host.clone()).collect(),
    }
}

/// The one of two that says more.
fn graver(ours: Trouble, theirs: Trouble) -> Trouble {
    match (&ours, &theirs) {
        (_, Trouble::Records(_)) | (Trouble::NoVoters, _) => theirs,
        (_, Trouble::NoVoters) => ours,
        // Whoever reaches more knows better who is missing.
        (Trouble::NoQuorum { missing, .. }, Trouble::NoQuorum { missing: fewer, .. }) => {
            match fewer.len() < missing.len() {
                true => theirs,
                false => ours,
            }
        }
        (Trouble::Records(_), _) => ours,
    }
}

/// Does what an ask wants, if this voter leads.
async fn lead(
    shared: &Arc<Shared>,
    voter: &Voter,
    ask: &LedgerAsk,
) -> Result<LedgerAnswer, NotNow> {
    let order = match ask {
        LedgerAsk::Look(branch) => {
            let row = voter.ledger().await?.row(branch);
            return Ok(LedgerAnswer::Row(row));
        }
        LedgerAsk::Order(order) => order,
    };
    match order {
        Order::Take { branch, claim } => advance(shared, voter, branch, claim.journal).await?,
        Order::CheckIn(check_in) => {
            // Asked of the voters that are there, which is known only to the leader.
            voter.ledger().await?;
            if let Err(why) = records_are_kept(shared, voter, check_in).await {
                return Ok(LedgerAnswer::Trouble(why));
            }
        }
        Order::Release { .. } | Order::Break { .. } | Order::Begin { .. } => {}
        // It is the leader's own.
        Order::Advance { .. } => {
            let why = "it is no order of a host".to_owned();
            return Ok(LedgerAnswer::Trouble(Trouble::Records(why)));
        }
    }
    Ok(LedgerAnswer::Verdict(voter.order(order.clone()).await?))
}

/// Notes the end of a journal that got longer by another way than a check-in, if the journal here did, too: it was
/// checked record by record.
async fn advance(
    shared: &Arc<Shared>,
    voter: &Voter,
    branch: &BranchName,
    claimed: EntryRef,
) -> Result<(), NotNow> {
    let known = voter.ledger().await?.row(branch).head;
    if claimed.seq <= known.seq {
        return Ok(());
    }
    let asked = branch.clone();
    let seen = shared.on_disk(move |shared| shared.local.has(&asked, &[known, claimed]));
    if seen.await.unwrap_or(false) {
        let order = Order::Advance {
            branch: branch.clone(),
            from: known,
            to: claimed,
        };
        // If somebody else was faster, the claim does not fit, and is refused.
        let _verdict = voter.order(order).await?;
    }
    Ok(())
}

/// Checks the records of a check-in, and has more than half of the voters keep them.
async fn records_are_kept(
    shared: &Arc<Shared>,
    voter: &Voter,
    check_in: &CheckIn,
) -> Result<(), Trouble> {
    let (digest, base, last) = (check_in.records, check_in.base, check_in.last);
    let checked = shared.on_disk(move |shared| {
        let bytes = shared.local.store().get(&digest, MAX_BATCH_BYTES);
        let bytes = bytes.map_err(|e| chained(&e))?;
        let batch = Batch::read(&bytes, base).map_err(|e| chained(&e))?;
        match batch.last(base) == last {
            true => Ok(()),
            false => Err("they end with another entry".to_owned()),
        }
    });
    let checked = checked.await.unwrap_or_else(|e| Err(e.to_string()));
    checked.map_err(|why| Trouble::Records(format!("its records: {why}")))?;
    let members = voter.members();
    let needed = members.len() / 2 + 1;
    let mut asked = JoinSet::new();
    for key in members.keys().filter(|key| **key != shared.member.own) {
        if let Some(link) = shared.link_to(key) {
            asked.spawn(async move { copies::kept(&link, &[digest]).await });
        }
    }
    let mut kept = usize::from(members.contains_key(&shared.member.own));
    while kept < needed {
        match asked.join_next().await {
            Some(Ok(true)) => kept += 1,
            Some(Ok(false) | Err(_)) => {}
            None => return Err(trouble_here(shared)),
        }
    }
    // Those that are late keep it all the same.
    asked.detach_all();
    Ok(())
}
