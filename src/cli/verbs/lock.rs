//! `lock`: takes the right to append to the branch. Upholds: one person at a time has it, and only
//! on a host that has applied everything; what somebody else made here is gone on with only when
//! the new holder says so.

use super::abreast::{Awaited, get_abreast};
use crate::cli::invocation::{OthersWork, ReportForm};
use crate::cli::{Failure, Session};
use crate::journal::drafts_of_others;
use crate::lock::{Authority, BranchLock, Claim, Denial, Granted, Order};
use crate::model::LockMessage;
use crate::replay::ThisHost;
use crate::ui::counted;
use crate::ui::exit::ExitCode;

/// Locks the branch of this host.
pub fn lock(
    session: &mut Session,
    message: Option<LockMessage>,
    others_work: OthersWork,
) -> Result<ExitCode, Failure> {
    let member = session.on_branch()?;
    let branch = member.branch();
    let message = message.ok_or_else(|| Failure::need_message(branch))?;
    let (host, history) = session.open(member.clone(), "lock")?;
    session.refresh_lock(&host)?;
    let before = member.branch_lock()?;
    if before.held.is_some() {
        // Whose lock it is matters more than whether this host is up to date.
        before
            .check(&host.author, &host.key)
            .map_err(|e| Failure::of_lock(e, branch))?;
    }
    get_abreast(
        session,
        &host.home,
        branch,
        Awaited::Entries,
        ReportForm::Paths,
    )?;
    let drafts = host.drafts(&history)?;
    let journal = host.journal()?;
    if history.position(journal.chain())? < journal.len() {
        let failure = Failure::out_of_date();
        return Err(match drafts.len() {
            0 => failure,
            drafts => failure.hint(format!(
                "{drafts} local changes were made before the newer entries came: `isconf unlock --discard` takes them back."
            )),
        });
    }
    let others = drafts_of_others(&drafts, &host.author);
    let was_taken_over = before.held.is_some_and(|held| held.takes_over);
    let takes_over = match (&others, others_work) {
        (Some(others), OthersWork::Leave) if !was_taken_over => {
            return Err(Failure::of_others_drafts(others));
        }
        (Some(_), _) => true,
        (None, _) => false,
    };
    let claim = Claim {
        author: host.author.clone(),
        host: host.key,
        message,
        since: (session.clock)(),
        journal: journal.last(),
        takes_over,
    };
    match session.domain_locks(&host.home, &host.domain, &host.branch)? {
        None => {
            BranchLock::take(&host.lock, &member.branch_lock_file(), claim)
                .map_err(|e| Failure::of_lock(e, branch))?;
        }
        Some(locks) => take_of(&locks, &host, claim)?,
    }
    session.out.info(&format!("{branch} locked"));
    tell_drafts(session, &host, drafts.len());
    if let Some(others) = others {
        session.out.info(&format!("taken over: {others}"));
    }
    Ok(ExitCode::Ok)
}

/// Takes the lock where several hosts keep it.
fn take_of(locks: &dyn Authority, host: &ThisHost, claim: Claim) -> Result<(), Failure> {
    let branch = &host.branch;
    let note = |lock: BranchLock| {
        let noted = lock.note(&host.lock, &host.branch_lock());
        noted.map_err(|e| Failure::of_lock(e, branch))
    };
    let here = claim.journal;
    let order = Order::Take {
        branch: branch.clone(),
        claim,
    };
    match locks.carry_out(order)? {
        Ok(Granted::Locked(held)) => {
            let lock = BranchLock {
                fence: held.fence,
                held: Some(held),
            };
            note(lock)
        }
        Ok(_) => Err(Failure::of_denial(&Denial::NotLocked, branch)),
        // The others have entries that did not come yet.
        Err(Denial::OtherHead(last)) if last.seq > here.seq => Err(Failure::out_of_date()),
        Err(denial) => {
            if let Ok(row) = locks.row(branch) {
                note(row.lock)?;
            }
            Err(Failure::of_denial(&denial, branch))
        }
    }
}

/// Says that there is something to go on with, so that nobody checks it in by surprise.
fn tell_drafts(session: &mut Session, host: &ThisHost, drafts: usize) {
    if drafts > 0 {
        let changes = counted(drafts as u64, "change");
        let branch = &host.branch;
        session.out.info(&format!(
            "not checked in on {branch}, and still here: {changes}"
        ));
    }
}
