//! All of a blob from one host, from where it stopped before. Upholds: what comes is hashed while it is written; the
//! network waits for the disk and not the other way about.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::super::arrivals::Arriving;
use super::super::endpoint::Link;
use super::super::frames::{FrameError, Incoming, cut_off};
use super::super::messages::{Answer, Blob, BlobFrom, Refused, Request};
use super::super::serve::ask;
use super::super::this_host::Shared;
use super::blob::{BlobError, How, Wish};
use crate::store::{Partial, StoreError};

/// How long a portion may take: some 8 KiB a second at least.
const PORTION_PATIENCE: Duration = Duration::from_secs(30);

/// How much of a blob is handed to the disk at a time, and how many such portions may wait for it.
pub(super) const PORTION_BYTES: usize = 256 * 1024;
pub(super) const PORTIONS: usize = 4;

/// Fetches the rest of a blob from one host.
pub(super) async fn stream(
    shared: &Arc<Shared>,
    link: &Link,
    wish: Wish,
    how: How,
    teller: Arc<watch::Sender<Arriving>>,
) -> Result<(), BlobError> {
    let digest = wish.digest;
    let mut partial = open(shared, wish).await?;
    let offset = partial.length();
    let from = BlobFrom {
        digest,
        offset,
        whole: how.whole,
        pressing: how.pressing,
    };
    let (answer, mut incoming) = ask(link, &Request::Blob(from)).await?;
    let Blob { length, arriving } = match answer {
        // It is another one, whatever is in it.
        Answer::Blob(blob) if wish.length.is_some_and(|length| length != blob.length) => {
            return Err(BlobError::Forged);
        }
        Answer::Blob(blob) if blob.length > wish.longest => return Err(BlobError::Nonsense),
        Answer::Blob(blob) if blob.length >= offset => blob,
        // What is here cannot be its beginning; it begins anew.
        Answer::Refused(Refused::Nonsense) if offset > 0 => {
            spawn_blocking(move || partial.shorten(0)).await??;
            return Err(BlobError::Mixed);
        }
        Answer::Refused(refused) => return Err(refused.into()),
        _ => return Err(BlobError::Nonsense),
    };
    let (portions, mut to_disk) = mpsc::channel::<Vec<u8>>(PORTIONS);
    let writing = spawn_blocking(move || {
        has_room(&partial, length, &teller)?;
        while let Some(portion) = to_disk.blocking_recv() {
            partial.write(&portion)?;
            teller.send_modify(|how| how.here = partial.length());
        }
        // Cut off, it goes on from here the next time.
        if partial.length() < length {
            return Ok(false);
        }
        match partial.finish() {
            Ok(_) => Ok(true),
            Err(StoreError::NotTheBlob { .. }) if offset == 0 && !arriving => {
                Err(BlobError::Forged)
            }
            Err(StoreError::NotTheBlob { .. }) => Err(BlobError::Mixed),
            Err(error) => Err(error.into()),
        }
    });
    let received = receive(&mut incoming, length - offset, &portions).await;
    drop(portions);
    match writing.await?? {
        true => Ok(()),
        false => {
            received?;
            Err(cut_off().into())
        }
    }
}

/// Opens what is here of a blob.
pub(super) async fn open(shared: &Arc<Shared>, wish: Wish) -> Result<Partial, BlobError> {
    let store = shared.local.store().clone();
    let opened = spawn_blocking(move || store.partial(&wish.digest));
    Ok(opened.await??)
}

/// Makes sure that there is room for a blob of this length, and tells how far it is.
pub(super) fn has_room(
    partial: &Partial,
    length: u64,
    teller: &watch::Sender<Arriving>,
) -> Result<(), BlobError> {
    if !partial.has_room(length)? {
        return Err(BlobError::NoRoom(length));
    }
    teller.send_modify(|how| (how.here, how.length) = (partial.length(), length));
    Ok(())
}

/// Hands on what comes, in portions.
async fn receive(
    incoming: &mut Incoming,
    mut left: u64,
    portions: &mpsc::Sender<Vec<u8>>,
) -> Result<(), BlobError> {
    while left > 0 {
        let wanted = usize::try_from(left).map_or(PORTION_BYTES, |left| left.min(PORTION_BYTES));
        let portion = portion(incoming, wanted).await?;
        left -= portion.len() as u64;
        if portions.send(portion).await.is_err() {
            // The disk refuses; whoever writes says why.
            return Ok(());
        }
    }
    Ok(())
}

/// The next so many bytes. All of them in time, not only the next one: whoever drips is no provider.
pub(super) async fn portion(incoming: &mut Incoming, wanted: usize) -> Result<Vec<u8>, FrameError> {
    let (mut portion, mut filled) = (vec![0; wanted], 0);
    let fill = async {
        while filled < wanted {
            match incoming.piece(&mut portion[filled..], u64::MAX).await? {
                0 => return Err(cut_off()),
                got => filled += got,
            }
        }
        Ok(())
    };
    timeout(PORTION_PATIENCE, fill)
        .await
        .map_err(|_| FrameError::Late)??;
    Ok(portion)
}
