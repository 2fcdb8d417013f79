//! How a verb asks the daemon. Upholds: a verb never hangs on a daemon that does not answer, and
//! never reads more than a line may have.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use isconf_sandbox::change::Digest;

use crate::model::{BranchName, Home, Numbered};
use crate::peer::{KeptBy, LedgerAnswer, LedgerAsk};

use super::protocol::{
    Answer, AnswerError, MAX_ANSWER_BYTES, Refusal, Request, read_answer, request_line,
};
use super::statuses::{Copies, DaemonStatus, HostStatus, PeerStatus, Standing};

/// How long a verb waits for the daemon, as in the original. Each step may take this long.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens on the socket.
    #[error("the daemon is not running. Start it with `isconf start`")]
    NotRunning,
    /// It listens and says nothing.
    #[error("the daemon timed out after {} s. `isconf restart` ends and starts it", .0.as_secs())]
    TimedOut(Duration),
    /// It closed the connection without an answer.
    #[error("the daemon closed the connection")]
    Closed,
    /// The socket failed.
    #[error("cannot talk to the daemon over {}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It said something that is no answer.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// It did not serve the request.
    #[error("the daemon refused: {0}")]
    Refused(Refusal),
    /// It answered another question.
    #[error("the daemon gave another answer than was asked for")]
    Unexpected,
}

/// Asks how the daemon is.
pub fn status(home: &Home, timeout: Duration) -> Result<DaemonStatus, ClientError> {
    match ask(home, Request::Status, timeout)? {
        Answer::Status(status) => Ok(status),
        other => Err(other.into()),
    }
}

/// Asks whether the daemon answers.
pub fn ping(home: &Home, timeout: Duration) -> Result<(), ClientError> {
    match ask(home, Request::Ping, timeout)? {
        Answer::Pong => Ok(()),
        other => Err(other.into()),
    }
}

/// Says that files of this host changed.
pub fn look(home: &Home, timeout: Duration) -> Result<(), ClientError> {
    match ask(home, Request::Look, timeout)? {
        Answer::Looking => Ok(()),
        other => Err(other.into()),
    }
}

/// Has the daemon ask the others for what a branch lacks here; how it stands then.
pub fn sync(home: &Home, branch: &BranchName, timeout: Duration) -> Result<Standing, ClientError> {
    standing_of(home, Request::Sync(branch.clone()), timeout)
}

/// How a branch stands.
pub fn standing(
    home: &Home,
    branch: &BranchName,
    timeout: Duration,
) -> Result<Standing, ClientError> {
    standing_of(home, Request::Standing(branch.clone()), timeout)
}

fn standing_of(home: &Home, request: Request, timeout: Duration) -> Result<Standing, ClientError> {
    match ask(home, request, timeout)? {
        Answer::Standing(standing) => Ok(standing),
        other => Err(other.into()),
    }
}

/// Has the daemon dial an address and remember it; who is there, or why nobody of the domain is.
pub fn join(
    home: &Home,
    address: &str,
    timeout: Duration,
) -> Result<Result<PeerStatus, String>, ClientError> {
    match ask(home, Request::Join(address.to_owned()), timeout)? {
        Answer::Joined(peer) => Ok(Ok(peer)),
        Answer::NotJoined(why) => Ok(Err(why)),
        other => Err(other.into()),
    }
}

/// Brings something to whoever keeps the locks of the domain; what came of it.
pub fn ledger(
    home: &Home,
    what: LedgerAsk,
    timeout: Duration,
) -> Result<LedgerAnswer, ClientError> {
    match ask(home, Request::Ledger(what), timeout)? {
        Answer::Ledger(answer) => Ok(answer),
        other => Err(other.into()),
    }
}

/// Has another host keep blobs, at most [`MAX_KEPT`](super::protocol::MAX_KEPT) of them; where they are, or
/// `None` while they are under way.
pub fn keep(
    home: &Home,
    blobs: Vec<Digest>,
    timeout: Duration,
) -> Result<Option<KeptBy>, ClientError> {
    match ask(home, Request::Keep(blobs), timeout)? {
        Answer::Kept(by) => Ok(by),
        other => Err(other.into()),
    }
}

/// Asks by which policy the daemon keeps contents, and up to where of a branch others do.
pub fn copies(home: &Home, branch: &BranchName, timeout: Duration) -> Result<Copies, ClientError> {
    match ask(home, Request::Copies(branch.clone()), timeout)? {
        Answer::Copies(copies) => Ok(copies),
        other => Err(other.into()),
    }
}

/// Says that contents were removed.
pub fn pruned(home: &Home, timeout: Duration) -> Result<(), ClientError> {
    match ask(home, Request::Pruned, timeout)? {
        Answer::Looking => Ok(()),
        other => Err(other.into()),
    }
}

/// Asks how the hosts of the domain stand.
pub fn hosts(home: &Home, timeout: Duration) -> Result<Vec<HostStatus>, ClientError> {
    match ask(home, Request::Hosts, timeout)? {
        Answer::Hosts(hosts) => Ok(hosts),
        other => Err(other.into()),
    }
}

/// Asks what happened behind an event; without one, from when on.
pub fn events(
    home: &Home,
    after: Option<u64>,
    timeout: Duration,
) -> Result<(u64, Vec<Numbered>), ClientError> {
    match ask(home, Request::Events(after), timeout)? {
        Answer::Events(last, events) => Ok((last, events)),
        other => Err(other.into()),
    }
}

/// Begins the locks of the domain anew, with this host alone; the number of the epoch, or why not.
pub fn recover(home: &Home, timeout: Duration) -> Result<Result<u64, String>, ClientError> {
    match ask(home, Request::Recover, timeout)? {
        Answer::Recovered(epoch) => Ok(Ok(epoch)),
        Answer::NotRecovered(why) => Ok(Err(why)),
        other => Err(other.into()),
    }
}

impl From<Answer> for ClientError {
    /// Of an answer to something else.
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Refused(refusal) => Self::Refused(refusal),
            Answer::Pong
            | Answer::Status(_)
            | Answer::Looking
            | Answer::Standing(_)
            | Answer::Joined(_)
            | Answer::NotJoined(_)
            | Answer::Ledger(_)
            | Answer::Kept(_)
            | Answer::Copies(..)
            | Answer::Hosts(_)
            | Answer::Events(..)
            | Answer::Recovered(_)
            | Answer::NotRecovered(_)
            | Answer::Stopping => Self::Unexpected,
        }
    }
}

/// Sends one request and reads one answer.
pub fn ask(home: &Home, request: Request, timeout: Duration) -> Result<Answer, ClientError> {
    let path = home.control_socket();
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NotRunning,
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::TimedOut(timeout),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => ClientError::Closed,
        _ => ClientError::Socket {
            path: path.clone(),
            source,
        },
    };
    let mut stream = connected(&path, timeout).map_err(failed)?;
    stream.write_all(&request_line(request)).map_err(failed)?;
    let mut line = Vec::new();
    let mut limited = BufReader::new(stream).take(MAX_ANSWER_BYTES as u64);
    limited.read_until(b'\n', &mut line).map_err(failed)?;
    if line.is_empty() {
        return Err(ClientError::Closed);
    }
    Ok(read_answer(&line)?)
}

/// Connects; the time limit is set before, since connecting waits when too many others do.
fn connected(path: &Path, timeout: Duration) -> io::Result<UnixStream> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket: OwnedFd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let seconds = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
    let limit = TimeVal::new(seconds, timeout.subsec_micros().into());
    setsockopt(&socket, sockopt::SendTimeout, &limit)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &limit)?;
    let address = UnixAddr::new(path)?;
    loop {
        match connect(socket.as_raw_fd(), &address) {
            Ok(()) => return Ok(UnixStream::from(socket)),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
