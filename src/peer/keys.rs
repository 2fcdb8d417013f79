//! The domain's keys while they change. Upholds: a file that was changed counts within seconds, without a
//! restart; a host whose key was taken away is let go.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use super::endpoint::CloseCode;
use super::this_host::{Shared, chained};
use crate::identity::{HmacKeys, HmacKeysError};

/// How often the file is looked at: the original took at most ten seconds.
const EVERY: Duration = Duration::from_secs(3);

/// What tells one state of a file from another.
type Mark = (u64, u64, [i64; 4]);

/// Reads the keys whenever their file changed.
pub async fn watch(shared: Arc<Shared>) {
    let mut known = None;
    loop {
        if let Ok((mark, read)) = shared.on_disk(read).await
            && known != Some(mark)
        {
            // One that cannot be read is tried again until it can.
            known = read.is_ok().then_some(mark);
            take(&shared, read);
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Reads the keys for the first time: nobody is greeted before.
pub fn begin(shared: &Shared) {
    take(shared, read(shared).1);
}

fn read(shared: &Shared) -> (Option<Mark>, Result<HmacKeys, HmacKeysError>) {
    let path = &shared.facts.hmac_keys;
    let mark = std::fs::metadata(path).ok();
    let mark = mark.map(|meta| {
        let times = [
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec(),
        ];
        (meta.ino(), meta.size(), times)
    });
    (mark, HmacKeys::load(path))
}

/// Puts the keys in force, if they are others.
fn take(shared: &Shared, read: Result<HmacKeys, HmacKeysError>) {
    let keys = match read {
        Ok(keys) => keys,
        Err(error) => {
            shared.mention("keys".to_owned(), || {
                format!("the keys are not read anew: {}", chained(&error))
            });
            return;
        }
    };
    if *shared.member.keys_now() == keys && !keys.is_empty() {
        return;
    }
    let path = shared.facts.hmac_keys.display();
    if keys.is_empty() {
        tracing::warn!("there are no keys in {path}: no host is served, and none is asked");
    }
    for weak in keys.weak() {
        let least = HmacKeys::GUESSED_BELOW;
        tracing::warn!("key {weak} in {path} has less than {least} characters and may be guessed");
    }
    if keys.accepts_anything() {
        tracing::warn!("{path} has +ANY+: every host is let in, whatever its key");
    }
    tracing::info!("{} keys in force", keys.fingerprints().len());
    let unwelcome: Vec<_> = {
        let table = shared.table();
        let links = table
            .all_links()
            .filter(|link| !link.is_still_welcome(&keys));
        links.cloned().collect()
    };
    *shared
        .member
        .keys
        .write()
        .unwrap_or_else(|e| e.into_inner()) = Arc::new(keys);
    for link in unwelcome {
        let name = shared.name_of(&link.peer);
        tracing::warn!("{name} is let go: the key that it showed is no more one of ours");
        link.close(CloseCode::NotOfTheDomain);
    }
    shared.dial.notify_one();
}
