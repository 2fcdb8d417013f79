//! What this host says of itself to the whole domain. Upholds: whatever moved it in its journal, or stopped it
//! there, is noted before others are told.

use super::failure::Failure;
use super::session::Session;
use crate::durable;
use crate::history::History;
use crate::model::{BranchName, CARD_FIRST_LINE, CardFailure, HostCard};
use crate::replay::ThisHost;

impl Session {
    /// Notes how this host stands, for the daemon to tell. What cannot be noted is told, and no reason to fail.
    pub fn note_card(&mut self, host: &ThisHost, failed: Option<CardFailure>) {
        let branch = host.branch.clone();
        self.note(host, branch, failed);
    }

    /// The same for a host that moved to a branch just now.
    pub fn note_card_of(&mut self, host: &ThisHost, branch: BranchName) {
        self.note(host, branch, None);
    }

    fn note(&mut self, host: &ThisHost, branch: BranchName, failed: Option<CardFailure>) {
        if let Err(failure) = card(host, branch, failed).and_then(|card| store(host, &card)) {
            let words = format!(
                "other hosts are not told how this one stands: {}",
                failure.message
            );
            self.out.warning(&words);
        }
    }
}

fn card(
    host: &ThisHost,
    branch: BranchName,
    failed: Option<CardFailure>,
) -> Result<HostCard, Failure> {
    let history = History::open(&host.home, &host.domain)?;
    let standing = match &history {
        Some(history) => history.standing()?,
        None => None,
    };
    let congruent = match (&history, standing) {
        (Some(history), Some((receipt, _))) => history.receipt(receipt)?.body.congruent,
        _ => None,
    };
    Ok(HostCard {
        host: host.settings.host.value.clone(),
        branch,
        at: standing.map(|(_, at)| at).filter(|at| at.seq > 0),
        congruent,
        failed,
        noted: host.now(),
    })
}

fn store(host: &ThisHost, card: &HostCard) -> Result<(), Failure> {
    let json = serde_json::to_string(card)?;
    let text = format!("{CARD_FIRST_LINE}{json}\n");
    // After a power cut others are told what was so before, or nothing, until the next verb.
    Ok(durable::replace_unsynced(
        &host.home.card(),
        text.as_bytes(),
    )?)
}
