//! A host of the domain that lies, on a real connection with an honest one: what it says is not believed, and it harms
//! nobody.

use std::collections::VecDeque;
use std::net::UdpSocket;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use isconf_sandbox::change::Digest;

use super::contents::{Wish, fetch_for};
use super::endpoint::{Link, Member, Port};
use super::frames::Incoming;
use super::messages::{
    Answer, Blob, BlobFrom, BranchHead, Hello, LedgerRequest, MAX_RECORDS, PieceList, Records,
    Refused, Request, VoterCall,
};
use super::network::{Network, NetworkFacts};
use super::serve::ask;
use super::voting::{LedgerAnswer, LedgerAsk, Trouble};
use crate::identity::{HmacKeys, HostKey};
use crate::journal::Journal;
use crate::journal::tests::Host;
use crate::model::{BranchName, CachePolicy, EntryId, HostName};
use crate::quorum::{CallKind, Epoch};
use crate::store::{LONG_BYTES, Pieces};

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
    /// What it answers to questions for contents.
    contents: Option<Contents>,
    /// What it was asked.
    asked: Vec<Request>,
}

type Contents = Box<dyn Fn(&Request) -> Option<(Answer, Vec<u8>)> + Send>;

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
        cache: CachePolicy::Full,
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
            told.lock().unwrap().asked.push(request.clone());
            let about_contents = {
                let told = told.lock().unwrap();
                told.contents.as_ref().and_then(|answer| answer(&request))
            };
            let (answer, body) = match request {
                _ if about_contents.is_some() => about_contents.unwrap(),
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

    /// The honest host's end of the connection.
    async fn link_to_liar(&self) -> Link {
        for _ in 0..500 {
            let links: Vec<_> = self.honest.shared().table().links().cloned().collect();
            if let [link] = &links[..] {
                return link.clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("they do not meet");
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
    let blob = Request::Blob(BlobFrom {
        digest,
        offset: 7,
        whole: false,
        pressing: false,
    });
    assert!(matches!(
        ask(&meeting.link, &blob).await,
        Ok((Answer::Refused(_), _))
    ));
}

/// Bytes that a blob could have, and a version of it that differs in the middle.
fn versions() -> (Vec<u8>, Vec<u8>) {
    let mut random = fastrand::Rng::with_seed(1);
    let old: Vec<u8> = (0..LONG_BYTES).map(|_| random.u8(..)).collect();
    let mut new = old.clone();
    new[1 << 20..][..100_000].fill(7);
    (old, new)
}

/// Answers about the contents `told` as if they were those of another blob, with the list of the pieces of `listed`.
fn contents(listed: &[u8], told: &[u8], arriving: bool) -> Contents {
    let list = Pieces::of(listed, listed.len() as u64).unwrap().unwrap();
    let (list, told) = (list.to_bytes(), told.to_vec());
    let length = told.len() as u64;
    let blob = Blob { length, arriving };
    Box::new(move |request| match request {
        Request::Pieces(_) => {
            let length = list.len() as u64;
            Some((Answer::Pieces(PieceList { length }), list.clone()))
        }
        Request::Parts(asked) => {
            let part =
                |(offset, length): &(u64, u64)| &told[*offset as usize..][..*length as usize];
            Some((
                Answer::Blob(blob),
                asked.parts.iter().map(part).collect::<Vec<_>>().concat(),
            ))
        }
        Request::Blob(_) => Some((Answer::Blob(blob), told.clone())),
        _ => None,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contents_that_are_something_else_are_not_taken_and_whoever_sent_them_is_told() {
    let (old, new) = versions();
    let mut forged = new.clone();
    forged[(1 << 20) + 5] ^= 1;
    let wish = Wish::of_length(Digest::of(&new), new.len() as u64);
    let lies = [
        // A list of other pieces, and these; a true list, and other pieces; nothing in common, and another blob.
        (contents(&forged, &forged, false), true),
        (contents(&new, &forged, false), true),
        (contents(&vec![1; new.len()], &forged, false), true),
        // It may be that it was told so itself.
        (contents(&vec![1; new.len()], &forged, true), false),
    ];
    for (lie, is_told) in lies {
        let meeting = meeting(1).await;
        let shared = meeting.honest.shared();
        shared.local.store().put_bytes(&old).unwrap();
        meeting.lies.lock().unwrap().contents = Some(lie);
        let link = meeting.link_to_liar().await;
        assert!(!fetch_for(shared, &link, wish).await);
        assert!(!shared.local.store().contains(&wish.digest));
        let partial = shared.local.store().partial(&wish.digest).unwrap();
        assert!(partial.length() < wish.longest, "what is wrong is not kept");
        let was_told = || {
            let asked = &meeting.lies.lock().unwrap().asked;
            asked.contains(&Request::Doubt(wish.digest))
        };
        for _ in 0..50 {
            // Nothing is said at once: where nothing is to be said, that takes the whole time.
            if was_told() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(was_told(), is_told);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_length_in_a_list_of_files_is_nobodys_fault() {
    let (old, new) = versions();
    let meeting = meeting(1).await;
    let shared = meeting.honest.shared();
    shared.local.store().put_bytes(&old).unwrap();
    meeting.lies.lock().unwrap().contents = Some(contents(&new, &new, false));
    let link = meeting.link_to_liar().await;
    let mut wish = Wish::of_length(Digest::of(&new), new.len() as u64 - 1);
    wish.longest = u64::MAX;
    assert!(fetch_for(shared, &link, wish).await);
    assert!(shared.local.store().contains(&wish.digest));
    assert!(!meeting.honest.peers()[0].is_ignored);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_only_looked_for_is_not_said_to_be_on_its_way() {
    let meeting = meeting(1).await;
    let shared = meeting.honest.shared();
    let digest = Digest::of(b"nobody has it");
    let _looked_for = shared.arrivals.begin(digest, 1);
    let asked = Request::Blob(BlobFrom {
        digest,
        offset: 0,
        whole: false,
        pressing: false,
    });
    assert!(matches!(
        ask(&meeting.link, &asked).await,
        Ok((Answer::Refused(Refused::Missing), _))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_is_made_of_what_is_here_and_what_came() {
    let (old, new) = versions();
    let wish = Wish::of_length(Digest::of(&new), new.len() as u64);
    let meeting = meeting(1).await;
    let shared = meeting.honest.shared();
    let store = shared.local.store();
    store.put_bytes(&old).unwrap();
    meeting.lies.lock().unwrap().contents = Some(contents(&new, &new, false));
    let link = meeting.link_to_liar().await;
    assert!(fetch_for(shared, &link, wish).await);
    assert_eq!(store.get(&wish.digest, wish.longest).unwrap(), new);
    // Its own way to cut it counts here, not another host's.
    assert!(store.kept_pieces(&wish.digest, wish.longest).is_none());
    let asked = &meeting.lies.lock().unwrap().asked;
    let parts = asked.iter().filter_map(|request| match request {
        Request::Parts(asked) => Some(asked.parts.iter().map(|(_, length)| length).sum::<u64>()),
        _ => None,
    });
    let bytes: u64 = parts.sum();
    assert!((100_000..150_000).contains(&bytes), "{bytes} bytes came");
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
