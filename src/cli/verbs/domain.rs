//! `domain recover`: begins the locks of the domain anew after most of those who kept them are lost. Upholds: it
//! is done only on a person's word, who was told what it means; never while the others can be asked.

use std::time::Duration;

use super::abreast::{Awaited, get_abreast};
use crate::cli::invocation::{Consent, ReportForm};
use crate::cli::{Failure, Session};
use crate::daemon::VotingStatus;
use crate::daemon::client;
use crate::ui::counted;
use crate::ui::exit::ExitCode;

/// How long the daemon may take: it writes small files, and waits for nobody.
const PATIENCE: Duration = Duration::from_secs(45);

/// Begins anew, with this host alone, what the others join as they are met.
pub fn domain_recover(session: &mut Session, consent: Consent) -> Result<ExitCode, Failure> {
    let member = session.on_branch()?;
    let home = member.home();
    let status = client::status(home, PATIENCE)?;
    let Some(voting) = status.voting else {
        let message = "nobody keeps the locks of the domain yet: there is nothing to recover";
        return Err(Failure::new(ExitCode::Failure, message).hint(
            "`isconf lock` on the first host of the domain, with another one connected, begins.",
        ));
    };
    refuse_while_they_are_there(&voting)?;
    get_abreast(
        session,
        home,
        member.branch(),
        Awaited::Entries,
        ReportForm::Paths,
    )?;
    let lost: Vec<_> = voting
        .voters
        .iter()
        .filter(|voter| !voter.connected)
        .collect();
    let names: Vec<_> = lost.iter().map(|voter| voter.host.as_str()).collect();
    let entries = member.journal()?.map_or(0, |journal| journal.len());
    session.out.warning(&format!(
        "the locks of the domain begin anew on this host, without {}: its journals as they are here count, {} up to entry {entries}; what was checked in and never came here is lost to the domain, and all locks are free",
        names.join(", "),
        member.branch(),
    ));
    session.out.warning(
        "do it on one host only, and only if those hosts do not come back by themselves: when they do, they find themselves in an older epoch and stop",
    );
    if consent == Consent::Missing {
        return Err(Failure::new(ExitCode::Failure, "nothing was done")
            .hint("`isconf domain recover --yes` does it."));
    }
    match client::recover(home, PATIENCE)? {
        Ok(epoch) => {
            let words = format!(
                "this host keeps the locks of domain {}: epoch {epoch}",
                member.domain
            );
            session.out.info(&words);
            Ok(ExitCode::Ok)
        }
        Err(why) => Err(Failure::new(ExitCode::Trouble, why).hint(
            "nothing was changed for the other hosts. The log of this host's daemon says more.",
        )),
    }
}

/// As long as most of them can be asked, there is nothing to recover.
fn refuse_while_they_are_there(voting: &VotingStatus) -> Result<(), Failure> {
    let there = voting.voters.iter().filter(|voter| voter.connected).count();
    let voters = voting.voters.len();
    if there * 2 <= voters {
        return Ok(());
    }
    let message = format!(
        "{there} of {} that keep the locks of the domain can be reached: there is nothing to recover",
        counted(voters as u64, "host")
    );
    Err(Failure::new(ExitCode::Failure, message)
        .hint("if `isconf lock` says otherwise, the log of their daemons says why."))
}
