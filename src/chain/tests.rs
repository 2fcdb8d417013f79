//! What the chain promises: any change of its bytes is noticed, and an append is whole or not at
//! all.

use std::fs;
use std::path::Path;

use isconf_sandbox::change::Digest;
use proptest::prelude::*;

use super::*;

fn place(dir: &Path) -> Place {
    Place {
        file: dir.join("chain"),
        head: dir.join("head"),
    }
}

fn header(kind: ChainKind) -> Header {
    match kind {
        ChainKind::Journal | ChainKind::History => Header::new(kind, ["example.com".to_owned()]),
        ChainKind::Wip => Header::new(kind, ["a.b", "generic", "0", "x"].map(str::to_owned)),
    }
}

fn check_seal(digest: &Digest) -> String {
    digest.to_string()
}

fn signature_seal(digest: &Digest) -> String {
    format!("{digest}{digest}")
}

fn seal(kind: ChainKind) -> &'static dyn Fn(&Digest) -> String {
    match kind {
        ChainKind::Journal => &signature_seal,
        ChainKind::History | ChainKind::Wip => &check_seal,
    }
}

fn bodies(range: std::ops::Range<u64>) -> Vec<String> {
    let body =
        |n| format!("message = \"number {n} [[entry]]\"\nargv = [[\"a\"]]\n\n[x.y]\nz = 1\n");
    range.map(body).collect()
}

fn chain_of(dir: &Path, kind: ChainKind, records: u64) -> Chain {
    let mut chain = Chain::create(place(dir), &header(kind)).unwrap();
    chain.append(&bodies(0..records), seal(kind)).unwrap();
    chain
}

fn reopen(dir: &Path, kind: ChainKind) -> Result<Chain, ChainError> {
    Chain::open(place(dir), kind).map(|chain| chain.expect("there is a chain"))
}

fn fault_of(error: ChainError) -> BrokenChain {
    match error {
        ChainError::Broken(broken) => *broken,
        ChainError::File(_) | ChainError::Moved { .. } => panic!("another error: {error}"),
    }
}

const KINDS: [ChainKind; 3] = [ChainKind::Journal, ChainKind::History, ChainKind::Wip];

#[test]
fn what_was_appended_is_read_back_after_reopening() {
    for kind in KINDS {
        let dir = tempfile::tempdir().unwrap();
        assert!(Chain::open(place(dir.path()), kind).unwrap().is_none());
        let mut chain = chain_of(dir.path(), kind, 3);
        chain.append(&bodies(3..5), seal(kind)).unwrap();
        let again = reopen(dir.path(), kind).unwrap();
        assert_eq!(again.head(), chain.head());
        assert_eq!(again.len(), 5);
        for seq in 1..=5 {
            assert_eq!(again.read(seq).unwrap(), chain.read(seq).unwrap());
            assert_eq!(
                Digest::of(&again.read(seq).unwrap()),
                again.id_of(seq).unwrap()
            );
        }
        assert_eq!(again.id_of(0), Some(header(kind).genesis()));
        assert_eq!(again.id_of(6), None);
        assert!(again.read(6).is_err());
    }
}

#[test]
fn an_error_names_file_line_record_and_both_digests() {
    let dir = tempfile::tempdir().unwrap();
    let chain = chain_of(dir.path(), ChainKind::Journal, 3);
    let path = place(dir.path()).file;
    let text = fs::read_to_string(&path)
        .unwrap()
        .replace("number 1", "number 9");
    fs::write(&path, &text).unwrap();
    let broken = fault_of(reopen(dir.path(), ChainKind::Journal).unwrap_err());
    let third = text.lines().position(|line| line == "seq = 3").unwrap() as u64;
    assert_eq!((broken.line, broken.seq), (third, 3));
    let Fault::Prev { expected, .. } = broken.fault else {
        panic!("another fault: {broken}");
    };
    assert_eq!(Some(expected), chain.id_of(2));
    assert!(
        broken
            .to_string()
            .starts_with(&format!("{}, line {third}", path.display()))
    );
}

#[test]
fn bytes_behind_the_head_are_ignored_and_cut_by_the_next_append() {
    let dir = tempfile::tempdir().unwrap();
    let kind = ChainKind::Journal;
    chain_of(dir.path(), kind, 2);
    let path = place(dir.path()).file;
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(b"[[entry]]\nseq = 3\nprev");
    fs::write(&path, &bytes).unwrap();
    let mut chain = reopen(dir.path(), kind).unwrap();
    assert_eq!((chain.len(), chain.unacknowledged()), (2, 22));
    chain.append(&bodies(2..3), seal(kind)).unwrap();
    let again = reopen(dir.path(), kind).unwrap();
    assert_eq!((again.len(), again.unacknowledged()), (3, 0));
}

#[test]
fn an_append_that_was_not_finished_added_nothing() {
    for kind in KINDS {
        let dir = tempfile::tempdir().unwrap();
        let mut chain = chain_of(dir.path(), kind, 2);
        let whole = {
            let other = tempfile::tempdir().unwrap();
            chain_of(other.path(), kind, 3).read(3).unwrap()
        };
        let mut appender = Appender::begin(&mut chain).unwrap();
        appender.push(&whole).unwrap();
        assert!(appender.push(&whole).is_err());
        drop(appender);
        assert_eq!(chain.len(), 2);
        assert_eq!(reopen(dir.path(), kind).unwrap().len(), 2);
    }
}

#[test]
fn two_writers_are_noticed() {
    for kind in KINDS {
        let dir = tempfile::tempdir().unwrap();
        let mut one = chain_of(dir.path(), kind, 1);
        let mut two = reopen(dir.path(), kind).unwrap();
        one.append(&bodies(1..2), seal(kind)).unwrap();
        let error = two.append(&bodies(1..2), seal(kind)).unwrap_err();
        assert!(matches!(error, ChainError::Moved { .. }));
        assert_eq!(reopen(dir.path(), kind).unwrap().len(), 2);
    }
}

#[test]
fn a_missing_head_or_file_is_an_error_once_there_are_records() {
    let dir = tempfile::tempdir().unwrap();
    chain_of(dir.path(), ChainKind::Journal, 1);
    let head = fs::read(place(dir.path()).head).unwrap();
    fs::remove_file(place(dir.path()).head).unwrap();
    let broken = fault_of(reopen(dir.path(), ChainKind::Journal).unwrap_err());
    assert!(matches!(broken.fault, Fault::NoHead { .. }));
    fs::write(place(dir.path()).head, head).unwrap();
    fs::remove_file(place(dir.path()).file).unwrap();
    let broken = fault_of(Chain::open(place(dir.path()), ChainKind::Journal).unwrap_err());
    assert!(matches!(broken.fault, Fault::Cut { .. }));
}

#[test]
fn a_journal_made_but_for_its_head_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    Chain::create(place(dir.path()), &header(ChainKind::Journal)).unwrap();
    fs::remove_file(place(dir.path()).head).unwrap();
    let mut chain = reopen(dir.path(), ChainKind::Journal).unwrap();
    assert!(chain.is_empty());
    chain
        .append(&bodies(0..1), seal(ChainKind::Journal))
        .unwrap();
    assert_eq!(reopen(dir.path(), ChainKind::Journal).unwrap().len(), 1);
}

#[test]
fn a_torn_history_says_where_and_can_be_cut() {
    let dir = tempfile::tempdir().unwrap();
    let chain = chain_of(dir.path(), ChainKind::History, 3);
    let path = place(dir.path()).file;
    let bytes = fs::read(&path).unwrap();
    let last = *chain.record(3).unwrap();
    for end in last.offset + 1..bytes.len() as u64 {
        cut_at_its_last_whole_record(dir.path(), &bytes[..end as usize], &last);
    }
}

#[test]
fn a_torn_tail_of_zeros_takes_no_whole_record_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let chain = chain_of(dir.path(), ChainKind::History, 3);
    let bytes = fs::read(place(dir.path()).file).unwrap();
    let last = *chain.record(3).unwrap();
    let end = bytes.len() - 3;
    for from in last.offset as usize..end {
        // All that follows is zeros, or only what lies in the same block.
        for to in [from + 1, end] {
            let mut bytes = bytes[..end].to_vec();
            bytes[from..to].fill(0);
            cut_at_its_last_whole_record(dir.path(), &bytes, &last);
        }
    }
}

/// Opens a history with these bytes, of which the record `last` is torn, and cuts that off.
fn cut_at_its_last_whole_record(dir: &Path, bytes: &[u8], last: &RecordRef) {
    let path = place(dir).file;
    fs::write(&path, bytes).unwrap();
    let broken = fault_of(reopen(dir, ChainKind::History).unwrap_err());
    let offset = match broken.fault {
        Fault::TornTail { offset } => offset,
        other => panic!("{} bytes: {other}", bytes.len()),
    };
    assert_eq!(offset, last.offset, "{} bytes", bytes.len());
    cut_torn_tail(&path, offset).unwrap();
    assert_eq!(reopen(dir, ChainKind::History).unwrap().len(), 2);
}

/// Every way to change the file at `bytes` that a case asks for.
#[derive(Debug, Clone)]
enum Damage {
    FlipBit(prop::sample::Index),
    Truncate(prop::sample::Index),
    RemoveByte(prop::sample::Index),
    SwapRecords(prop::sample::Index, prop::sample::Index),
    DoubleRecord(prop::sample::Index),
    DropRecord(prop::sample::Index),
}

fn damages() -> impl Strategy<Value = Damage> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => index().prop_map(Damage::FlipBit),
        2 => index().prop_map(Damage::Truncate),
        1 => index().prop_map(Damage::RemoveByte),
        1 => (index(), index()).prop_map(|(a, b)| Damage::SwapRecords(a, b)),
        1 => index().prop_map(Damage::DoubleRecord),
        1 => index().prop_map(Damage::DropRecord),
    ]
}

fn damaged(bytes: &[u8], chain: &Chain, damage: &Damage) -> Vec<u8> {
    let start = chain.record(1).unwrap().offset as usize;
    let mut records: Vec<Vec<u8>> = (1..=chain.len()).map(|n| chain.read(n).unwrap()).collect();
    let count = records.len();
    match damage {
        Damage::FlipBit(at) => {
            let bit = at.index(bytes.len() * 8);
            let mut bytes = bytes.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            return bytes;
        }
        Damage::Truncate(at) => return bytes[..at.index(bytes.len())].to_vec(),
        Damage::RemoveByte(at) => {
            let mut bytes = bytes.to_vec();
            bytes.remove(at.index(bytes.len()));
            return bytes;
        }
        Damage::SwapRecords(a, b) => records.swap(a.index(count), b.index(count)),
        Damage::DoubleRecord(a) => records.insert(a.index(count), records[a.index(count)].clone()),
        Damage::DropRecord(a) => drop(records.remove(a.index(count))),
    }
    [&bytes[..start], &records.concat()].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_damage_to_a_chain_with_a_head_is_noticed(damage in damages(), records in 1_u64..6) {
        for kind in [ChainKind::Journal, ChainKind::Wip] {
            let dir = tempfile::tempdir().unwrap();
            let chain = chain_of(dir.path(), kind, records);
            let path = place(dir.path()).file;
            let before = fs::read(&path).unwrap();
            let after = damaged(&before, &chain, &damage);
            // A second copy of the last record lies behind what the head acknowledges.
            if after != before && !after.starts_with(&before) {
                fs::write(&path, &after).unwrap();
                // The only header field that is not fixed is compared by the caller.
                let noticed = match reopen(dir.path(), kind) {
                    Err(_) => true,
                    Ok(again) => again.header() != chain.header(),
                };
                prop_assert!(noticed, "{damage:?}");
            }
        }
    }

    #[test]
    fn any_damage_to_a_history_is_noticed_or_is_an_older_history(
        damage in damages(),
        records in 1_u64..6,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let chain = chain_of(dir.path(), ChainKind::History, records);
        let path = place(dir.path()).file;
        let before = fs::read(&path).unwrap();
        let after = damaged(&before, &chain, &damage);
        let is_older = before.starts_with(&after);
        fs::write(&path, &after).unwrap();
        match reopen(dir.path(), ChainKind::History) {
            Err(_) => prop_assert!(after != before),
            Ok(again) => {
                let is_bound_elsewhere = again.header() != chain.header();
                prop_assert!(is_older || is_bound_elsewhere, "{damage:?}");
                if is_older {
                    prop_assert_eq!(again.id_of(again.len()), chain.id_of(again.len()));
                }
            }
        }
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), behind in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        let mut text = header(ChainKind::History).to_text().into_bytes();
        if !behind {
            text.clear();
        }
        text.extend_from_slice(&bytes);
        fs::write(place(dir.path()).file, &text).unwrap();
        let opened = Chain::open(place(dir.path()), ChainKind::History);
        prop_assert!(opened.is_err() || bytes.is_empty());
    }
}
