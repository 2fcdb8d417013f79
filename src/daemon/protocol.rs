//! What is said over the control socket: one JSON object a line, a request and its answer. Pure. Upholds:
//! what is read is bounded; garbage gets a typed answer and never stops the daemon.
//!
//! ```text
//! > {"version":1,"verb":"status"}
//! < {"version":1,"status":{"pid":4711,"isconf":"5.0.0","started":1795196526,"domain":"example.com"}}
//! ```

use serde::{Deserialize, Serialize};

/// The version of both directions. Another one is refused, in a line of this version.
pub const PROTOCOL_VERSION: u32 = 1;

/// The longest line, in bytes, with its end. A request has some thirty; an answer some two hundred.
pub const MAX_LINE_BYTES: usize = 4096;

/// How many requests one connection may send; a verb sends one.
pub const MAX_REQUESTS: usize = 64;

/// What a verb asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// Are you there?
    Ping,
    /// How are you?
    Status,
    /// Please end.
    Stop,
}

/// What the daemon says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// To a ping.
    Pong,
    /// How it is.
    Status(DaemonStatus),
    /// It ends now.
    Stopping,
    /// It did not do it.
    Refused(Refusal),
}

/// How a daemon is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonStatus {
    /// Its process.
    pub pid: u32,
    /// Its version of isconf.
    pub isconf: String,
    /// When it started, in seconds since 1970.
    pub started: u64,
    /// The domain that it serves.
    pub domain: String,
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

/// What the daemon does after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It reads on.
    GoOn,
    /// It closes the connection.
    Close,
    /// It closes the connection and ends.
    End,
}

/// The daemon's side of one connection.
#[derive(Debug, Default)]
pub struct Conversation {
    requests: usize,
}

impl Conversation {
    /// Takes one line, with or without its end; gives the answer and what follows.
    pub fn receive(&mut self, line: &[u8], status: &DaemonStatus) -> (Answer, Next) {
        self.requests += 1;
        if self.requests > MAX_REQUESTS {
            return (Answer::Refused(Refusal::TooMany), Next::Close);
        }
        match request(line) {
            Ok(Request::Ping) => (Answer::Pong, Next::GoOn),
            Ok(Request::Status) => (Answer::Status(status.clone()), Next::GoOn),
            Ok(Request::Stop) => (Answer::Stopping, Next::End),
            Err(refusal) => (Answer::Refused(refusal), Next::Close),
        }
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

    use super::*;

    fn status() -> DaemonStatus {
        DaemonStatus {
            pid: 4711,
            isconf: "5.0.0".to_owned(),
            started: 1_795_196_526,
            domain: "example.com".to_owned(),
        }
    }

    fn received(line: &[u8]) -> (Answer, Next) {
        Conversation::default().receive(line, &status())
    }

    #[test]
    fn a_request_gets_its_answer() {
        assert_eq!(
            received(&request_line(Request::Ping)),
            (Answer::Pong, Next::GoOn)
        );
        let (answer, next) = received(&request_line(Request::Status));
        assert_eq!((answer, next), (Answer::Status(status()), Next::GoOn));
        assert_eq!(
            received(&request_line(Request::Stop)),
            (Answer::Stopping, Next::End)
        );
    }

    #[test]
    fn the_lines_are_those_of_the_page() {
        assert_eq!(
            request_line(Request::Status),
            b"{\"version\":1,\"verb\":\"status\"}\n"
        );
        let line = answer_line(Answer::Status(status()));
        let expected = "{\"version\":1,\"status\":{\"pid\":4711,\"isconf\":\"5.0.0\",\"started\":1795196526,\"domain\":\"example.com\"}}\n";
        assert_eq!(String::from_utf8(line).unwrap(), expected);
        assert_eq!(
            answer_line(Answer::Pong),
            b"{\"version\":1,\"pong\":null}\n"
        );
    }

    #[test]
    fn every_answer_is_read_back() {
        for answer in [
            Answer::Pong,
            Answer::Stopping,
            Answer::Status(status()),
            Answer::Refused(Refusal::UnknownVersion(7)),
            Answer::Refused(Refusal::Malformed),
        ] {
            let line = answer_line(answer.clone());
            assert_eq!(read_answer(&line).unwrap(), answer);
        }
    }

    #[test]
    fn another_version_is_refused_before_its_verb_is_looked_at() {
        let refused = |line: &[u8]| match received(line) {
            (Answer::Refused(refusal), Next::Close) => refusal,
            other => panic!("{other:?}"),
        };
        let line = br#"{"version":2,"verb":"dance"}"#;
        assert_eq!(refused(line), Refusal::UnknownVersion(2));
        assert_eq!(
            refused(br#"{"version":1,"verb":"dance"}"#),
            Refusal::Malformed
        );
        assert_eq!(refused(b""), Refusal::Malformed);
        assert_eq!(refused(&vec![b' '; MAX_LINE_BYTES + 1]), Refusal::TooLong);
        let newer = br#"{"version":2,"pong":null}"#;
        assert!(matches!(read_answer(newer), Err(AnswerError::Version(2))));
    }

    #[test]
    fn a_connection_may_not_ask_for_ever() {
        let mut conversation = Conversation::default();
        let ping = request_line(Request::Ping);
        for _ in 0..MAX_REQUESTS {
            assert_eq!(conversation.receive(&ping, &status()).1, Next::GoOn);
        }
        let (answer, next) = conversation.receive(&ping, &status());
        assert_eq!(
            (answer, next),
            (Answer::Refused(Refusal::TooMany), Next::Close)
        );
    }

    proptest! {
        #[test]
        fn garbage_is_refused_and_closes(line in prop::collection::vec(any::<u8>(), 0..200)) {
            let (answer, next) = received(&line);
            prop_assert!(matches!(answer, Answer::Refused(_)));
            prop_assert_eq!(next, Next::Close);
            let _either = read_answer(&line);
        }
    }
}
