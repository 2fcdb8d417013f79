//! A chain as a file: opened and verified, or made; records read one by one. Adding to it is the
//! appender's. Upholds: nothing of a chain is used before all of it was verified.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use isconf_sandbox::change::Digest;
use isconf_sandbox::fs::sync_at;

use super::error::{BrokenChain, ChainError, Fault};
use super::head::MAX_HEAD_BYTES;
use super::header::MAX_HEADER_BYTES;
use super::record::{Frame, RecordRef, seal_line};
use super::scan::{ScanError, scan};
use super::{Appender, ChainKind, Head, Header};
use crate::durable::{self, FileError};

/// Where a chain lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its file.
    pub file: PathBuf,
    /// Its head file, for the kinds that have one.
    pub head: PathBuf,
}

/// A verified chain.
#[derive(Debug)]
pub struct Chain {
    pub(super) place: Place,
    pub(super) header: Header,
    pub(super) genesis: Digest,
    pub(super) records: Vec<RecordRef>,
    /// The length of header and records.
    pub(super) length: u64,
    /// Bytes of a crashed append that follow.
    unacknowledged: u64,
    file: File,
}

impl Chain {
    /// Opens the chain and verifies all of it; `None` when it was never made. Costs one read of the
    /// file and its SHA-256.
    pub fn open(place: Place, kind: ChainKind) -> Result<Option<Self>, ChainError> {
        // The head first: an append that goes on meanwhile only adds behind what it names.
        let head = read_head(&place, kind)?;
        let file = match durable::open_regular(&place.file) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return missing(&place, kind, head),
            Err(e) => return Err(FileError::of("open", &place.file)(e).into()),
        };
        let header = read_header(&place.file, &file, kind)?;
        let file_length = length_of(&file, &place.file)?;
        let length = acknowledged_length(&place, &header, head, file_length)?;
        let records = scan_file(&place, &header, &file, length)?;
        let chain = Self {
            genesis: header.genesis(),
            place,
            header,
            records,
            length,
            unacknowledged: file_length - length,
            file,
        };
        match head {
            Some(head) if head != chain.head() => Err(chain.head_differs(head)),
            Some(_) | None => Ok(Some(chain)),
        }
    }

    /// Makes an empty chain, durably; its directory must exist. An empty one that a crash left is
    /// made again.
    pub fn create(place: Place, header: &Header) -> Result<Self, ChainError> {
        if header.kind().has_head() {
            // A head without its file is a leftover; beside the new file it would be a wrong one.
            durable::remove(&place.head)?;
        }
        let text = header.to_text();
        durable::replace(&place.file, text.as_bytes())?;
        let file = File::open(&place.file).map_err(FileError::of("open", &place.file))?;
        let chain = Self {
            genesis: header.genesis(),
            length: text.len() as u64,
            header: header.clone(),
            records: Vec::new(),
            unacknowledged: 0,
            place,
            file,
        };
        if header.kind().has_head() {
            durable::replace(&chain.place.head, chain.head().to_text().as_bytes())?;
        }
        Ok(chain)
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.place.file
    }

    /// The number of records, which is the last one's sequence number.
    pub fn len(&self) -> u64 {
        self.records.len() as u64
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The end of the chain.
    pub fn head(&self) -> Head {
        Head {
            seq: self.len(),
            id: self.records.last().map_or(self.genesis, |last| last.id),
            length: self.length,
        }
    }

    /// Whether the head file still names the end of this chain; `false` for the kinds without one.
    pub fn is_current(&self) -> Result<bool, ChainError> {
        let head = read_head(&self.place, self.header.kind())?;
        Ok(head == Some(self.head()))
    }

    /// The digest of record `seq`; for 0 the genesis.
    pub fn id_of(&self, seq: u64) -> Option<Digest> {
        match seq {
            0 => Some(self.genesis),
            _ => self.record(seq).map(|record| record.id),
        }
    }

    /// The place of record `seq`, from 1.
    pub fn record(&self, seq: u64) -> Option<&RecordRef> {
        let index = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.records.get(index)
    }

    /// The bytes that a crashed append left behind the acknowledged records. They are ignored, and
    /// cut off by the next append.
    pub fn unacknowledged(&self) -> u64 {
        self.unacknowledged
    }

    /// Reads record `seq`, which must exist, and checks that it is still the verified one.
    pub fn read(&self, seq: u64) -> Result<Vec<u8>, ChainError> {
        let broken = |fault| broken_at(&self.place.file, seq, fault, 0);
        let Some(record) = self.record(seq) else {
            let (expected, found) = (seq, self.len());
            return Err(broken(Fault::Seq { expected, found }));
        };
        let mut bytes = vec![0; usize::try_from(record.length).unwrap_or(usize::MAX)];
        self.file
            .read_exact_at(&mut bytes, record.offset)
            .map_err(FileError::of("read", &self.place.file))?;
        if Digest::of(&bytes) == record.id {
            Ok(bytes)
        } else {
            Err(self.broken(seq, Fault::Changed))
        }
    }

    /// The line of record `seq` in the file, from 1; reads the file up to there.
    pub fn line_of(&self, seq: u64) -> u64 {
        let offset = self.record(seq).map_or(self.length, |record| record.offset);
        line_at(&self.place.file, offset)
    }

    /// Adds records, each given by its body (the lines between the first three and the seal); `seal`
    /// makes a seal from the digest of all lines before it. All are added or none.
    pub fn append(
        &mut self,
        bodies: &[String],
        seal: &dyn Fn(&Digest) -> String,
    ) -> Result<(), ChainError> {
        let records = self.prepare(bodies.iter().cloned(), seal);
        let mut appender = Appender::begin(self)?;
        for record in records {
            appender.push(&record)?;
        }
        appender.finish()
    }

    /// Makes records that can follow the end of this chain; see [`append`](Self::append).
    pub fn prepare(
        &self,
        bodies: impl IntoIterator<Item = String>,
        seal: &dyn Fn(&Digest) -> String,
    ) -> Vec<Vec<u8>> {
        let (kind, head) = (self.header.kind(), self.head());
        let (mut seq, mut prev) = (head.seq, head.id);
        let mut records = Vec::new();
        for body in bodies {
            seq += 1;
            let mut record = Frame { seq, prev }.to_text(kind);
            record.push_str(&body);
            let digest = Digest::of(record.as_bytes());
            record.push_str(&seal_line(kind, &seal(&digest)));
            prev = Digest::of(record.as_bytes());
            records.push(record.into_bytes());
        }
        records
    }

    /// Takes the last record off a chain with a head file, durably and at once: the head names the
    /// end before it, and its bytes count as those of an append that never was. Does nothing to an
    /// empty chain.
    pub fn drop_last(&mut self) -> Result<(), ChainError> {
        let Some(last) = self.records.last().cloned() else {
            return Ok(());
        };
        let seq = self.len() - 1;
        let id = self.id_of(seq).unwrap_or(self.genesis);
        let head = Head {
            seq,
            id,
            length: last.offset,
        };
        durable::replace(&self.place.head, head.to_text().as_bytes())?;
        self.records.pop();
        self.unacknowledged += self.length - last.offset;
        self.length = last.offset;
        Ok(())
    }

    /// An error about record `seq`.
    pub(super) fn broken(&self, seq: u64, fault: Fault) -> ChainError {
        let offset = self.record(seq).map_or(self.length, |record| record.offset);
        broken_at(&self.place.file, seq, fault, offset)
    }

    /// Notes what an append has made durable.
    pub(super) fn grow(&mut self, records: Vec<RecordRef>, length: u64) {
        self.records.extend(records);
        self.length = length;
        self.unacknowledged = 0;
    }

    /// The error that the head file names another end.
    fn head_differs(&self, head: Head) -> ChainError {
        let found = self.head();
        let fault = Fault::HeadDiffers {
            expected_seq: head.seq,
            expected: head.id,
            found_seq: found.seq,
            found: found.id,
        };
        self.broken(found.seq, fault)
    }
}

/// Cuts an incomplete last record off a chain without a head file. `offset` is that of the
/// [`Fault::TornTail`] that [`Chain::open`] reported; to be called only when something pending
/// explains the crash. Idempotent.
pub fn cut_torn_tail(path: &Path, offset: u64) -> Result<(), ChainError> {
    let file = OpenOptions::new()
        .write(true)
        .open(path)
        .map_err(FileError::of("open", path))?;
    let length = length_of(&file, path)?;
    file.set_len(offset.min(length))
        .map_err(FileError::of("truncate", path))?;
    // The cut must be durable before something is appended: else its bytes could come back between.
    sync_at("chain.cut", || file.sync_all()).map_err(FileError::of("sync", path))?;
    Ok(())
}

/// Reads the head file of a kind that has one; `None` when there is none.
pub(super) fn read_head(place: &Place, kind: ChainKind) -> Result<Option<Head>, ChainError> {
    if !kind.has_head() {
        return Ok(None);
    }
    match durable::read_small(&place.head, MAX_HEAD_BYTES)? {
        None => Ok(None),
        Some(bytes) => Head::parse(&bytes).map(Some).ok_or_else(|| {
            let head = place.head.clone();
            broken_at(&place.file, 0, Fault::BadHead { head }, 0)
        }),
    }
}

/// What a missing file means: never made, or lost although a head tells of records. The head of a
/// wip is a leftover, since the wip's file is what is removed first when it is done with.
fn missing(
    place: &Place,
    kind: ChainKind,
    head: Option<Head>,
) -> Result<Option<Chain>, ChainError> {
    match (kind, head) {
        (ChainKind::Journal, Some(head)) => {
            let (expected, found) = (head.length, 0);
            let fault = Fault::Cut { expected, found };
            Err(broken_at(&place.file, head.seq, fault, 0))
        }
        (ChainKind::Journal, None) | (ChainKind::History | ChainKind::Wip, _) => Ok(None),
    }
}

/// The length of an open file.
pub(super) fn length_of(file: &File, path: &Path) -> Result<u64, FileError> {
    let metadata = file.metadata().map_err(FileError::of("stat", path))?;
    Ok(metadata.len())
}

/// Reads and checks the first lines.
fn read_header(path: &Path, file: &File, kind: ChainKind) -> Result<Header, ChainError> {
    let mut start = Vec::new();
    file.take(MAX_HEADER_BYTES as u64)
        .read_to_end(&mut start)
        .map_err(FileError::of("read", path))?;
    Header::parse(kind, &start).map_err(|fault| {
        let found_version = fault.version(kind);
        ChainError::Broken(Box::new(BrokenChain {
            path: path.to_path_buf(),
            line: fault.line,
            seq: 0,
            fault: match found_version {
                Some(found) => Fault::Version {
                    found,
                    known: ChainKind::VERSION,
                },
                None => Fault::Header {
                    expected: fault.expected,
                    found: fault.found,
                },
            },
        }))
    })
}

/// How much of the file is acknowledged.
fn acknowledged_length(
    place: &Place,
    header: &Header,
    head: Option<Head>,
    file_length: u64,
) -> Result<u64, ChainError> {
    let header_length = header.to_text().len() as u64;
    match head {
        _ if !header.kind().has_head() => Ok(file_length),
        // A crash between making the file and its head: there can be no records yet.
        None if file_length == header_length => Ok(file_length),
        None => {
            let head = place.head.clone();
            Err(broken_at(
                &place.file,
                1,
                Fault::NoHead { head },
                header_length,
            ))
        }
        Some(head) if (header_length..=file_length).contains(&head.length) => Ok(head.length),
        Some(head) => {
            let (expected, found) = (head.length, file_length);
            let fault = Fault::Cut { expected, found };
            Err(broken_at(&place.file, head.seq, fault, file_length))
        }
    }
}

/// Verifies the records up to `length`.
fn scan_file(
    place: &Place,
    header: &Header,
    mut file: &File,
    length: u64,
) -> Result<Vec<RecordRef>, ChainError> {
    let start = header.to_text().len() as u64;
    file.seek(SeekFrom::Start(start))
        .map_err(FileError::of("seek", &place.file))?;
    scan(header, file.take(length - start)).map_err(|error| match error {
        ScanError::Read(e) => FileError::of("read", &place.file)(e).into(),
        ScanError::Broken { offset, seq, fault } => broken_at(&place.file, seq, fault, offset),
    })
}

/// An error at a byte of the file, with the line counted.
fn broken_at(path: &Path, seq: u64, fault: Fault, offset: u64) -> ChainError {
    ChainError::Broken(Box::new(BrokenChain {
        path: path.to_path_buf(),
        line: line_at(path, offset),
        seq,
        fault,
    }))
}

/// The line, from 1, at byte `offset`. A file that cannot be read now has its error reported with
/// line 1: the fault itself is what matters then.
fn line_at(path: &Path, offset: u64) -> u64 {
    let count = || {
        let mut reader = BufReader::new(durable::open_regular(path)?.take(offset));
        let mut lines = 1;
        while reader.skip_until(b'\n')? > 0 {
            lines += 1;
        }
        Ok::<u64, io::Error>(lines)
    };
    count().unwrap_or(1)
}
