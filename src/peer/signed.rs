//! What a host says that others pass on, with the host's signature. Upholds: whoever passes it on cannot change it;
//! what was signed as one thing is never taken for another.

use isconf_sandbox::change::Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::cards::Published;
use super::voting::{Charter, LeadersWord};
use crate::identity::{self, HostKey};
use crate::model::{PublicKey, Signature};

/// Text with a signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// What is said, as JSON: exactly the bytes that were signed.
    pub text: String,
    /// Who signed it.
    pub signer: PublicKey,
    /// The signature.
    pub signature: Signature,
}

/// What is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Begins what is signed, so that it can be taken for nothing else.
    pub label: &'static str,
    /// The longest text, in bytes.
    pub max_bytes: usize,
}

impl Signed {
    /// Signs what `key`'s host says.
    pub fn new(kind: Kind, what: &impl Serialize, key: &HostKey) -> Self {
        let text = serde_json::to_string(what);
        let text = text.expect("strings, numbers and structs always have a JSON form");
        Self {
            signature: key.sign(&digest(kind, &text)),
            signer: key.public(),
            text,
        }
    }

    /// What it says; `None` when it is too long, something else, or not signed.
    pub fn read<T: DeserializeOwned>(&self, kind: Kind) -> Option<T> {
        if self.text.len() > kind.max_bytes {
            return None;
        }
        let what = serde_json::from_str(&self.text).ok()?;
        identity::verify(&self.signer, &digest(kind, &self.text), &self.signature).ok()?;
        Some(what)
    }
}

/// Reads the text of something signed, before its signature is looked at; the text that it would be written as.
pub(crate) fn rewritten_signed(text: &[u8]) -> Option<Vec<u8>> {
    fn rewritten<T: Serialize + DeserializeOwned>(text: &[u8]) -> Option<Vec<u8>> {
        serde_json::to_vec(&serde_json::from_slice::<T>(text).ok()?).ok()
    }
    rewritten::<Charter>(text)
        .or_else(|| rewritten::<Published>(text))
        .or_else(|| rewritten::<LeadersWord>(text))
}

fn digest(kind: Kind, text: &str) -> Digest {
    Digest::of(&[kind.label.as_bytes(), b"\n", text.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind {
        label: "a test 1",
        max_bytes: 20,
    };

    #[test]
    fn only_what_was_signed_as_that_is_read() {
        let key = HostKey::from_secret(&[1; 32]);
        let signed = Signed::new(KIND, &vec![1, 2], &key);
        assert_eq!(signed.read::<Vec<u8>>(KIND), Some(vec![1, 2]));
        assert_eq!(signed.read::<String>(KIND), None);
        let other = Kind {
            label: "another 1",
            ..KIND
        };
        assert_eq!(signed.read::<Vec<u8>>(other), None);
        let mut changed = signed.clone();
        changed.text = "[1,3]".to_owned();
        assert_eq!(changed.read::<Vec<u8>>(KIND), None);
        let mut stranger = signed;
        stranger.signer = HostKey::from_secret(&[2; 32]).public();
        assert_eq!(stranger.read::<Vec<u8>>(KIND), None);
        let long = Signed::new(KIND, &vec![1; 30], &key);
        assert_eq!(long.read::<Vec<u8>>(KIND), None);
    }
}
