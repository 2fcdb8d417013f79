//! What the rig and the first process of a host say to each other: lines of JSON over its standard
//! input and output. One request, one answer.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::RigError;

/// A disk of a host: what the host has to mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// The image, as seen before the host leaves the old root.
    pub image: PathBuf,
    /// The filesystem.
    pub kind: String,
    /// Mount options, beside `loop`.
    pub options: String,
    /// Where it belongs in the host: `/` comes first.
    pub at: PathBuf,
}

/// What the host is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Program and arguments.
    pub words: Vec<String>,
    /// Variables beside the usual ones.
    pub vars: Vec<(String, String)>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Exit status; 128 and the signal for one that was killed.
    pub status: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// How long it took, in microseconds.
    pub micros: u64,
}

/// The host is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The first process, as numbered outside.
    pub pid: i32,
    /// The loop devices, as named in `/dev`, one a disk.
    pub devices: Vec<String>,
}

/// Writes one message.
///
/// # Errors
/// If the other end is gone.
pub fn tell<T: Serialize>(to: &mut impl Write, message: &T) -> Result<(), RigError> {
    let line = serde_json::to_string(message).map_err(|source| RigError::Message {
        line: String::new(),
        source,
    })?;
    let written = to.write_all((line + "\n").as_bytes());
    written
        .and_then(|()| to.flush())
        .map_err(|source| RigError::program("the host", source))
}

/// Reads one message; `None` when the other end is gone.
///
/// # Errors
/// If what comes is no such message.
pub fn hear<T: DeserializeOwned>(from: &mut impl BufRead) -> Result<Option<T>, RigError> {
    let mut line = String::new();
    let read = from.read_line(&mut line);
    if read.map_err(|source| RigError::program("the host", source))? == 0 {
        return Ok(None);
    }
    match serde_json::from_str(&line) {
        Ok(message) => Ok(Some(message)),
        Err(source) => Err(RigError::Message { line, source }),
    }
}
