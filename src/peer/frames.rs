//! What is said on one stream: a line of JSON each way, then bytes, where the line says how many. Not
//! for what the lines mean (see `messages`). Upholds: what is read is bounded before memory is taken.

use std::io;

use quinn::{ReadExactError, ReadToEndError, RecvStream, SendStream, WriteError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

/// The longest line, in bytes, with its end: that of a host with a thousand branches.
pub const MAX_LINE_BYTES: usize = 256 * 1024;

/// Why a stream failed.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The connection or the stream ended, or was ended by the other.
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    /// Not a line of this protocol.
    #[error("it sent what is no message")]
    Malformed(#[source] serde_json::Error),
    /// Longer than [`MAX_LINE_BYTES`].
    #[error("it sent a message without an end")]
    Endless,
    /// Nothing came in time.
    #[error("it did not answer in time")]
    Late,
}

impl From<WriteError> for FrameError {
    fn from(error: WriteError) -> Self {
        Self::Broken(error.into())
    }
}

impl From<ReadExactError> for FrameError {
    fn from(error: ReadExactError) -> Self {
        Self::Broken(io::Error::other(error))
    }
}

impl From<ReadToEndError> for FrameError {
    fn from(error: ReadToEndError) -> Self {
        Self::Broken(io::Error::other(error))
    }
}

/// The error that a stream ended before all was said: nobody's fault that could be told.
pub fn cut_off() -> FrameError {
    FrameError::Broken(io::ErrorKind::UnexpectedEof.into())
}

/// The half of a stream that is read.
#[derive(Debug)]
pub struct Incoming(BufReader<RecvStream>);

impl Incoming {
    /// Takes a stream at its start.
    pub fn new(stream: RecvStream) -> Self {
        Self(BufReader::with_capacity(64 * 1024, stream))
    }

    /// Reads a line.
    pub async fn line<T: DeserializeOwned>(&mut self) -> Result<T, FrameError> {
        let mut line = Vec::new();
        let mut limited = (&mut self.0).take(MAX_LINE_BYTES as u64);
        let read = limited.read_until(b'\n', &mut line).await;
        read.map_err(FrameError::Broken)?;
        match line.pop() {
            Some(b'\n') => {}
            Some(_) if line.len() + 1 >= MAX_LINE_BYTES => return Err(FrameError::Endless),
            // The other end broke off, for whatever reason.
            Some(_) | None => return Err(cut_off()),
        }
        serde_json::from_slice(&line).map_err(FrameError::Malformed)
    }

    /// Reads so many bytes. The caller has bounded them.
    pub async fn bytes(&mut self, length: u64) -> Result<Vec<u8>, FrameError> {
        let mut bytes = Vec::new();
        let mut limited = (&mut self.0).take(length);
        let read = limited.read_to_end(&mut bytes).await;
        match read.map_err(FrameError::Broken)? as u64 == length {
            true => Ok(bytes),
            false => Err(cut_off()),
        }
    }

    /// Reads at most `limit` bytes into `buffer`, as they come; 0 at the end.
    pub async fn piece(&mut self, buffer: &mut [u8], limit: u64) -> Result<usize, FrameError> {
        let wanted = usize::try_from(limit).map_or(buffer.len(), |l| l.min(buffer.len()));
        let read = self.0.read(&mut buffer[..wanted]).await;
        read.map_err(FrameError::Broken)
    }
}

/// Writes a line.
pub async fn send_line(
    stream: &mut SendStream,
    message: &impl Serialize,
) -> Result<(), FrameError> {
    let mut line = serde_json::to_vec(message).map_err(FrameError::Malformed)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    Ok(())
}
