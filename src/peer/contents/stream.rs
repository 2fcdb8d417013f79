//! All of a blob from one host, from where it stopped before. Upholds: what comes is hashed while it is written; the
//! network waits for the disk and not the other way about.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::super::arrivals::Arriving;
use super::super::endpoint::Link;
use super::super::frames::{FrameError, Incoming, cut_off};
use super::super::messages::{Answer, Blob, BlobFrom, Refused, Request};
use super::super::serve::ask;
use super::super::this_host::Shared;
use super::blob::{BlobError, Work};
use crate::store::{Partial, StoreError};

/// How long a portion may take: some 8 KiB a second at least.
const PORTION_PATIENCE: Duration = Duration::from_secs(30);

/// How long it is taken from a host where it arrives itself, until one that has all of it is asked again: that may be
/// faster.
const RECHOOSING: Duration = Duration::from_secs(60);

/// How much of a blob is handed to the disk at a time, and how many such portions may wait for it.
pub(super) const PORTION_BYTES: usize = 256 * 1024;
pub(super) const PORTIONS: usize = 4;

/// Fetches the rest of a blob from one host.
pub(super) async fn stream(
    shared: &Arc<Shared>,
    link: &Link,
    work: &mut Work<'_>,
) -> Result<(), BlobError> {
    let (wish, how, teller) = (work.wish, work.how, work.arrival.teller());
    let mut partial = work.partial(shared).await?;
    let offset = partial.length();
    let from = BlobFrom {
        digest: wish.digest,
        offset,
        whole: how.whole,
        pressing: how.pressing,
    };
    let asked = ask(link, &Request::Blob(from)).await;
    let (answer, mut incoming) = match asked {
        Ok(answered) => answered,
        Err(error) => {
            work.partial = Some(partial);
            return Err(error.into());
        }
    };
    let Blob { length, arriving } = match answer {
        Answer::Blob(blob) if (offset..=wish.longest).contains(&blob.length) => blob,
        // What is here cannot be its beginning; it begins anew.
        Answer::Refused(Refused::Nonsense) if offset > 0 => {
            spawn_blocking(move || partial.shorten(0)).await??;
            return Err(BlobError::Mixed);
        }
        answer => {
            work.partial = Some(partial);
            return Err(match answer {
                Answer::Refused(refused) => refused.into(),
                _ => BlobError::Nonsense,
            });
        }
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
            return Ok(Some(partial));
        }
        match partial.finish() {
            Ok(_) => Ok(None),
            Err(StoreError::NotTheBlob { .. }) if offset == 0 && !arriving => {
                Err(BlobError::Forged)
            }
            Err(StoreError::NotTheBlob { .. }) => Err(BlobError::Mixed),
            Err(error) => Err(error.into()),
        }
    });
    let until = arriving.then(|| Instant::now() + RECHOOSING);
    let received = receive(&mut incoming, length - offset, &portions, until).await;
    drop(portions);
    work.partial = writing.await??;
    if work.partial.is_none() {
        return Ok(());
    }
    received?;
    Err(cut_off().into())
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
    teller.send_modify(|how| {
        (how.here, how.length) = (partial.length(), length);
        how.is_coming = true;
    });
    Ok(())
}

/// Hands on what comes, in portions, until then at most.
async fn receive(
    incoming: &mut Incoming,
    mut left: u64,
    portions: &mpsc::Sender<Vec<u8>>,
    until: Option<Instant>,
) -> Result<(), BlobError> {
    while left > 0 && until.is_none_or(|until| Instant::now() < until) {
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
