//! What runner and agent say to each other over the serial line: a script, and its status and
//! output. Not for the line itself. Upholds: what a length says is bounded before memory is taken.

use std::io::{self, Read, Write};

/// The longest script or output, in bytes. The line carries some 100 kB a second.
pub const LIMIT: usize = 256 * 1024;

/// What a script left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The exit status; 128 and the number of the signal that killed it.
    pub status: i32,
    /// Standard output and standard error, as they came; cut at [`LIMIT`].
    pub output: Vec<u8>,
}

/// Sends some bytes. Fails as the writer does.
pub fn send(line: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let bytes = &bytes[..bytes.len().min(LIMIT)];
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    line.write_all(&length.to_le_bytes())?;
    line.write_all(bytes)?;
    line.flush()
}

/// Receives some bytes. Fails as the reader does, and with `InvalidData` above [`LIMIT`].
pub fn receive(line: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    line.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_le_bytes(length)).map_err(io::Error::other)?;
    if length > LIMIT {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    let mut bytes = vec![0; length];
    line.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Sends an answer: its status, then its output.
pub fn send_answer(line: &mut impl Write, answer: &Answer) -> io::Result<()> {
    send(line, &answer.status.to_le_bytes())?;
    send(line, &answer.output)
}

/// Receives an answer. Fails as [`receive`] does.
pub fn receive_answer(line: &mut impl Read) -> io::Result<Answer> {
    let status: [u8; 4] = receive(line)?
        .try_into()
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok(Answer {
        status: i32::from_le_bytes(status),
        output: receive(line)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_arrives_as_it_was_sent() {
        let answer = Answer {
            status: 130,
            output: b"\0\xff\n".to_vec(),
        };
        let mut line = Vec::new();
        send_answer(&mut line, &answer).unwrap();
        assert_eq!(receive_answer(&mut line.as_slice()).unwrap(), answer);
    }

    #[test]
    fn a_length_above_the_limit_is_refused() {
        let error = receive(&mut [0xff; 8].as_slice()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_line_that_ends_early_is_an_error() {
        let error = receive(&mut [9, 0, 0, 0, 1].as_slice()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
