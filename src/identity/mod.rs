//! Who this host is, and which keys prove membership of its domain. Not for deciding whom to trust.
//! Upholds: keys are root-only files and never appear in errors or logs.

mod host_key;
mod hmac_keys;
mod key_rotation;

pub use hmac_keys::{
    Authentication, Authenticator, CODE_BYTES, HmacKeys, HmacKeysError, KeyFingerprint, Verifier,
};
pub use host_key::{BadSignature, HostKey, HostKeyError, verify};
pub use key_rotation::RotationStep;
