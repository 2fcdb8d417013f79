//! A host of the domain that lies, on a real connection with an honest one: what it says is not believed, and it harms
//! nobody.

use std::collections::VecDeque;
use std::net::UdpSocket;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use isconf_sandbox::change::Digest;

use super::endpoint::{Link, Member, Port};
use super::frames::Incoming;
use super::messages::{
    Answer, BlobFrom, BranchHead, Hello, LedgerRequest, MAX_RECORDS, Records, Refused, Request,
    VoterCall,
};
use super::network::{Network, NetworkFacts};
use super::serve::ask;
use super::voting::{LedgerAnswer, LedgerAsk, Trouble};
use crate::identity::{HmacKeys, HostKey};
use crate::journal::Journal;
use crate::journal::tests::Host;
use crate::model::{BranchName, EntryId, HostName};
use crate::quorum::{CallKind, Epoch};

const KEYS: &str = "a-key-of-the-liars-domain\n";

/// An honest host with some entries, and the connection of a liar with it.
struct Meeting {
    honest: Network,
    host: Host,
    link: Link,
    lies: Arc<Mutex<Lies>>,
    _port: Port,
}

/// What a liar says.
#[derive(Default)]
struct Lies {
    /// What it claims to have.
    heads: Vec<BranchHead>,
    /// What it answers to `records`, one after the other: a line and the bytes behind it.
    records: VecDeque<(Answer, Vec<u8>)>,
}

/// A port that is free now.
fn free_port() -> u16 {
    let socket = UdpSocket::bind("[::]:0").unwrap();
    socket.local_addr().unwrap().port()
}

fn member(host: &Host, key: &HostKey) -> Member {
    let keys = HmacKeys::parse(KEYS.as_bytes());
    Member {
        own: key.public(),
        domain: host.domain.clone(),
        keys: Arc::new(std::sync::RwLock::new(Arc::new(keys))),
    }
}

async fn meeting(entries: u8) -> Meeting {
    let host = Host::new();
    host.journal_of(entries);
    std::fs::create_dir_all(host.home.conf()).unwrap();
    let keys = host.home.conf().join("hmac_keys");
    std::fs::write(&keys, KEYS).unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o600)).unwrap();
    let facts = NetworkFacts {
        home: host.home.clone(),
        domain: host.domain.clone(),
        host: HostName::new("honest").unwrap(),
        branch: host.branch.clone(),
        port: free_port(),
        hmac_keys: keys,
        nets: None,
        discovers: false,
        voter_patience: Duration::from_secs(86_400),
    };
    let port = facts.port;
    let honest = Network::start(facts, &Arc::new(HostKey::from_secret(&[1; 32]))).unwrap();
    let key = Arc::new(HostKey::from_secret(&[2; 32]));
    let own = Port::open(0, &key, member(&host, &key)).unwrap();
    let link = own.dial(([127, 0, 0, 1], port).into()).await.unwrap();
    let lies: Arc<Mutex<Lies>> = Arc::default();
    let (serving, told) = (link.clone(), Arc::clone(&lies));
    tokio::spawn(async move {
        while let Ok((mut send, receive)) = serving.connection().accept_bi().await {
            let Ok(request) = Incoming::new(receive).line::<Request>().await else {
                continue;
            };
            let (answer, body) = match request {
                Request::Records(_) => match told.lock().unwrap().records.pop_front() {
                    Some(lie) => lie,
                    None => continue,
                },
                Request::Hello(_) => {
                    let heads = told.lock().unwrap().heads.clone();
                    (Answer::Hello(hello(heads)), Vec::new())
                }
                // As an honest one could say.
                _ => (Answer::Refused(Refused::Missing), Vec::new()),
            };
            let mut bytes = serde_json::to_vec(&answer).unwrap();
            bytes.push(b'\n');
            bytes.extend(body);
            let _gone = send.write_all(&bytes).await;
            let _gone = send.finish();
        }
    });
    Meeting {
        honest,
        host,
        link,
        lies,
        _port: own,
    }
}

fn hello(heads: Vec<BranchHead>) -> Hello {
    Hello {
        version: "5.0.0".to_owned(),
        host: HostName::new("liar").unwrap(),
        branch: BranchName::generic(),
        heads,
        introduces: Vec::new(),
        charter: None,
        // Preferred to the honest one, which therefore does not vote: a voter would not even ask.
        founds: 3,
    }
}

impl Meeting {
    /// Says that the liar has more entries than there are, and answers the question for them.
    async fn claims(&self, answer: Answer, body: Vec<u8>) {
        let head = BranchHead {
            branch: self.host.branch.clone(),
            seq: 99,
            id: EntryId(Digest::of(b"99")),
            complete: 99,
        };
        {
            let mut lies = self.lies.lock().unwrap();
            lies.records.push_back((answer, body));
            lies.heads = vec![head.clone()];
        }
        let _closed = ask(&self.link, &Request::Hello(hello(vec![head]))).await;
    }

    /// Waits until the honest host has ended the connection.
    async fn is_left(&self) {
        let ended = self.link.connection().closed();
        let ended = tokio::time::timeout(Duration::from_secs(10), ended).await;
        assert!(ended.is_ok(), "the liar is still heard");
        assert!(self.honest.peers().iter().any(|peer| peer.is_ignored));
    }

    /// The journal is what it was.
    fn is_unharmed(&self, entries: u64) {
        let (home, domain) = (&self.host.home, &self.host.domain);
        let journal = Journal::open(home, domain, &self.host.branch);
        assert_eq!(journal.unwrap().unwrap().len(), entries);
    }
}

/// The records behind entry `after` of a longer journal of the same hosts.
fn records_of(journal: &Journal, after: u64) -> Vec<Vec<u8>> {
    let seqs = journal.pending(after);
    seqs.map(|seq| journal.chain().read(seq).unwrap()).collect()
}

fn answer_of(records: &[Vec<u8>]) -> (Answer, Vec<u8>) {
    let lengths = records.iter().map(|record| record.len() as u64).collect();
    (
        Answer::Records(Records { lengths, last: 99 }),
        records.concat(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_that_are_changed_or_do_not_follow_are_not_taken() {
    let longer = Host::new();
    let longer = longer.journal_of(4);
    let good = records_of(&longer, 2);
    let mut changed = good.clone();
    let middle = changed[0].len() / 2;
    changed[0][middle] ^= 1;
    let skipped = vec![good[1].clone()];
    for lie in [changed, skipped] {
        let meeting = meeting(2).await;
        let (answer, body) = answer_of(&lie);
        meeting.claims(answer, body).await;
        meeting.is_left().await;
        meeting.is_unharmed(2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_without_an_end_are_not_read() {
    let many = Answer::Records(Records {
        lengths: vec![1; MAX_RECORDS + 1],
        last: 99,
    });
    let huge = Answer::Records(Records {
        lengths: vec![u64::MAX],
        last: 99,
    });
    for lie in [many, huge] {
        let meeting = meeting(2).await;
        meeting.claims(lie, Vec::new()).await;
        meeting.is_left().await;
        meeting.is_unharmed(2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_no_message_or_has_no_end_ends_the_acquaintance() {
    for garbage in [&b"{\"hello\":{}}\n"[..], &[b' '; 300 * 1024]] {
        let meeting = meeting(1).await;
        let (mut send, _receive) = meeting.link.connection().open_bi().await.unwrap();
        let _closed_early = send.write_all(garbage).await;
        meeting.is_left().await;
        meeting.is_unharmed(1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_drips_holds_nobody_up() {
    let meeting = meeting(1).await;
    // As many as one host may have, each begun and never ended.
    let mut begun = Vec::new();
    for _ in 0..16 {
        let (mut send, receive) = meeting.link.connection().open_bi().await.unwrap();
        send.write_all(b"{").await.unwrap();
        begun.push((send, receive));
    }
    let answer = ask(&meeting.link, &Request::Hello(hello(Vec::new()))).await;
    assert!(matches!(answer, Ok((Answer::Hello(_), _))), "{answer:?}");
    let digest = Digest::of(b"nothing");
    let blob = Request::Blob(BlobFrom { digest, offset: 7 });
    assert!(matches!(
        ask(&meeting.link, &blob).await,
        Ok((Answer::Refused(_), _))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_votes_or_answers_for_voters_unasked() {
    let meeting = meeting(1).await;
    let call = Request::Call(VoterCall {
        epoch: Epoch {
            number: 1,
            founder: HostKey::from_secret(&[2; 32]).public(),
        },
        kind: CallKind::Vote,
        length: 0,
    });
    let answer = ask(&meeting.link, &call).await;
    assert!(matches!(answer, Ok((Answer::Refused(_), _))));
    // It knows no voters, and the liar is none: what the liar answers is no verdict.
    let asked = Request::Ledger(LedgerRequest {
        ask: LedgerAsk::Look(BranchName::generic()),
        nonce: 1,
        hops: 0,
    });
    let answer = ask(&meeting.link, &asked).await;
    assert!(matches!(answer, Ok((Answer::Ledger(_), _))));
    let look = LedgerAsk::Look(BranchName::generic());
    let verdict = meeting.honest.ledger(look).await;
    assert!(matches!(
        verdict,
        LedgerAnswer::Trouble(Trouble::NoVoters | Trouble::NoQuorum { .. }) | LedgerAnswer::Row(_)
    ));
    meeting.is_unharmed(1);
}
