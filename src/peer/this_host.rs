//! What the tasks of the network share: whom this host knows, how it is, and what it tells others of itself.
//! Upholds: no lock on any of it is held while something is waited for.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Instant, SystemTime};

use isconf_sandbox::change::Digest;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::spawn_blocking;

use super::arrivals::{Arrivals, Places};
use super::cards::{self, Cards};
use super::catch_up;
use super::diverged::Diverged;
use super::endpoint::{BindError, CloseCode, Link, Member, Port, close_words};
use super::events::Events;
use super::frames::FrameError;
use super::local::Local;
use super::mentioned::Mentioned;
use super::messages::{Answer, BranchHead, Hello, Request};
use super::network::NetworkFacts;
use super::serve;
use super::standing::Deliveries;
use super::table::Table;
use super::turns::Turns;
use super::versions::Versions;
use super::voting::{self, SignedCharter, Voting};
use crate::identity::HostKey;
use crate::model::{BranchName, Event, PublicKey};

/// How many hosts are connected at most; whoever comes then is told of others.
const MAX_LINKED: usize = 200;

/// How many long answers are given at once: each takes up to some megabytes while it is under way.
const MAX_BULK: usize = 64;

/// How many blobs are cut into pieces at once: each takes a processor.
const MAX_CUTS: usize = 2;

/// How many lists of pieces are given at once: each may have 20 MB.
const MAX_LISTS: usize = 4;

/// How many calls of voters are read at once: each may have some megabytes, and few have.
const MAX_CALLS: usize = 4;

/// How many branches are caught up with at once.
const MAX_PULLS: usize = 8;

/// What all tasks share.
#[derive(Debug)]
pub struct Shared {
    pub(super) facts: NetworkFacts,
    pub(super) port: Port,
    pub(super) member: Member,
    pub(super) key: Arc<HostKey>,
    pub(super) started: Instant,
    pub(super) local: Local,
    /// Who keeps the locks of the domain.
    pub(super) voting: Voting,
    /// How all hosts stand.
    pub(super) cards: Cards,
    /// What happened lately.
    pub(super) events: Events,
    /// The branches that are being caught up with.
    pub(super) pulling: Turns<BranchName>,
    /// The blobs that are being fetched.
    pub(super) fetching: Turns<Digest>,
    /// The blobs whose pieces are being cut.
    pub(super) cutting: Turns<Digest>,
    /// The blobs that arrive.
    pub(super) arrivals: Arrivals,
    /// Who is given what.
    pub(super) places: Places,
    /// Which long blobs are here.
    pub(super) versions: Versions,
    pub(super) deliveries: Deliveries,
    /// Who has other journals.
    pub(super) diverged: Diverged,
    /// Something here may have changed.
    pub(super) look: Notify,
    /// Something here changed, and others are to be told.
    pub(super) changed: Notify,
    /// Contents may be missing: each value is news to everybody who fetches.
    pub(super) want: watch::Sender<()>,
    /// How many long answers may be given at once.
    pub(super) bulk: Semaphore,
    /// How many blobs may be cut at once.
    pub(super) cuts: Semaphore,
    /// How many lists of pieces may be given at once.
    pub(super) lists: Semaphore,
    /// How many calls of voters may be read at once.
    pub(super) calls: Semaphore,
    /// How many branches may be caught up with at once.
    pub(super) pulls: Semaphore,
    /// One at a time changes the list of what was joined.
    pub(super) book: Mutex<()>,
    /// The port is gone, and nothing can be done here.
    pub(super) deaf: Notify,
    /// The addresses that an administrator gave.
    given: Mutex<Vec<SocketAddr>>,
    /// Somebody is to be dialled now.
    pub(super) dial: Notify,
    table: Mutex<Table>,
    own: Mutex<Own>,
    mentioned: Mutex<Mentioned>,
    strangers: Mutex<Mentioned>,
}

/// How this host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Own {
    /// The branch that it follows.
    pub(super) branch: BranchName,
    /// What it has of each branch.
    pub(super) heads: Vec<BranchHead>,
    /// What is known of the voters.
    pub(super) charter: Option<SignedCharter>,
    /// How ready it is to be the first voter.
    pub(super) founds: u8,
}

impl Shared {
    /// Opens the port. Needs a tokio runtime.
    pub(super) fn open(facts: NetworkFacts, key: &Arc<HostKey>) -> Result<Self, BindError> {
        let member = Member {
            own: key.public(),
            domain: facts.domain.clone(),
            keys: Arc::default(),
        };
        let own = Own {
            branch: facts.branch.clone(),
            heads: Vec::new(),
            charter: None,
            founds: 0,
        };
        Ok(Self {
            port: Port::open(facts.port, key, member.clone())?,
            member,
            key: Arc::clone(key),
            started: Instant::now(),
            voting: Voting::default(),
            cards: Cards::default(),
            events: Events::default(),
            local: Local::new(&facts.home, &facts.domain, (&facts.branch, facts.cache)),
            facts,
            pulling: Turns::default(),
            fetching: Turns::default(),
            cutting: Turns::default(),
            arrivals: Arrivals::default(),
            places: Places::default(),
            versions: Versions::default(),
            deliveries: Deliveries::default(),
            diverged: Diverged::default(),
            look: Notify::new(),
            changed: Notify::new(),
            want: watch::Sender::new(()),
            bulk: Semaphore::new(MAX_BULK),
            cuts: Semaphore::new(MAX_CUTS),
            lists: Semaphore::new(MAX_LISTS),
            calls: Semaphore::new(MAX_CALLS),
            pulls: Semaphore::new(MAX_PULLS),
            book: Mutex::default(),
            deaf: Notify::new(),
            given: Mutex::default(),
            dial: Notify::new(),
            table: Mutex::default(),
            own: Mutex::new(own),
            mentioned: Mutex::default(),
            strangers: Mutex::default(),
        })
    }

    /// The hosts. Never held while something is waited for.
    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        // Each change is one assignment or insertion, so that what a panic left is whole.
        self.table.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// A connection with a host, if there is one.
    pub(super) fn link_to(&self, key: &PublicKey) -> Option<Link> {
        self.table().peer(key)?.link().cloned()
    }

    /// How this host is, as it was read last.
    pub(super) fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Does what may wait for the disk.
    pub(super) async fn on_disk<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, tokio::task::JoinError> {
        let shared = Arc::clone(self);
        spawn_blocking(move || work(&shared)).await
    }

    /// Whether a subject is due to be dealt with: it was not lately.
    pub(super) fn is_due(&self, subject: String) -> bool {
        is_due_in(&self.mentioned, subject)
    }

    /// Warns about a subject, unless that was done lately.
    pub(super) fn mention(&self, subject: String, words: impl FnOnce() -> String) {
        if self.is_due(subject) {
            tracing::warn!("{}", words());
        }
    }

    /// The same about somebody who proved nothing: however many there are, they do not silence the rest.
    pub(super) fn mention_stranger(&self, subject: String, words: impl FnOnce() -> String) {
        if is_due_in(&self.strangers, subject) {
            tracing::warn!("{}", words());
        }
    }

    /// The addresses that an administrator gave.
    pub(super) fn given(&self) -> MutexGuard<'_, Vec<SocketAddr>> {
        self.given.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// A peer's name for people: that of its host, and the start of its key.
    pub(super) fn name_of(&self, key: &PublicKey) -> String {
        let short = &key.to_string()[..8];
        let table = self.table();
        let peer = table.peer(key);
        let host = peer.and_then(|peer| peer.hello.as_ref().map(|hello| &hello.host));
        let address = peer.and_then(|peer| peer.address);
        match (host, address) {
            (Some(host), Some(address)) => format!("{host} ({address}, key {short})"),
            (Some(host), None) => format!("{host} (key {short})"),
            (None, Some(address)) => format!("{address} (key {short})"),
            (None, None) => format!("key {short}"),
        }
    }

    /// Ignores a peer that sent what cannot be.
    pub(super) fn ignore(&self, key: &PublicKey, why: &dyn std::fmt::Display) {
        let name = self.name_of(key);
        tracing::warn!("peer {name} is ignored for a while: {why}");
        self.table().ignore(key, Instant::now());
    }

    /// How this host is, for `other`.
    pub(super) fn hello_for(&self, other: &PublicKey) -> Hello {
        let choose = |of| fastrand::usize(..of);
        let voters = voting::voters(self);
        let introduces = self.table().introductions(other, &voters, choose);
        let Own {
            branch,
            heads,
            charter,
            founds,
        } = self.own().clone();
        Hello {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: self.facts.host.clone(),
            branch,
            heads,
            introduces,
            charter,
            founds,
        }
    }

    /// Takes what a host said of itself, and does what follows from it.
    pub(super) fn heard(self: &Arc<Self>, from: PublicKey, hello: Hello) {
        if !hello.is_bounded() {
            self.ignore(&from, &"it sent lists that are too long");
            return;
        }
        let heads = hello.heads.clone();
        if let Some(charter) = hello.charter.clone() {
            voting::heard(self, charter);
        }
        let has_more = {
            let mut table = self.table();
            for introduction in &hello.introduces {
                if introduction.key != self.member.own {
                    table.introduce(introduction.key, introduction.address);
                }
            }
            table.heard(from, hello, SystemTime::now())
        };
        if has_more && self.deliveries.is_hindered_anywhere() {
            self.want.send_replace(());
        }
        catch_up::compare(self, &from, &heads);
    }

    /// Takes a connection that was made, and exchanges the first hello.
    pub(super) async fn met(self: &Arc<Self>, link: Link) {
        if !self
            .table()
            .add(link.clone(), (Instant::now(), SystemTime::now()))
        {
            return;
        }
        // The keys may have changed since the proof was checked.
        if !link.is_still_welcome(&self.member.keys_now()) {
            link.close(CloseCode::NotOfTheDomain);
            return;
        }
        // It asks at once, too.
        let serving = tokio::spawn(serve::serve(Arc::clone(self), link.clone()));
        self.say_hello(&link).await;
        if self.table().links().count() > MAX_LINKED {
            // It knows some others now, whom it can ask.
            link.close(CloseCode::Enough);
        }
        let host = self.name_of(&link.peer);
        tracing::info!("connected with {host}");
        self.events.happened(Event::Connected { host });
        {
            let (shared, link) = (Arc::clone(self), link.clone());
            tokio::spawn(async move { cards::compare(&shared, &link).await });
        }
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let _ended_with_the_link = serving.await;
            let why = link.connection().close_reason();
            let why = why.as_ref().map_or("", close_words);
            tracing::info!(
                "no more connected with {}: {why}",
                shared.name_of(&link.peer)
            );
            shared.table().sweep(&link.peer);
            if shared.link_to(&link.peer).is_none() {
                let host = shared.name_of(&link.peer);
                shared.events.happened(Event::Lost { host });
            }
            shared.dial.notify_one();
        });
    }

    /// Tells a host how this one is, and hears how that is.
    pub(super) async fn say_hello(self: &Arc<Self>, link: &Link) {
        let hello = self.hello_for(&link.peer);
        match serve::ask(link, &Request::Hello(hello)).await {
            Ok((Answer::Hello(hello), _)) => self.heard(link.peer, hello),
            Ok(_) => self.ignore(&link.peer, &"it answered another question"),
            Err(FrameError::Broken(_) | FrameError::Late) => {}
            Err(error @ (FrameError::Malformed(_) | FrameError::Endless)) => {
                self.ignore(&link.peer, &error);
            }
        }
    }

    /// Reads what this host has; others are told if that changed.
    pub(super) async fn read_heads(self: &Arc<Self>) {
        let read = self.on_disk(|shared| {
            let heads = shared.local.heads(&mut |branch, error| {
                shared.mention(format!("journal {branch}"), || {
                    format!("branch {branch} is not served: {}", chained(&error))
                });
            });
            let followed = shared.local.followed();
            let branch = followed.unwrap_or_else(|| shared.facts.branch.clone());
            let charter = shared.voting.signed_charter();
            // Where somebody founded already, it is nobody's question.
            let founds = match charter {
                Some(_) => voting::FOUNDS_NOT,
                None => voting::may_found(shared),
            };
            Own {
                branch,
                heads,
                charter,
                founds,
            }
        });
        let Ok(read) = read.await else {
            return;
        };
        let is_news = {
            let mut own = self.own();
            let is_news = *own != read;
            for head in &read.heads {
                if own.heads.iter().all(|known| known.at() != head.at()) {
                    self.events.happened(Event::Entries {
                        branch: head.branch.clone(),
                        last: head.seq,
                    });
                }
            }
            *own = read;
            is_news
        };
        if let Ok(Some(card)) = self.on_disk(|shared| shared.local.card()).await {
            cards::publish_own(self, card);
        }
        if is_news {
            self.changed.notify_one();
        }
        if self
            .on_disk(|shared| shared.local.look_for_damage() || shared.local.needs_more())
            .await
            .unwrap_or(false)
        {
            self.want.send_replace(());
        }
    }
}

fn is_due_in(of: &Mutex<Mentioned>, subject: String) -> bool {
    let mut of = of.lock().unwrap_or_else(|e| e.into_inner());
    of.is_due(subject, Instant::now())
}

/// An error with its causes.
pub(crate) fn chained(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
