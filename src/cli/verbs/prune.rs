//! `cache --prune`: removes what nothing refers to, and, where only what is needed is kept, contents that enough other
//! hosts keep. Upholds: what an entry needs here, a draft, or what `diff` and `show` read is never removed; nor is what
//! too few others have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, SystemTime};

use isconf_sandbox::change::Digest;

use crate::cli::invocation::{Format, ReportForm, RunMode};
use crate::cli::{Failure, Session};
use crate::daemon::MAX_KEPT;
use crate::daemon::client::{self, ClientError};
use crate::history::History;
use crate::journal::{Journal, Wip};
use crate::model::CachePolicy;
use crate::model::progress::Unit;
use crate::needs::{Needs, ReferenceError};
use crate::replay::ThisHost;
use crate::store::{Store, Stored};
use crate::ui::exit::ExitCode;
use crate::ui::prune_text::{Blobs, PruneView, prune_json, prune_text};
use crate::ui::{counted, human_bytes};

/// How long nothing may refer to a blob before it is removed: contents come before the entries that need them.
const SETTLED: Duration = Duration::from_secs(24 * 3600);

/// How long asking the other hosts may take.
const ASKING: Duration = Duration::from_secs(30);

/// Removes what is dispensable, or says what would be removed.
pub fn prune(session: &mut Session, run: RunMode, format: Format) -> Result<ExitCode, Failure> {
    let (host, history) = session.this_host("cache")?;
    let form = match format {
        Format::Text => ReportForm::Paths,
        Format::Json => ReportForm::Json,
    };
    let view = tidy(session, (&host, &history), run, form)?;
    let text = match format {
        Format::Text => prune_text(&view, session.out.style()),
        Format::Json => prune_json(&view)?,
    };
    session.out.result(&text)?;
    Ok(ExitCode::Ok)
}

/// Removes what was needed for entries that were applied just now, where only what is needed is kept. What cannot be
/// removed is no reason to fail: it is tried again.
pub(super) fn prune_applied(
    session: &mut Session,
    host: &ThisHost,
    history: &History,
    form: ReportForm,
) {
    if host.settings.cache.value != CachePolicy::Needed {
        return;
    }
    match tidy(session, (host, history), RunMode::Commit, form) {
        Ok(view) if view.elsewhere.blobs > 0 => {
            let blobs = counted(view.elsewhere.blobs, "blob");
            let hosts = counted(u64::from(view.copies), "other host");
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
    form: ReportForm,
) -> Result<PruneView, Failure> {
    let uses = Uses::of(host, history)?;
    let stored: Vec<Stored> = host.store.walk().collect::<Result<_, _>>()?;
    let mut view = PruneView {
        domain: host.domain.clone(),
        policy: host.settings.cache.value,
        copies: host.settings.copies.value,
        is_preview: run == RunMode::Preview,
        unused: Blobs::default(),
        elsewhere: Blobs::default(),
        kept: Blobs::default(),
    };
    let mut going = Vec::new();
    let mut spare = Vec::new();
    for blob in stored {
        if uses.spare.contains(&blob.digest) {
            spare.push(blob);
        } else if !uses.wanted.contains(&blob.digest) && is_settled(&host.store, &blob) {
            view.unused.add(blob.length);
            going.push(blob.digest);
        }
    }
    let copies = copies(session, host, &spare, form)?;
    for blob in &spare {
        let count = copies.get(&blob.digest).copied().unwrap_or(0);
        if count >= u64::from(view.copies) {
            view.elsewhere.add(blob.length);
            going.push(blob.digest);
        } else {
            view.kept.add(blob.length);
        }
    }
    if run == RunMode::Commit {
        for digest in &going {
            host.store.remove(&host.lock, digest)?;
        }
    }
    Ok(view)
}

/// What refers to blobs.
#[derive(Debug, Default)]
struct Uses {
    /// Those that are to stay here.
    wanted: BTreeSet<Digest>,
    /// Contents of files that this host does not need any more.
    spare: BTreeSet<Digest>,
}

impl Uses {
    fn of(host: &ThisHost, history: &History) -> Result<Self, Failure> {
        let mut uses = Self::default();
        for branch in Journal::branches(&host.home, &host.domain)? {
            if let Some(journal) = Journal::open(&host.home, &host.domain, &branch)? {
                uses.add_journal(host, history, &journal)?;
            }
            if let Some(wip) = Wip::open(&host.home, &host.domain, &branch)? {
                for draft in wip.drafts()? {
                    let needs = Needs::of(&draft.draft);
                    let all = needs.resolve(&host.store);
                    uses.wanted.extend(all.map_err(|e| unknown(&e))?);
                }
            }
        }
        for seq in 1..=history.len() {
            if let Some(changes) = history.receipt(seq)?.body.changes {
                uses.wanted.extend([changes.full, changes.normal]);
            }
        }
        let Self { wanted, spare } = &mut uses;
        spare.retain(|digest| !wanted.contains(digest));
        Ok(uses)
    }

    fn add_journal(
        &mut self,
        host: &ThisHost,
        history: &History,
        journal: &Journal,
    ) -> Result<(), Failure> {
        let is_own = journal.branch() == &host.branch;
        let applied = match is_own {
            true => history.position(journal.chain())?,
            false => 0,
        };
        for seq in journal.pending(0) {
            let needs = Needs::of(&journal.entry(seq)?.draft);
            self.wanted.extend(needs.named());
            let all = needs.resolve(&host.store).map_err(|e| unknown(&e))?;
            match host.settings.cache.value.wants(is_own, seq <= applied) {
                true => self.wanted.extend(all),
                false => self.spare.extend(all),
            }
        }
        Ok(())
    }
}

/// What an entry or a draft needs cannot be told, so that everything may be needed.
fn unknown(error: &ReferenceError) -> Failure {
    Failure::of(ExitCode::Failure, error).hint(
        "nothing was removed, since what is needed cannot be told. `isconf cache` says which contents are missing; a running daemon gets them.",
    )
}

/// Whether a blob is here for so long that what it came for would be here, too.
fn is_settled(store: &Store, blob: &Stored) -> bool {
    let changed = fs::metadata(store.path_of(&blob.digest)).and_then(|m| m.modified());
    let age = changed.map(|changed| SystemTime::now().duration_since(changed));
    age.is_ok_and(|age| age.is_ok_and(|age| age > SETTLED))
}

/// On how many other hosts that keep everything the blobs are.
fn copies(
    session: &mut Session,
    host: &ThisHost,
    spare: &[Stored],
    form: ReportForm,
) -> Result<BTreeMap<Digest, u64>, Failure> {
    let mut copies = BTreeMap::new();
    let mut progress = session.progress(form);
    let all = spare.iter().map(|blob| blob.length).sum();
    progress.begin("asking who has the contents", Unit::Bytes, Some(all));
    let mut asked = 0;
    for part in spare.chunks(MAX_KEPT) {
        let blobs: Vec<_> = part.iter().map(|blob| blob.digest).collect();
        match client::copies(&host.home, blobs.clone(), ASKING) {
            Ok((policy, _)) if CachePolicy::named(&policy) != Some(host.settings.cache.value) => {
                return Err(other_policy(&policy));
            }
            Ok((_, counts)) => copies.extend(blobs.into_iter().zip(counts)),
            Err(ClientError::NotRunning) => {
                progress.end();
                session.out.warning(
                    "no daemon runs, so nobody can be asked: contents that other hosts may have stay here",
                );
                return Ok(BTreeMap::new());
            }
            Err(error) => return Err(error.into()),
        }
        asked += part.iter().map(|blob| blob.length).sum::<u64>();
        progress.done(asked);
    }
    progress.end();
    Ok(copies)
}

/// Other hosts count on what the daemon says.
fn other_policy(policy: &str) -> Failure {
    let message =
        format!("the daemon still runs with IS_CACHE={policy}, and other hosts count on it");
    Failure::new(ExitCode::Failure, message)
        .hint("`isconf restart` has it read the settings again.")
}
