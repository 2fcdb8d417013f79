//! `history`: lists what was done on this host. Upholds: reads only; works while another isconf
//! does; a receipt is shown also when the entry behind it cannot be.

use std::collections::BTreeMap;

use crate::cli::invocation::Format;
use crate::cli::{Failure, Member, Session};
use crate::history::History;
use crate::journal::{Journal, JournalError};
use crate::model::{Deed, Draft, DraftId, Entry, EntryRef, Receipt};
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
        Ok(drafts) => Some(drafts),
        Err(failure) => {
            let message = failure.message;
            session.out.warning(&format!(
                "what the receipts are about cannot be shown: {message}"
            ));
            None
        }
    };
    for seq in 1..=history.len() {
        let receipt = history.receipt(seq)?;
        let found = match &mut drafts {
            Some(drafts) => drafts.behind(&receipt)?,
            None => Found::Nothing,
        };
        let line = HistoryLine {
            receipt: &receipt,
            behind: found.behind(),
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

/// What was found behind a receipt.
enum Found {
    Nothing,
    Gone,
    Wip(Box<Draft>),
    Entry(Box<Entry>),
}

impl Found {
    fn behind(&self) -> Behind<'_> {
        match self {
            Self::Nothing => Behind::Unknown,
            Self::Gone => Behind::Gone,
            Self::Wip(draft) => Behind::Wip(draft),
            Self::Entry(entry) => Behind::Entry(entry.at, &entry.draft),
        }
    }
}

/// The drafts and entries that receipts tell of.
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
            known: BTreeMap::new(),
            known_to: 0,
        })
    }

    /// What the receipt tells of.
    fn behind(&mut self, receipt: &Receipt) -> Result<Found, JournalError> {
        match &receipt.body.deed {
            Deed::Applied(at) | Deed::Rebooted(at) => self.entry(*at),
            Deed::Made(id) => match self.wip.iter().find(|draft| draft.id == *id) {
                Some(draft) => Ok(Found::Wip(Box::new(draft.clone()))),
                None => self.checked_in(*id),
            },
            Deed::CheckedIn(_) | Deed::Discarded { .. } | Deed::Undone { .. } | Deed::OutOfBand => {
                Ok(Found::Nothing)
            }
        }
    }

    /// The entry at that place, unless this branch's journal has another one there.
    fn entry(&self, at: EntryRef) -> Result<Found, JournalError> {
        match &self.journal {
            Some(journal) if journal.contains(at) => {
                Ok(Found::Entry(Box::new(journal.entry(at.seq)?)))
            }
            Some(_) | None => Ok(Found::Nothing),
        }
    }

    /// The entry that the draft has become.
    fn checked_in(&mut self, id: DraftId) -> Result<Found, JournalError> {
        let Some(journal) = &self.journal else {
            return Ok(Found::Gone);
        };
        if let Some(seq) = self.known.get(&id) {
            return Ok(Found::Entry(Box::new(journal.entry(*seq)?)));
        }
        while self.known_to < journal.len() {
            self.known_to += 1;
            let entry = journal.entry(self.known_to)?;
            self.known.insert(entry.draft.id, self.known_to);
            if entry.draft.id == id {
                return Ok(Found::Entry(Box::new(entry)));
            }
        }
        Ok(Found::Gone)
    }
}
