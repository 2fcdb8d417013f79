//! Where this host stands, for `status`. Not for finding it out. Upholds: text and JSON are made
//! from the same view.

use std::net::SocketAddr;

use serde::Serialize;

use super::page::{Page, counted, escaped};
use super::quantity::{human_bytes, human_time};
use super::report_json::{JSON_VERSION, line};
use super::style::{Role, Style};
use crate::model::{Author, BranchName, DomainName, EntryRef, HostName, Moment, PublicKey};

/// Where this host stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusView {
    /// This host.
    pub host: HostName,
    /// Its domain.
    pub domain: DomainName,
    /// Its branch.
    pub branch: BranchName,
    /// Who holds the branch's lock.
    pub lock: Option<LockView>,
    /// The last entry that was committed here; `None` when there is none.
    pub at: Option<EntryRef>,
    /// The last entry of the journal, as far as this host knows it; `None` when it is empty.
    pub head: Option<EntryRef>,
    /// Entries to be replayed.
    pub pending: u64,
    /// Drafts that are not checked in.
    pub wip: u64,
    /// The daemon's process; `None` when it does not run.
    pub daemon: Option<u32>,
    /// The other hosts of the domain that the daemon knows.
    pub peers: Vec<PeerRow>,
    /// How the contents of the branch come; `None` when the daemon does not run.
    pub contents: Option<ContentsRow>,
    /// Who keeps the locks of the domain; `None` while this host is alone, or the daemon does not run.
    pub voters: Option<VotersRow>,
    /// The names of kept scratchpads.
    pub kept: Vec<String>,
    /// What waits for recovery, in words; `None` when nothing does.
    pub recovery: Option<String>,
}

/// How the contents of a branch come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContentsRow {
    /// Up to which entry all are here.
    pub complete: u64,
    /// What arrives just now.
    pub arriving: Option<ArrivingRow>,
    /// Why not all come, in words.
    pub hindrance: Option<String>,
}

/// A content that arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArrivingRow {
    /// The entry that needs it.
    pub entry: u64,
    /// How many bytes of it are here.
    pub here: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// A lock that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockView {
    /// Who holds it.
    pub holder: Author,
    /// Why.
    pub message: String,
    /// Since when.
    pub since: Moment,
}

/// Another host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PeerRow {
    /// Its name; `null` when it was never heard.
    pub host: Option<HostName>,
    /// Its key.
    pub key: PublicKey,
    /// Where it is, or was said to be.
    pub address: Option<SocketAddr>,
    /// Its version of isconf.
    pub isconf: Option<String>,
    /// The branch that it follows.
    pub branch: Option<BranchName>,
    /// The last entry that it has of that branch.
    pub entry: Option<u64>,
    /// When it was heard last.
    pub seen: Option<Moment>,
    /// Whether it can be asked now.
    pub connected: bool,
    /// Whether it sent what cannot be, and is ignored for a while.
    pub ignored: bool,
    /// Whether it has another journal of the branch that this host follows.
    pub diverged: bool,
}

/// Who keeps the locks of the domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VotersRow {
    /// How often that began: once, and whenever most of them were lost.
    pub epoch: u64,
    /// The hosts.
    pub hosts: Vec<VoterRow>,
}

/// A host that keeps the locks of the domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VoterRow {
    /// Its name.
    pub host: String,
    /// Its key.
    pub key: PublicKey,
    /// Whether it is this host, or connected.
    pub reachable: bool,
}

/// How many other hosts are shown to people.
const MAX_PEERS_SHOWN: usize = 20;

/// The status for people.
pub fn status_text(status: &StatusView, style: Style) -> String {
    let mut page = Page::new(style);
    let title = format!("{} is on {} branch", status.host, status.branch);
    page.line(0, &page.paint(Role::Heading, &title));
    page.line(2, &format!("domain    {}", status.domain));
    let place = |at: Option<EntryRef>| {
        at.map_or_else(
            || "no entry".to_owned(),
            |at| format!("entry {} {}", at.seq, at.id.0.short()),
        )
    };
    page.line(2, &format!("journal   {}", place(status.head)));
    page.line(2, &format!("replayed  {}", place(status.at)));
    let pending = match status.pending {
        0 => "nothing".to_owned(),
        number => page.paint(Role::Modified, &counted(number, "entry")),
    };
    page.line(2, &format!("pending   {pending}"));
    let wip = match status.wip {
        0 => "nothing".to_owned(),
        number => page.paint(Role::Noted, &counted(number, "entry")),
    };
    page.line(2, &format!("wip       {wip}"));
    let lock = status.lock.as_ref().map_or_else(
        || "not locked".to_owned(),
        |lock| {
            format!(
                "{}: {} (since {})",
                lock.holder,
                escaped(lock.message.as_bytes()),
                human_time(lock.since.to_timestamp())
            )
        },
    );
    page.line(2, &format!("lock      {lock}"));
    let daemon = status.daemon.map_or_else(
        || "not running".to_owned(),
        |pid| format!("running, process {pid}"),
    );
    page.line(2, &format!("daemon    {daemon}"));
    contents_lines(&mut page, status);
    if let Some(voters) = &status.voters {
        let words = voter_words(&page, voters);
        page.line(2, &format!("voters    {words}"));
    }
    peer_lines(&mut page, &status.peers);
    for name in &status.kept {
        page.line(2, &format!("kept      {}", escaped(name.as_bytes())));
    }
    if let Some(recovery) = &status.recovery {
        let words = format!("recovery  {}", escaped(recovery.as_bytes()));
        page.line(2, &page.paint(Role::Failure, &words));
    }
    page.into_text()
}

/// Which contents are missing still, and what arrives.
fn contents_lines(page: &mut Page, status: &StatusView) {
    let last = status.head.map_or(0, |head| head.seq);
    let Some(contents) = status.contents.as_ref().filter(|c| c.complete < last) else {
        return;
    };
    let complete = contents.complete;
    page.line(
        2,
        &format!("contents  here up to entry {complete} of {last}"),
    );
    if let Some(arriving) = &contents.arriving {
        let (here, length) = (human_bytes(arriving.here), human_bytes(arriving.length));
        let entry = arriving.entry;
        page.line(4, &format!("{here} of {length} arrived for entry {entry}"));
    }
    if let Some(why) = &contents.hindrance {
        page.line(4, &page.paint(Role::Failure, &escaped(why.as_bytes())));
    }
}

/// Who keeps the locks, and who of them cannot be reached.
fn voter_words(page: &Page, voters: &VotersRow) -> String {
    let words = voters.hosts.iter().map(|voter| {
        let name = escaped(voter.host.as_bytes());
        match voter.reachable {
            true => name,
            false => format!("{name} (not reached)"),
        }
    });
    let words = words.collect::<Vec<_>>().join(", ");
    let reached = voters.hosts.iter().filter(|voter| voter.reachable).count();
    match reached * 2 > voters.hosts.len() {
        true => words,
        false => page.paint(
            Role::Failure,
            &format!("{words}: too few for a lock or a check-in"),
        ),
    }
}

/// The other hosts, those that are connected first.
fn peer_lines(page: &mut Page, peers: &[PeerRow]) {
    if peers.is_empty() {
        return;
    }
    let connected = peers.iter().filter(|peer| peer.connected).count();
    let others = match peers.len() - connected {
        0 => String::new(),
        others => format!(", {others} not"),
    };
    page.line(2, &format!("peers     {connected} connected{others}"));
    let mut sorted: Vec<_> = peers.iter().collect();
    sorted.sort_by(|a, b| {
        let rank = |peer: &PeerRow| (!peer.connected, peer.host.clone(), peer.key);
        rank(a).cmp(&rank(b))
    });
    for peer in sorted.iter().take(MAX_PEERS_SHOWN) {
        page.line(4, &peer_words(peer));
    }
    if let Some(more) = sorted.len().checked_sub(MAX_PEERS_SHOWN + 1) {
        page.line(4, &format!("and {} more; --json shows all", more + 1));
    }
}

/// One host: its name, where it is, and how it stands.
fn peer_words(peer: &PeerRow) -> String {
    let name = peer.host.as_ref().map_or_else(
        || format!("key {}", &peer.key.to_string()[..8]),
        ToString::to_string,
    );
    let mut words = vec![name];
    words.extend(peer.address.map(|address| address.to_string()));
    match (&peer.branch, peer.entry) {
        (Some(branch), Some(entry)) => words.push(format!("has entry {entry} of {branch}")),
        (Some(branch), None) => words.push(format!("has no entry of {branch}")),
        (None, _) => {}
    }
    if peer.diverged {
        words.push("another journal than here".to_owned());
    }
    if peer.ignored {
        words.push("ignored: it sent what cannot be".to_owned());
    } else if !peer.connected {
        words.push(match peer.seen {
            Some(seen) => format!("not connected, seen {}", human_time(seen.to_timestamp())),
            None => "not met yet".to_owned(),
        });
    }
    words.join("  ")
}

/// The status for programs, as one line of JSON.
pub fn status_json(status: &StatusView) -> Result<String, serde_json::Error> {
    line(&StatusJson {
        version: JSON_VERSION,
        kind: "status",
        host: status.host.as_str(),
        domain: status.domain.as_str(),
        branch: status.branch.as_str(),
        lock: status.lock.as_ref().map(|lock| LockJson {
            holder: lock.holder.as_str(),
            message: &lock.message,
            since: lock.since.to_string(),
        }),
        replayed: status.at.map(EntryRefJson::of),
        journal: status.head.map(EntryRefJson::of),
        pending: status.pending,
        wip: status.wip,
        daemon: status.daemon,
        contents: status.contents.as_ref(),
        voters: status.voters.as_ref(),
        peers: &status.peers,
        kept: &status.kept,
        recovery: status.recovery.as_deref(),
    })
}

#[derive(Serialize)]
struct StatusJson<'a> {
    version: u32,
    kind: &'static str,
    host: &'a str,
    domain: &'a str,
    branch: &'a str,
    lock: Option<LockJson<'a>>,
    replayed: Option<EntryRefJson>,
    journal: Option<EntryRefJson>,
    pending: u64,
    wip: u64,
    daemon: Option<u32>,
    contents: Option<&'a ContentsRow>,
    voters: Option<&'a VotersRow>,
    peers: &'a [PeerRow],
    kept: &'a [String],
    recovery: Option<&'a str>,
}

#[derive(Serialize)]
struct LockJson<'a> {
    holder: &'a str,
    message: &'a str,
    since: String,
}

#[derive(Serialize)]
struct EntryRefJson {
    seq: u64,
    id: String,
}

impl EntryRefJson {
    fn of(at: EntryRef) -> Self {
        Self {
            seq: at.seq,
            id: at.id.to_string(),
        }
    }
}
