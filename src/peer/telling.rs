//! Telling the other hosts how this one is: at once when something changed here, and now and then. Upholds: what
//! went by unnoticed is noticed later; many changes in a row are one piece of news.

use std::sync::Arc;
use std::time::Duration;

use super::this_host::Shared;

/// How often the files here are looked at without anybody having said that they changed, and how often
/// connected hosts are told how this one is, in any case.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const TELL_EVERY: Duration = Duration::from_secs(30);

/// How long nothing more is told after something was.
const TELL_PAUSE: Duration = Duration::from_millis(200);

/// Looks at the files here when somebody says that they changed, and now and then.
pub async fn look(shared: Arc<Shared>) {
    loop {
        shared.read_heads().await;
        // Nobody said anything is as good as somebody did.
        let _in_any_case = tokio::time::timeout(LOOK_EVERY, shared.look.notified()).await;
    }
}

/// Tells all hosts how this one is whenever that changed.
pub async fn announce(shared: Arc<Shared>) {
    loop {
        shared.changed.notified().await;
        tell_all(&shared);
        shared.want.send_replace(());
        // Many changes in a row are one piece of news.
        tokio::time::sleep(TELL_PAUSE).await;
    }
}

/// Tells all hosts how this one is now and then, so that what went by unnoticed is noticed.
pub async fn tell(shared: Arc<Shared>) {
    loop {
        let jitter = fastrand::f32() + 0.5;
        tokio::time::sleep(TELL_EVERY.mul_f32(jitter)).await;
        tell_all(&shared);
    }
}

/// Tells all connected hosts how this one is.
fn tell_all(shared: &Arc<Shared>) {
    let links: Vec<_> = shared.table().links().cloned().collect();
    for link in links {
        let shared = Arc::clone(shared);
        tokio::spawn(async move { shared.say_hello(&link).await });
    }
}
