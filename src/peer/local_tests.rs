//! What a host takes from another, without a network.

use std::fs;

use super::*;
use crate::journal::tests::Host;
use crate::model::EntryId;

/// A host's part, and what holds its directory.
fn local(host: &Host) -> Local {
    Local::new(&host.home, &host.domain, (&host.branch, CachePolicy::Full))
}

/// The records behind an entry, as an answer has them.
fn records(of: &Local, host: &Host, after: EntryRef) -> Vec<Vec<u8>> {
    let asked = RecordsAfter {
        branch: host.branch.clone(),
        seq: after.seq,
        id: after.id,
    };
    let (records, bytes) = of.records_after(&asked).unwrap().unwrap();
    let mut rest = bytes.as_slice();
    let split = |length: &u64| {
        let (record, behind) = rest.split_at(usize::try_from(*length).unwrap());
        rest = behind;
        record.to_vec()
    };
    records.lengths.iter().map(split).collect()
}

fn taken(
    by: &Local,
    host: &Host,
    after: EntryRef,
    records: &[Vec<u8>],
) -> Result<Option<EntryRef>, LocalError> {
    let records: Vec<_> = records.iter().map(Vec::as_slice).collect();
    by.take_records(&host.branch, after, &records)
}

#[test]
fn a_host_takes_what_another_has_and_tells_of_it() {
    let (origin, target) = (Host::new(), Host::new());
    let source = origin.journal_of(4);
    let (from, to) = (local(&origin), local(&target));
    let nothing = to.last(&target.branch).unwrap();
    assert_eq!(nothing, Journal::beginning(&target.domain));
    assert!(to.heads(&mut |_, _| panic!()).is_empty());
    let all = records(&from, &origin, nothing);
    assert_eq!(all.len(), 4);
    let last = taken(&to, &target, nothing, &all[..2]).unwrap().unwrap();
    assert_eq!(Some(last), source.at(2));
    // What somebody else took meanwhile is passed over.
    assert_eq!(taken(&to, &target, nothing, &all).unwrap(), Some(last));
    let rest = records(&from, &origin, last);
    assert_eq!(
        taken(&to, &target, last, &rest).unwrap(),
        Some(source.last())
    );
    let [head] = &to.heads(&mut |_, _| panic!())[..] else {
        panic!("one branch");
    };
    assert_eq!((head.at(), head.complete), (source.last(), 0));
}

#[test]
fn another_journal_and_a_longer_one_are_told_apart() {
    let (origin, other) = (Host::new(), Host::new());
    let last = origin.journal_of(2).last();
    other.journal_of(3);
    let asked = |seq, id| RecordsAfter {
        branch: origin.branch.clone(),
        seq,
        id,
    };
    let answer = |asked| local(&other).records_after(&asked).unwrap().map(|_| ());
    // Made with the same key at the same moments, these are the same entries.
    assert_eq!(answer(asked(last.seq, last.id)), Ok(()));
    let forged = EntryId(Digest::of(b"another"));
    assert_eq!(answer(asked(last.seq, forged)), Err(Refused::Diverged));
    assert_eq!(answer(asked(9, last.id)), Err(Refused::Missing));
    let mut elsewhere = asked(0, last.id);
    elsewhere.branch = BranchName::new("web").unwrap();
    assert_eq!(answer(elsewhere), Err(Refused::Missing));
}

#[test]
fn what_comes_before_a_forged_record_is_kept_and_the_sender_is_to_blame() {
    let (origin, target) = (Host::new(), Host::new());
    let source = origin.journal_of(3);
    let (from, to) = (local(&origin), local(&target));
    let begin = Journal::beginning(&target.domain);
    let mut all = records(&from, &origin, begin);
    let last = all[2].len() - 10;
    all[2][last] ^= 1;
    let error = taken(&to, &target, begin, &all).unwrap_err();
    assert!(error.is_the_senders(), "{error}");
    assert_eq!(Some(to.last(&target.branch).unwrap()), source.at(2));
    // Out of turn, and of another branch's beginning.
    let first = taken(&to, &target, source.at(2).unwrap(), &all[..1]).unwrap_err();
    assert!(first.is_the_senders(), "{first}");
}

#[test]
fn damage_here_is_nobody_elses_fault() {
    let (origin, target) = (Host::new(), Host::new());
    let source = origin.journal_of(3);
    let (from, to) = (local(&origin), local(&target));
    let begin = Journal::beginning(&target.domain);
    let all = records(&from, &origin, begin);
    let two = taken(&to, &target, begin, &all[..2]).unwrap().unwrap();
    let path = target.home.journal(&target.domain, &target.branch);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    // A daemon that comes new reads all of it.
    let newer = local(&target);
    let error = taken(&newer, &target, two, &all[2..]).unwrap_err();
    assert!(!error.is_the_senders(), "{error}");
    let mut told = 0;
    assert!(newer.heads(&mut |_, _| told += 1).is_empty());
    assert_eq!((told, source.len()), (1, 3));
}

#[test]
fn what_is_missing_is_wanted_and_what_was_damaged_is_wanted_again() {
    let (origin, target) = (Host::new(), Host::new());
    origin.journal_of(3);
    let (from, to) = (local(&origin), local(&target));
    let begin = Journal::beginning(&target.domain);
    let all = records(&from, &origin, begin);
    taken(&to, &target, begin, &all).unwrap();
    let wanted = to.wanted(&target.branch, 0).unwrap().unwrap();
    assert_eq!(wanted.seq, 1);
    // What nobody has is passed over when it is said so, and still wanted.
    let behind = to.wanted(&target.branch, 3).unwrap();
    assert_eq!(behind, None);
    assert_eq!(to.head(&target.branch).unwrap().unwrap().complete, 0);
    assert!(!to.look_for_damage());
    let blob = to.store().put_bytes(b"content").unwrap();
    fs::write(to.store().path_of(&blob), b"rotten!").unwrap();
    to.look_at_blob(&blob);
    assert!(!to.store().contains(&blob));
    assert!(!to.look_for_damage(), "it was noticed already");
    to.store().put_bytes(b"content").unwrap();
    assert!(!to.look_for_damage(), "it is here again");
}
