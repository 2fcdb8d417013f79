//! Getting abreast of the other hosts before something is done with the branch. Upholds: nobody is
//! waited for who cannot be reached, and the user is told when this host may be behind.

use std::thread;
use std::time::Duration;

use crate::cli::invocation::ReportForm;
use crate::cli::{Failure, Session};
use crate::daemon::Standing;
use crate::daemon::client::{self, ClientError};
use crate::model::progress::Unit;
use crate::model::{BranchName, Home};

/// How long the daemon may take for one answer: it gives up on slow hosts before.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often it is asked how far it is.
const EVERY: Duration = Duration::from_millis(100);

/// Which things of the other hosts are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// Entries: what there is to be done.
    Entries,
    /// Contents too: what is needed to do it.
    Contents,
}

/// Gets what other hosts have of a branch, if the daemon runs; without it what is here is all there is.
pub fn get_abreast(
    session: &mut Session,
    home: &Home,
    branch: &BranchName,
    awaited: Awaited,
    form: ReportForm,
) -> Result<(), Failure> {
    let mut standing = match client::sync(home, branch, PATIENCE) {
        Ok(standing) => standing,
        Err(ClientError::NotRunning) => return Ok(()),
        Err(error) => {
            session
                .out
                .warning(&format!("{error}; this host may be behind the others"));
            return Ok(());
        }
    };
    if standing.known > 0 && standing.connected == 0 {
        session.out.warning(
            "no other host of the domain can be reached: this host may be behind the others",
        );
    }
    if !standing.diverged.is_empty() {
        session.out.warning(&format!(
            "another journal of branch {branch} than here is on {}: one of them was begun or gone on with apart, and nothing is taken from the other",
            standing.diverged.join(", ")
        ));
        session.out.hint(
            "`isconf log` shows each of them. One side has to give its own up: `isconf bundle export` saves what is in it, and its hosts are set up anew.",
        );
    }
    if awaited == Awaited::Entries {
        return Ok(());
    }
    let mut progress = session.progress(form);
    let mut begun = None;
    while is_coming(&standing) {
        if let Some(arriving) = standing.arriving {
            if begun != Some(arriving.blob) {
                let phase = format!("fetching contents of entry {}", arriving.entry);
                progress.begin(&phase, Unit::Bytes, Some(arriving.length));
                begun = Some(arriving.blob);
            }
            progress.done(arriving.here);
        }
        thread::sleep(EVERY);
        standing = match client::standing(home, branch, PATIENCE) {
            Ok(standing) => standing,
            // The daemon ended meanwhile: what is here is all there is.
            Err(_) => break,
        };
    }
    progress.end();
    drop(progress);
    if let Some(why) = standing
        .hindrance
        .filter(|_| standing.complete < standing.last)
    {
        session.out.warning(&why);
    }
    Ok(())
}

/// Whether contents are missing that may come yet.
fn is_coming(standing: &Standing) -> bool {
    let is_incomplete = standing.complete < standing.last;
    let is_hopeless = standing.connected == 0 || standing.hindrance.is_some();
    is_incomplete && (standing.arriving.is_some() || !is_hopeless)
}
