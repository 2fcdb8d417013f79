//! `cache --prune`: removes what nothing refers to, and, where only what is needed is kept, contents that enough other
//! hosts keep. Upholds: what an entry needs here, a draft, or what `diff` and `show` read is never removed; nor is what
//! too few others have; nor anything unused while it cannot be told what is used.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, SystemTime};

use isconf_sandbox::change::Digest;

use super::abreast::{Awaited, get_abreast};
use crate::cli::invocation::{Format, ReportForm, RunMode};
use crate::cli::{Failure, Session};
use crate::daemon::client::{self, ClientError};
use crate::history::History;
use crate::journal::{Journal, Wip};
use crate::model::{BranchName, CachePolicy};
use crate::needs::Needs;
use crate::replay::ThisHost;
use crate::store::{Store, Stored};
use crate::ui::exit::ExitCode;
use crate::ui::prune_text::{Blobs, PruneView, prune_json, prune_text};
use crate::ui::{counted, human_bytes};

/// How long nothing may refer to a blob before it is removed: contents come before the entries that need them.
const SETTLED: Duration = Duration::from_secs(24 * 3600);

/// How long the daemon may take to say what it knows.
const ASKING: Duration = Duration::from_secs(15);

/// Removes what is dispensable, or says what would be removed.
pub fn prune(session: &mut Session, run: RunMode, format: Format) -> Result<ExitCode, Failure> {
    let (host, history) = session.this_host("cache")?;
    let form = match format {
        Format::Text => ReportForm::Paths,
        Format::Json => ReportForm::Json,
    };
    // Contents may be here for entries that are not here yet.
    get_abreast(session, &host.home, &host.branch, Awaited::Entries, form)?;
    let view = tidy(session, (&host, &history), run)?;
    let text = match format {
        Format::Text => prune_text(&view, session.out.style()),
        Format::Json => prune_json(&view)?,
    };
    session.out.result(&text)?;
    Ok(ExitCode::Ok)
}

/// Removes what was needed for entries that were applied just now, where only what is needed is kept. What cannot be
/// removed is no reason to fail: it is tried again.
pub(super) fn prune_applied(session: &mut Session, host: &ThisHost, history: &History) {
    if host.settings.cache.value != CachePolicy::Needed {
        return;
    }
    match tidy(session, (host, history), RunMode::Commit) {
        Ok(view) if view.elsewhere.blobs > 0 => {
            let blobs = counted(view.elsewhere.blobs, "blob");
            let hosts = counted(u64::from(view.copies), "connected host");
            session.out.info(&format!(
                "removed {blobs} ({}) that this host does not need any more and at least {hosts} keep",
                human_bytes(view.elsewhere.bytes)
            ));
        }
        Ok(_) => {}
        Err(failure) => session.out.warning(&format!(
            "contents that are not needed any more stay here: {}",
            failure.message
        )),
    }
}

fn tidy(
    session: &mut Session,
    (host, history): (&ThisHost, &History),
    run: RunMode,
) -> Result<PruneView, Failure> {
    let mut uses = Uses::of(host, history)?;
    let others = Others::ask(session, host, uses.spare.values().flatten())?;
    let stored: Vec<Stored> = host.store.walk().collect::<Result<_, _>>()?;
    // Entries may have come meanwhile; those that come from now on get what they need again.
    uses = Uses::of(host, history)?;
    if let Some(why) = uses.unknown.as_ref().or(others.unsettled.as_ref()) {
        session.out.warning(&format!(
            "what nothing refers to stays here, since that cannot be told now: {why}"
        ));
    }
    let mut view = PruneView {
        domain: host.domain.clone(),
        policy: host.settings.cache.value,
        copies: host.settings.copies.value,
        is_preview: run == RunMode::Preview,
        unused: Blobs::default(),
        elsewhere: Blobs::default(),
        kept: Blobs::default(),
    };
    let may_be_unused = uses.unknown.is_none() && others.unsettled.is_none();
    let mut going = Vec::new();
    for blob in stored {
        let digest = blob.digest;
        if let Some(entries) = uses.spare.get(&digest) {
            if others.keep(entries) >= view.copies as usize {
                view.elsewhere.add(blob.length);
                going.push(digest);
            } else {
                view.kept.add(blob.length);
            }
        } else if may_be_unused && !uses.wanted.contains(&digest) && is_settled(&host.store, &blob)
        {
            view.unused.add(blob.length);
            going.push(digest);
        }
    }
    if run == RunMode::Commit && !going.is_empty() {
        for digest in &going {
            host.store.remove(&host.lock, digest)?;
        }
        match client::pruned(&host.home, ASKING) {
            Ok(()) | Err(ClientError::NotRunning) => {}
            Err(error) => session.out.warning(&error.to_string()),
        }
    }
    Ok(view)
}

/// An entry, by its branch and number.
type Place = (BranchName, u64);

/// What refers to blobs.
#[derive(Debug, Default)]
struct Uses {
    /// Those that are to stay here.
    wanted: BTreeSet<Digest>,
    /// Contents of files that this host does not need any more, and the entries that have them.
    spare: BTreeMap<Digest, Vec<Place>>,
    /// Why not all uses can be told, if so.
    unknown: Option<String>,
}

impl Uses {
    fn of(host: &ThisHost, history: &History) -> Result<Self, Failure> {
        let mut uses = Self::default();
        for branch in Journal::branches(&host.home, &host.domain)? {
            match Journal::open(&host.home, &host.domain, &branch)? {
                Some(journal) => uses.add_journal(host, history, &journal)?,
                // It may have been put aside for a while.
                None => uses.unknown = Some(format!("branch {branch} has no journal here")),
            }
            if let Some(wip) = Wip::open(&host.home, &host.domain, &branch)? {
                for draft in wip.drafts()? {
                    let needs = Needs::of(&draft.draft);
                    uses.wanted.extend(needs.named());
                    match needs.resolve(&host.store) {
                        Ok(all) => uses.wanted.extend(all),
                        Err(error) => uses.unknown = Some(error.to_string()),
                    }
                }
            }
        }
        for seq in 1..=history.len() {
            if let Some(changes) = history.receipt(seq)?.body.changes {
                uses.wanted.extend([changes.full, changes.normal]);
            }
        }
        let Self { wanted, spare, .. } = &mut uses;
        spare.retain(|digest, _| !wanted.contains(digest));
        Ok(uses)
    }

    fn add_journal(
        &mut self,
        host: &ThisHost,
        history: &History,
        journal: &Journal,
    ) -> Result<(), Failure> {
        let branch = journal.branch();
        let is_own = *branch == host.branch;
        let applied = match is_own {
            true => history.position(journal.chain())?,
            false => 0,
        };
        for seq in journal.pending(0) {
            let needs = Needs::of(&journal.entry(seq)?.draft);
            self.wanted.extend(needs.named());
            let all = match needs.resolve(&host.store) {
                Ok(all) => all,
                Err(error) => {
                    let what = format!("entry {seq} of branch {branch}: {error}");
                    self.unknown = Some(what);
                    continue;
                }
            };
            if host.settings.cache.value.wants(is_own, seq <= applied) {
                self.wanted.extend(all);
            } else {
                for digest in all {
                    let places = self.spare.entry(digest).or_default();
                    places.push((branch.clone(), seq));
                }
            }
        }
        Ok(())
    }
}

/// What the connected hosts keep.
#[derive(Debug, Default)]
struct Others {
    /// For each branch, up to which entry each of them keeps everything.
    complete: BTreeMap<BranchName, Vec<u64>>,
    /// Why there may be entries that are not in the journals here yet, if so.
    unsettled: Option<String>,
}

impl Others {
    fn ask<'a>(
        session: &mut Session,
        host: &ThisHost,
        spare: impl Iterator<Item = &'a Place>,
    ) -> Result<Self, Failure> {
        let mut others = Self::default();
        let branches: BTreeSet<_> = spare
            .map(|(branch, _)| branch)
            .chain([&host.branch])
            .collect();
        for branch in branches {
            match client::copies(&host.home, branch, ASKING) {
                Ok(copies) => {
                    let policy = host.settings.cache.value;
                    if CachePolicy::named(&copies.policy) != Some(policy) {
                        return Err(other_policy(&copies.policy));
                    }
                    if !copies.settled {
                        let why = "entries that were agreed on are on their way";
                        others.unsettled = Some(why.to_owned());
                    }
                    others.complete.insert(branch.clone(), copies.complete);
                }
                Err(ClientError::NotRunning) => {
                    if host.settings.cache.value == CachePolicy::Needed {
                        session.out.warning(
                            "no daemon runs, so nobody can be asked: contents that other hosts may have stay here",
                        );
                    }
                    if host.home.voters(&host.domain).exists() {
                        let why = "no daemon runs, which would know of entries on their way";
                        others.unsettled = Some(why.to_owned());
                    }
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(others)
    }

    /// How many of them keep the contents of one of these entries.
    fn keep(&self, entries: &[Place]) -> usize {
        let counts = entries.iter().map(|(branch, seq)| {
            let complete = self.complete.get(branch);
            complete.map_or(0, |all| all.iter().filter(|end| *end >= seq).count())
        });
        counts.max().unwrap_or(0)
    }
}

/// Whether a blob is here for so long that what it came for would be here, too.
fn is_settled(store: &Store, blob: &Stored) -> bool {
    let changed = fs::metadata(store.path_of(&blob.digest)).and_then(|m| m.modified());
    let age = changed.map(|changed| SystemTime::now().duration_since(changed));
    age.is_ok_and(|age| age.is_ok_and(|age| age > SETTLED))
}

/// Other hosts count on what the daemon says.
fn other_policy(policy: &str) -> Failure {
    let message =
        format!("the daemon still runs with IS_CACHE={policy}, and other hosts count on it");
    Failure::new(ExitCode::Failure, message)
        .hint("`isconf restart` has it read the settings again.")
}
