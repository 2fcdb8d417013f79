//! Where the daemon's messages go. Upholds: messages go to syslog (manual of ISconf 4), which is the
//! journal where systemd runs, to standard error in the foreground; never to a file of our own in /tmp;
//! of libraries nothing is passed on.

use std::fmt;
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// The socket of syslog(3).
const SYSLOG_SOCKET: &str = "/dev/log";

/// The facility `daemon` of syslog(3), shifted to its place.
const FACILITY: u8 = 3 << 3;

/// The longest message, in bytes: what a syslog daemon takes.
const MAX_MESSAGE_BYTES: usize = 2000;

/// A receiver of messages.
pub enum Log {
    /// syslog, by this socket.
    Syslog {
        /// Our end.
        socket: UnixDatagram,
        /// Theirs.
        path: PathBuf,
    },
    /// A stream, one line a message.
    Stream(Box<dyn Write + Send>),
    /// Nobody; where there is no syslog.
    Nobody,
}

/// The severities of syslog(3) that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Severity {
    Error = 3,
    Warning = 4,
    Info = 6,
}

impl Log {
    /// syslog; nobody on a machine that cannot even make a socket.
    pub fn syslog() -> Self {
        Self::syslog_at(Path::new(SYSLOG_SOCKET))
    }

    /// Takes all messages of this process from now on.
    pub(super) fn install(self) {
        let subscriber = tracing_subscriber::registry().with(Listener(Mutex::new(self)));
        // Somebody else listens in a process that is not a daemon's alone, as in a test.
        let _listens_already = tracing::subscriber::set_global_default(subscriber);
    }

    fn syslog_at(path: &Path) -> Self {
        UnixDatagram::unbound().map_or(Self::Nobody, |socket| {
            // A syslog that is busy does not hold the daemon up.
            let _blocks_otherwise = socket.set_nonblocking(true);
            let path = path.to_owned();
            Self::Syslog { socket, path }
        })
    }

    fn say(&mut self, severity: Severity, text: &str) {
        // One line, whatever it holds.
        let mut text = text.replace(|c: char| c.is_control(), " ");
        text.truncate(text.floor_char_boundary(MAX_MESSAGE_BYTES));
        match self {
            Self::Syslog { socket, path } => {
                let priority = FACILITY | severity as u8;
                let pid = std::process::id();
                let packet = format!("<{priority}>isconf[{pid}]: {text}");
                // Without a syslog there is nobody to tell that there is none.
                let _no_syslog = socket.send_to(packet.as_bytes(), &*path);
            }
            Self::Stream(stream) => {
                let word = match severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                    Severity::Info => "info",
                };
                // A closed standard error is no reason to end.
                let _closed = writeln!(stream, "isconf: {word}: {text}");
            }
            Self::Nobody => {}
        }
    }
}

/// A log as the library wants it.
struct Listener(Mutex<Log>);

impl<S: Subscriber> Layer<S> for Listener {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        let severity = match *metadata.level() {
            Level::ERROR => Severity::Error,
            Level::WARN => Severity::Warning,
            Level::INFO => Severity::Info,
            Level::DEBUG | Level::TRACE => return,
        };
        let is_ours = metadata.target().split("::").next() == Some(env!("CARGO_PKG_NAME"));
        if is_ours {
            let mut message = Message(String::new());
            event.record(&mut message);
            // A log in which somebody panicked still takes lines.
            let mut log = self.0.lock().unwrap_or_else(|e| e.into_inner());
            log.say(severity, &message.0);
        }
    }
}

/// An event's message.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syslog_gets_one_packet_with_priority_and_process() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let log = Listener(Mutex::new(Log::syslog_at(&path)));
        let subscriber = tracing_subscriber::registry().with(log);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "quinn", "not ours");
            tracing::debug!("not for people");
            tracing::warn!("a\n{}", "b");
        });
        let mut packet = [0; 200];
        let length = receiver.recv(&mut packet).unwrap();
        let expected = format!("<28>isconf[{}]: a b", std::process::id());
        assert_eq!(std::str::from_utf8(&packet[..length]).unwrap(), expected);
    }

    #[test]
    fn a_missing_syslog_is_no_fault() {
        Log::syslog_at(Path::new("/nonexistent/log")).say(Severity::Info, "x");
    }
}
