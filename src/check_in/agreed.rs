//! Checking in where several hosts keep the lock: they are asked first, and what they granted is done here
//! afterwards. Upholds: entries count when more than half of the voters have them, and not before their
//! contents are on another host.
//!
//! ```text
//! records (signed, not appended) ─> contents kept elsewhere ─> check-in granted ─> as after an append here
//!                                          here it has happened for everybody ──┘
//! ```

use std::collections::BTreeSet;

use super::{CheckInError, Site, is_undecided};
use crate::durable;
use crate::identity::HostKey;
use crate::journal::{Batch, Journal, MAX_BATCH_BYTES};
use crate::lock::{
    AppendLock, Authority, BranchLock, CheckIn, Denial, Granted, Held, Kept, LockError, NoVerdict,
    Order, Records, Under,
};
use crate::model::{BranchName, Draft, EntryRef};
use crate::needs::Needs;
use crate::store::Store;
use isconf_sandbox::commit::crash_point;

/// Makes entries count for the whole domain, and then part of the journal here.
pub(super) fn append(
    site: Site<'_>,
    authority: &dyn Authority,
    held: &Held,
    drafts: &[Draft],
    key: &HostKey,
) -> Result<Kept, CheckInError> {
    let right = AppendLock::take(site.home, site.domain, site.branch)?;
    let journal = Journal::open_or_create(&right)?;
    let base = journal.last();
    let batch = journal.prepare(drafts, key);
    // What is agreed on arrives here as everywhere, which needs the right to append.
    drop((journal, right));
    let store = Store::new(site.home.blobs(site.domain));
    let span = (base, batch.last(base));
    // Until there is a verdict nothing may be added or taken back: the entries may count already. The file has to
    // be there before the order is given, whenever the power fails; it gets there while another host gets the contents.
    let undecided = site.home.undecided(site.domain, site.branch);
    let was_undecided = is_undecided(site);
    let mark = || durable::mark(&undecided);
    let lock = (site.branch, held);
    let (marked, order) = durable::together(mark, || {
        order(&store, authority, lock, (&batch, span), drafts)
    });
    let ordered = marked.map_err(CheckInError::from).and(order);
    let (order, kept) = match ordered {
        Ok(ordered) => ordered,
        Err(error) => {
            // Nothing was ordered now. What was ordered before may count.
            if !was_undecided {
                durable::remove(&undecided)?;
            }
            return Err(error);
        }
    };
    crash_point("ci-kept");
    match authority.carry_out(order)? {
        Ok(Granted::CheckedIn) => {}
        Ok(_) => return Err(unexpected().into()),
        Err(denial) => {
            durable::remove(&undecided)?;
            return Err(refused(site, authority, denial, base));
        }
    }
    crash_point("ci-agreed");
    append_here(site, &batch, span)?;
    Ok(kept)
}

/// The order that checks entries in under a lock, once their contents are kept where other hosts find them, and so are
/// their records unless they go with the order.
pub fn order<'a>(
    store: &Store,
    authority: &dyn Authority,
    (branch, held): (&BranchName, &Held),
    (batch, (base, last)): (&Batch, (EntryRef, EntryRef)),
    drafts: impl IntoIterator<Item = &'a Draft>,
) -> Result<(Order, Kept), CheckInError> {
    let bytes = batch.to_bytes();
    if bytes.len() as u64 > MAX_BATCH_BYTES {
        return Err(CheckInError::TooMany {
            bytes: bytes.len() as u64,
        });
    }
    let mut contents = BTreeSet::new();
    for draft in drafts {
        contents.extend(Needs::of(draft).resolve(store)?);
    }
    let with_the_order = match authority.are_several() {
        true => Records::inline(&bytes),
        false => None,
    };
    let records = match with_the_order {
        Some(records) => records,
        None => {
            let blob = store.put_bytes(&bytes)?;
            contents.insert(blob);
            Records::Blob(blob)
        }
    };
    let kept = match contents.is_empty() {
        true => Kept::Elsewhere,
        false => authority.keep(contents)?,
    };
    let check_in = CheckIn {
        branch: branch.clone(),
        under: Under {
            author: held.author.clone(),
            host: held.host,
            fence: held.fence,
        },
        base,
        last,
        records,
    };
    Ok((Order::CheckIn(check_in), kept))
}

/// Gives the lock up when there is nothing to check in.
pub(super) fn release(
    site: Site<'_>,
    authority: &dyn Authority,
    held: &Held,
) -> Result<(), CheckInError> {
    let order = Order::Release {
        branch: site.branch.clone(),
        fence: held.fence,
    };
    match authority.carry_out(order)? {
        Ok(_) => Ok(()),
        Err(denial) => Err(refused(site, authority, denial, held.journal)),
    }
}

/// Appends what was agreed on, unless it came by another way meanwhile.
fn append_here(
    site: Site<'_>,
    batch: &Batch,
    (base, last): (EntryRef, EntryRef),
) -> Result<(), CheckInError> {
    let right = AppendLock::take(site.home, site.domain, site.branch)?;
    let mut journal = Journal::open_or_create(&right)?;
    if journal.contains(last) {
        return Ok(());
    }
    if journal.last() != base {
        let last = journal.last();
        return Err(CheckInError::JournalChanged { base, last });
    }
    Ok(journal.append_batch(&right, batch)?)
}

/// Why it was refused. What is so is noted here, so that the next verb knows whose the lock is.
fn refused(
    site: Site<'_>,
    authority: &dyn Authority,
    denial: Denial,
    base: EntryRef,
) -> CheckInError {
    if let Ok(row) = authority.row(site.branch) {
        let path = site.home.branch_lock(site.domain, site.branch);
        // What could not be noted is refused again.
        let _noted: Result<(), LockError> = row.lock.note(site.host, &path);
    }
    match denial {
        Denial::HeldByOther(held) => LockError::HeldByOther(held).into(),
        Denial::NotLocked => LockError::NotLocked.into(),
        Denial::Fenced { expected, found } => LockError::Fenced { expected, found }.into(),
        Denial::OtherHead(last) => CheckInError::JournalChanged { base, last },
        Denial::Exists | Denial::TooManyBranches => unexpected().into(),
    }
}

fn unexpected() -> NoVerdict {
    NoVerdict {
        why: "those who keep the locks answered something else".to_owned(),
        remedy: "are all hosts of the same version of isconf? `isconf status` shows it.".to_owned(),
        is_passing: false,
        is_down: false,
    }
}

/// The lock as it stands here.
pub(super) fn lock_here(site: Site<'_>) -> Result<BranchLock, LockError> {
    BranchLock::load(&site.home.branch_lock(site.domain, site.branch))
}
