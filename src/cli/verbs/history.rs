//! `history`: lists what was done on this host. Upholds: reads only; works while another isconf
//! does; a receipt is shown also when the entry behind it cannot be.

use std::collections::BTreeMap;

use crate::cli::invocation::Format;
use crate::cli::{Failure, Member, Session};
use crate::history::History;
use crate::journal::{Journal, JournalError};
use crate::model::{Deed, Draft, DraftId, EntryRef, Receipt};
use crate::ui::Detail;
use crate::ui::exit::ExitCode;
use crate::ui::history_text::{Behind, HistoryLine, history_json, history_text};

/// Lists the receipts, the first one first.
pub fn history(session: &mut Session, format: Format) -> Result<ExitCode, Failure> {
    let member = session.on_branch()?;
    session.put_right(&member);
    let Some(history) = member.history()? else {
        return Ok(ExitCode::Ok);
    };
    let mut drafts = match Drafts::open(&member, &history) {
        Ok(drafts) => drafts,
        Err(failure) => {
            let message = failure.message;
            session.out.warning(&format!(
                "what the receipts are about cannot be shown: {message}"
            ));
            Drafts::default()
        }
    };
    for seq in 1..=history.len() {
        let receipt = history.receipt(seq)?;
        let found = drafts.behind(&receipt)?;
        let line = HistoryLine {
            receipt: &receipt,
            behind: found.as_ref().map(|(at, draft)| Behind { at: *at, draft }),
        };
        let text = match format {
            Format::Text => history_text(&line, Detail::Normal, session.out.style()),
            Format::Json => history_json(&line)?,
        };
        session.out.result(&text)?;
        if session.out.is_closed() {
            break;
        }
    }
    Ok(ExitCode::Ok)
}

/// The drafts and entries that receipts tell of.
#[derive(Default)]
struct Drafts {
    journal: Option<Journal>,
    wip: Vec<Draft>,
    /// The entries in the order of the journal as far as they were read to find one by its draft,
    /// so that the whole history costs one reading of the journal at most.
    known: BTreeMap<DraftId, u64>,
    known_to: u64,
}

impl Drafts {
    fn open(member: &Member, history: &History) -> Result<Self, Failure> {
        let wip = member.drafts(Some(history))?.into_iter();
        Ok(Self {
            journal: member.journal()?,
            wip: wip.map(|wip| wip.draft).collect(),
            ..Self::default()
        })
    }

    /// What the receipt tells of, with its place in the journal if it has one.
    fn behind(
        &mut self,
        receipt: &Receipt,
    ) -> Result<Option<(Option<EntryRef>, Draft)>, JournalError> {
        match &receipt.body.deed {
            Deed::Applied(at) | Deed::Rebooted(at) => self.entry(*at),
            Deed::Made(id) => match self.wip.iter().find(|draft| draft.id == *id) {
                Some(draft) => Ok(Some((None, draft.clone()))),
                None => self.checked_in(*id),
            },
            Deed::CheckedIn(_) | Deed::Discarded { .. } | Deed::Undone { .. } | Deed::OutOfBand => {
                Ok(None)
            }
        }
    }

    /// The entry at that place; `None` when this branch's journal has another one there.
    fn entry(&self, at: EntryRef) -> Result<Option<(Option<EntryRef>, Draft)>, JournalError> {
        match &self.journal {
            Some(journal) if journal.contains(at) => {
                Ok(Some((Some(at), journal.entry(at.seq)?.draft)))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// The entry that the draft has become.
    fn checked_in(
        &mut self,
        id: DraftId,
    ) -> Result<Option<(Option<EntryRef>, Draft)>, JournalError> {
        let Some(journal) = &self.journal else {
            return Ok(None);
        };
        if let Some(seq) = self.known.get(&id) {
            let entry = journal.entry(*seq)?;
            return Ok(Some((Some(entry.at), entry.draft)));
        }
        while self.known_to < journal.len() {
            self.known_to += 1;
            let entry = journal.entry(self.known_to)?;
            self.known.insert(entry.draft.id, self.known_to);
            if entry.draft.id == id {
                return Ok(Some((Some(entry.at), entry.draft)));
            }
        }
        Ok(None)
    }
}
