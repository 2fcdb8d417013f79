//! One record's fixed parts: its first three lines and its seal. Pure. Upholds: the chain is
//! verified without parsing TOML.

use isconf_sandbox::change::Digest;

use super::ChainKind;
use super::error::{Fault, shortened};

/// The longest record, in bytes. A command line is at most 128 KiB an argument and 2 MiB in all on
/// Linux; four times escaped still fits.
pub const MAX_RECORD_BYTES: u64 = 16 * 1024 * 1024;

/// Where a record lies in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRef {
    /// Its first byte.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Its SHA-256.
    pub id: Digest,
}

/// The first three lines of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// Its sequence number.
    pub seq: u64,
    /// The digest of the record before.
    pub prev: Digest,
}

impl Frame {
    /// The lines.
    pub(super) fn to_text(self, kind: ChainKind) -> String {
        let (table, Self { seq, prev }) = (kind.table(), self);
        format!("[[{table}]]\nseq = {seq}\nprev = \"{prev}\"\n")
    }

    /// Reads the lines at the start of a record.
    pub(super) fn parse(kind: ChainKind, record: &[u8]) -> Result<Self, Fault> {
        let frame = || {
            let rest = record
                .strip_prefix(b"[[")?
                .strip_prefix(kind.table().as_bytes())?;
            let rest = rest.strip_prefix(b"]]\nseq = ")?;
            let digits = rest.iter().position(|b| *b == b'\n')?;
            let seq = parse_number(&rest[..digits])?;
            let rest = rest[digits..].strip_prefix(b"\nprev = \"")?;
            let prev = str::from_utf8(rest.get(..64)?).ok()?.parse().ok()?;
            rest[64..]
                .starts_with(b"\"\n")
                .then_some(Self { seq, prev })
        };
        frame().ok_or_else(|| Fault::NotARecord {
            found: shortened(record),
        })
    }

    /// Checks that the record follows the one before.
    pub(super) fn check_follows(&self, seq: u64, id: Digest) -> Result<(), Fault> {
        if self.seq != seq + 1 {
            return Err(Fault::Seq {
                expected: seq + 1,
                found: self.seq,
            });
        }
        if self.prev != id {
            return Err(Fault::Prev {
                expected: self.prev,
                found: id,
            });
        }
        Ok(())
    }
}

/// Checks that a record that was made elsewhere is one, and follows record `seq` with identity `id`. Its seal
/// is another matter.
pub fn check_follows(kind: ChainKind, record: &[u8], seq: u64, id: Digest) -> Result<(), Fault> {
    if record.len() as u64 > MAX_RECORD_BYTES {
        let limit = MAX_RECORD_BYTES;
        return Err(Fault::TooLong { limit });
    }
    // A second start inside would make two records of one when it is read again.
    if record.windows(3).any(|bytes| bytes == b"\n[[") {
        let found = shortened(record);
        return Err(Fault::NotARecord { found });
    }
    Frame::parse(kind, record)?.check_follows(seq, id)
}

/// A decimal number without sign or leading zero.
fn parse_number(digits: &[u8]) -> Option<u64> {
    let has_one_form = digits.first().is_some_and(|d| (b'1'..=b'9').contains(d));
    let text = str::from_utf8(digits).ok().filter(|_| has_one_form)?;
    text.parse().ok()
}

/// A record divided into what is sealed and the seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedRecord<'a> {
    /// All bytes before the seal's line.
    pub body: &'a [u8],
    /// The seal's hexadecimal digits.
    pub seal: &'a str,
}

/// Divides a record; `None` when its last line is not a whole seal.
pub fn split_seal(kind: ChainKind, record: &[u8]) -> Option<SealedRecord<'_>> {
    let key = kind.seal_key();
    let line_length = key.len() + kind.seal_digits() + "\n = \"\"\n".len();
    let start = record.len().checked_sub(line_length)?;
    let line = record[start..].strip_prefix(b"\n")?;
    let digits = line.strip_prefix(key.as_bytes())?.strip_prefix(b" = \"")?;
    let seal = str::from_utf8(digits.strip_suffix(b"\"\n")?).ok()?;
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    let body = &record[..=start];
    seal.bytes()
        .all(is_hex)
        .then_some(SealedRecord { body, seal })
}

/// The line that seals a record.
pub(super) fn seal_line(kind: ChainKind, seal: &str) -> String {
    format!("{} = \"{seal}\"\n", kind.seal_key())
}

/// Checks the last record of a chain, which no later record vouches for: its seal is whole, and if
/// it is a checksum, right. A signature is for the caller to check, who knows keys.
pub(super) fn check_last(kind: ChainKind, record: &[u8], offset: u64) -> Result<(), Fault> {
    let sealed = split_seal(kind, record).ok_or(Fault::TornTail { offset })?;
    match kind {
        ChainKind::Journal => Ok(()),
        ChainKind::History | ChainKind::Wip => {
            let torn = |_| Fault::TornTail { offset };
            let expected: Digest = sealed.seal.parse().map_err(torn)?;
            let found = Digest::of(sealed.body);
            if expected == found {
                Ok(())
            } else {
                Err(Fault::Check { expected, found })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_one_form() {
        let frame = Frame {
            seq: 7,
            prev: Digest::of(b""),
        };
        let text = frame.to_text(ChainKind::History);
        assert_eq!(
            Frame::parse(ChainKind::History, text.as_bytes()).unwrap(),
            frame
        );
        assert!(Frame::parse(ChainKind::Journal, text.as_bytes()).is_err());
        for (from, to) in [
            ("7", "07"),
            ("7", "+7"),
            ("7", ""),
            ("\"\n", "\" \n"),
            ("7", "99999999999999999999"),
        ] {
            let other = text.replacen(from, to, 1);
            assert!(
                Frame::parse(ChainKind::History, other.as_bytes()).is_err(),
                "{other}"
            );
        }
    }

    #[test]
    fn a_seal_is_the_whole_last_line() {
        let seal = "0".repeat(64);
        let record = format!("[[receipt]]\nx = 1\ncheck = \"{seal}\"\n");
        let sealed = split_seal(ChainKind::History, record.as_bytes()).unwrap();
        assert_eq!(sealed.body, b"[[receipt]]\nx = 1\n");
        assert_eq!(sealed.seal, seal);
        for end in 0..record.len() {
            assert_eq!(
                split_seal(ChainKind::History, &record.as_bytes()[..end]),
                None,
                "{end}"
            );
        }
    }
}
