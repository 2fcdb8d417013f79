//! An order on its way to the leader of the voters, and what the leader checks before it is agreed on. Upholds:
//! no entries are checked in whose records are not with more than half of the voters; what the end of a journal
//! is said to be was seen in one.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isconf_sandbox::change::Digest;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::super::contents::{self, Wish};
use super::super::endpoint::Link;
use super::super::local::Local;
use super::super::messages::{Answer, LedgerRequest, Request};
use super::super::serve::ask;
use super::super::signed::{Kind, Signed};
use super::super::this_host::{Shared, chained};
use super::copies;
use crate::journal::{Batch, MAX_BATCH_BYTES};
use crate::lock::{CheckIn, Order, Records, Row, Verdict};
use crate::model::{BranchName, PublicKey};
use crate::quorum::{Epoch, NotNow, Voter};
use crate::store::StoreError;

/// How long a verb waits for the voters: an election takes up to three seconds, and there may be two.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long it waits for a check-in that is under way, of which more than half of the voters have to get the records.
const CHECK_IN_PATIENCE: Duration = Duration::from_secs(40);

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

/// What came of it, as it goes from host to host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignedAnswer {
    /// The leader's word.
    Signed(Signed),
    /// No verdict.
    None(Trouble),
}

/// What a leader signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeadersWord {
    epoch: Epoch,
    ask: LedgerAsk,
    nonce: u64,
    answer: LedgerAnswer,
}

const SIGNED_AS: Kind = Kind {
    label: "isconf verdict 1",
    max_bytes: 64 * 1024,
};

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
    let patience = match &ask {
        LedgerAsk::Order(Order::CheckIn(_)) => CHECK_IN_PATIENCE,
        LedgerAsk::Order(_) | LedgerAsk::Look(_) => PATIENCE,
    };
    // What is under way may take its time; what was refused is not tried for as long.
    let (deadline, tries) = (Instant::now() + patience, Instant::now() + PATIENCE);
    let _asking = shared.voting.asks();
    shared.voting.wake.notify_one();
    let request = LedgerRequest {
        ask,
        nonce: fastrand::u64(..),
        hops: MAX_HOPS,
    };
    let mut trouble = trouble_here(shared);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match timeout(left, pass(shared, request.clone(), None)).await {
            Ok(SignedAnswer::Signed(signed)) => match believed(shared, &request, &signed) {
                Some(answer) => return answer,
                None => trouble = trouble_here(shared),
            },
            Ok(SignedAnswer::None(found @ Trouble::Records(_))) => {
                return LedgerAnswer::Trouble(found);
            }
            Ok(SignedAnswer::None(found)) => trouble = found,
            Err(_late) => return LedgerAnswer::Trouble(trouble),
        }
        if Instant::now() + PAUSE > tries {
            return LedgerAnswer::Trouble(trouble);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What a voter signed as the answer to this question; `None` for anything else.
fn believed(shared: &Shared, request: &LedgerRequest, signed: &Signed) -> Option<LedgerAnswer> {
    let word: LeadersWord = signed.read(SIGNED_AS)?;
    let charter = shared.voting.charter()?;
    let is_a_voters = charter.epoch == word.epoch && charter.has_voter(&signed.signer);
    let is_to_this = word.ask == request.ask && word.nonce == request.nonce;
    (is_a_voters && is_to_this).then_some(word.answer)
}

/// Brings an ask one step nearer to the leader, once. `from` is the host from which it came.
pub async fn pass(
    shared: &Arc<Shared>,
    request: LedgerRequest,
    from: Option<&Link>,
) -> SignedAnswer {
    let hops = request.hops.min(MAX_HOPS);
    if let LedgerAsk::Order(Order::CheckIn(check_in)) = &request.ask
        && let Records::Blob(blob) = &check_in.records
        && let Some(from) = from
        // Whoever is asked next gets them from here.
        && !contents::fetch_for(shared, from, Wish::at_most(*blob, MAX_BATCH_BYTES)).await
    {
        // It may have to do with the way, and is tried again.
        return SignedAnswer::None(trouble_here(shared));
    }
    let mut trouble = trouble_here(shared);
    let mut hint = None;
    if let Some(voter) = shared.voting.voter() {
        match lead(shared, &voter, &request.ask).await {
            Ok(LedgerAnswer::Trouble(trouble)) => return SignedAnswer::None(trouble),
            Ok(answer) => {
                let word = LeadersWord {
                    epoch: voter.epoch(),
                    ask: request.ask,
                    nonce: request.nonce,
                    answer,
                };
                return SignedAnswer::Signed(Signed::new(SIGNED_AS, &word, &shared.key));
            }
            Err(NotNow::OtherLeads(leader)) => hint = leader,
            Err(NotNow::NoQuorum) => {}
        }
    }
    if hops == 0 {
        return SignedAnswer::None(trouble);
    }
    for link in next(shared, hint, from) {
        let request = LedgerRequest {
            hops: hops - 1,
            ..request.clone()
        };
        match ask(&link, &Request::Ledger(request)).await {
            Ok((Answer::Ledger(SignedAnswer::None(theirs)), _)) => {
                trouble = graver(trouble, theirs);
            }
            Ok((Answer::Ledger(signed), _)) => return signed,
            Ok(_) | Err(_) => {}
        }
    }
    SignedAnswer::None(trouble)
}

/// Whom to ask next: the leader, if it is known; voters; others, where no voter can be reached.
fn next(shared: &Shared, leader: Option<PublicKey>, from: Option<&Link>) -> Vec<Link> {
    if let Some(link) = leader.and_then(|leader| shared.link_to(&leader)) {
        return vec![link];
    }
    let is_other = |link: &&Link| from.is_none_or(|from| from.peer != link.peer);
    let mut links: Vec<_> = shared.table().links().filter(is_other).cloned().collect();
    fastrand::shuffle(&mut links);
    let voters = super::voters(shared);
    let is_voter = |link: &Link| voters.contains(&link.peer);
    if links.iter().any(is_voter) {
        links.retain(is_voter);
    } else {
        links.truncate(MAX_NEIGHBOURS);
    }
    links
}

/// What is in the way as far as this host sees.
fn trouble_here(shared: &Shared) -> Trouble {
    let Some(charter) = shared.voting.charter() else {
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
        Order::CheckIn(check_in) => {
            let inline = async {
                match &check_in.records {
                    Records::Inline(_) => checked(shared, check_in).await.map(|_bytes| ()),
                    Records::Blob(_) => Ok(()),
                }
            };
            let mut ready = inline.await;
            // Without more than half of the voters nothing is written that could count one day; and what is refused
            // needs no place in the log. Whoever was answered a moment ago need not ask for it.
            let is_sure = voter.is_followed() && voter.would_grant(order);
            if !is_sure && let Err(denial) = voter.ledger().await?.carry_out(order) {
                return Ok(LedgerAnswer::Verdict(Err(denial)));
            }
            // Those that go with the order are with more than half of the voters if the order is.
            if let Records::Blob(blob) = &check_in.records {
                ready = records_are_kept(shared, voter, check_in, *blob).await;
            }
            if let Err(why) = ready {
                return Ok(LedgerAnswer::Trouble(why));
            }
        }
        Order::Begin { head, .. } => {
            let head = *head;
            let seen = shared.on_disk(move |shared| shared.local.has_anywhere(head));
            if !seen.await.unwrap_or(false) {
                // It comes to the leader as to everybody.
                return Ok(LedgerAnswer::Trouble(trouble_here(shared)));
            }
        }
        Order::Take { .. } | Order::Release { .. } | Order::Break { .. } => {}
    }
    Ok(LedgerAnswer::Verdict(voter.order(order.clone()).await?))
}

/// The bytes of the records of a check-in.
pub fn bytes_of<'a>(local: &Local, records: &'a Records) -> Result<Cow<'a, [u8]>, StoreError> {
    match records {
        Records::Inline(text) => Ok(Cow::Borrowed(text.as_bytes())),
        Records::Blob(blob) => Ok(Cow::Owned(local.store().get(blob, MAX_BATCH_BYTES)?)),
    }
}

/// Checks the records of a check-in; their length in bytes.
async fn checked(shared: &Arc<Shared>, check_in: &CheckIn) -> Result<u64, Trouble> {
    let CheckIn {
        branch,
        base,
        last,
        records,
        ..
    } = check_in.clone();
    let checked = shared.on_disk(move |shared| {
        // Entries that came here by another way than the voters' word would make two journals of one.
        if !shared.local.may_follow(&branch, base, last) {
            return Err("the voters' journal goes on otherwise".to_owned());
        }
        if !records.is_bounded() {
            return Err("they are too long for an order".to_owned());
        }
        let bytes = bytes_of(&shared.local, &records).map_err(|e| chained(&e))?;
        let batch = Batch::read(&bytes, base).map_err(|e| chained(&e))?;
        match batch.last(base) == last {
            true => Ok(bytes.len() as u64),
            false => Err("they end with another entry".to_owned()),
        }
    });
    let checked = checked.await.unwrap_or_else(|e| Err(e.to_string()));
    checked.map_err(|why| Trouble::Records(format!("its records: {why}")))
}

/// Checks the records of a check-in, which are a blob, and has more than half of the voters keep them.
async fn records_are_kept(
    shared: &Arc<Shared>,
    voter: &Voter,
    check_in: &CheckIn,
    digest: Digest,
) -> Result<(), Trouble> {
    let length = checked(shared, check_in).await?;
    let members = voter.members();
    let needed = members.len() / 2 + 1;
    let mut asked = JoinSet::new();
    for key in members.keys().filter(|key| **key != shared.member.own) {
        if let Some(link) = shared.link_to(key) {
            asked.spawn(async move { copies::kept(&link, &[(digest, length)]).await });
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
