//! Receipts as TOML records, in both directions. Pure. Upholds: one value has one text, and what a
//! newer isconf wrote is refused by name.

use isconf_sandbox::change::Digest;
use serde::Deserialize;

use crate::chain::{
    ChainKind, FormFault, RecordText, check_alone, check_form, parse_row, seal_alone,
};
use crate::model::{
    BranchName, ChangeDigests, Deed, DraftId, EntryId, EntryRef, Moment, Receipt, ReceiptBody,
};

/// Why a record is not a receipt.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptFault {
    /// Not a record in the form that isconf writes.
    #[error(transparent)]
    Form(#[from] FormFault),
    /// An action that this version does not know.
    #[error("unknown action {0:?}: written by a newer isconf")]
    UnknownAction(String),
    /// A value that cannot be.
    #[error("the value of `{0}` is not possible")]
    Impossible(&'static str),
}

/// The fields of a receipt.
const KNOWN_FIELDS: [&str; 15] = [
    "seq",
    "prev",
    "action",
    "entry_seq",
    "entry",
    "draft",
    "takes_back",
    "branch",
    "change_set",
    "normal",
    "tx",
    "started",
    "finished",
    "congruent",
    "check",
];

/// The body of a receipt's record: all but the first three lines and the seal.
pub(super) fn receipt_body(body: &ReceiptBody) -> String {
    let mut text = RecordText::new();
    text.string("action", body.deed.name());
    if let Some(at) = body.deed.now_at() {
        text.plain("entry_seq", at.seq).string("entry", &at.id);
    }
    if let Deed::Made(draft) | Deed::Discarded { draft, .. } = &body.deed {
        text.string("draft", draft);
    }
    if let Some(receipt) = body.deed.takes_back() {
        text.plain("takes_back", receipt);
    }
    text.string("branch", &body.branch);
    if let Some(changes) = &body.changes {
        text.string("change_set", &changes.full)
            .string("normal", &changes.normal);
    }
    if let Some(tx) = &body.tx {
        text.string("tx", tx);
    }
    text.string("started", &body.started)
        .string("finished", &body.finished);
    if let Some(congruent) = body.congruent {
        text.plain("congruent", congruent);
    }
    text.as_str().to_owned()
}

impl ReceiptBody {
    /// The receipt as a record that stands alone. Its number is the largest there can be, since a
    /// receipt may name any before its own.
    pub fn to_record(&self) -> String {
        seal_alone(
            ChainKind::History,
            i64::MAX.unsigned_abs(),
            &receipt_body(self),
        )
    }

    /// Reads a record that stands alone.
    pub fn from_record(record: &str) -> Result<Self, ReceiptFault> {
        check_alone(ChainKind::History, record.as_bytes())?;
        parse_receipt(record.as_bytes()).map(|receipt| receipt.body)
    }
}

/// Reads a receipt's record.
pub(super) fn parse_receipt(record: &[u8]) -> Result<Receipt, ReceiptFault> {
    let unknown = |row: &toml::Table| {
        let mut names = row.keys();
        names
            .find(|name| !KNOWN_FIELDS.contains(&name.as_str()))
            .cloned()
    };
    let row: Row = parse_row(ChainKind::History, record, unknown)?;
    let (seq, prev) = (row.seq, row.prev);
    let body = row.into_body()?;
    check_form(record, &receipt_body(&body))?;
    Ok(Receipt { seq, prev, body })
}

/// Reads a receipt's record; the body that it would be written with, when it is one.
pub(crate) fn rewritten_receipt(record: &[u8]) -> Option<String> {
    parse_receipt(record)
        .ok()
        .map(|receipt| receipt_body(&receipt.body))
}

/// A receipt as TOML.
#[derive(Deserialize)]
struct Row {
    seq: u64,
    prev: Digest,
    action: String,
    entry_seq: Option<u64>,
    entry: Option<Digest>,
    draft: Option<DraftId>,
    takes_back: Option<u64>,
    branch: BranchName,
    change_set: Option<Digest>,
    normal: Option<Digest>,
    tx: Option<String>,
    started: Moment,
    finished: Moment,
    congruent: Option<bool>,
}

impl Row {
    /// Checks what the types alone do not. A field that does not belong to the action is noticed
    /// when the receipt is compared with the text that isconf would have written.
    fn into_body(self) -> Result<ReceiptBody, ReceiptFault> {
        let entry = self.entry_seq.zip(self.entry).map(|(seq, id)| EntryRef {
            seq,
            id: EntryId(id),
        });
        let needed_entry = entry.ok_or(ReceiptFault::Impossible("entry"));
        let draft = self.draft.ok_or(ReceiptFault::Impossible("draft"));
        let receipt = self
            .takes_back
            .ok_or(ReceiptFault::Impossible("takes_back"));
        let deed = match self.action.as_str() {
            "applied" => Deed::Applied(needed_entry?),
            "rebooted" => Deed::Rebooted(needed_entry?),
            "made" => Deed::Made(draft?),
            "checked-in" => Deed::CheckedIn(needed_entry?),
            "discarded" => Deed::Discarded {
                draft: draft?,
                receipt: receipt?,
            },
            "undone" => Deed::Undone {
                receipt: receipt?,
                now_at: entry,
            },
            "out-of-band" => Deed::OutOfBand,
            _ => return Err(ReceiptFault::UnknownAction(self.action)),
        };
        if self
            .takes_back
            .is_some_and(|taken| taken == 0 || taken >= self.seq)
        {
            return Err(ReceiptFault::Impossible("takes_back"));
        }
        let digests = self.change_set.zip(self.normal);
        let tx = self.tx.map(|tx| tx.parse()).transpose();
        Ok(ReceiptBody {
            deed,
            branch: self.branch,
            changes: digests.map(|(full, normal)| ChangeDigests { full, normal }),
            tx: tx.map_err(|_| ReceiptFault::Impossible("tx"))?,
            started: self.started,
            finished: self.finished,
            congruent: self.congruent,
        })
    }
}
