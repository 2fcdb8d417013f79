//! `unlock`: gives the lock up, or breaks somebody else's. Upholds: work that is not checked in
//! stays, unless its author says that it goes.

use crate::cli::invocation::Wip;
use crate::cli::{Failure, Member, Session};
use crate::journal::{WipDraft, drafts_of_others};
use crate::lock::{Authority, BranchLock, Denial, Granted, Held, HostLock, Order};
use crate::model::Author;
use crate::replay::ThisHost;
use crate::ui::counted;
use crate::ui::exit::ExitCode;

/// Unlocks the branch of this host.
pub fn unlock(session: &mut Session, wip: Wip) -> Result<ExitCode, Failure> {
    match wip {
        Wip::Keep => keep(session),
        Wip::Discard => super::discard(session),
    }
}

fn keep(session: &mut Session) -> Result<ExitCode, Failure> {
    let member = session.on_branch()?;
    let branch = member.branch();
    let author = member.author()?;
    let host = right_to_unlock(session, &member)?;
    let held = break_lock(session, &member, &host)?;
    let out = &mut session.out;
    match held {
        None => out.info(&format!("{branch} was not locked")),
        Some(held) => {
            out.info(&format!("removing lock on {branch} set by {}", held.author));
            if held.author != author {
                out.warning(&format!(
                    "broke {branch} lock -- please notify {}",
                    held.author
                ));
            }
        }
    }
    // The branch is unlocked, which was asked for; damage elsewhere does not change that.
    match member.drafts() {
        Ok(drafts) if drafts.is_empty() => {}
        Ok(drafts) => tell_drafts(session, &drafts, &author),
        Err(failure) => out.warning(&failure.message),
    }
    Ok(ExitCode::Ok)
}

/// Frees the branch, wherever its lock is kept; who had it.
fn break_lock(
    session: &Session,
    member: &Member,
    host: &HostLock,
) -> Result<Option<Held>, Failure> {
    let branch = member.branch();
    let path = member.branch_lock_file();
    let of_lock = |e| Failure::of_lock(e, branch);
    let Some(locks) = session.domain_locks(member.home(), &member.domain, branch)? else {
        return BranchLock::break_open(host, &path).map_err(of_lock);
    };
    // The lock that is broken is the one that is told of, and none that was taken since.
    let Some(held) = locks.row(branch)?.lock.held else {
        return BranchLock::break_open(host, &path).map_err(of_lock);
    };
    let order = Order::Break {
        branch: branch.clone(),
        fence: held.fence,
    };
    match locks.carry_out(order)? {
        Ok(Granted::Freed(held)) => {
            BranchLock::break_open(host, &path).map_err(of_lock)?;
            Ok(held)
        }
        Ok(_) => Err(Failure::of_denial(&Denial::NotLocked, branch)),
        Err(denial) => Err(Failure::of_denial(&denial, branch)),
    }
}

/// Gives up the caller's own lock, or frees the branch where nobody else can have it; who had it.
pub(super) fn give_up(session: &Session, host: &ThisHost) -> Result<Option<Held>, Failure> {
    let branch = &host.branch;
    let of_lock = |e| Failure::of_lock(e, branch);
    let held = BranchLock::load(&host.branch_lock()).map_err(of_lock)?.held;
    let locks = session.domain_locks(&host.home, &host.domain, branch)?;
    if let (Some(locks), Some(held)) = (locks, &held) {
        let order = Order::Release {
            branch: branch.clone(),
            fence: held.fence,
        };
        // Somebody broke it and has it now: theirs stays.
        if let Err(denial) = locks.carry_out(order)?
            && !matches!(denial, Denial::Fenced { .. })
        {
            return Err(Failure::of_denial(&denial, branch));
        }
    }
    BranchLock::break_open(&host.lock, &host.branch_lock()).map_err(of_lock)
}

/// Says what stays, and how to go on with it.
fn tell_drafts(session: &mut Session, drafts: &[WipDraft], author: &Author) {
    let out = &mut session.out;
    let changes = counted(drafts.len() as u64, "change");
    out.info(&format!("not checked in, and still here: {changes}"));
    match drafts_of_others(drafts, author) {
        None => {
            out.info("lock again to go on with them; `isconf unlock --discard` takes them back")
        }
        Some(others) => {
            out.info(&others.to_string());
            out.info("`isconf lock --take-over` goes on with them; `isconf unlock --discard` takes them back");
        }
    }
}

/// Puts right what an interrupted isconf left behind, as every verb does. Where that cannot be
/// done, somebody has to look at the host, but the others of the branch need not wait for it.
fn right_to_unlock(session: &mut Session, member: &Member) -> Result<HostLock, Failure> {
    match session.open(member.clone(), "unlock") {
        Ok((host, _history)) => Ok(host.lock),
        Err(failure) if failure.code == ExitCode::Retry => Err(failure),
        Err(failure) => {
            session.out.warning(&failure.message);
            session.host_lock(member.home(), "unlock")
        }
    }
}
