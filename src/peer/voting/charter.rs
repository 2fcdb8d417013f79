//! What every host knows of the voters: who they are, and which locks they granted. It goes from host to host.
//! Upholds: it counts only when a voter signed it; an older one never replaces a newer one.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::signed::{Kind, Signed};
use super::super::this_host::{Shared, chained};
use crate::durable;
use crate::identity::HostKey;
use crate::lock::Held;
use crate::model::{BranchName, Event, PublicKey};
use crate::quorum::{Applied, Epoch, Seat};

/// The longest charter, in bytes: half of a line between hosts.
const MAX_BYTES: usize = 96 * 1024;

/// Beyond any place in a log.
const MAX_PLACE: u64 = 1 << 60;

/// How many voters there can be: five, and others while they are replaced.
const MAX_VOTERS: usize = 16;

const SIGNED_AS: Kind = Kind {
    label: "isconf charter 1",
    max_bytes: MAX_BYTES,
};

/// The line that names the file's format and version.
const FIRST_LINE: &str = "# isconf voters 1\n";

/// Who votes, and which locks are held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charter {
    /// Since which founding.
    pub epoch: Epoch,
    /// The voters' place in their log; a greater one is newer.
    pub at: u64,
    /// The voters.
    pub voters: Vec<Elector>,
    /// The locks that are held, as many as there is room for.
    pub locks: Vec<LockNews>,
    /// Whether nobody ever locked anything, nor has any branch an entry: nothing is lost with it.
    pub is_blank: bool,
}

/// A voter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elector {
    /// Which host.
    pub key: PublicKey,
    /// Its name, for people.
    pub host: String,
}

/// A lock that is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockNews {
    /// Of which branch.
    pub branch: BranchName,
    /// By whom.
    pub held: Held,
}

/// A charter with the signature of a voter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SignedCharter {
    signed: Signed,
    /// What it says; read when it is verified.
    #[serde(skip)]
    charter: Option<Arc<Charter>>,
}

impl Charter {
    /// What a host wrote down; `None` for anything that no voter signed.
    pub fn read(bytes: &[u8]) -> Option<Arc<Self>> {
        Some(read(bytes)?.1)
    }

    /// What a voter knows.
    pub fn of(epoch: Epoch, members: &BTreeMap<PublicKey, Seat>, applied: &Applied) -> Self {
        let voters = members.iter().map(|(key, seat)| Elector {
            key: *key,
            host: seat.host.clone(),
        });
        let held = applied.ledger.rows().filter_map(|(branch, row)| {
            Some(LockNews {
                branch: branch.clone(),
                held: row.lock.held.clone()?,
            })
        });
        let mut charter = Self {
            epoch,
            at: applied.at(),
            voters: by_name(voters.collect()),
            locks: Vec::new(),
            // A later one was begun by a person.
            is_blank: epoch.number == 1
                && applied
                    .ledger
                    .rows()
                    .all(|(_, row)| row.head.seq == 0 && row.lock.fence == 0),
        };
        let mut room = MAX_BYTES / 4;
        for news in held {
            // A message may be four times as long when it is escaped.
            let length = 1000 + 4 * news.held.message.as_str().len();
            match room.checked_sub(length) {
                Some(left) => room = left,
                None => break,
            }
            charter.locks.push(news);
        }
        charter
    }

    /// Whether a host votes.
    pub fn has_voter(&self, key: &PublicKey) -> bool {
        self.voters.iter().any(|voter| voter.key == *key)
    }
}

impl SignedCharter {
    /// Signs a charter.
    pub fn sign(charter: Charter, key: &HostKey) -> Self {
        Self {
            signed: Signed::new(SIGNED_AS, &charter, key),
            charter: Some(Arc::new(charter)),
        }
    }

    /// What it says; `None` when it is none: too long, or not signed by one of its voters.
    fn verified(mut self) -> Option<(Self, Arc<Charter>)> {
        let charter: Charter = self.signed.read(SIGNED_AS)?;
        let is_bounded = charter.epoch.is_sound()
            && charter.at < MAX_PLACE
            && charter.voters.len() <= MAX_VOTERS
            && charter
                .voters
                .iter()
                .all(|v| v.host.len() <= 255 && !v.host.contains(char::is_control));
        if !is_bounded || !charter.has_voter(&self.signed.signer) {
            return None;
        }
        let charter = Arc::new(charter);
        self.charter = Some(Arc::clone(&charter));
        Some((self, charter))
    }

    /// What it says. One that was not verified says nothing.
    pub fn charter(&self) -> Option<&Arc<Charter>> {
        self.charter.as_ref()
    }
}

/// Takes a charter if it is newer than the one that is known; whether it was taken.
pub(super) fn take(shared: &Arc<Shared>, offered: SignedCharter) -> bool {
    let known = shared.voting.signed_charter();
    let known_text = known.as_ref().map(|known| &known.signed.text);
    if known_text == Some(&offered.signed.text) {
        return false;
    }
    let signer = offered.signed.signer;
    let Some((offered, charter)) = offered.verified() else {
        return false;
    };
    if let Some(known) = known.as_ref().and_then(SignedCharter::charter) {
        if !is_newer(shared, known, &charter) {
            return false;
        }
        // While one of the voters can be asked, they are who say who votes.
        let is_one_there = || {
            let mut voters = known.voters.iter();
            voters.any(|voter| shared.link_to(&voter.key).is_some())
        };
        let is_of_them = known.has_voter(&signer) || signer == shared.member.own;
        if charter.epoch == known.epoch && !is_of_them && is_one_there() {
            return false;
        }
    }
    tell(
        shared,
        known.as_ref().and_then(SignedCharter::charter),
        &charter,
    );
    *shared.voting.known() = Some(offered);
    true
}

/// Whether a charter takes the place of the known one: a later one of the same voters, or one of a later epoch. Of two
/// that were founded apart, the one that is not blank stays; when both are not, a person has to decide.
fn is_newer(shared: &Shared, known: &Charter, offered: &Charter) -> bool {
    if known.epoch == offered.epoch {
        return offered.at > known.at;
    }
    match (known.is_blank, offered.is_blank) {
        (true, false) => true,
        (false, true) => false,
        (true, true) => offered.epoch > known.epoch,
        (false, false) if known.epoch.number != offered.epoch.number => offered.epoch > known.epoch,
        (false, false) => {
            shared.mention(format!("epochs {}", offered.epoch), || {
                format!(
                    "the domain was begun twice: on this side its locks are kept by {}, on the other by {}; `isconf domain recover --yes` on a host of the side that is to stay makes the other one follow",
                    names(known),
                    names(offered)
                )
            });
            false
        }
    }
}

/// As people look for them.
fn by_name(mut voters: Vec<Elector>) -> Vec<Elector> {
    voters.sort_by(|a, b| a.host.cmp(&b.host));
    voters
}

fn names(charter: &Charter) -> String {
    let names: Vec<_> = charter
        .voters
        .iter()
        .map(|voter| voter.host.as_str())
        .collect();
    names.join(", ")
}

/// Says what changed, for people who watch.
fn tell(shared: &Shared, before: Option<&Arc<Charter>>, now: &Charter) {
    let locks = |charter: &Charter| -> BTreeMap<BranchName, Held> {
        let locks = charter.locks.iter();
        locks
            .map(|news| (news.branch.clone(), news.held.clone()))
            .collect()
    };
    let voters = |charter: &Charter| -> Vec<String> {
        charter
            .voters
            .iter()
            .map(|voter| voter.host.clone())
            .collect()
    };
    if before.is_none_or(|before| voters(before) != voters(now)) {
        shared.events.happened(Event::Voters {
            epoch: now.epoch.number,
            hosts: voters(now),
        });
    }
    let (had, has) = (before.map_or_else(BTreeMap::new, |c| locks(c)), locks(now));
    for (branch, held) in &had {
        if has.get(branch).is_none_or(|now| now.fence != held.fence) {
            shared.events.happened(Event::Freed {
                branch: branch.clone(),
                by: held.author.clone(),
            });
        }
    }
    for (branch, held) in has {
        if had.get(&branch) != Some(&held) {
            shared.events.happened(Event::Locked {
                branch,
                by: held.author,
                message: held.message,
            });
        }
    }
}

/// Reads a file of voters.
fn read(bytes: &[u8]) -> Option<(SignedCharter, Arc<Charter>)> {
    let text = str::from_utf8(bytes).ok()?.strip_prefix(FIRST_LINE)?;
    serde_json::from_str::<SignedCharter>(text).ok()?.verified()
}

/// Reads what was known when the daemon ended.
pub(super) async fn load(shared: &Arc<Shared>) {
    let read = shared.on_disk(|shared| {
        let path = shared.facts.home.voters(&shared.facts.domain);
        let bytes = durable::read_small(&path, 2 * MAX_BYTES as u64)?;
        Ok::<_, durable::FileError>(bytes.and_then(|bytes| read(&bytes)))
    });
    match read.await {
        Ok(Ok(Some((charter, _)))) => *shared.voting.known() = Some(charter),
        Ok(Ok(None)) | Err(_) => {}
        Ok(Err(error)) => shared.mention("voters".to_owned(), || chained(&error)),
    }
}

/// Writes down what is known; whether that could be done.
pub(super) async fn save(shared: &Arc<Shared>, charter: &SignedCharter) -> bool {
    let text = serde_json::to_string(charter);
    let text = text.expect("strings and numbers always have a JSON form");
    let who = charter
        .charter()
        .map(|charter| (charter.epoch, charter.voters.clone()));
    let is_durable = who.is_some() && *shared.voting.saved() == who;
    let written = shared.on_disk(move |shared| {
        let path = shared.facts.home.voters(&shared.facts.domain);
        durable::create_directories(&shared.facts.home.cache(&shared.facts.domain))?;
        let bytes = format!("{FIRST_LINE}{text}\n");
        match is_durable {
            // Only locks changed: any voter tells them again.
            true => durable::replace_soon(&path, bytes.as_bytes()),
            false => durable::replace(&path, bytes.as_bytes()),
        }
    });
    match written.await {
        Ok(Ok(())) => {
            *shared.voting.saved() = who;
            true
        }
        Ok(Err(error)) => {
            shared.mention("voters".to_owned(), || chained(&error));
            false
        }
        Err(_panicked) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_charter_that_one_of_its_voters_signed_is_one() {
        let key = HostKey::from_secret(&[1; 32]);
        let stranger = HostKey::from_secret(&[2; 32]);
        let charter = Charter {
            epoch: Epoch {
                number: 1,
                founder: key.public(),
            },
            at: 7,
            voters: vec![Elector {
                key: key.public(),
                host: "h1".to_owned(),
            }],
            locks: Vec::new(),
            is_blank: true,
        };
        let good = SignedCharter::sign(charter.clone(), &key);
        let sent = serde_json::to_string(&good).unwrap();
        let came: SignedCharter = serde_json::from_str(&sent).unwrap();
        assert_eq!(came.charter(), None, "it was not verified");
        assert_eq!(*came.clone().verified().unwrap().1, charter);
        let mut changed = came.clone();
        changed.signed.text = changed.signed.text.replace("\"at\":7", "\"at\":8");
        assert!(changed.verified().is_none());
        assert!(SignedCharter::sign(charter, &stranger).verified().is_none());
        let mut long = came;
        long.signed.text.push_str(&" ".repeat(MAX_BYTES));
        assert!(long.verified().is_none());
    }
}
