//! What the processes of a scratchpad say to the supervisor, and it to them, as bytes. The
//! permitted order: init says `Ready` or `Failed` once, then answers each order it is given; the
//! command is told the `RootIdentity` once, says `Watched` at most once, then `Failed` at most once
//! (or that at any time before), and closes its end by exec.

use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::sys::stat::FileStat;

use crate::sys::channel::MESSAGE_BYTES;

/// From a child to the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    /// The root is built (init); no more processes but init (answer to `Kill` and `Count`).
    Ready,
    /// There are other processes (answer to `Count`).
    Busy,
    /// The descriptor of this number is the listener for notifications.
    Watched {
        /// Its number in the process that says this.
        listener: RawFd,
    },
    /// Step or stage number `at` failed.
    Failed {
        /// Which.
        at: u32,
        /// The kernel's answer.
        errno: Errno,
    },
}

/// From the supervisor to init.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Say whether there are other processes.
    Count,
    /// Send every other process `SIGTERM`. Has no answer.
    Terminate,
    /// Send every other process `SIGKILL`, and answer when none is left.
    Kill,
}

/// From the supervisor to the command: the mounts are made, and this tells the scratchpad's root directory from any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RootIdentity {
    device: u64,
    ino: u64,
}

impl RootIdentity {
    pub(super) fn of(status: FileStat) -> Self {
        Self {
            device: status.st_dev,
            ino: status.st_ino,
        }
    }

    pub(super) fn to_bytes(self) -> [u8; MESSAGE_BYTES] {
        let mut bytes = [0; MESSAGE_BYTES];
        bytes[..8].copy_from_slice(&self.device.to_ne_bytes());
        bytes[8..].copy_from_slice(&self.ino.to_ne_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; MESSAGE_BYTES]) -> Self {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_ne_bytes(word)
        };
        Self {
            device: word(0),
            ino: word(8),
        }
    }
}

impl Report {
    pub(super) fn to_bytes(self) -> [u8; MESSAGE_BYTES] {
        let (kind, at, errno) = match self {
            Self::Ready => (1, 0, 0),
            Self::Busy => (2, 0, 0),
            Self::Watched { listener } => (3, 0, listener),
            Self::Failed { at, errno } => (4, at, errno as i32),
        };
        let mut bytes = [0; MESSAGE_BYTES];
        bytes[0] = kind;
        bytes[4..8].copy_from_slice(&at.to_ne_bytes());
        bytes[8..12].copy_from_slice(&errno.to_ne_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; MESSAGE_BYTES]) -> Option<Self> {
        let [kind, _, _, _, a, b, c, d, e, f, g, h, ..] = bytes;
        match kind {
            1 => Some(Self::Ready),
            2 => Some(Self::Busy),
            3 => Some(Self::Watched {
                listener: i32::from_ne_bytes([e, f, g, h]),
            }),
            4 => Some(Self::Failed {
                at: u32::from_ne_bytes([a, b, c, d]),
                errno: Errno::from_raw(i32::from_ne_bytes([e, f, g, h])),
            }),
            _ => None,
        }
    }
}

impl Order {
    pub(super) fn to_byte(self) -> u8 {
        match self {
            Self::Count => b'c',
            Self::Terminate => b't',
            Self::Kill => b'k',
        }
    }

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        [Self::Count, Self::Terminate, Self::Kill]
            .into_iter()
            .find(|order| order.to_byte() == byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_report_survives_the_way() {
        let failed = Report::Failed {
            at: 70_000,
            errno: Errno::EBUSY,
        };
        let watched = Report::Watched { listener: 7 };
        for report in [Report::Ready, Report::Busy, watched, failed] {
            assert_eq!(Report::from_bytes(report.to_bytes()), Some(report));
        }
        assert_eq!(Report::from_bytes([9; MESSAGE_BYTES]), None);
        assert_eq!(Order::from_byte(b'k'), Some(Order::Kill));
        assert_eq!(Order::from_byte(b'x'), None);
    }
}
