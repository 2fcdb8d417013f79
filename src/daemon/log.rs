//! Where the daemon's messages go. Upholds: messages go to syslog (manual of ISconf 4), to standard
//! error in the foreground; never to a file of our own in /tmp.

use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// The socket of syslog(3).
const SYSLOG_SOCKET: &str = "/dev/log";

/// The facility `daemon` of syslog(3), shifted to its place.
const FACILITY: u8 = 3 << 3;

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
    Warning = 4,
    Info = 6,
}

impl Log {
    /// syslog; nobody on a machine that cannot even make a socket.
    pub fn syslog() -> Self {
        Self::syslog_at(Path::new(SYSLOG_SOCKET))
    }

    fn syslog_at(path: &Path) -> Self {
        UnixDatagram::unbound().map_or(Self::Nobody, |socket| Self::Syslog {
            socket,
            path: path.to_owned(),
        })
    }

    /// Says something.
    pub fn info(&mut self, text: &str) {
        self.say(Severity::Info, text);
    }

    /// Warns of something.
    pub fn warning(&mut self, text: &str) {
        self.say(Severity::Warning, text);
    }

    fn say(&mut self, severity: Severity, text: &str) {
        // One line, whatever it holds.
        let text = text.replace(|c: char| c.is_control(), " ");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syslog_gets_one_packet_with_priority_and_process() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let receiver = UnixDatagram::bind(&path).unwrap();
        Log::syslog_at(&path).warning("a\nb");
        let mut packet = [0; 200];
        let length = receiver.recv(&mut packet).unwrap();
        let expected = format!("<28>isconf[{}]: a b", std::process::id());
        assert_eq!(std::str::from_utf8(&packet[..length]).unwrap(), expected);
    }

    #[test]
    fn a_missing_syslog_is_no_fault() {
        Log::syslog_at(Path::new("/nonexistent/log")).info("x");
    }
}
