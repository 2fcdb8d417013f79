//! The addresses that outlive the daemon: those that were joined (`conf/joined`, an administrator's word,
//! in the form of `IS_NETS`), and those of hosts that were met (`conf/peers`). Upholds: a host finds its domain
//! again after a restart, also when the addresses that it was given are gone; a damaged book is a smaller one, no failure.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::Deserialize;

use super::nets::{self, MAX_NETS_BYTES, Place};
use super::this_host::{Shared, chained};
use crate::chain::RecordText;
use crate::durable::{self, FileError};
use crate::model::PublicKey;

/// How many hosts are written down: enough to find all others.
const MAX_WRITTEN: usize = 200;

/// The longest book, in bytes.
const MAX_BOOK_BYTES: u64 = 1 << 20;

/// The line that names the file's format and version.
const FIRST_LINE: &str = "# isconf peers 1\n";

#[derive(Deserialize)]
struct BookRow {
    #[serde(default)]
    peer: Vec<PeerRow>,
}

#[derive(Deserialize)]
struct PeerRow {
    key: PublicKey,
    address: SocketAddr,
}

/// The addresses that were joined.
pub fn joined(shared: &Shared) -> Vec<Place> {
    let path = shared.facts.home.joined();
    match durable::read_small(&path, MAX_NETS_BYTES) {
        Ok(bytes) => nets::places(&bytes.unwrap_or_default(), shared.facts.port).0,
        Err(error) => {
            shared.mention("joined".to_owned(), || chained(&error));
            Vec::new()
        }
    }
}

/// Writes an address down as joined, unless it is.
pub fn remember(shared: &Shared, place: &Place) -> Result<(), FileError> {
    let _one_at_a_time = shared.book.lock().unwrap_or_else(|e| e.into_inner());
    let path = shared.facts.home.joined();
    let mut bytes = durable::read_small(&path, MAX_NETS_BYTES)?.unwrap_or_default();
    if nets::places(&bytes, shared.facts.port).0.contains(place) {
        return Ok(());
    }
    bytes.extend_from_slice(format!("{place}\n").as_bytes());
    durable::replace(&path, &bytes)
}

/// Remembers the hosts of the book.
pub async fn load(shared: &Arc<Shared>) {
    let read = shared.on_disk(|shared| {
        let bytes = durable::read_small(&shared.facts.home.peers(), MAX_BOOK_BYTES).ok()??;
        let text = str::from_utf8(&bytes).ok()?.strip_prefix(FIRST_LINE)?;
        toml::from_str::<BookRow>(text).ok()
    });
    if let Ok(Some(book)) = read.await {
        let mut table = shared.table();
        for PeerRow { key, address } in book.peer {
            if key != shared.member.own {
                table.introduce(key, address);
            }
        }
    }
}

/// Writes the connected hosts down, if they are others than those that were written last, and not none.
pub async fn save(shared: &Arc<Shared>) {
    let text = {
        let table = shared.table();
        let links = table.links().take(MAX_WRITTEN);
        let rows = links.map(|link| {
            let mut row = RecordText::new();
            row.string("key", &link.peer)
                .string("address", &link.address());
            format!("[[peer]]\n{}", row.as_str())
        });
        rows.collect::<String>()
    };
    if text.is_empty() {
        return;
    }
    let text = format!("{FIRST_LINE}{text}");
    let written = shared.on_disk(move |shared| {
        let path = shared.facts.home.peers();
        if durable::read_small(&path, MAX_BOOK_BYTES)? == Some(text.clone().into_bytes()) {
            return Ok(());
        }
        durable::replace(&path, text.as_bytes())
    });
    if let Ok(Err(error)) = written.await {
        shared.mention("book".to_owned(), || chained(&error));
    }
}
