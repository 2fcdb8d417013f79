//! `ci`: the drafts become entries of the journal, and the lock is released. Upholds: all or none.

use crate::check_in;
use crate::cli::{Failure, Session};
use crate::identity::HostKey;
use crate::replay::keep_undo;
use crate::ui::exit::ExitCode;

/// Checks in.
pub fn check_in(session: &mut Session) -> Result<ExitCode, Failure> {
    let (host, _history) = session.this_host("ci")?;
    let key = HostKey::load_or_create(&host.home.host_key())?;
    let done = check_in::check_in(host.site(), &host.author, &key, host.now())
        .map_err(|e| Failure::of_check_in(e, &host.branch))?;
    match done.entries {
        0 => session.out.info("no outstanding updates"),
        entries => session.out.info(&format!(
            "changes checked in: {entries}, up to entry {}",
            done.last.seq
        )),
    }
    // The drafts' undo copies were kept whatever the policy says; now they are like any other.
    keep_undo(&host)?;
    if let Some(held) = done.released {
        let branch = &host.branch;
        session
            .out
            .info(&format!("removing lock on {branch} set by {}", held.author));
    }
    Ok(ExitCode::Ok)
}
