//! The domain's keys: one a line, `#` comments, the first signs, any verifies, `+ANY+` accepts
//! everything while still signing. Not for rereading them in time (the daemon does). Upholds: the
//! rules of the original, with HMAC-SHA-256 (RFC 2104, FIPS 198-1) instead of SHA-1.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};

use super::key_rotation::{RotationStep, rotated};
use crate::durable::{self, FileError};
use crate::model::Hex;

/// The longest file of keys, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// The most keys that are used; each costs one more hash of everything that is verified.
const MAX_KEYS: usize = 32;

/// The line that accepts everything.
const ANY: &[u8] = b"+ANY+";

/// What a fingerprint is a hash of besides the key, so that it is of no use anywhere else.
const FINGERPRINT_OF: &[u8] = b"isconf key fingerprint 1\n";

/// The length of an authentication code, in bytes.
pub const CODE_BYTES: usize = 32;

/// The keys of a domain.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HmacKeys {
    keys: Vec<Vec<u8>>,
    accepts_anything: bool,
}

/// Why keys could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum HmacKeysError {
    /// Others than its owner can put a key of theirs into it.
    #[error("{} can be written by others than its owner: `chmod go-w` it, and look at its keys", .0.display())]
    Exposed(std::path::PathBuf),
    /// The system refused an operation.
    #[error(transparent)]
    File(#[from] FileError),
    /// More keys than are ever used.
    #[error("{} has more than {MAX_KEYS} keys", .0.display())]
    TooMany(std::path::PathBuf),
    /// Its keys cannot be told from its comments.
    #[error("{} is not text", .0.display())]
    NotText(std::path::PathBuf),
    /// The kernel gave no random bytes.
    #[error("no random bytes for a new key")]
    Random(#[source] getrandom::Error),
}

/// Tells keys apart without showing them: the start of a SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyFingerprint([u8; 8]);

impl KeyFingerprint {
    fn of(key: &[u8]) -> Self {
        let hash = Sha256::new_with_prefix(FINGERPRINT_OF).chain_update(key);
        let hash: [u8; 32] = hash.finalize().into();
        let mut start = [0; 8];
        start.copy_from_slice(&hash[..8]);
        Self(start)
    }
}

impl fmt::Display for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex::from_bytes(self.0).fmt(f)
    }
}

/// What an authentication code proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// Made with one of our keys.
    Known,
    /// Made with none of them, and `+ANY+` accepts it.
    AnyAccepted,
    /// Made with none of them.
    Unknown,
}

impl HmacKeys {
    /// Reads the keys at `path`; a missing file has none.
    pub fn load(path: &Path) -> Result<Self, HmacKeysError> {
        let bytes = durable::read_small(path, MAX_FILE_BYTES)?.unwrap_or_default();
        let is_exposed = |meta: std::fs::Metadata| meta.mode() & 0o022 != 0;
        if !bytes.is_empty() && std::fs::metadata(path).is_ok_and(is_exposed) {
            return Err(HmacKeysError::Exposed(path.to_path_buf()));
        }
        let keys = Self::parse(&bytes);
        if keys.keys.len() > MAX_KEYS {
            return Err(HmacKeysError::TooMany(path.to_path_buf()));
        }
        Ok(keys)
    }

    /// Takes the content of a file of keys.
    pub fn parse(bytes: &[u8]) -> Self {
        let lines = bytes.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
        let (any, keys): (Vec<_>, Vec<_>) = lines.partition(|line| *line == ANY);
        Self {
            keys: keys.into_iter().map(<[u8]>::to_vec).collect(),
            accepts_anything: !any.is_empty(),
        }
    }

    /// Makes a key of the kernel's random numbers and puts it first in the file at `path`, whose
    /// directory must exist: it signs from now on, and those before still verify.
    pub fn add_generated(path: &Path) -> Result<KeyFingerprint, HmacKeysError> {
        let before = durable::read_small(path, MAX_FILE_BYTES)?.unwrap_or_default();
        if Self::parse(&before).keys.len() >= MAX_KEYS {
            return Err(HmacKeysError::TooMany(path.to_path_buf()));
        }
        let key = generated()?;
        let text = [key.as_bytes(), b"\n", &before].concat();
        durable::replace(path, &text)?;
        Ok(KeyFingerprint::of(key.as_bytes()))
    }

    /// Takes the next step of changing the key in the file at `path`. Its directory must exist.
    pub fn rotate(path: &Path) -> Result<RotationStep, HmacKeysError> {
        let before = durable::read_small(path, MAX_FILE_BYTES)?.unwrap_or_default();
        let before = String::from_utf8(before)
            .map_err(|_not_shown| HmacKeysError::NotText(path.to_path_buf()))?;
        let (after, step) = rotated(&before, &generated()?);
        if Self::parse(after.as_bytes()).keys.len() > MAX_KEYS {
            return Err(HmacKeysError::TooMany(path.to_path_buf()));
        }
        durable::replace(path, after.as_bytes())?;
        Ok(step)
    }

    /// The fingerprints of the keys, in order: the first signs.
    pub fn fingerprints(&self) -> Vec<KeyFingerprint> {
        self.keys
            .iter()
            .map(|key| KeyFingerprint::of(key))
            .collect()
    }

    /// The fingerprints of keys that somebody who got one proof can find by trying: shorter than
    /// [`GUESSED_BELOW`](Self::GUESSED_BELOW).
    pub fn weak(&self) -> Vec<KeyFingerprint> {
        let weak = self
            .keys
            .iter()
            .filter(|key| key.len() < Self::GUESSED_BELOW);
        weak.map(|key| KeyFingerprint::of(key)).collect()
    }

    /// How long a key has to be, in bytes, not to be warned of.
    pub const GUESSED_BELOW: usize = 16;

    /// Whether `+ANY+` accepts what none of the keys made.
    pub fn accepts_anything(&self) -> bool {
        self.accepts_anything
    }

    /// Whether there is no key to sign with.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Begins a code made with the first key; `None` without keys.
    pub fn authenticator(&self) -> Option<Authenticator> {
        self.keys.first().map(|key| Authenticator(keyed(key)))
    }

    /// Begins a check against every key.
    pub fn verifier(&self) -> Verifier {
        Verifier {
            codes: self.keys.iter().map(|key| keyed(key)).collect(),
            accepts_anything: self.accepts_anything,
        }
    }
}

/// A new key of the kernel's random numbers.
fn generated() -> Result<String, HmacKeysError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(HmacKeysError::Random)?;
    Ok(Hex::from_bytes(secret).to_string())
}

impl fmt::Debug for HmacKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            keys,
            accepts_anything,
        } = self;
        write!(f, "HmacKeys({} keys, any: {accepts_anything})", keys.len())
    }
}

/// An HMAC under a key.
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // RFC 2104 takes keys of any length, and so does this constructor.
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// An authentication code being made, piece by piece.
#[derive(Debug, Clone)]
pub struct Authenticator(Hmac<Sha256>);

impl Authenticator {
    /// Takes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The code.
    pub fn finish(self) -> [u8; CODE_BYTES] {
        self.0.finalize().into_bytes().into()
    }
}

/// A check against every key, piece by piece.
#[derive(Debug, Clone)]
pub struct Verifier {
    codes: Vec<Hmac<Sha256>>,
    accepts_anything: bool,
}

impl Verifier {
    /// Takes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.codes.iter_mut().for_each(|code| code.update(bytes));
    }

    /// Compares `code` with that of every key, each in constant time.
    pub fn finish(self, code: &[u8]) -> Authentication {
        let matches = |hmac: Hmac<Sha256>| hmac.verify_slice(code).is_ok();
        if self
            .codes
            .into_iter()
            .map(matches)
            .fold(false, |a, b| a | b)
        {
            Authentication::Known
        } else if self.accepts_anything {
            Authentication::AnyAccepted
        } else {
            Authentication::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(signer: &str, verifier: &str) -> Authentication {
        let mut code = HmacKeys::parse(signer.as_bytes()).authenticator().unwrap();
        code.update(b"mess");
        code.update(b"age");
        let mut check = HmacKeys::parse(verifier.as_bytes()).verifier();
        check.update(b"message");
        check.finish(&code.finish())
    }

    #[test]
    fn the_first_key_signs_and_any_verifies() {
        assert_eq!(
            outcome("a\nb", "# old\n\n b \r\na\n"),
            Authentication::Known
        );
        assert_eq!(outcome("a\nb", "b"), Authentication::Unknown);
        assert_eq!(outcome("+ANY+\na", "a"), Authentication::Known);
        assert_eq!(outcome("a", "+ANY+\nb"), Authentication::AnyAccepted);
        assert_eq!(outcome("a", "+ANY+"), Authentication::AnyAccepted);
        assert_eq!(outcome("a", ""), Authentication::Unknown);
    }

    #[test]
    fn only_any_or_only_comments_are_no_keys() {
        for text in ["", "+ANY+\n", "# a\n", "\n \n"] {
            let keys = HmacKeys::parse(text.as_bytes());
            assert!(keys.is_empty() && keys.authenticator().is_none());
        }
    }

    #[test]
    fn a_generated_key_signs_and_the_old_ones_still_verify() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hmac_keys");
        let first = HmacKeys::add_generated(&path).unwrap();
        let second = HmacKeys::add_generated(&path).unwrap();
        let keys = HmacKeys::load(&path).unwrap();
        assert_eq!(keys.fingerprints(), [second, first]);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&first.to_string()));
    }

    #[test]
    fn keys_are_not_shown() {
        let keys = HmacKeys::parse(b"secret");
        assert_eq!(format!("{keys:?}"), "HmacKeys(1 keys, any: false)");
    }

    #[test]
    fn the_code_is_hmac_sha_256() {
        // RFC 4231, test case 2.
        let mut code = HmacKeys::parse(b"Jefe").authenticator().unwrap();
        code.update(b"what do ya want for nothing?");
        let expected = [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e];
        assert_eq!(code.finish()[..8], expected);
    }
}
