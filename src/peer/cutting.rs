//! Cutting long blobs into their pieces, for others and for this host. Upholds: each blob is cut by one task at a time,
//! and few at once.

use std::sync::Arc;

use isconf_sandbox::change::Digest;

use super::messages::Refused;
use super::this_host::{Shared, chained};
use crate::store::{LONG_BYTES, Pieces};

/// The pieces of a blob that is here, cut now if they were not yet; [`Refused::Later`] while others are being cut.
pub async fn cut(shared: &Arc<Shared>, digest: Digest) -> Result<Pieces, Refused> {
    let kept = shared.on_disk(move |shared| {
        let store = shared.local.store();
        let length = store.length(&digest).ok();
        let length = length.filter(|length| *length >= LONG_BYTES);
        length.map(|length| store.kept_pieces(&digest, length))
    });
    match kept.await.unwrap_or_default() {
        None => return Err(Refused::Missing),
        Some(Some(kept)) => return Ok(kept),
        Some(None) => {}
    }
    let _turn = shared.cutting.take(&digest).ok_or(Refused::Later)?;
    let _place = shared.cuts.try_acquire().map_err(|_| Refused::Later)?;
    let pieces = shared.on_disk(move |shared| shared.local.store().pieces(&digest));
    match pieces.await {
        Ok(Ok(Some(pieces))) => Ok(pieces),
        Ok(Ok(None)) => Err(Refused::Missing),
        Ok(Err(error)) => {
            shared.mention(format!("pieces {digest}"), || chained(&error));
            Err(Refused::Missing)
        }
        Err(_panicked) => Err(Refused::Later),
    }
}
