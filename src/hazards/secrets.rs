//! Secrets that everybody can read. Pure. Not for finding out what a command did with them.

use isconf_sandbox::change::{Change, Kind, Label};

use super::Evidence;
use super::patterns::Patterns;
use super::sieve::Sieve;
use crate::model::{Hazard, HazardCode};

/// Names that secrets have by custom.
const NAMES: &[&str] = &[
    "/etc/shadow*",
    "/etc/gshadow*",
    "/**/*.key",
    "/**/*_rsa",
    "/**/*_dsa",
    "/**/*_ecdsa",
    "/**/*_ed25519",
    "/**/*.keytab",
    "/**/*.p12",
    "/**/*.pfx",
    "/**/*.kdbx",
    "/**/.pgpass",
    "/**/.netrc",
    "/**/.my.cnf",
    "/**/.git-credentials",
    "/**/.vault-token",
    "/**/.aws/credentials",
    "/**/*htpasswd",
    "/**/ssh_host_*_key",
];

/// Where packages put what is for everybody, whatever it is called.
const PUBLIC: &[&str] = &["/usr/share/**", "/usr/lib/**", "/usr/include/**"];

/// The right of others to read (inode(7)).
const OTHERS_READ: u32 = 0o004;

/// The tables, read once.
pub(super) struct Names {
    names: Patterns,
    public: Patterns,
    /// What keys and certificates as text begin with (RFC 7468).
    armour: Sieve,
}

impl Names {
    /// Reads the tables.
    pub(super) fn new() -> Self {
        Self {
            names: Patterns::of(NAMES),
            public: Patterns::of(PUBLIC),
            armour: Sieve::of(["-----BEGIN "].into_iter()),
        }
    }
}

/// A finding, if this change left a secret that others can read.
pub(super) fn judge(
    names: &Names,
    change: &Change,
    content: Option<&[u8]>,
    evidence: &Evidence<'_>,
) -> Option<Hazard> {
    let after = change.after.as_ref()?;
    let is_file = matches!(after.kind, Kind::File { .. });
    if !is_file || after.meta.mode & OTHERS_READ == 0 || change.label() == Label::Rewritten {
        return None;
    }
    let why = looks_secret(names, change, content, evidence)?;
    if (evidence.is_out_of_reach)(&change.path) {
        return None;
    }
    let detail = format!("{why}, mode {:04o}", after.meta.mode & 0o7777);
    let path = change.path.clone();
    Some(Hazard::at(HazardCode::SecretReadable, path, detail))
}

/// Why it looks like a secret. What is in it tells more than its name.
fn looks_secret(
    names: &Names,
    change: &Change,
    content: Option<&[u8]>,
    evidence: &Evidence<'_>,
) -> Option<&'static str> {
    let path = &change.path;
    if (evidence.is_secret)(path) {
        return Some("marked secret by IS_SECRET");
    }
    let content = content.unwrap_or_default();
    let is_armoured = names.armour.keeps(content);
    if is_armoured && has(content, b"PRIVATE KEY-----") {
        return Some("a private key");
    }
    let is_public = is_armoured || names.public.stand_for(path);
    let is_named = !is_public && names.names.stand_for(path);
    is_named.then_some("named like a secret")
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_patterns() {
        let read = Names::new();
        let lengths = (read.names.len(), read.public.len());
        assert_eq!(lengths, (NAMES.len(), PUBLIC.len()));
    }
}
