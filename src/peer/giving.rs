//! Giving contents to other hosts: whole blobs, those that still arrive here, and parts of them. Upholds: what is
//! given is in memory in small portions; whoever does not take it is left.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use isconf_sandbox::change::Digest;
use quinn::SendStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::arrivals::Arriving;
use super::cutting::cut;
use super::endpoint::Link;
use super::frames::{FrameError, cut_off, send_line};
use super::messages::{Answer, Blob, BlobFrom, BlobParts, PieceList, Refused};
use super::serve::{PATIENCE, in_time, refuse};
use super::this_host::Shared;
use crate::store::{LONG_BYTES, StoreError};

/// How much of a blob is read and sent at a time.
const PORTION_BYTES: usize = 512 * 1024;

/// Gives a blob from a byte on: that of the store, or one that arrives just now.
pub async fn give_blob(
    shared: &Arc<Shared>,
    link: &Link,
    send: &mut SendStream,
    asked: BlobFrom,
) -> Result<(), FrameError> {
    let BlobFrom {
        digest,
        offset,
        whole,
        pressing,
    } = asked;
    let (file, length) = match open(shared, digest).await {
        Ok((_, length)) if offset > length => return refuse(send, Refused::Nonsense).await,
        Ok(opened) => opened,
        Err(Refused::Missing) if !whole => return give_arriving(shared, link, send, asked).await,
        Err(refused) => return refuse(send, refused).await,
    };
    let mut _place = None;
    if length >= LONG_BYTES {
        _place = shared.places.take(digest, link.peer, pressing);
        if _place.is_none() {
            return refuse(send, Refused::Busy).await;
        }
    }
    say(send, length, false).await?;
    let mut giving = Giving::new(shared, file);
    giving.give(send, offset, length).await
}

/// Gives a blob that arrives here, as it comes.
async fn give_arriving(
    shared: &Arc<Shared>,
    link: &Link,
    send: &mut SendStream,
    asked: BlobFrom,
) -> Result<(), FrameError> {
    let BlobFrom {
        digest,
        offset,
        pressing,
        ..
    } = asked;
    let Some(mut arrival) = shared.arrivals.watch(&digest) else {
        return refuse(send, Refused::Missing).await;
    };
    let Arriving {
        here,
        length,
        is_coming,
        ..
    } = *arrival.borrow_and_update();
    // Whoever has more than this host is not helped by it. So nobody ever waits for somebody who waits for him.
    if here <= offset {
        let why = match is_coming {
            true => Refused::Busy,
            // It is looked for here, too.
            false => Refused::Missing,
        };
        return refuse(send, why).await;
    }
    let Some(_place) = shared.places.take(digest, link.peer, pressing) else {
        return refuse(send, Refused::Busy).await;
    };
    let opened = shared.on_disk(move |shared| shared.local.store().open_partial(&digest));
    let Ok(Ok(file)) = opened.await else {
        // It is whole by now, or came to nothing.
        return refuse(send, Refused::Busy).await;
    };
    say(send, length, true).await?;
    let mut giving = Giving::new(shared, Arc::new(file));
    let mut given = offset;
    loop {
        let here = arrival.borrow_and_update().here;
        giving.give(send, given, here).await?;
        given = given.max(here);
        if given >= length {
            return Ok(());
        }
        more(&mut arrival).await?;
    }
}

/// Waits until more of a blob is here.
async fn more(arrival: &mut watch::Receiver<Arriving>) -> Result<(), FrameError> {
    let changed = timeout(PATIENCE, arrival.changed()).await;
    changed
        .map_err(|_| FrameError::Late)?
        .map_err(|_| cut_off())
}

/// Gives parts of a blob, one behind the other.
pub async fn give_parts(
    shared: &Arc<Shared>,
    send: &mut SendStream,
    asked: BlobParts,
) -> Result<(), FrameError> {
    let (file, length) = match open(shared, asked.digest).await {
        Ok(opened) => opened,
        Err(refused) => return refuse(send, refused).await,
    };
    if !asked.is_bounded(length) {
        return refuse(send, Refused::Nonsense).await;
    }
    say(send, length, false).await?;
    let mut giving = Giving::new(shared, file);
    for (offset, length) in asked.parts {
        giving.give(send, offset, offset + length).await?;
    }
    Ok(())
}

/// Gives the list of a blob's pieces, which is made first if it was not yet.
pub async fn give_pieces(
    shared: &Arc<Shared>,
    send: &mut SendStream,
    digest: Digest,
) -> Result<(), FrameError> {
    // Each is in memory while it is sent.
    let Ok(_place) = shared.lists.try_acquire() else {
        return refuse(send, Refused::Later).await;
    };
    let making = {
        let shared = Arc::clone(shared);
        // It goes on when it takes longer than whoever asks waits: the next time it is there.
        tokio::spawn(async move { cut(&shared, digest).await })
    };
    let pieces = match timeout(PATIENCE / 2, making).await {
        Ok(Ok(Ok(pieces))) => pieces,
        Ok(Ok(Err(refused))) => return refuse(send, refused).await,
        Ok(Err(_)) | Err(_) => return refuse(send, Refused::Later).await,
    };
    let list = pieces.to_bytes();
    drop(pieces);
    let length = list.len() as u64;
    in_time(send_line(send, &Answer::Pieces(PieceList { length }))).await?;
    for portion in list.chunks(PORTION_BYTES) {
        in_time(async { Ok(send.write_all(portion).await?) }).await?;
    }
    Ok(())
}

/// Opens a blob that is here.
async fn open(shared: &Arc<Shared>, digest: Digest) -> Result<(Arc<File>, u64), Refused> {
    let opened = shared.on_disk(move |shared| {
        let store = shared.local.store();
        let length = store.length(&digest)?;
        Ok((Arc::new(store.open(&digest)?), length))
    });
    match opened.await {
        Ok(Ok(opened)) => Ok(opened),
        Ok(Err(StoreError::Missing(_))) => Err(Refused::Missing),
        Ok(Err(_)) | Err(_) => Err(Refused::Later),
    }
}

async fn say(send: &mut SendStream, length: u64, arriving: bool) -> Result<(), FrameError> {
    in_time(send_line(send, &Answer::Blob(Blob { length, arriving }))).await
}

/// A file that is given.
struct Giving<'a> {
    shared: &'a Arc<Shared>,
    file: Arc<File>,
    buffer: Vec<u8>,
}

impl<'a> Giving<'a> {
    fn new(shared: &'a Arc<Shared>, file: Arc<File>) -> Self {
        Self {
            shared,
            file,
            buffer: vec![0; PORTION_BYTES],
        }
    }

    /// Gives the bytes from `offset` up to `end`.
    async fn give(
        &mut self,
        send: &mut SendStream,
        mut offset: u64,
        end: u64,
    ) -> Result<(), FrameError> {
        while offset < end {
            let left = usize::try_from(end - offset).unwrap_or(usize::MAX);
            let (file, mut buffer) = (Arc::clone(&self.file), std::mem::take(&mut self.buffer));
            let read = self.shared.on_disk(move |_| {
                let wanted = left.min(buffer.len());
                let got = file.read_at(&mut buffer[..wanted], offset);
                (buffer, got)
            });
            let (back, got) = read.await.map_err(|e| FrameError::Broken(e.into()))?;
            self.buffer = back;
            let got = match got.map_err(FrameError::Broken)? {
                // It was replaced by something shorter.
                0 => return Err(cut_off()),
                got => got,
            };
            in_time(async { Ok(send.write_all(&self.buffer[..got]).await?) }).await?;
            offset += got as u64;
        }
        Ok(())
    }
}
