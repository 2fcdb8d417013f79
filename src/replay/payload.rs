//! What a recovering process needs to know about a commit that it finishes: the receipt to record
//! and, on an origin, the draft to add to the wip. It travels through the intent as bytes. Upholds:
//! after a crash the entry is live and recorded, or neither.

use serde::{Deserialize, Serialize};

use super::pending::{PendingActions, Row};
use crate::history::ReceiptFault;
use crate::journal::{RecordFault, WipDraft};
use crate::model::ReceiptBody;

/// The version of the form below; another one is refused.
const VERSION: u32 = 2;
/// The version of a form without what is asked of service managers.
const VERSION_WITHOUT_PENDING: u32 = 1;

/// What is recorded when the commit has landed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The receipt.
    pub receipt: ReceiptBody,
    /// The draft that was made, on an origin.
    pub draft: Option<WipDraft>,
    /// What it asks of service managers, if anything.
    pub pending: Option<PendingActions>,
}

/// Bytes of an intent that are no payload of ours.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPayload {
    /// Not the form of this version.
    #[error("the intent's payload is damaged")]
    Json(#[from] serde_json::Error),
    /// Written by another version of isconf.
    #[error("the intent's payload has version {found}, and this isconf knows 1 to {VERSION}")]
    Version {
        /// The version found.
        found: u32,
    },
    /// The receipt in it is damaged.
    #[error("the receipt in the intent's payload is damaged")]
    Receipt(#[source] ReceiptFault),
    /// The draft in it is damaged.
    #[error("the draft in the intent's payload is damaged")]
    Draft(#[source] RecordFault),
    /// What is asked of service managers is damaged.
    #[error("what the intent's payload asks of service managers is damaged")]
    Pending,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PayloadRow {
    version: u32,
    receipt: String,
    draft: Option<String>,
    /// Absent in version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending: Option<Row>,
}

impl Payload {
    /// The bytes for the intent.
    pub fn to_bytes(&self) -> Vec<u8> {
        let row = PayloadRow {
            // Readable for an older isconf where it has all there is.
            version: match self.pending {
                Some(_) => VERSION,
                None => VERSION_WITHOUT_PENDING,
            },
            receipt: self.receipt.to_record(),
            draft: self.draft.as_ref().map(WipDraft::to_record),
            pending: self.pending.as_ref().map(Row::of),
        };
        // Strings and numbers: there is nothing in it that could fail to be written.
        serde_json::to_vec(&row).unwrap_or_default()
    }

    /// Reads them back.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidPayload> {
        let row: PayloadRow = serde_json::from_slice(bytes)?;
        if ![VERSION_WITHOUT_PENDING, VERSION].contains(&row.version) {
            return Err(InvalidPayload::Version { found: row.version });
        }
        let draft = row.draft.as_deref().map(WipDraft::from_record).transpose();
        let pending = row.pending.map(|pending| {
            let pending = pending.into_pending();
            pending.ok_or(InvalidPayload::Pending)
        });
        Ok(Self {
            receipt: ReceiptBody::from_record(&row.receipt).map_err(InvalidPayload::Receipt)?,
            draft: draft.map_err(InvalidPayload::Draft)?,
            pending: pending.transpose()?,
        })
    }
}
