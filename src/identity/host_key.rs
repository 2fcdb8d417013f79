//! The host's Ed25519 key: signs the entries that are checked in here. Upholds: the secret half
//! leaves its file only into memory that is wiped.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use isconf_sandbox::change::Digest;

use crate::durable::{self, FileError};
use crate::model::{Hex, PublicKey, Signature};

/// The longest key file, in bytes.
const MAX_KEY_FILE_BYTES: u64 = 256;

/// The line that names the file's format and version.
const FIRST_LINE: &str = "# isconf host key 1\n";

/// The host's key pair.
pub struct HostKey(SigningKey);

/// Why there is no host key.
#[derive(Debug, thiserror::Error)]
pub enum HostKeyError {
    /// The system refused an operation.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not a host key of this version. Its content is not shown.
    #[error("{} is not a host key", .0.display())]
    Malformed(PathBuf),
    /// Others than the owner may read it.
    #[error("{} may be read by others (mode {mode:o})", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The kernel gave no random bytes.
    #[error("no random bytes for a new host key")]
    Random(#[source] getrandom::Error),
}

/// A signature that this key did not make over this digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not one of key {key} over digest {digest}")]
pub struct BadSignature {
    /// The key.
    pub key: PublicKey,
    /// What should be signed.
    pub digest: Digest,
}

impl HostKey {
    /// Takes the key at `path`; makes one with the kernel's random numbers if there is none. The
    /// directory must exist.
    pub fn load_or_create(path: &Path) -> Result<Self, HostKeyError> {
        if let Some(key) = Self::load(path)? {
            return Ok(key);
        }
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(HostKeyError::Random)?;
        let text = format!("{FIRST_LINE}{}\n", Hex::from_bytes(secret));
        durable::replace(path, text.as_bytes())?;
        Ok(Self::from_secret(&secret))
    }

    /// Takes the key at `path`; `None` when there is none.
    pub fn load(path: &Path) -> Result<Option<Self>, HostKeyError> {
        let Some(bytes) = durable::read_small(path, MAX_KEY_FILE_BYTES)? else {
            return Ok(None);
        };
        check_private(path)?;
        let digits = str::from_utf8(&bytes)
            .ok()
            .and_then(|text| text.strip_prefix(FIRST_LINE)?.strip_suffix('\n'));
        let secret: Option<Hex<32>> = digits.and_then(|digits| digits.parse().ok());
        match secret {
            Some(secret) => Ok(Some(Self::from_secret(secret.as_bytes()))),
            None => Err(HostKeyError::Malformed(path.to_path_buf())),
        }
    }

    /// Makes the key pair of a secret.
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        Hex::from_bytes(self.0.verifying_key().to_bytes())
    }

    /// Signs the start of a connection. The message is one of TLS 1.3, which begins with 64 spaces, so
    /// that the signature is worth nothing for an entry.
    pub fn sign_handshake(&self, message: &[u8]) -> Signature {
        Hex::from_bytes(self.0.sign(message).to_bytes())
    }

    /// Signs a digest.
    pub fn sign(&self, digest: &Digest) -> Signature {
        Hex::from_bytes(self.0.sign(digest.as_bytes()).to_bytes())
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostKey({})", self.public())
    }
}

/// Checks that `signature` is that of `key` over `digest` (strictly: no second valid signature for
/// the same digest can be made from one, RFC 8032 with the checks of "Taming the many EdDSAs").
pub fn verify(key: &PublicKey, digest: &Digest, signature: &Signature) -> Result<(), BadSignature> {
    let bad = BadSignature {
        key: *key,
        digest: *digest,
    };
    let signature = ed25519_dalek::Signature::from_bytes(signature.as_bytes());
    VerifyingKey::from_bytes(key.as_bytes())
        .and_then(|key| key.verify_strict(digest.as_bytes(), &signature))
        .map_err(|_| bad)
}

/// Refuses a file of secrets that others may read or write.
fn check_private(path: &Path) -> Result<(), HostKeyError> {
    let metadata = fs::metadata(path).map_err(FileError::of("stat", path))?;
    match metadata.permissions().mode() & 0o7777 {
        mode if mode & 0o077 == 0 => Ok(()),
        mode => Err(HostKeyError::Exposed {
            path: path.to_path_buf(),
            mode,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_kept_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("host.key");
        assert!(HostKey::load(&path).unwrap().is_none());
        let key = HostKey::load_or_create(&path).unwrap();
        assert_eq!(
            HostKey::load_or_create(&path).unwrap().public(),
            key.public()
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = HostKey::load(&path).unwrap_err();
        assert!(matches!(error, HostKeyError::Exposed { mode: 0o640, .. }));
    }

    #[test]
    fn a_damaged_key_is_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("host.key");
        durable::replace(&path, b"# isconf host key 2\nsecret\n").unwrap();
        let error = HostKey::load(&path).unwrap_err();
        assert!(matches!(error, HostKeyError::Malformed(_)));
        assert!(!error.to_string().contains("secret"));
        let key = HostKey::from_secret(&[7; 32]);
        assert!(!format!("{key:?}").contains(&"07".repeat(32)));
    }

    #[test]
    fn only_the_exact_digest_key_and_signature_verify() {
        let (key, digest) = (HostKey::from_secret(&[1; 32]), Digest::of(b"x"));
        let signature = key.sign(&digest);
        assert_eq!(verify(&key.public(), &digest, &signature), Ok(()));
        assert!(verify(&key.public(), &Digest::of(b"y"), &signature).is_err());
        let other = HostKey::from_secret(&[2; 32]);
        assert!(verify(&other.public(), &digest, &signature).is_err());
        let mut bytes = *signature.as_bytes();
        bytes[63] ^= 1;
        assert!(verify(&key.public(), &digest, &Hex::from_bytes(bytes)).is_err());
        assert!(verify(&Hex::from_bytes([0; 32]), &digest, &signature).is_err());
    }
}
