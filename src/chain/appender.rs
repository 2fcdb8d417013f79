//! Adds records to a chain: all of them or none. Upholds: after a crash at any moment the chain has
//! all records of an append, or none, or (without a head file) an incomplete last one that is
//! recognised.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

use isconf_sandbox::change::Digest;
use isconf_sandbox::commit::crash_point;
use isconf_sandbox::fs::sync_at;

use super::error::ChainError;
use super::file::{length_of, read_head};
use super::record::{Frame, check_follows, check_last};
use super::{Chain, Head, RecordRef};
use crate::durable::{self, FileError};

/// How many bytes are collected before they are written; an append of a few entries is one write.
const BUFFER_BYTES: usize = 1024 * 1024;

/// An append under way. Dropped unfinished, nothing was added.
#[derive(Debug)]
#[must_use = "an append counts only when it is finished"]
pub struct Appender<'a> {
    chain: &'a mut Chain,
    file: File,
    records: Vec<RecordRef>,
    buffer: Vec<u8>,
    /// What is written already.
    written_to: u64,
    /// Whether a head may name what was written.
    may_count: bool,
}

impl<'a> Appender<'a> {
    /// Begins at the end of the chain. The caller holds the host lock; should the file have changed
    /// all the same since it was verified, that is [`ChainError::Moved`]. The bytes of a crashed
    /// append are cut off.
    pub fn begin(chain: &'a mut Chain) -> Result<Self, ChainError> {
        let path = &chain.place.file;
        let file = OpenOptions::new()
            .write(true)
            .open(path)
            .map_err(FileError::of("open", path))?;
        let length = length_of(&file, path)?;
        let kind = chain.header.kind();
        let is_as_read = if kind.has_head() {
            let head = read_head(&chain.place, kind)?;
            length >= chain.length && head.unwrap_or(chain.head()) == chain.head()
        } else {
            length == chain.length
        };
        if !is_as_read {
            let path = path.clone();
            return Err(ChainError::Moved { path });
        }
        crash_point(kind.crash_points()[0]);
        if length > chain.length {
            file.set_len(chain.length)
                .map_err(FileError::of("truncate", path))?;
        }
        Ok(Self {
            written_to: chain.length,
            chain,
            file,
            records: Vec::new(),
            buffer: Vec::new(),
            may_count: false,
        })
    }

    /// The sequence number that the next record must have.
    pub fn next_seq(&self) -> u64 {
        self.next_frame().seq
    }

    /// The digest that the next record must name as the one before.
    pub fn last_id(&self) -> Digest {
        self.next_frame().prev
    }

    /// The first lines of the next record.
    pub(super) fn next_frame(&self) -> Frame {
        let before = self.chain.head();
        Frame {
            seq: before.seq + self.records.len() as u64 + 1,
            prev: self.records.last().map_or(before.id, |record| record.id),
        }
    }

    /// Takes a whole record with its seal, as another host or [`Chain::append`] made it. Checks that
    /// it follows and that its seal is whole.
    pub fn push(&mut self, record: &[u8]) -> Result<(), ChainError> {
        let kind = self.chain.header.kind();
        let next = self.next_frame();
        let offset = self.written_to + self.buffer.len() as u64;
        check_follows(kind, record, next.seq - 1, next.prev)
            .and_then(|()| check_last(kind, record, offset))
            .map_err(|fault| self.chain.broken(next.seq, fault))?;
        self.records.push(RecordRef {
            offset,
            length: record.len() as u64,
            id: Digest::of(record),
        });
        self.buffer.extend_from_slice(record);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Makes the append durable and acknowledged.
    pub fn finish(mut self) -> Result<(), ChainError> {
        self.flush()?;
        let [_, written, synced, acknowledged] = self.chain.header.kind().crash_points();
        crash_point(written);
        let next = self.next_frame();
        let head = Head {
            seq: next.seq - 1,
            id: next.prev,
            length: self.written_to,
        };
        let place = &self.chain.place;
        // The records must be durable before anybody is told that they are: the head, the lock's
        // release or the end of an intent say so. The length is part of what fdatasync(2) writes.
        let sync_records = || {
            sync_at("chain.appended", || self.file.sync_data())
                .map_err(FileError::of("sync", &place.file))
        };
        if self.chain.header.kind().has_head() {
            let text = head.to_text();
            // The head's bytes are nothing before they are in place, and need not wait for the records.
            let write_head = || durable::write_aside(&place.head, text.as_bytes());
            let (aside, synced_records) = durable::together(write_head, sync_records);
            synced_records?;
            let aside = aside?;
            crash_point(synced);
            self.may_count = true;
            aside.put_in_place()?;
        } else {
            sync_records()?;
            crash_point(synced);
        }
        crash_point(acknowledged);
        self.may_count = true;
        let records = std::mem::take(&mut self.records);
        self.chain.grow(records, self.written_to);
        Ok(())
    }

    /// Writes what is collected.
    fn flush(&mut self) -> Result<(), FileError> {
        self.file
            .write_all_at(&self.buffer, self.written_to)
            .map_err(FileError::of("write", &self.chain.place.file))?;
        self.written_to += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl Drop for Appender<'_> {
    /// Takes back what was written, unless the head may have been replaced before an error. If it
    /// fails, what follows the end is reported when the chain is opened, as after a crash.
    fn drop(&mut self) {
        if !self.may_count {
            let _left_as_after_a_crash = self.file.set_len(self.chain.length);
        }
    }
}
