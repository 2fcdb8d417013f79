//! Letting hosts in that dial this one. Upholds: whoever proved nothing yet can hold one of a few places for
//! some seconds, and nothing else.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::endpoint::{MAX_STRANGERS, MeetError, canonical};
use super::this_host::Shared;

/// Lets hosts of the domain in.
pub async fn accept(shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(MAX_STRANGERS));
    while let Some(incoming) = shared.port.next().await {
        if !incoming.remote_address_validated() && places.available_permits() < MAX_STRANGERS / 2 {
            // Whoever lies about its address does not come back. That it cannot be asked is no matter.
            let _comes_back = incoming.retry();
            continue;
        }
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        if shared.member.keys_now().is_empty() {
            incoming.ignore();
            continue;
        }
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let address = canonical(incoming.remote_address());
            let greeted = shared.port.greet(incoming).await;
            drop(place);
            match greeted {
                Ok(link) => shared.met(link).await,
                Err(MeetError::Asked) => {
                    tracing::info!(
                        "{} asked for the domain's name, with a key of it",
                        address.ip()
                    );
                }
                Err(error) => {
                    let ip = address.ip();
                    shared.mention_stranger(format!("greet {ip}"), || {
                        format!("{ip} was turned away: {error}")
                    });
                }
            }
        });
    }
    tracing::error!("UDP port {} is closed", shared.facts.port);
    shared.deaf.notify_one();
}
