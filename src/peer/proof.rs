//! The proof that both ends of a connection belong to the domain. Pure. Upholds: a proof is worth
//! nothing on another connection, in the other direction, for another host or for another domain; a key is never sent.
//!
//! ```text
//! code = HMAC-SHA-256(key, label, role, TLS exporter, identity of the prover, of the other, domain)
//! ```
//!
//! The exporter (RFC 8446, section 7.5) is different on every connection and known to its two ends only.

use crate::identity::{Authentication, CODE_BYTES, HmacKeys};
use crate::model::{DomainName, PublicKey};

/// The label of the TLS exporter.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-isconf-domain-proof-1";

/// The length of the exporter's value.
pub const EXPORTER_BYTES: usize = 32;

/// Which end of a connection a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one that dialled.
    Dialler,
    /// The one that was dialled.
    Listener,
}

impl Role {
    /// The other end's.
    const fn other(self) -> Self {
        match self {
            Self::Dialler => Self::Listener,
            Self::Listener => Self::Dialler,
        }
    }

    const fn letter(self) -> &'static [u8] {
        match self {
            Self::Dialler => b"d",
            Self::Listener => b"l",
        }
    }
}

/// What an end of a connection claims. Each has a label of its own, so that a code for one is none for
/// another, for a bundle or for a later version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// To belong to this domain.
    Member(DomainName),
    /// To have a key of the domain of the other end, and not to know its name.
    Question,
    /// To belong to this domain, to somebody who asked.
    Answer(DomainName),
}

impl Claim {
    const fn label(&self) -> &'static [u8] {
        match self {
            Self::Member(_) => b"isconf domain proof 1\n",
            Self::Question => b"isconf domain question 1\n",
            Self::Answer(_) => b"isconf domain answer 1\n",
        }
    }

    fn domain(&self) -> &[u8] {
        match self {
            Self::Member(domain) | Self::Answer(domain) => domain.as_str().as_bytes(),
            Self::Question => b"",
        }
    }
}

/// What a connection's two proofs are over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// This end.
    pub role: Role,
    /// The exporter's value.
    pub exported: [u8; EXPORTER_BYTES],
    /// This host.
    pub own: PublicKey,
    /// The other host, as TLS proved it.
    pub other: PublicKey,
    /// What is claimed.
    pub claim: Claim,
}

impl Proof {
    /// What this end sends: made with the first key; `None` without keys.
    pub fn code(&self, keys: &HmacKeys) -> Option<[u8; CODE_BYTES]> {
        let mut code = keys.authenticator()?;
        for piece in self.pieces(self.role, &self.own, &self.other) {
            code.update(piece);
        }
        Some(code.finish())
    }

    /// Whether one of the keys makes the code that this end sent.
    pub fn is_own(&self, keys: &HmacKeys, code: &[u8]) -> bool {
        let mut check = keys.verifier();
        for piece in self.pieces(self.role, &self.own, &self.other) {
            check.update(piece);
        }
        check.finish(code) == Authentication::Known
    }

    /// What the other end's code proves. Without keys nothing does.
    pub fn check(&self, keys: &HmacKeys, code: &[u8]) -> Authentication {
        if keys.is_empty() {
            return Authentication::Unknown;
        }
        let mut check = keys.verifier();
        for piece in self.pieces(self.role.other(), &self.other, &self.own) {
            check.update(piece);
        }
        check.finish(code)
    }

    /// The same about another claim.
    pub fn claiming(&self, claim: Claim) -> Self {
        Self {
            claim,
            ..self.clone()
        }
    }

    /// A label ends with its only line feed, and all but the last of the others have one length each, so that
    /// no two are the same bytes in a row.
    fn pieces<'a>(
        &'a self,
        role: Role,
        prover: &'a PublicKey,
        checker: &'a PublicKey,
    ) -> [&'a [u8]; 6] {
        [
            self.claim.label(),
            role.letter(),
            &self.exported,
            prover.as_bytes(),
            checker.as_bytes(),
            self.claim.domain(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Hex;

    fn proof(role: Role) -> Proof {
        let (dialler, listener) = (Hex::from_bytes([1; 32]), Hex::from_bytes([2; 32]));
        let (own, other) = match role {
            Role::Dialler => (dialler, listener),
            Role::Listener => (listener, dialler),
        };
        Proof {
            role,
            exported: [7; EXPORTER_BYTES],
            own,
            other,
            claim: member("example.com"),
        }
    }

    fn member(domain: &str) -> Claim {
        Claim::Member(DomainName::new(domain).unwrap())
    }

    fn keys(text: &str) -> HmacKeys {
        HmacKeys::parse(text.as_bytes())
    }

    #[test]
    fn each_end_believes_the_other_and_nobody_else() {
        let (dialler, listener) = (proof(Role::Dialler), proof(Role::Listener));
        let code = dialler.code(&keys("new\nold")).unwrap();
        let believed = |proof: &Proof, text| proof.check(&keys(text), &code);
        assert_eq!(believed(&listener, "old\nnew"), Authentication::Known);
        assert_eq!(believed(&listener, "old"), Authentication::Unknown);
        assert_eq!(believed(&listener, "a\n+ANY+"), Authentication::AnyAccepted);
        assert_eq!(
            believed(&listener, "+ANY+"),
            Authentication::Unknown,
            "no key at all"
        );
        assert_eq!(believed(&listener, ""), Authentication::Unknown);
        assert_eq!(
            believed(&dialler, "new"),
            Authentication::Unknown,
            "sent back"
        );
        assert!(dialler.is_own(&keys("old\nnew"), &code));
        assert!(!dialler.is_own(&keys("old\n+ANY+"), &code));
        let changes: [fn(&mut Proof); 6] = [
            |proof| proof.exported[31] ^= 1,
            |proof| proof.own = Hex::from_bytes([3; 32]),
            |proof| proof.other = Hex::from_bytes([3; 32]),
            |proof| proof.claim = member("example.org"),
            |proof| proof.claim = Claim::Question,
            |proof| proof.claim = Claim::Answer(DomainName::new("example.com").unwrap()),
        ];
        for change in changes {
            let mut elsewhere = proof(Role::Listener);
            change(&mut elsewhere);
            assert_eq!(believed(&elsewhere, "new"), Authentication::Unknown);
        }
        assert_eq!(
            listener.check(&keys("new"), &code[..31]),
            Authentication::Unknown
        );
        assert!(dialler.code(&keys("# none")).is_none());
    }
}
