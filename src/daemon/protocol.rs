//! What is said over the control socket: one JSON object a line, a request and its answer. Pure. Upholds:
//! what is read is bounded; garbage gets a typed answer and never stops the daemon.
//!
//! ```text
//! > {"version":1,"verb":"status"}
//! < {"version":1,"status":{"pid":4711,"isconf":"5.0.0","started":1795196526,"domain":"example.com"}}
//! ```

use isconf_sandbox::change::Digest;
use serde::{Deserialize, Serialize};

use super::statuses::{Copies, DaemonStatus, HostStatus, PeerStatus, Standing};

use crate::model::{BranchName, Numbered};
use crate::peer::{KeptBy, LedgerAnswer, LedgerAsk};

/// The version of both directions. Another one is refused, in a line of this version.
pub const PROTOCOL_VERSION: u32 = 1;

/// The longest line of a request, in bytes, with its end: that of a thousand blobs.
pub const MAX_LINE_BYTES: usize = 128 * 1024;

/// How many blobs one request names at most.
pub const MAX_KEPT: usize = 1000;

/// The longest line of an answer: that of a host with 20,000 peers.
pub const MAX_ANSWER_BYTES: usize = 16 << 20;

/// How many requests one connection may send; a verb sends one.
pub const MAX_REQUESTS: usize = 64;

/// What a verb asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// Are you there?
    Ping,
    /// How are you?
    Status,
    /// Files of this host changed: look at them, and tell the others.
    Look,
    /// Ask the others what they have of this branch, get its entries, and say how it stands.
    Sync(BranchName),
    /// Say how this branch stands, as far as that is known.
    Standing(BranchName),
    /// Dial this address, and remember it.
    Join(String),
    /// Bring this to whoever keeps the locks of the domain.
    Ledger(LedgerAsk),
    /// Have another host keep these blobs.
    Keep(Vec<Digest>),
    /// Up to which entry of this branch do other hosts keep everything?
    Copies(BranchName),
    /// Contents were removed here.
    Pruned,
    /// How do the hosts of the domain stand?
    Hosts,
    /// What happened behind this event? From now on, for none.
    Events(Option<u64>),
    /// Begin the locks of the domain anew, with this host alone.
    Recover,
    /// Please end.
    Stop,
}

/// What the daemon says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// To a ping.
    Pong,
    /// How it is.
    Status(DaemonStatus),
    /// It looked.
    Looking,
    /// How a branch stands.
    Standing(Standing),
    /// The host at that address is one of the domain.
    Joined(PeerStatus),
    /// The address is remembered, and there is no host of the domain now.
    NotJoined(String),
    /// What came of what was to be brought.
    Ledger(LedgerAnswer),
    /// Where the blobs are; `None` while they are under way.
    Kept(Option<KeptBy>),
    /// By which policy this host keeps contents, and up to where others do.
    Copies(Copies),
    /// How the hosts of the domain stand.
    Hosts(Vec<HostStatus>),
    /// What happened, and the number of the last event.
    Events(u64, Vec<Numbered>),
    /// The number of the epoch that began.
    Recovered(u64),
    /// It did not begin.
    NotRecovered(String),
    /// It ends now.
    Stopping,
    /// It did not do it.
    Refused(Refusal),
}

/// Why a request was not served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Not a line of this protocol.
    #[error("the request is malformed")]
    Malformed,
    /// Longer than [`MAX_LINE_BYTES`].
    #[error("the request is too long")]
    TooLong,
    /// Another version than [`PROTOCOL_VERSION`].
    #[error("version {0} of the request is unknown, the daemon speaks {PROTOCOL_VERSION}")]
    UnknownVersion(u32),
    /// More than [`MAX_REQUESTS`].
    #[error("too many requests")]
    TooMany,
}

/// A line that is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// Not JSON of the expected form.
    #[error("the answer is malformed")]
    Malformed(#[source] serde_json::Error),
    /// Another version.
    #[error("the daemon speaks version {0}, this isconf version {PROTOCOL_VERSION}. Restart it")]
    Version(u32),
}

/// The part of a line that every version has.
#[derive(Deserialize)]
struct VersionLine {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct RequestLine {
    version: u32,
    verb: Request,
}

#[derive(Serialize, Deserialize)]
struct AnswerLine {
    version: u32,
    #[serde(flatten)]
    answer: AnswerField,
}

/// The answer as a field: `"pong":null` and the like.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct AnswerField(Answer);

/// The daemon's side of one connection.
#[derive(Debug, Default)]
pub struct Conversation {
    requests: usize,
}

impl Conversation {
    /// Takes one line, with or without its end; gives what it asks. After a refusal the connection is to
    /// be closed.
    pub fn receive(&mut self, line: &[u8]) -> Result<Request, Refusal> {
        self.requests += 1;
        if self.requests > MAX_REQUESTS {
            return Err(Refusal::TooMany);
        }
        request(line)
    }
}

/// Reads a request. The version is looked at first, since another version may have other verbs.
fn request(line: &[u8]) -> Result<Request, Refusal> {
    if line.len() > MAX_LINE_BYTES {
        return Err(Refusal::TooLong);
    }
    let VersionLine { version } =
        serde_json::from_slice(line).map_err(|_not_told| Refusal::Malformed)?;
    if version != PROTOCOL_VERSION {
        return Err(Refusal::UnknownVersion(version));
    }
    let line: RequestLine = serde_json::from_slice(line).map_err(|_not_told| Refusal::Malformed)?;
    Ok(line.verb)
}

/// The line of a request, with its end.
pub fn request_line(verb: Request) -> Vec<u8> {
    let version = PROTOCOL_VERSION;
    line_of(&RequestLine { version, verb })
}

/// Reads a request; the line that it would be written as, when it is one.
pub(crate) fn rewritten_request(line: &[u8]) -> Option<Vec<u8>> {
    let _either = read_answer(line);
    request(line).ok().map(request_line)
}

/// The line of an answer, with its end.
pub fn answer_line(answer: Answer) -> Vec<u8> {
    line_of(&AnswerLine {
        version: PROTOCOL_VERSION,
        answer: AnswerField(answer),
    })
}

fn line_of(value: &impl Serialize) -> Vec<u8> {
    let text = serde_json::to_vec(value);
    let mut line = text.expect("numbers, strings and structs always have a JSON form");
    line.push(b'\n');
    line
}

/// Reads an answer.
pub fn read_answer(line: &[u8]) -> Result<Answer, AnswerError> {
    let VersionLine { version } = serde_json::from_slice(line).map_err(AnswerError::Malformed)?;
    if version != PROTOCOL_VERSION {
        return Err(AnswerError::Version(version));
    }
    let line: AnswerLine = serde_json::from_slice(line).map_err(AnswerError::Malformed)?;
    Ok(line.answer.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::statuses::{Arriving, VoterStatus, VotingStatus};
    use super::*;
    use crate::model::{HostCard, HostName, PublicKey};

    fn peer() -> PeerStatus {
        PeerStatus {
            key: PublicKey::from_bytes([7; 32]),
            host: Some(HostName::new("web1").unwrap()),
            address: Some("192.0.2.7:65027".parse().unwrap()),
            isconf: Some("5.0.0".to_owned()),
            branch: Some(BranchName::generic()),
            entry: Some(12),
            seen: Some(1_795_196_530),
            connected: true,
            ignored: false,
            diverged: false,
        }
    }

    fn host() -> HostStatus {
        HostStatus {
            key: PublicKey::from_bytes([7; 32]),
            isconf: "5.0.0".to_owned(),
            card: HostCard {
                host: HostName::new("web1").unwrap(),
                branch: BranchName::generic(),
                at: None,
                congruent: None,
                failed: None,
                noted: crate::model::Moment::EPOCH,
            },
            last: Some(12),
            seen: Some(1_795_196_530),
            connected: true,
        }
    }

    fn status() -> DaemonStatus {
        DaemonStatus {
            pid: 4711,
            isconf: "5.0.0".to_owned(),
            started: 1_795_196_526,
            domain: "example.com".to_owned(),
            peers: vec![peer()],
            voting: Some(VotingStatus {
                epoch: 1,
                voters: vec![VoterStatus {
                    key: PublicKey::from_bytes([7; 32]),
                    host: "web1".to_owned(),
                    connected: true,
                }],
                locks: Vec::new(),
            }),
        }
    }

    fn standing() -> Standing {
        let blob = Digest::of(b"blob");
        Standing {
            known: 2,
            connected: 1,
            last: 14,
            complete: 12,
            arriving: Some(Arriving {
                blob,
                entry: 13,
                here: 4096,
                length: 1_048_576,
            }),
            hindrance: Some("why".to_owned()),
            diverged: vec!["web2".to_owned()],
        }
    }

    fn received(line: &[u8]) -> Result<Request, Refusal> {
        Conversation::default().receive(line)
    }

    #[test]
    fn every_request_is_read_back() {
        let join = Request::Join("web1:65027".to_owned());
        for verb in [
            Request::Ping,
            Request::Status,
            Request::Look,
            Request::Sync(BranchName::generic()),
            join,
            Request::Stop,
        ] {
            assert_eq!(received(&request_line(verb.clone())), Ok(verb));
        }
    }

    #[test]
    fn the_lines_are_those_of_the_page() {
        let page = include_str!("../../docs/control-socket.md");
        let requests = [
            Request::Ping,
            Request::Status,
            Request::Look,
            Request::Sync(BranchName::generic()),
            Request::Standing(BranchName::generic()),
            Request::Join("web1".to_owned()),
            Request::Ledger(LedgerAsk::Look(BranchName::generic())),
            Request::Keep(vec![Digest::of(b"blob")]),
            Request::Copies(BranchName::generic()),
            Request::Pruned,
            Request::Hosts,
            Request::Events(None),
            Request::Recover,
            Request::Stop,
        ];
        let answers = [
            Answer::Pong,
            Answer::Status(status()),
            Answer::Looking,
            Answer::Standing(standing()),
            Answer::Joined(peer()),
            Answer::NotJoined("it did not answer in time".to_owned()),
            Answer::Kept(Some(KeptBy::Host("web1".to_owned()))),
            Answer::Copies(Copies {
                policy: "full".to_owned(),
                settled: true,
                complete: vec![12, 0],
            }),
            Answer::Hosts(vec![host()]),
            Answer::Events(7, Vec::new()),
            Answer::Recovered(2),
            Answer::NotRecovered("why".to_owned()),
            Answer::Stopping,
            Answer::Refused(Refusal::UnknownVersion(2)),
            Answer::Refused(Refusal::Malformed),
        ];
        let lines = requests.into_iter().map(request_line);
        for line in lines.chain(answers.into_iter().map(answer_line)) {
            let line = String::from_utf8(line).unwrap();
            let line = line.replace(&Digest::of(b"blob").to_string(), "DIGEST");
            let line = line.trim_end();
            assert!(page.contains(&format!("`{line}`")), "missing:\n{line}");
        }
    }

    #[test]
    fn every_answer_is_read_back() {
        for answer in [
            Answer::Pong,
            Answer::Looking,
            Answer::Standing(standing()),
            Answer::Stopping,
            Answer::Status(status()),
            Answer::Joined(peer()),
            Answer::NotJoined("why".to_owned()),
            Answer::Refused(Refusal::UnknownVersion(7)),
            Answer::Refused(Refusal::Malformed),
        ] {
            let line = answer_line(answer.clone());
            assert_eq!(read_answer(&line).unwrap(), answer);
        }
    }

    #[test]
    fn another_version_is_refused_before_its_verb_is_looked_at() {
        let line = br#"{"version":2,"verb":"dance"}"#;
        assert_eq!(received(line), Err(Refusal::UnknownVersion(2)));
        let line = br#"{"version":1,"verb":"dance"}"#;
        assert_eq!(received(line), Err(Refusal::Malformed));
        assert_eq!(received(b""), Err(Refusal::Malformed));
        let long = vec![b' '; MAX_LINE_BYTES + 1];
        assert_eq!(received(&long), Err(Refusal::TooLong));
        let newer = br#"{"version":2,"pong":null}"#;
        assert!(matches!(read_answer(newer), Err(AnswerError::Version(2))));
    }

    #[test]
    fn a_connection_may_not_ask_for_ever() {
        let mut conversation = Conversation::default();
        let ping = request_line(Request::Ping);
        for _ in 0..MAX_REQUESTS {
            assert_eq!(conversation.receive(&ping), Ok(Request::Ping));
        }
        assert_eq!(conversation.receive(&ping), Err(Refusal::TooMany));
    }

    proptest! {
        #[test]
        fn garbage_is_refused(line in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(received(&line).is_err());
            let _either = read_answer(&line);
        }
    }
}
