//! Voters in one process, and the engine's own tests of what they keep.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;

use openraft::testing::{StoreBuilder, Suite};

use super::super::calls::CallError;
use super::super::kinds::VoterId;
use super::*;
use crate::lock::{Claim, Denial, Granted};
use crate::model::{Author, BranchName, EntryId, EntryRef, LockMessage, Moment};
use isconf_sandbox::change::Digest;

fn beginning() -> EntryRef {
    EntryRef {
        seq: 0,
        id: EntryId(Digest::of(b"beginning")),
    }
}

/// Makes the stores that the engine's own tests ask for.
struct Stores;

impl StoreBuilder<Kinds, Log, Machine, tempfile::TempDir> for Stores {
    async fn build(
        &self,
    ) -> Result<(tempfile::TempDir, Log, Machine), openraft::StorageError<VoterId>> {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&directory.path().join("ledger")).unwrap();
        let machine = Machine::open(database.clone(), Ledger::new(beginning(), 0));
        let machine = machine.await.unwrap();
        Ok((directory, Log::new(database), machine))
    }
}

#[test]
fn the_file_keeps_what_the_engine_wants_kept() {
    Suite::test_all(Stores).unwrap();
}

/// Voters in one process, and who can reach whom.
#[derive(Debug, Clone, Default)]
struct Wires(Arc<Mutex<HashMap<PublicKey, Voter>>>);

/// The wires of one voter.
#[derive(Debug)]
struct Wire {
    wires: Wires,
    from: PublicKey,
}

impl Carrier for Wire {
    fn carry(
        &self,
        to: PublicKey,
        kind: CallKind,
        body: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, CallError>> + Send + '_>> {
        Box::pin(async move {
            let voter = self.wires.0.lock().unwrap().get(&to).cloned();
            let voter = voter.ok_or(CallError::Unreachable)?;
            let answer = voter.answer(&self.from, kind, &body).await;
            let refused = || CallError::Broken(std::io::ErrorKind::InvalidData.into());
            answer.ok_or_else(refused)
        })
    }
}

fn key(number: u64) -> PublicKey {
    VoterId::from(number).0
}

async fn voter(wires: &Wires, directory: &Path, number: u64) -> Voter {
    let epoch = Epoch {
        number: 1,
        founder: key(1),
    };
    let path = directory.join(number.to_string());
    let ledger = Ledger::new(beginning(), 0);
    let carrier = Arc::new(Wire {
        wires: wires.clone(),
        from: key(number),
    });
    let voter = Voter::open(&path, epoch, key(number), ledger, carrier).await;
    let voter = voter.unwrap();
    wires.0.lock().unwrap().insert(key(number), voter.clone());
    voter
}

fn take(author: &str) -> Order {
    Order::Take {
        branch: BranchName::generic(),
        claim: Claim {
            author: Author::new(author).unwrap(),
            host: key(1),
            message: LockMessage::new("why").unwrap(),
            since: Moment::EPOCH,
            journal: beginning(),
            takes_over: false,
        },
    }
}

fn seats(numbers: &[u64]) -> BTreeMap<PublicKey, Seat> {
    let seat = |number: &u64| {
        let host = format!("h{number}");
        (key(*number), Seat { host })
    };
    numbers.iter().map(seat).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_agree_and_one_alone_grants_nothing() {
    let (directory, wires) = (tempfile::tempdir().unwrap(), Wires::default());
    let first = voter(&wires, directory.path(), 1).await;
    let seat = seats(&[1])[&key(1)].clone();
    // The founder's ledger is everybody's.
    let mut ledger = Ledger::new(beginning(), 0);
    let web = BranchName::new("web").unwrap();
    let branch = || web.clone();
    let head = beginning();
    let branch = branch();
    let host = key(1);
    let begin = Order::Begin { branch, head, host };
    ledger.carry_out(&begin).unwrap();
    first.found(seat, ledger).await.unwrap();
    assert_eq!(first.members(), seats(&[1]));
    let second = voter(&wires, directory.path(), 2).await;
    let third = voter(&wires, directory.path(), 3).await;
    first.seat(seats(&[1, 2, 3])).await.unwrap();
    assert_eq!(first.members(), seats(&[1, 2, 3]));
    let granted = first.order(take("a@h1")).await.unwrap();
    assert!(matches!(granted, Ok(Granted::Locked(held)) if held.fence == 1));
    let refused = first.order(take("b@h2")).await.unwrap();
    assert!(matches!(refused, Err(Denial::HeldByOther(_))));
    let followed = second
        .applied()
        .wait_for(|applied| {
            let branches = applied.ledger.rows().map(|(branch, _)| branch);
            branches.eq([&BranchName::generic(), &web])
        })
        .await
        .is_ok();
    assert!(followed);
    // Others say who leads.
    let other = second.order(take("b@h2")).await.unwrap_err();
    assert_eq!(other, NotNow::OtherLeads(Some(key(1))));
    // Nobody speaks for others, and no term is beyond all bounds.
    let vote = |term, voter| VoteRequest::new(Vote::new(term, VoterId::from(voter)), None);
    let body = |vote: VoteRequest<VoterId>| serde_json::to_vec(&vote).unwrap();
    for call in [body(vote(2, 3)), body(vote(u64::MAX, 2)), b"[]".to_vec()] {
        let answer = first.answer(&key(2), CallKind::Vote, &call).await;
        assert_eq!(answer, None);
    }
    // Cut off from both.
    for number in [2, 3] {
        wires.0.lock().unwrap().remove(&key(number));
    }
    let alone = first.order(Order::Break {
        branch: BranchName::generic(),
        fence: 1,
    });
    assert_eq!(alone.await.unwrap_err(), NotNow::NoQuorum);
    assert!(first.ledger().await.is_err());
    for voter in [first, second, third] {
        voter.stop().await;
    }
    wires.0.lock().unwrap().clear();
    // All of them begin again, and know what was granted.
    let mut again = Vec::new();
    for number in 1..=3 {
        again.push(voter(&wires, directory.path(), number).await);
    }
    let ledger = loop {
        let mut known = None;
        for voter in &again {
            known = known.or(voter.ledger().await.ok());
        }
        if let Some(ledger) = known {
            break ledger;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(ledger.row(&BranchName::generic()).lock.fence, 1);
    for voter in again {
        voter.stop().await;
    }
}
