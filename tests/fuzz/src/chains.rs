//! Targets of the chains and bundles. Rule: a record that is accepted has no other bytes than those
//! that it is written as, and nobody without a key makes one that counts.

use std::io::Cursor;
use std::path::Path;

use isconf::bundle::{Target, import};
use isconf::fuzzing;
use isconf::identity::HmacKeys;
use isconf::journal::Journal;
use isconf::model::progress::Silent;
use isconf::model::{DomainName, Home};
use isconf_sandbox::change::Digest;

/// A journal: one record, a wip's record, and the whole file.
pub fn journal(input: &[u8]) {
    if let Some(body) = fuzzing::entry(input) {
        assert!(has(input, &body), "another form of an entry");
    }
    if let Some(body) = fuzzing::draft(input) {
        assert!(has(input, &body), "another form of a draft");
    }
    let ends = fuzzing::journal(input).unwrap_or_default();
    assert!(ends.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(ends.last().is_none_or(|end| *end <= input.len() as u64));
}

/// A history: one receipt, and the whole file.
pub fn history(input: &[u8]) {
    if let Some(body) = fuzzing::receipt(input) {
        assert!(has(input, &body), "another form of a receipt");
    }
    let ends = fuzzing::history(input).unwrap_or_default();
    assert!(ends.last().is_none_or(|end| *end <= input.len() as u64));
}

/// A bundle, with its digest behind it and nobody's word, imported into a home of its own: what
/// nobody signed must leave no journal.
pub fn bundle(input: &[u8]) {
    let mut bytes = input.to_vec();
    bytes.extend_from_slice(Digest::of(input).as_bytes());
    bytes.extend_from_slice(&[0; 33]);
    let directory = tempfile::tempdir_in("/dev/shm").expect("room for a home");
    let home = Home::new(directory.path());
    let domain = DomainName::new("example.com").expect("a name");
    let target = Target {
        home: &home,
        domain: &domain,
        keys: &HmacKeys::parse(b""),
        allow_unauthenticated: true,
    };
    let file = Cursor::new(bytes);
    if let Ok(imported) = import(
        target,
        Path::new("bundle"),
        file,
        &mut |_| true,
        &mut Silent,
    ) {
        let journal = Journal::open(&home, &domain, &imported.header.branch);
        let journal = journal.expect("an imported journal opens");
        let length = journal.map_or(0, |journal| journal.len());
        assert_eq!(length, imported.header.last.seq);
    }
}

fn has(record: &[u8], body: &str) -> bool {
    let body = body.as_bytes();
    record.windows(body.len()).any(|window| window == body)
}

/// `conf/actions`: what is accepted is written in one form.
pub fn pending(input: &[u8]) {
    if let Some(written) = fuzzing::pending(input) {
        assert_eq!(fuzzing::pending(&written).as_ref(), Some(&written));
    }
}
