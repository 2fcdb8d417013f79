//! The signature of an entry's record. Upholds: a signature covers every byte before it.

use isconf_sandbox::change::Digest;

use crate::chain::{ChainKind, split_seal};
use crate::identity::{self, BadSignature};
use crate::model::{PublicKey, Signature};

/// Why a record's signature does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// The last two lines are not `key` and `sig`.
    #[error("there is no signature")]
    Missing,
    /// The key did not sign this.
    #[error(transparent)]
    Bad(#[from] BadSignature),
}

/// Checks the signature of an entry's record with the key in it; returns the key, for the caller to
/// decide whether it is a known one. Needs no parsing of the record.
pub fn verify_signature(record: &[u8]) -> Result<PublicKey, SignatureFault> {
    let sealed = split_seal(ChainKind::Journal, record).ok_or(SignatureFault::Missing)?;
    let key = key_line(sealed.body).ok_or(SignatureFault::Missing)?;
    let signature: Signature = sealed.seal.parse().map_err(|_| SignatureFault::Missing)?;
    identity::verify(&key, &Digest::of(sealed.body), &signature)?;
    Ok(key)
}

/// The key in the line before the signature.
fn key_line(body: &[u8]) -> Option<PublicKey> {
    let line = body.strip_suffix(b"\"\n")?;
    let start = line.iter().rposition(|b| *b == b'\n')? + 1;
    let digits = line[start..].strip_prefix(b"key = \"")?;
    str::from_utf8(digits).ok()?.parse().ok()
}
