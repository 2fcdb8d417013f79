//! How much a command may take, and which of it was too much. Plain data. Not for watching it (see
//! `limit_watch`).

use std::time::Duration;

use crate::change::RelPath;

/// The limits of one command and all that it starts; `None` means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// How long it may run.
    pub time: Option<Duration>,
    /// How many processes and threads there may be at once.
    pub processes: Option<u32>,
    /// How many bytes of disk what it writes may take.
    pub disk: Option<u64>,
}

/// The limit that a command went beyond, for which it was ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Exceeded {
    /// It ran for longer than this.
    Time(Duration),
    /// It was more processes and threads than this.
    Processes(u32),
    /// It wrote more bytes than this.
    Disk(u64),
    /// It left less than the least room on the filesystem that is mounted here.
    Room(RelPath),
}
