//! One value has one encoding; damaged bytes are errors, never a panic or another value.

use proptest::prelude::*;

use super::arbitrary::{change_set, node, path};
use super::*;

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(set in change_set()) {
        prop_assert_eq!(ChangeSet::decode(&set.encode()).unwrap(), set);
    }

    #[test]
    fn node_lists_are_decoded(nodes in proptest::collection::btree_map(path(), node(), 0..5)) {
        prop_assert_eq!(decode_nodes(&encode_nodes(&nodes)).unwrap(), nodes);
    }

    #[test]
    fn what_decodes_is_canonical(set in change_set(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = set.encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(other) = ChangeSet::decode(&bytes) {
            prop_assert_eq!(other.encode(), bytes);
        }
    }

    #[test]
    fn every_truncation_is_refused(set in change_set(), at in any::<prop::sample::Index>()) {
        let bytes = set.encode();
        prop_assert!(ChangeSet::decode(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn garbage_is_refused_in_peace(tail in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mut bytes = ChangeSet::default().encode();
        bytes.truncate(20);
        bytes.extend(&tail);
        if let Ok(set) = ChangeSet::decode(&bytes) {
            prop_assert_eq!(set.encode(), bytes);
        }
    }

    #[test]
    fn changes_are_in_path_order_whatever_order_they_came_in(set in change_set()) {
        let mut changes = set.changes().to_vec();
        changes.reverse();
        prop_assert_eq!(ChangeSet::new(changes).unwrap(), set);
    }
}

#[test]
fn the_empty_set_is_as_documented() {
    let bytes = ChangeSet::default().encode();
    assert_eq!(bytes, b"isconf change set\n\x01\0\0\0\0\0\0\0\0\0");
}

#[test]
fn other_versions_and_formats_are_refused() {
    let mut bytes = ChangeSet::default().encode();
    bytes[18] = 2;
    assert_eq!(
        ChangeSet::decode(&bytes),
        Err(DecodeError::Version { found: 2, known: 1 })
    );
    assert!(matches!(
        decode_nodes(&bytes),
        Err(DecodeError::Magic { .. })
    ));
}

#[test]
fn a_huge_count_is_refused_before_anything_is_allocated() {
    let mut bytes = ChangeSet::default().encode();
    bytes[20..28].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(
        ChangeSet::decode(&bytes),
        Err(DecodeError::TooMany { .. })
    ));
}
