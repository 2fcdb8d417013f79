//! Reads a chain from end to end in constant memory, checking every record against the one before.
//! Not for what the records say. Upholds: linear time, and a bound on what is held in memory.

use std::io::{self, BufRead, Read};

use isconf_sandbox::change::Digest;

use super::error::Fault;
use super::header::MAX_HEADER_BYTES;
use super::record::RecordRef;
use super::record::{Frame, MAX_RECORD_BYTES, check_last};
use super::{ChainKind, Header};

/// How much is read at a time.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Why a scan ended early.
#[derive(Debug)]
pub(super) enum ScanError {
    /// The file could not be read.
    Read(io::Error),
    /// The chain is broken.
    Broken {
        /// At which byte.
        offset: u64,
        /// In which record.
        seq: u64,
        /// How.
        fault: Fault,
    },
}

/// A scan under way.
struct Scan<'a> {
    kind: ChainKind,
    records: &'a mut Vec<RecordRef>,
    /// The last record's digest, or the genesis.
    last: Digest,
    /// Where the next record begins.
    offset: u64,
}

/// Reads the records that follow the header; `reader` stands behind it and ends where the
/// acknowledged part ends.
pub(super) fn scan(header: &Header, mut reader: impl Read) -> Result<Vec<RecordRef>, ScanError> {
    let mut records = Vec::new();
    let mut scan = Scan {
        kind: header.kind(),
        records: &mut records,
        last: header.genesis(),
        offset: header.to_text().len() as u64,
    };
    // Room for what is left of a record beside a whole chunk, so that it need not grow.
    let mut buffer = Vec::with_capacity(2 * CHUNK_BYTES);
    loop {
        let got = fill(&mut buffer, &mut reader).map_err(ScanError::Read)?;
        let used = scan.take_whole_records(&buffer)?;
        buffer.drain(..used);
        if got == 0 {
            scan.take_last(&buffer)?;
            return Ok(records);
        }
        if buffer.len() as u64 > MAX_RECORD_BYTES {
            let limit = MAX_RECORD_BYTES;
            return Err(scan.broken(Fault::TooLong { limit }));
        }
    }
}

/// Checks a whole chain in memory; where its records end, when all are whole.
pub(crate) fn record_ends(kind: ChainKind, file: &[u8]) -> Option<Vec<u64>> {
    let start = file.len().min(MAX_HEADER_BYTES);
    let header = Header::parse(kind, &file[..start]).ok()?;
    let rest = file.get(header.to_text().len()..)?;
    let records = scan(&header, rest).ok()?;
    Some(
        records
            .iter()
            .map(|record| record.offset + record.length)
            .collect(),
    )
}

/// Reads at most one chunk more into `buffer`; returns how much.
fn fill(buffer: &mut Vec<u8>, reader: &mut impl Read) -> io::Result<usize> {
    reader.take(CHUNK_BYTES as u64).read_to_end(buffer)
}

impl Scan<'_> {
    /// Takes the records of which the next one's start is in `buffer` too; returns their length.
    fn take_whole_records(&mut self, buffer: &[u8]) -> Result<usize, ScanError> {
        let mut start = 0;
        while let Some(length) = record_length(&buffer[start..]) {
            self.take(&buffer[start..start + length])?;
            start += length;
        }
        Ok(start)
    }

    /// Takes what is left at the end of the file.
    fn take_last(&mut self, record: &[u8]) -> Result<(), ScanError> {
        if record.is_empty() {
            return Ok(());
        }
        let whole = without_torn_start(record);
        if whole.len() < record.len() && check_last(self.kind, whole, self.offset).is_ok() {
            self.take(whole)?;
            let offset = self.offset;
            return Err(self.broken(Fault::TornTail { offset }));
        }
        // A torn record may lack any part of its first lines, so its end is looked at first.
        check_last(self.kind, record, self.offset).map_err(|fault| self.broken(fault))?;
        self.take(record)
    }

    /// Checks one record and notes it.
    fn take(&mut self, record: &[u8]) -> Result<(), ScanError> {
        let follows = Frame::parse(self.kind, record)
            .and_then(|frame| frame.check_follows(self.records.len() as u64, self.last));
        follows.map_err(|fault| self.broken(fault))?;
        let id = Digest::of(record);
        let (offset, length) = (self.offset, record.len() as u64);
        self.records.push(RecordRef { offset, length, id });
        self.last = id;
        self.offset += length;
        Ok(())
    }

    /// Adds place and number to a fault of the next record.
    fn broken(&self, fault: Fault) -> ScanError {
        let (offset, seq) = (self.offset, self.records.len() as u64 + 1);
        ScanError::Broken { offset, seq, fault }
    }
}

/// What is left without the bytes of a torn record that are too few to be told by [`record_length`]:
/// its first byte, or zeros, which no record has, and what is behind them. When a power cut comes
/// while a torn tail is cut off, the last block that stays may have its zeros on the disk already and
/// the file still its old length (xfs; found by the recorded disk).
fn without_torn_start(record: &[u8]) -> &[u8] {
    let text = record.split(|byte| *byte == 0).next().unwrap_or(record);
    match text.strip_suffix(b"[") {
        Some(before) if before.ends_with(b"\n") => before,
        Some(_) | None => text,
    }
}

/// The length of the record at the start of `bytes`, if the start of the next one is there too: a
/// line that begins with `[[`.
fn record_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        let mut rest = bytes.get(at..)?;
        // Reading from memory cannot fail.
        at += rest.skip_until(b'[').ok()?;
        let next = *bytes.get(at)?;
        if next == b'[' && bytes[..at].ends_with(b"\n[") {
            return Some(at - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_ends_where_the_next_begins() {
        assert_eq!(record_length(b"[[e]]\na=[[1]]\n[[e]]"), Some(14));
        assert_eq!(record_length(b"[[e]]\n[e.x]\n[[e"), Some(12));
        for bytes in [&b""[..], b"[", b"[[", b"[[e]]\n[", b"[[e]]\n", b"[[e]] [["] {
            assert_eq!(record_length(bytes), None);
        }
    }
}
