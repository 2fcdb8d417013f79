//! Telling a service manager how the daemon is: the protocol of sd_notify(3), one datagram a word.

use std::ffi::{OsStr, OsString};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The variable with the manager's socket.
pub const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// The manager that started this process, if it wants to be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manager(Option<OsString>);

impl Manager {
    /// The one whose socket is named by the value of [`NOTIFY_SOCKET`].
    pub fn at(socket: Option<OsString>) -> Self {
        Self(socket.filter(|socket| !socket.is_empty()))
    }

    /// Tells it that the daemon can be asked.
    pub(super) fn is_ready(&self) {
        self.say(b"READY=1");
    }

    /// Tells it that the daemon ends.
    pub(super) fn is_stopping(&self) {
        self.say(b"STOPPING=1");
    }

    fn say(&self, words: &[u8]) {
        let Some(socket) = &self.0 else {
            return;
        };
        let said = address_of(socket).and_then(|address| {
            let own = UnixDatagram::unbound()?;
            own.send_to_addr(words, &address)
        });
        if let Err(error) = said {
            // It waits in vain then, and says so itself.
            tracing::warn!("cannot tell the service manager: {error}");
        }
    }
}

/// A path, or a name in the abstract namespace, which begins with `@`.
fn address_of(socket: &OsStr) -> std::io::Result<SocketAddr> {
    match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(socket),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_is_told_and_nobody_is_no_fault() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        Manager::at(Some(path.into())).is_ready();
        let mut said = [0; 20];
        let length = manager.recv(&mut said).unwrap();
        assert_eq!(&said[..length], b"READY=1");
        Manager::at(None).is_ready();
        Manager::at(Some("/nonexistent/socket".into())).is_stopping();
        assert_eq!(Manager::at(Some("".into())), Manager::at(None));
    }
}
