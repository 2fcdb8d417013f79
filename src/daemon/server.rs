//! The control socket of the daemon. Not for what is said over it (see `protocol`). Upholds: only
//! root is served; each connection is bounded in bytes and time, so that none can stop the others.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::geteuid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, Semaphore};

use crate::durable::{self, FileError, PRIVATE_FILE_MODE};

use super::protocol::{Answer, Conversation, MAX_LINE_BYTES, Request, answer_line};
use super::served::Served;

/// How many connections are served at once; verbs run one at a time, people are few.
const MAX_CONNECTIONS: usize = 32;

/// How long one connection may last. A verb's takes a millisecond, or as long as a host may take to
/// greet.
const MAX_CONVERSATION: Duration = Duration::from_secs(60);

/// The pause after a connection could not be accepted: for want of descriptors, which only the end of
/// another connection gives back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The bound socket.
#[derive(Debug)]
pub(super) struct Server {
    listener: UnixListener,
    shared: Arc<Shared>,
}

/// What all connections see.
#[derive(Debug)]
struct Shared {
    served: Served,
    end_asked: Notify,
}

/// Why the server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// A verb asked for it.
    Asked,
    /// The future that was given ended.
    Told,
}

impl Server {
    /// Binds the socket, in place of one that a killed daemon left behind: the caller holds the
    /// daemon's lock. Needs a tokio runtime.
    pub(super) fn bind(path: &Path, served: Served) -> Result<Self, FileError> {
        durable::remove(path)?;
        let listener = UnixListener::bind(path).map_err(FileError::of("bind", path))?;
        // The directory is root's alone, so nobody else can connect before this.
        let mode = Permissions::from_mode(PRIVATE_FILE_MODE);
        fs::set_permissions(path, mode).map_err(FileError::of("set the mode of", path))?;
        let end_asked = Notify::new();
        let shared = Arc::new(Shared { served, end_asked });
        Ok(Self { listener, shared })
    }

    /// Serves until `told` ends, or a verb asks to stop.
    pub(super) async fn serve(self, told: impl Future<Output = ()>) -> Ended {
        let shared = Arc::clone(&self.shared);
        tokio::select! {
            () = self.accept() => Ended::Told,
            () = told => Ended::Told,
            () = shared.end_asked.notified() => Ended::Asked,
        }
    }

    /// Accepts connections, as many at once as there are places.
    async fn accept(self) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let shared = Arc::clone(&self.shared);
                    tokio::spawn(async move {
                        let talk =
                            tokio::time::timeout(MAX_CONVERSATION, converse(stream, &shared));
                        // A connection that ends late or badly concerns its other end only.
                        let _late_or_broken = talk.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Whether the other end may give orders: root, or the daemon's own user in a test.
fn is_trusted(stream: &UnixStream) -> io::Result<bool> {
    let uid = stream.peer_cred()?.uid();
    Ok(uid == 0 || uid == geteuid().as_raw())
}

/// Answers line by line until the conversation ends.
async fn converse(stream: UnixStream, shared: &Shared) -> io::Result<()> {
    if !is_trusted(&stream)? {
        return Ok(());
    }
    let mut stream = BufReader::new(stream);
    let mut conversation = Conversation::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        // One byte more than allowed, so that the conversation sees that it is too long.
        let limit = MAX_LINE_BYTES as u64 + 1;
        let read = (&mut stream)
            .take(limit)
            .read_until(b'\n', &mut line)
            .await?;
        if read == 0 {
            return Ok(());
        }
        let request = conversation.receive(&line);
        let (is_refused, is_end) = (request.is_err(), request == Ok(Request::Stop));
        let answer = match request {
            Ok(request) => shared.served.answer(request).await,
            Err(refusal) => Answer::Refused(refusal),
        };
        let sent = stream.write_all(&answer_line(answer)).await;
        if is_end {
            // Also when the answer could not be sent: the order was understood.
            shared.end_asked.notify_one();
        }
        sent?;
        if is_refused || is_end {
            return Ok(());
        }
    }
}
