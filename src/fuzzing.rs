//! Doors for the fuzz targets (`tests/fuzz`) to parsers that nobody else outside may use. Not part
//! of what the crate offers.

use crate::chain::{self, ChainKind};
use crate::daemon;
use crate::history;
use crate::journal;
use crate::peer;
use crate::quorum;
use crate::replay;
use crate::store::Pieces;

/// Reads an entry's record; the body that it would be written with, when it is one.
pub fn entry(record: &[u8]) -> Option<String> {
    journal::rewritten_entry(record)
}

/// Reads a draft's record; the body that it would be written with, when it is one.
pub fn draft(record: &[u8]) -> Option<String> {
    journal::rewritten_draft(record)
}

/// Reads a receipt's record; the body that it would be written with, when it is one.
pub fn receipt(record: &[u8]) -> Option<String> {
    history::rewritten_receipt(record)
}

/// Checks a whole journal, without its head; where its records end, when all are whole.
pub fn journal(file: &[u8]) -> Option<Vec<u64>> {
    chain::record_ends(ChainKind::Journal, file)
}

/// Checks a whole history; where its records end, when all are whole.
pub fn history(file: &[u8]) -> Option<Vec<u64>> {
    chain::record_ends(ChainKind::History, file)
}

/// Reads a line of another host; the line that it would be written as, when it is one.
pub fn peer_line(line: &[u8]) -> Option<Vec<u8>> {
    peer::rewritten_line(line)
}

/// Reads a call between voters; the bytes that it would be written as, when it is one.
pub fn call(body: &[u8]) -> Option<Vec<u8>> {
    quorum::rewritten_call(body)
}

/// Reads what hosts sign; the text that it would be written as, when it is that.
pub fn signed_text(text: &[u8]) -> Option<Vec<u8>> {
    peer::rewritten_signed(text)
}

/// Reads a batch of entries that follow the beginning of a journal of `example.com`; the bytes that it would be written
/// as, when it is one.
pub fn batch(bytes: &[u8]) -> Option<Vec<u8>> {
    journal::rewritten_batch(bytes)
}

/// Reads a list of pieces that begins with the length of its blob; the bytes that it would be written as, when it is
/// one.
pub fn pieces(input: &[u8]) -> Option<Vec<u8>> {
    let (length, list) = input.split_first_chunk()?;
    let pieces = Pieces::parse(list, u64::from_be_bytes(*length))?;
    Some([&length[..], &pieces.to_bytes()].concat())
}

/// Reads a file of addresses: how many places and how many bad lines it has.
pub fn nets(file: &[u8]) -> (usize, usize) {
    peer::counted_places(file)
}

/// Reads a line of the control socket; the line that it would be written as, when it is a request.
pub fn control_line(line: &[u8]) -> Option<Vec<u8>> {
    daemon::rewritten_request(line)
}

/// Reads what an entry still asks of service managers; the bytes that it would be written with, when it
/// is that.
pub fn pending(file: &[u8]) -> Option<Vec<u8>> {
    replay::rewritten_pending(file)
}
