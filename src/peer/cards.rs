//! How all hosts of the domain stand, as each of them said and signed. Cards go from host to host: a new one at once,
//! and whatever went by unnoticed when two hosts compare what they have. Upholds: an older card never replaces a
//! newer one; nobody writes another host's.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use isconf_sandbox::change::Digest;
use serde::{Deserialize, Serialize};

use super::endpoint::Link;
use super::events::Events;
use super::messages::{Answer, MAX_CARDS, Request};
use super::serve::ask;
use super::signed::{Kind, Signed};
use super::table::MAX_PEERS;
use super::this_host::{Shared, chained};
use crate::durable;
use crate::model::{Event, HostCard, PublicKey};

const SIGNED_AS: Kind = Kind {
    label: "isconf card 1",
    max_bytes: 2048,
};

/// How many parts the hosts are divided into when two compare what they know of them: by the first byte of
/// a host's key.
pub const PARTS: usize = 256;

/// How often one connected host is compared with.
const COMPARE_EVERY: Duration = Duration::from_secs(30);

/// How many answers are asked for in a row: those of 20,000 hosts.
const MAX_ROUNDS: usize = 400;

/// How many answers without news are enough.
const MAX_IDLE: usize = 3;

/// The longest file, in bytes: that of 20,000 hosts.
const MAX_FILE: u64 = 64 << 20;

/// The line that names the file's format and version.
const FIRST_LINE: &str = "# isconf cards 1";

/// What a host signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// A later one has a greater number.
    pub stamp: u64,
    /// The host's version of isconf.
    pub isconf: String,
    /// How it stands.
    pub card: HostCard,
}

/// A card that was verified.
#[derive(Debug, Clone)]
struct Known {
    signed: Signed,
    published: Arc<Published>,
}

/// The cards of all hosts.
#[derive(Debug, Default)]
pub struct Cards {
    known: Mutex<BTreeMap<PublicKey, Known>>,
    /// Whether there are others than those that were written down last.
    is_news: AtomicBool,
}

impl Cards {
    /// How all hosts stand, by their keys.
    pub fn all(&self) -> Vec<(PublicKey, Arc<Published>)> {
        let known = self.known();
        let cards = known.iter();
        cards
            .map(|(key, known)| (*key, Arc::clone(&known.published)))
            .collect()
    }

    /// Takes a card if it is newer than what is known of its host; what it says then.
    fn take(&self, signed: Signed) -> Option<Arc<Published>> {
        let published: Published = signed.read(SIGNED_AS)?;
        let is_sound = published.card.is_sound()
            && published.isconf.len() <= 100
            && !published.isconf.contains(char::is_control);
        if !is_sound {
            return None;
        }
        let mut known = self.known();
        let before = known.get(&signed.signer);
        if before.is_some_and(|before| before.published.stamp >= published.stamp)
            || (before.is_none() && known.len() >= MAX_PEERS)
        {
            return None;
        }
        let published = Arc::new(published);
        let (signer, news) = (signed.signer, Arc::clone(&published));
        known.insert(signer, Known { signed, published });
        self.is_news.store(true, Ordering::SeqCst);
        Some(news)
    }

    /// A sum of each part of the hosts: equal ones have equal cards.
    pub fn sums(&self) -> Vec<u64> {
        let mut parts = vec![Vec::new(); PARTS];
        for (key, known) in self.known().iter() {
            let part = &mut parts[usize::from(key.as_bytes()[0])];
            part.extend_from_slice(key.as_bytes());
            part.extend_from_slice(&known.published.stamp.to_be_bytes());
        }
        let sum = |part: &Vec<u8>| {
            let digest = Digest::of(part);
            digest
                .as_bytes()
                .iter()
                .take(8)
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        parts.iter().map(sum).collect()
    }

    /// Cards of the parts of which somebody has other sums, as many as one message takes: any of them.
    pub fn of_other_parts(&self, sums: &[u64]) -> Vec<Signed> {
        let own = self.sums();
        let differs = |key: &PublicKey| {
            let part = usize::from(key.as_bytes()[0]);
            own.get(part) != sums.get(part)
        };
        let known = self.known();
        let cards = known.iter().filter(|(key, _)| differs(key));
        let mut cards: Vec<_> = cards.map(|(_, known)| known.signed.clone()).collect();
        drop(known);
        fastrand::shuffle(&mut cards);
        cards.truncate(MAX_CARDS);
        cards
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<PublicKey, Known>> {
        // Each change is one insertion, so that what a panic left is whole.
        self.known.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// Takes cards that came, and passes on those that are news; how many were.
pub fn take(shared: &Arc<Shared>, cards: Vec<Signed>, from: Option<PublicKey>) -> usize {
    let mut news = Vec::new();
    for signed in cards.into_iter().take(MAX_CARDS) {
        let card = signed.clone();
        if let Some(published) = shared.cards.take(signed) {
            tell(&shared.events, &published);
            news.push(card);
        }
    }
    let count = news.len();
    if count > 0 {
        let links: Vec<_> = shared.table().links().cloned().collect();
        for link in links.into_iter().filter(|link| Some(link.peer) != from) {
            let news = news.clone();
            tokio::spawn(async move {
                // Whoever does not get it finds it missing when it compares.
                let _told = ask(&link, &Request::Cards(news)).await;
            });
        }
    }
    count
}

/// What a new card says, for people who watch.
fn tell(events: &Events, published: &Published) {
    let card = &published.card;
    events.happened(match (&card.failed, card.at) {
        (Some(failed), _) => Event::Failed {
            host: card.host.clone(),
            branch: card.branch.clone(),
            entry: failed.entry,
            why: failed.why.clone(),
        },
        (None, at) => Event::Stands {
            host: card.host.clone(),
            branch: card.branch.clone(),
            entry: at.map_or(0, |at| at.seq),
            congruent: card.congruent,
        },
    });
}

/// Publishes how this host stands, if that is news. May wait for the disk.
pub fn publish_own(shared: &Arc<Shared>, card: HostCard) {
    let key = shared.member.own;
    let before = shared.cards.known().get(&key).cloned();
    let version = env!("CARGO_PKG_VERSION");
    if before.as_ref().is_some_and(|before| {
        before.published.isconf == version && before.published.card.says_as(&card)
    }) {
        return;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_millis());
    let now = u64::try_from(now).unwrap_or(u64::MAX);
    // Also when the clock was set back.
    let stamp = before.map_or(now, |before| {
        now.max(before.published.stamp.saturating_add(1))
    });
    let published = Published {
        stamp,
        isconf: version.to_owned(),
        card,
    };
    let signed = Signed::new(SIGNED_AS, &published, &shared.key);
    take(shared, vec![signed], None);
}

/// Compares with connected hosts now and then, and writes down what is known.
pub async fn compare_now_and_then(shared: Arc<Shared>) {
    load(&shared).await;
    loop {
        save(&shared).await;
        tokio::time::sleep(COMPARE_EVERY.mul_f32(fastrand::f32() + 0.5)).await;
        let links: Vec<_> = shared.table().links().cloned().collect();
        if let Some(link) = fastrand::choice(links) {
            compare(&shared, &link).await;
        }
    }
}

/// Gets from a host the cards that it has and this one has not.
pub async fn compare(shared: &Arc<Shared>, link: &Link) {
    let mut idle = 0;
    for _ in 0..MAX_ROUNDS {
        let sums = shared.cards.sums();
        let Ok((Answer::Cards(cards), _)) = ask(link, &Request::CardsBeside(sums)).await else {
            return;
        };
        if cards.is_empty() {
            return;
        }
        // What it has of a part is mostly what is known here, too.
        idle = match take(shared, cards, Some(link.peer)) {
            0 => idle + 1,
            _ => 0,
        };
        if idle == MAX_IDLE {
            return;
        }
    }
}

/// Reads what was known when the daemon ended.
async fn load(shared: &Arc<Shared>) {
    let read = shared.on_disk(|shared| {
        let path = shared.facts.home.cards(&shared.facts.domain);
        let bytes = durable::read_small(&path, MAX_FILE)?.unwrap_or_default();
        let mut lines = bytes.split(|byte| *byte == b'\n');
        if lines.next() != Some(FIRST_LINE.as_bytes()) {
            return Ok(());
        }
        // A line that is damaged is a card that comes again.
        for signed in lines.filter_map(|line| serde_json::from_slice::<Signed>(line).ok()) {
            shared.cards.take(signed);
        }
        Ok::<_, durable::FileError>(())
    });
    if let Ok(Err(error)) = read.await {
        shared.mention("cards".to_owned(), || chained(&error));
    }
    shared.cards.is_news.store(false, Ordering::SeqCst);
    // What this host is was perhaps read before.
    shared.look.notify_one();
}

/// Writes down what is known, if it is news.
async fn save(shared: &Arc<Shared>) {
    if !shared.cards.is_news.swap(false, Ordering::SeqCst) {
        return;
    }
    let saved = shared.on_disk(|shared| {
        let mut text = format!("{FIRST_LINE}\n").into_bytes();
        for known in shared.cards.known().values() {
            let line = serde_json::to_vec(&known.signed);
            text.extend(line.expect("strings always have a JSON form"));
            text.push(b'\n');
        }
        let home = &shared.facts.home;
        durable::create_directories(&home.cache(&shared.facts.domain))?;
        durable::replace(&home.cards(&shared.facts.domain), &text)
    });
    if let Ok(Err(error)) = saved.await {
        shared.mention("cards".to_owned(), || chained(&error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::HostKey;
    use crate::model::{BranchName, Moment};

    fn signed(byte: u8, stamp: u64) -> Signed {
        let published = Published {
            stamp,
            isconf: "5.0.0".to_owned(),
            card: HostCard {
                host: format!("h{byte}").parse().unwrap(),
                branch: BranchName::generic(),
                at: None,
                congruent: None,
                failed: None,
                noted: Moment::EPOCH,
            },
        };
        Signed::new(SIGNED_AS, &published, &HostKey::from_secret(&[byte; 32]))
    }

    #[test]
    fn the_newer_card_stays_and_what_differs_is_found() {
        let (here, there) = (Cards::default(), Cards::default());
        for byte in 1..=9 {
            assert!(here.take(signed(byte, 5)).is_some());
            assert!(there.take(signed(byte, 5)).is_some());
        }
        assert_eq!(here.sums(), there.sums());
        assert!(here.of_other_parts(&there.sums()).is_empty());
        assert!(here.take(signed(3, 5)).is_none(), "it is no news");
        assert!(here.take(signed(3, 4)).is_none(), "it is older");
        assert!(here.take(signed(3, 6)).is_some());
        let missing = here.of_other_parts(&there.sums());
        assert!(missing.contains(&signed(3, 6)));
        for card in missing {
            there.take(card);
        }
        assert_eq!(here.sums(), there.sums());
        let mut forged = signed(4, 9);
        forged.text = forged.text.replace("\"h4\"", "\"h5\"");
        assert!(here.take(forged).is_none());
    }
}
