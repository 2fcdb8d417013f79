//! Entries of a bundle where several hosts keep the lock of the branch: they are agreed on as if they were checked in
//! here. Upholds: nobody checks anything in beside them meanwhile.

use crate::bundle::{BundleHeader, ImportError, Imported};
use crate::check_in::{CheckInError, agreed};
use crate::cli::domain_locks::DomainLocks;
use crate::cli::{Failure, Member};
use crate::journal::Journal;
use crate::lock::{Authority, Claim, Denial, Granted, Held, NoVerdict, Order, Row};
use crate::model::{BranchName, EntryRef, LockMessage, Moment};
use crate::store::Store;
use crate::ui::exit::ExitCode;

/// Entries being taken in under the lock of their branch.
pub(super) struct Taking<'a> {
    locks: DomainLocks,
    member: &'a Member,
    now: Moment,
    held: Option<(BranchName, Held, Row)>,
    /// Why they may not be taken in.
    failure: Option<Failure>,
}

impl<'a> Taking<'a> {
    /// Begins; nothing is locked yet.
    pub(super) fn new(locks: DomainLocks, member: &'a Member, now: Moment) -> Self {
        Self {
            locks,
            member,
            now,
            held: None,
            failure: None,
        }
    }

    /// Locks the bundle's branch, if it has entries that the voters do not know; whether it may be taken in.
    pub(super) fn may(&mut self, header: &BundleHeader) -> bool {
        match self.lock(header) {
            Ok(()) => true,
            // No network reaches this host: nobody gets from it what the others did not agree on.
            Err(Trouble::NotAsked(error)) if error.is_down => true,
            Err(Trouble::NotAsked(error)) => {
                self.failure = Some(Failure::from(error).hint(
                    "if no network is to reach this host, `isconf stop` ends its daemon; then it takes bundles in by itself.",
                ));
                false
            }
            Err(Trouble::Failure(failure)) => {
                self.failure = Some(*failure);
                false
            }
        }
    }

    fn lock(&mut self, header: &BundleHeader) -> Result<(), Trouble> {
        let branch = &header.branch;
        let row = self.locks.row(branch)?;
        if header.last.seq <= row.head.seq {
            return Ok(());
        }
        let message = LockMessage::new("takes in a bundle")
            .map_err(|e| Failure::of(ExitCode::Internal, &e))?;
        let claim = Claim {
            author: self.member.author()?,
            host: self.member.host_key()?,
            message,
            since: self.now,
            journal: row.head,
            takes_over: false,
        };
        if let Some(held) = &row.lock.held {
            // Also when it is the caller's own: what was made under it comes first.
            let denial = Denial::HeldByOther(Box::new(held.clone()));
            return Err(Failure::of_denial(&denial, branch).into());
        }
        let order = Order::Take {
            branch: branch.clone(),
            claim,
        };
        match self.locks.carry_out(order)? {
            Ok(Granted::Locked(held)) => self.held = Some((branch.clone(), held, row)),
            Ok(_) => return Err(Failure::of_denial(&Denial::NotLocked, branch).into()),
            Err(denial) => return Err(Failure::of_denial(&denial, branch).into()),
        }
        Ok(())
    }

    /// Has what was taken in agreed on, and gives the lock up.
    pub(super) fn end(self, imported: Result<Imported, ImportError>) -> Result<Imported, Failure> {
        let imported = match (imported, self.failure) {
            (Err(ImportError::NoLeave), Some(failure)) => return Err(failure),
            (imported, _) => imported,
        };
        let Some((branch, held, row)) = self.held else {
            return Ok(imported?);
        };
        let agreed = match &imported {
            Ok(_) => agree(&self.locks, self.member, &branch, &held, &row),
            Err(_) => Ok(()),
        };
        // A check-in gave it up already.
        let fence = held.fence;
        let release = Order::Release {
            branch: branch.clone(),
            fence,
        };
        let released = self.locks.carry_out(release);
        let imported = imported?;
        agreed?;
        // What is left is a lock that anybody can break.
        let _named_by_whoever_wants_it = released;
        Ok(imported)
    }
}

/// Has the voters agree on what the journal here has and they do not know.
fn agree(
    locks: &DomainLocks,
    member: &Member,
    branch: &BranchName,
    held: &Held,
    row: &Row,
) -> Result<(), Failure> {
    let Some(journal) = Journal::open(member.home(), &member.domain, branch)? else {
        return Ok(());
    };
    if !journal.contains(row.head) {
        return Err(Failure::of_denial(&Denial::OtherHead(row.head), branch));
    }
    let (base, batch) = journal.batch(row.head.seq)?;
    let last = batch.last(base);
    if last == base {
        return Ok(());
    }
    let entries = journal
        .pending(row.head.seq)
        .map(|seq| journal.entry(seq))
        .collect::<Result<Vec<_>, _>>()?;
    let drafts = entries.iter().map(|entry| &entry.draft);
    let store = Store::new(member.home().blobs(&member.domain));
    let span = (base, last);
    let order = match agreed::order(&store, locks, (branch, held), (&batch, span), drafts) {
        Ok((order, _kept)) => order,
        Err(CheckInError::TooMany { .. }) => return Err(too_many(span)),
        Err(CheckInError::Needs(error)) => return Err(Failure::of(ExitCode::Trouble, &error)),
        Err(error) => return Err(Failure::of_check_in(error, branch)),
    };
    match locks.carry_out(order)? {
        Ok(_) => Ok(()),
        Err(denial) => Err(Failure::of_denial(&denial, branch)),
    }
}

fn too_many((base, last): (EntryRef, EntryRef)) -> Failure {
    let message = format!(
        "entries {} to {} are more than can be agreed on at once",
        base.seq + 1,
        last.seq
    );
    Failure::new(ExitCode::Failure, message)
        .hint("take in smaller bundles, one behind the other (`isconf bundle export --since`).")
}

/// Why entries may not be taken in.
enum Trouble {
    NotAsked(NoVerdict),
    Failure(Box<Failure>),
}

impl From<NoVerdict> for Trouble {
    fn from(error: NoVerdict) -> Self {
        Self::NotAsked(error)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failure(Box::new(failure))
    }
}
